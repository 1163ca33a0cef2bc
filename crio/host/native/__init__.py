"""The C extension of the daemon: system calls without a Python wrapper and the socket forwarder."""
