"""Exec, attach and port-forward streaming."""
