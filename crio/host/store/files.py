"""Small files of the store: replaced as a whole, or not at all."""

from __future__ import annotations

import os
import secrets

from crio.host import syscalls

DIR_MODE = 0o700
FILE_MODE = 0o600
TEMPORARY_PREFIX = ".tmp-"
_EXT4_MAGIC = 0xEF53
_BTRFS_MAGIC = 0x9123683E
_UNORDERED = ("noauto_da_alloc", "data=writeback")


def replace_file(path: str, data: bytes, *, durable: bool, mode: int = FILE_MODE) -> None:
    """Replace ``path`` by ``data``: temporary file in the same directory, fsync when ``durable``, rename."""
    install(write_temporary(path, data, durable=durable, mode=mode), path, durable=durable)


def write_temporary(path: str, data: bytes, *, durable: bool, mode: int = FILE_MODE) -> str:
    """Write ``data`` beside ``path`` and return the temporary path. On an error nothing is left behind."""
    folder, base = os.path.split(path)
    temporary = f"{folder}/{TEMPORARY_PREFIX}{base}{secrets.randbelow(10**10)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            os.fchmod(fd, mode)
            write_all(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def install(temporary: str, path: str, *, durable: bool) -> None:
    """Rename a temporary file over ``path``; with ``durable`` the directory is synced too."""
    try:
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if durable:
        sync_directory(os.path.dirname(path))


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``, however often the kernel takes a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_new(path: str, data: bytes, *, durable: bool, mode: int) -> None:
    """Write a file in a directory that nobody else sees yet."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        write_all(fd, data)
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def read_file(path: str, limit: int) -> bytes:
    """Return the bytes of a regular file of at most ``limit`` bytes; links are not followed. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        size = os.fstat(fd).st_size
        if size > limit:
            raise OSError(27, f"larger than {limit} bytes", path)
        parts = []
        while part := os.read(fd, max(size, 4096) + 1):
            parts.append(part)
            if sum(map(len, parts)) > limit:
                raise OSError(27, f"larger than {limit} bytes", path)
        return b"".join(parts)
    finally:
        os.close(fd)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: str, mode: int = DIR_MODE) -> None:
    """Create a directory with exactly ``mode``; one that exists keeps its own."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    os.chmod(path, mode)


def renames_are_ordered(path: str) -> bool:
    """Whether a file renamed over another is never seen empty after a power cut, even if it was not synced.

    ext4 allocates the data of such a file before the rename is committed (auto_da_alloc), btrfs writes it out first; others promise
    nothing. Then a replacement that may be lost needs no fsync to be whole. Source: ext4(5), the kernel's ext4 documentation.
    """
    kind = syscalls.fs_type(path)
    if kind != _EXT4_MAGIC:
        return kind == _BTRFS_MAGIC
    device = os.stat(path).st_dev
    wanted = f" {os.major(device)}:{os.minor(device)} ".encode()
    with open("/proc/self/mountinfo", "rb") as table:
        return not any(wanted in line and any(word.encode() in line for word in _UNORDERED) for line in table)
