"""Ring conmon: the C programs alone, then under podman."""
