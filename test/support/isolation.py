"""Gives a test run namespaces of its own, so that it can break nothing of the host and every trace of it is its own.

The run moves into a fresh network and mount namespace before its first privileged test. Bridges, veth pairs, firewall
rules, named network namespaces and mounts are then this run's alone: the leak check can compare all of them, two runs
on one host do not see each other, and whatever is left at the end goes with the namespaces. Cgroups and processes stay
the host's, as the products of the runtime must be found there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import subprocess
from collections.abc import Iterator

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
NAMED_NAMESPACES = "/run/netns"
SHARED_MEMORY = "/dev/shm"
NETWORK = "/proc/self/ns/net"
# Kept from before ``enter``: the way back, since the files of process 1 may be forbidden even to the superuser.
FIRST_NETWORK_FD = os.open(NETWORK, os.O_RDONLY | os.O_CLOEXEC)

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter() -> None:
    """Move this process into new network and mount namespaces, with loopback up; raises OSError without the right to.

    Only the calling thread moves, and threads inherit it: call it before any thread is started.
    """
    _checked(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare")
    _checked(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount / private")
    pathlib.Path(NAMED_NAMESPACES).mkdir(exist_ok=True)
    _checked(_libc.mount(b"none", NAMED_NAMESPACES.encode(), b"tmpfs", 0, b"mode=755"), f"mount {NAMED_NAMESPACES}")
    # Podman keeps the locks of all its containers, of whatever store, in one shared memory, and frees them all at a first start.
    _checked(_libc.mount(b"none", SHARED_MEMORY.encode(), b"tmpfs", 0, b"mode=1777"), f"mount {SHARED_MEMORY}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)


@contextlib.contextmanager
def first_network() -> Iterator[None]:
    """The network that the run was started in for the block, for what must be fetched in the middle of it."""
    if os.readlink(NETWORK) == os.readlink(f"/proc/self/fd/{FIRST_NETWORK_FD}"):
        yield
        return
    own = os.open(NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(FIRST_NETWORK_FD, CLONE_NEWNET), "setns to the network of the start")
        try:
            yield
        finally:
            _checked(_libc.setns(own, CLONE_NEWNET), "setns back")
    finally:
        os.close(own)
