"""The lock files of the store: open-file-description locks, which exclude the POSIX locks of the other tools and our own threads.

The first 64 bytes of a lock file are the last writer's token. ``peek`` reads it without the lock: an unchanged token means that
nobody had written when it was read, so an answer from memory is right for that instant. Whoever sees another token takes
the lock and loads.

There is no waiting limit on purpose: the format has none, and a holder that hangs stops every tool on the machine anyway.
Locks are held for milliseconds; nothing here may be held while data moves.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import struct
import threading
import time
from collections.abc import Iterator

from crio.core.storage.token import RANDOM_BYTES, TOKEN_BYTES, make_token

_FLOCK = struct.Struct("hhqqi4x")
_counter = itertools.count(1)


class HeldLock:
    """A lock that is held: the token can be read, and written when the lock is exclusive."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def token(self) -> bytes:
        """Return the token of the last writer; empty when nobody wrote yet."""
        return os.pread(self._fd, TOKEN_BYTES, 0) if self._fd >= 0 else b""

    def write_token(self) -> bytes:
        """Store a fresh token and return it. To be called before the new index file is renamed into place."""
        token = make_token(time.time_ns(), next(_counter), os.getpid(), os.urandom(RANDOM_BYTES))
        os.pwrite(self._fd, token, 0)
        return token


class LockFile:
    """One lock file; opened anew for each acquisition, so that closing it releases exactly that one."""

    __slots__ = ("_mutex", "_peek_fd", "_peek_mutex", "_read_only", "path")

    def __init__(self, path: str, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._mutex = threading.Lock()
        self._peek_mutex = threading.Lock()
        self._peek_fd = -1

    @contextlib.contextmanager
    def reading(self) -> Iterator[HeldLock]:
        """Hold the lock for reading."""
        with self._held(fcntl.F_RDLCK) as held:
            yield held

    @contextlib.contextmanager
    def writing(self) -> Iterator[HeldLock]:
        """Hold the lock alone."""
        assert not self._read_only
        with self._held(fcntl.F_WRLCK) as held:
            yield held

    def peek(self) -> bytes | None:
        """Return the token as it is now, without the lock; None when it cannot be known without it."""
        fd = self._peek_fd
        try:
            if fd < 0 or os.fstat(fd).st_nlink == 0:
                fd = self._open_peek()
            return os.pread(fd, TOKEN_BYTES, 0)
        except OSError:
            return None

    def close(self) -> None:
        """Close what ``peek`` keeps open."""
        with self._peek_mutex:
            if self._peek_fd >= 0:
                os.close(self._peek_fd)
                self._peek_fd = -1

    @contextlib.contextmanager
    def _held(self, kind: int) -> Iterator[HeldLock]:
        with self._mutex:
            fd = self._open()
            try:
                if fd >= 0:
                    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
                yield HeldLock(fd)
            finally:
                if fd >= 0:
                    os.close(fd)

    def _open(self) -> int:
        if not self._read_only:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return -1

    def _open_peek(self) -> int:
        with self._peek_mutex:
            if self._peek_fd >= 0 and os.fstat(self._peek_fd).st_nlink > 0:
                return self._peek_fd
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            old, self._peek_fd = self._peek_fd, fd
            if old >= 0:
                os.close(old)
            return fd


def try_lock(fd: int) -> bool:
    """Take the exclusive lock of an open file without waiting; it lives as long as the descriptor."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
