"""Small files: whole or not at all, and never more of them than asked for.

``write_atomic`` is how state gets to disk: a temporary name, then a rename, so that a reader or a crash sees the old or the new
content. ``sync`` adds the fsyncs that a power cut needs; state that does not outlive a reboot goes without.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import Final

from crio.core.errors import CriError, FailedPrecondition, Internal, ResourceExhausted
from crio.host import syscalls

NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT))


def refusal(error: OSError, what: str, otherwise: type[CriError] = Internal) -> CriError:
    """The answer when a disk refuses: ResourceExhausted if it is full, FailedPrecondition if read-only, else ``otherwise``.

    ``what`` is the beginning of the sentence: what cannot be done.
    """
    kind = ResourceExhausted if error.errno in NO_ROOM else FailedPrecondition if error.errno == errno.EROFS else otherwise
    return kind(f"{what}: {error.strerror or error}")


def write_or_refuse(path: str, data: bytes, what: str, mode: int = 0o600) -> None:
    """``write_atomic`` for an operation: raises what ``refusal`` says of ``what``."""
    try:
        write_atomic(path, data, mode)
    except OSError as error:
        raise refusal(error, f"{what} cannot be written") from error


def write_atomic(path: str, data: bytes, mode: int = 0o600, *, sync: bool = False) -> None:
    """Replace ``path`` by ``data``. Raises OSError and leaves the old content when it cannot."""
    staged = f"{path}.tmp-{secrets.token_hex(4)}"
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        try:
            os.fchmod(fd, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(staged, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(staged)
        raise
    if sync:
        sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_bounded(path: str, limit_bytes: int) -> bytes:
    """The content of a file of our own, at most ``limit_bytes``; raises OSError, or ValueError when it is longer."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return _read_fd(fd, limit_bytes, path)
    finally:
        os.close(fd)


def _read_fd(fd: int, limit_bytes: int, path: str) -> bytes:
    chunks: list[bytes] = []
    left = limit_bytes + 1
    while left > 0:
        chunk = os.read(fd, min(left, 1 << 20))
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
        left -= len(chunk)
    raise ValueError(f"{path} is longer than {limit_bytes} bytes")


def remove_quietly(*paths: str) -> None:
    """Unlink files that may not be there."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class RootFs:
    """A container's root seen from outside: every path is resolved inside it, links included.

    What is below belongs to an image or a container and is hostile: only regular files are read, only up to a bound, and
    nothing outside can be reached. Use as a context manager. Source: openat2(2), RESOLVE_IN_ROOT.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> RootFs:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """A close-on-exec descriptor of ``path`` inside the root; raises OSError."""
        resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
        return syscalls.openat2(self._fd, path.lstrip("/") or ".", flags, mode, resolve)

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        """The content of a regular file, None when there is none; raises ValueError when it is longer than the bound."""
        try:
            fd = self.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            return _read_fd(fd, limit_bytes, path)
        finally:
            os.close(fd)

    def make_directory(self, path: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> None:
        """Create a directory and its missing parents inside the root; existing ones stay as they are."""
        done = ""
        for part in (piece for piece in path.split("/") if piece not in ("", ".")):
            if part == "..":
                raise ValueError(f"{path!r} has '..' in it")
            parent_fd = self.open(done, os.O_PATH | os.O_DIRECTORY)
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, mode, dir_fd=parent_fd)
                    os.chown(part, *owner, dir_fd=parent_fd, follow_symlinks=False)
            finally:
                os.close(parent_fd)
            done = f"{done}/{part}"
