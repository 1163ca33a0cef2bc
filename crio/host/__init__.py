"""Ports and adapters to the machine: processes, paths, mounts, store, registry, network, runtimes."""
