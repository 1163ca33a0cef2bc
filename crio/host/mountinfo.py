"""The mount table: which mount holds a path, and how it propagates. Source: proc(5), mountinfo."""

from __future__ import annotations

import os
from dataclasses import dataclass

from crio.host.files import read_bounded

_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class MountEntry:
    """One line of mountinfo; ``shared`` and ``slave`` tell its propagation."""

    mount_point: str
    fstype: str
    shared: bool
    slave: bool


def _unescape(text: str) -> str:
    return text.encode().decode("unicode_escape").encode("latin-1").decode() if "\\" in text else text


def mount_table() -> tuple[MountEntry, ...]:
    """All mounts of the daemon's namespace, in mount order."""
    entries = []
    for line in read_bounded("/proc/self/mountinfo", _LIMIT_BYTES).decode().splitlines():
        fields = line.split(" ")
        end = fields.index("-")
        optional = fields[6:end]
        shared = any(word.startswith("shared:") for word in optional)
        slave = any(word.startswith("master:") for word in optional)
        entries.append(MountEntry(_unescape(fields[4]), fields[end + 1], shared, slave))
    return tuple(entries)


def mount_of(path: str, table: tuple[MountEntry, ...]) -> MountEntry | None:
    """The mount that holds ``path`` (resolved, absolute): the longest mount point above it, the last one mounted there."""
    best: MountEntry | None = None
    for entry in table:
        above = entry.mount_point == "/" or path == entry.mount_point or path.startswith(entry.mount_point + "/")
        if above and (best is None or len(entry.mount_point) >= len(best.mount_point)):
            best = entry
    return best


def is_mount_point(path: str) -> bool:
    """Whether something is mounted at exactly this path (a bind mount of the same file system included)."""
    wanted = os.path.realpath(path)
    return any(entry.mount_point == wanted for entry in mount_table())
