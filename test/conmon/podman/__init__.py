"""Ring conmon under a real caller: Debian's podman with the monitor of CONMON_UNDER_TEST, with runc and crun."""
