"""Ring integration: the daemon on a socket, real runtimes, a real registry, crictl."""
