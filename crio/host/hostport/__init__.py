"""Host ports on this machine, by nft or by iptables."""
