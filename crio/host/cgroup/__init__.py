"""Cgroups of both versions: paths for specifications, and folders that are ours."""
