"""Rules of the Container Network Interface: configuration, calls, results and records, without I/O."""
