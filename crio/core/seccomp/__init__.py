"""Seccomp profiles: reading profile files and the built-in default."""
