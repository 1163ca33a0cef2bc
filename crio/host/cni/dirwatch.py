"""Changes of directories, as the kernel tells them: one inotify descriptor, awaited on the loop.

It says only *that* something in a watched directory changed; who cares reads the directory again. That is why a queue
overflow, which loses the details, loses nothing here. Source: inotify(7).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from crio.host import inotify, syscalls
from crio.host.process import wait_readable

_MASK = (
    inotify.IN_CLOSE_WRITE
    | inotify.IN_MOVED_FROM
    | inotify.IN_MOVED_TO
    | inotify.IN_CREATE
    | inotify.IN_DELETE
    | inotify.IN_DELETE_SELF
    | inotify.IN_MOVE_SELF
    | inotify.IN_ONLYDIR
)


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
                self._take(os.read(self._fd, inotify.READ_BYTES))

    def _take(self, events: bytes) -> None:
        for event in inotify.parse_events(events):
            if event.mask & inotify.IN_MOVE_SELF:
                # The watch follows the inode to its new name; what matters is the path.
                syscalls.inotify_remove(self._fd, event.watch)
            if event.mask & (inotify.IN_IGNORED | inotify.IN_MOVE_SELF):
                self._watched.pop(event.watch, None)

    def close(self) -> None:
        """Close the descriptor; more than once is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
