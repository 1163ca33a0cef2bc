"""Pulls measured against podman and containerd from a loopback registry, in the same run: ``python -m test.bench.pull``.

Everything is below one folder on a file system of its own (a loop device): on ext4, a directory tree removed by anybody within the last
minute makes every new file of the whole file system slower, and that anybody may be the test suite next door.
"""
