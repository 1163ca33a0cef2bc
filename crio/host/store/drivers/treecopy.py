"""A faithful copy of a directory tree: owners, modes, times, extended attributes, hard links, devices, holes left out.

Works on descriptors and follows no link below the root; what it copies may come from a hostile image.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field

_CHUNK = 1 << 20
_DEPTH_LIMIT = 1000


@dataclass(slots=True)
class _Links:
    """Where the first name of each file with several names was put, relative to the target's root."""

    root_fd: int
    seen: dict[tuple[int, int], str] = field(default_factory=dict)


def copy_tree(source: str, target: str) -> None:
    """Copy the content of ``source`` into the existing directory ``target``, and its own mode, owner and attributes."""
    from_fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        to_fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _copy_directory(from_fd, to_fd, _Links(to_fd), "")
        finally:
            os.close(to_fd)
    finally:
        os.close(from_fd)


def _copy_directory(from_fd: int, to_fd: int, links: _Links, path: str) -> None:
    if path.count("/") > _DEPTH_LIMIT:
        raise OSError(errno.ENAMETOOLONG, f"more than {_DEPTH_LIMIT} directories deep", path[:200])
    with os.scandir(from_fd) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        _copy_entry(from_fd, to_fd, links, name, f"{path}{name}")
    _copy_attributes(f"/proc/self/fd/{from_fd}", f"/proc/self/fd/{to_fd}", follow=True)
    status = os.fstat(from_fd)
    os.fchown(to_fd, status.st_uid, status.st_gid)
    os.fchmod(to_fd, stat.S_IMODE(status.st_mode))
    os.utime(to_fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_entry(from_fd: int, to_fd: int, links: _Links, name: str, path: str) -> None:
    status = os.lstat(f"/proc/self/fd/{from_fd}/{name}")
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        os.mkdir(name, 0o700, dir_fd=to_fd)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        below_from = os.open(name, flags, dir_fd=from_fd)
        try:
            below_to = os.open(name, flags, dir_fd=to_fd)
            try:
                _copy_directory(below_from, below_to, links, f"{path}/")
            finally:
                os.close(below_to)
        finally:
            os.close(below_from)
        return
    if status.st_nlink > 1:
        first = links.seen.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            os.link(first, name, src_dir_fd=links.root_fd, dst_dir_fd=to_fd, follow_symlinks=False)
            return
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(name, dir_fd=from_fd), name, dir_fd=to_fd)
    elif stat.S_ISREG(mode):
        _copy_file(from_fd, to_fd, name)
    elif stat.S_ISSOCK(mode):
        return
    else:
        os.mknod(name, mode, status.st_rdev, dir_fd=to_fd)
    _finish_entry(from_fd, to_fd, name, status)


def _finish_entry(from_fd: int, to_fd: int, name: str, status: os.stat_result) -> None:
    os.chown(name, status.st_uid, status.st_gid, dir_fd=to_fd, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=to_fd)
    # Attributes after the owner: changing the owner takes file capabilities away.
    _copy_attributes(f"/proc/self/fd/{from_fd}/{name}", f"/proc/self/fd/{to_fd}/{name}", follow=False)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=to_fd, follow_symlinks=False)


def _copy_file(from_fd: int, to_fd: int, name: str) -> None:
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=from_fd)
    try:
        target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=to_fd)
        try:
            # The kernel shares extents where the file system can, and copies inside itself where it cannot.
            while os.copy_file_range(source, target, _CHUNK * 1024):
                pass
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_attributes(source: str, target: str, follow: bool) -> None:
    for name in os.listxattr(source, follow_symlinks=follow):
        with contextlib.suppress(FileNotFoundError):
            value = os.getxattr(source, name, follow_symlinks=follow)
            try:
                os.setxattr(target, name, value, follow_symlinks=follow)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
