"""Changes of directories, as the kernel tells them: one inotify descriptor, awaited on the loop.

It says only *that* something in a watched directory changed; who cares reads the directory again. That is why a queue
overflow, which loses the details, loses nothing here. Source: inotify(7).
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Sequence

from crio.host import syscalls
from crio.host.process import wait_readable

_IN_CLOSE_WRITE = 0x8
_IN_MOVED = 0xC0
_IN_CREATE = 0x100
_IN_DELETE = 0x200
_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800
_IN_IGNORED = 0x8000
_IN_ONLYDIR = 0x01000000
_MASK = _IN_CLOSE_WRITE | _IN_MOVED | _IN_CREATE | _IN_DELETE | _IN_DELETE_SELF | _IN_MOVE_SELF | _IN_ONLYDIR
_EVENT = struct.Struct("iIII")
_READ_BYTES = 65536


class DirectoryWatch:
    """Watches directories; those that do not exist are taken up by ``rearm`` once they do. ``close`` it."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._fd = syscalls.inotify_init()
        self._paths = tuple(dict.fromkeys(paths))
        self._watched: dict[int, str] = {}
        self.rearm()

    def rearm(self) -> tuple[str, ...]:
        """Watches what is not watched yet; returns the directories that still cannot be."""
        for path in self._paths:
            if path not in self._watched.values():
                with contextlib.suppress(OSError):
                    self._watched[syscalls.inotify_add(self._fd, path, _MASK)] = path
        return tuple(path for path in self._paths if path not in self._watched.values())

    async def wait_changed(self) -> None:
        """Wait until something in a watched directory changed; takes all events that are there."""
        await wait_readable(self._fd)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._take(os.read(self._fd, _READ_BYTES))

    def _take(self, events: bytes) -> None:
        offset = 0
        while offset < len(events):
            number, mask, _cookie, name_bytes = _EVENT.unpack_from(events, offset)
            offset += _EVENT.size + name_bytes
            if mask & _IN_MOVE_SELF:
                # The watch follows the inode to its new name; what matters is the path.
                syscalls.inotify_remove(self._fd, number)
            if mask & (_IN_IGNORED | _IN_MOVE_SELF):
                self._watched.pop(number, None)

    def close(self) -> None:
        """Close the descriptor; more than once is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
