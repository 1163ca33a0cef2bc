"""Watching directories: one inotify instance on the running loop, one callback per event.

Source: inotify(7).
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from crio.host import syscalls

IN_MODIFY: Final = 0x002
IN_CLOSE_WRITE: Final = 0x008
IN_MOVED_FROM: Final = 0x040
IN_MOVED_TO: Final = 0x080
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_Q_OVERFLOW: Final = 0x4000
IN_ONLYDIR: Final = 0x01000000

IN_IGNORED: Final = 0x8000

READ_BYTES: Final = 65536
_HEADER = struct.Struct("iIII")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: the watch's number, what happened, and the name in the directory (empty for the directory itself)."""

    watch: int
    mask: int
    name: str


def parse_events(data: bytes) -> Iterator[Event]:
    """The events of one read."""
    offset = 0
    while offset < len(data):
        watch, mask, _, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        yield Event(watch, mask, os.fsdecode(data[offset : offset + length].rstrip(b"\0")))
        offset += length


class DirectoryWatch:
    """Calls ``on_event(path of the directory, name, mask)`` for each event; ``name`` is empty for the directory itself.

    An overflow of the kernel's queue comes as mask IN_Q_OVERFLOW with empty path: the receiver reads the directories anew.
    """

    def __init__(self, on_event: Callable[[str, str, int], None]) -> None:
        self._on_event = on_event
        self._paths: dict[int, str] = {}
        self._fd = syscalls.inotify_init()
        asyncio.get_running_loop().add_reader(self._fd, self._on_readable)

    def add(self, path: str, mask: int) -> None:
        """Watch a directory; raises OSError when it is not there."""
        self._paths[syscalls.inotify_add(self._fd, path, mask)] = path

    def close(self) -> None:
        """Stop watching everything."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        for event in parse_events(data):
            self._on_event(self._paths.get(event.watch, ""), event.name, event.mask)
