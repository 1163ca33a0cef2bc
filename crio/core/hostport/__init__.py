"""Rules of host ports: which packet goes to which pod, as text for nft and iptables-restore, without I/O."""
