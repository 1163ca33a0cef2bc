"""Replacing an index file as a whole, even where the disk has no room for a second one.

The ordinary way is a new file beside the old one and a rename. On a full disk that would keep everybody from removing anything, because
a shorter index has to be written first. So each index has a spare: a file of our own beside it, at least as long as the index, its blocks
allocated while there was room. A text that is not longer than the present one goes into the spare and the two files change places, in one
step as well; what was the index is the spare of the next one. Longer texts never take it, or it could become too short for a shorter one.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from crio.host import syscalls
from crio.host.files import NO_ROOM
from crio.host.store.files import FILE_MODE, install, sync_directory, write_all, write_temporary

SPARE_PREFIX: Final = ".crio-spare-"
_STEP_BYTES: Final = 64 << 10
_EXCHANGE: Final = 2


class Rewriter:
    """The file at ``path`` and its spare. The lock that guards the file is held in every call."""

    def __init__(self, path: str) -> None:
        folder, base = os.path.split(path)
        self.path = path
        self._spare = f"{folder}/{SPARE_PREFIX}{base}"
        self._kept_bytes = 0

    def stage(self, data: bytes, *, durable: bool, settle: bool) -> Staged:
        """Write the next text beside the file; ``durable`` syncs it, ``settle`` its name as well. Raises OSError, nothing being changed."""
        try:
            temporary = write_temporary(self.path, data, durable=durable)
        except OSError as error:
            if error.errno not in NO_ROOM or not self._fits(len(data)):
                raise
            self._fill_spare(data)
            return Staged(self, self._spare, len(data), settle, exchange=True)
        return Staged(self, temporary, len(data), settle, exchange=False)

    def keep_spare(self, size_bytes: int) -> None:
        """Have a spare for a file of this size, as far as the disk has room for it."""
        if size_bytes <= self._kept_bytes:
            return
        wanted = (size_bytes // _STEP_BYTES + 1) * _STEP_BYTES
        with contextlib.suppress(OSError):
            fd = os.open(self._spare, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
            try:
                os.posix_fallocate(fd, 0, wanted)
                self._kept_bytes = wanted
            finally:
                os.close(fd)

    def forget_spare(self, size_bytes: int) -> None:
        """The spare is what was the file a moment ago: it has at least this size."""
        self._kept_bytes = size_bytes

    def _fits(self, size_bytes: int) -> bool:
        with contextlib.suppress(OSError):
            return size_bytes <= os.stat(self.path).st_size
        return False

    def _fill_spare(self, data: bytes) -> None:
        # Where the file system waits with allocations, only a sync tells whether the blocks are really there.
        fd = os.open(self._spare, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            write_all(fd, data)
            os.ftruncate(fd, len(data))
            os.fsync(fd)
        finally:
            os.close(fd)


class Staged:
    """A text that is written and waits for its name."""

    def __init__(self, rewriter: Rewriter, path: str, size_bytes: int, settle: bool, *, exchange: bool) -> None:
        self._rewriter = rewriter
        self._path = path
        self._size_bytes = size_bytes
        self._settle = settle
        self._exchange = exchange

    def install(self) -> None:
        """Make it the file."""
        path = self._rewriter.path
        if not self._exchange:
            install(self._path, path, durable=self._settle)
            self._rewriter.keep_spare(self._size_bytes)
            return
        syscalls.renameat2(self._path, path, _EXCHANGE)
        self._rewriter.forget_spare(self._size_bytes)
        if self._settle:
            sync_directory(os.path.dirname(path))

    def discard(self) -> None:
        """Forget it, unless it was installed."""
        if not self._exchange:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
