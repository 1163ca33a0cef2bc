"""Ring conmon under a real caller: the host's podman with runc and crun, Debian 13's with crun, and the monitor of CONMON_UNDER_TEST."""
