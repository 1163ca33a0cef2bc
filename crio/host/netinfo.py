"""Counters of network interfaces, read from the process's view of its own namespace; no ``setns`` here."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from crio.core.errors import NotFound
from crio.host.files import read_bounded

_LIMIT_BYTES = 4 << 20
_FIELDS = 16


@dataclass(frozen=True, slots=True)
class InterfaceCounters:
    """What an interface has moved since it exists. Source: CRI ``NetworkInterfaceUsage``."""

    name: str
    rx_bytes: int
    rx_errors: int
    tx_bytes: int
    tx_errors: int


def parse_net_dev(text: str) -> tuple[InterfaceCounters, ...]:
    """Reads the table of /proc/net/dev; lines of another shape are passed over. Source: proc_pid_net(5)."""
    found: list[InterfaceCounters] = []
    for line in text.splitlines():
        name, colon, rest = line.rpartition(":")
        values = rest.split()
        if colon and len(values) >= _FIELDS:
            with contextlib.suppress(ValueError):
                numbers = [int(value) for value in values]
                found.append(InterfaceCounters(name.strip(), numbers[0], numbers[2], numbers[8], numbers[10]))
    return tuple(found)


def read_counters(pid: int, netns_inode: int = 0) -> tuple[InterfaceCounters, ...]:
    """The interfaces of the network namespace that ``pid`` is in, ``lo`` first as the kernel has it.

    :param netns_inode: the inode number of the pod's namespace; 0 does not check. It guards against a recycled pid and
        against a process that has gone to another namespace
    :raises NotFound: the process is gone or is elsewhere
    """
    try:
        text = read_bounded(f"/proc/{pid}/net/dev", _LIMIT_BYTES).decode(errors="replace")
        inode = os.stat(f"/proc/{pid}/ns/net").st_ino if netns_inode else 0
    except OSError as error:
        raise NotFound(f"process {pid} has no network namespace to read: {error.strerror}") from error
    if inode != netns_inode:
        raise NotFound(f"process {pid} is not in the network namespace {netns_inode}")
    return parse_net_dev(text)
