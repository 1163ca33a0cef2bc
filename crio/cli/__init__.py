"""Command lines: crio, crio-status, crioctl."""
