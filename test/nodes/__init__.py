"""Machines for tests, or what passes for one: other Debian releases beside the host's own."""
