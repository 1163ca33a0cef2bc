"""The btrfs driver: every layer is a subvolume, a child begins as a snapshot of its parent.

Subvolumes are made and destroyed by ioctls on their parent directory. The numbers are the kernel's (linux/btrfs.h).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Sequence

from crio.core.errors import FailedPrecondition
from crio.core.storage.driveroptions import DriverOptions
from crio.host import syscalls
from crio.host.store.drivers.vfs import BASE_MODE, VfsDriver
from crio.host.store.staging import StagingArea

_MAGIC = 0x9123683E
_SUBVOLUME_INODE = 256
_NAME_BYTES = 4088
_SUBVOL_CREATE = 0x5000940E
_SNAP_CREATE = 0x50009401
_SNAP_DESTROY = 0x5000940F
_ARGS = struct.Struct(f"=q{_NAME_BYTES}s")


class BtrfsDriver(VfsDriver):
    """Subvolumes below ``<home>/subvolumes``."""

    sub = "subvolumes"

    def __init__(self, home: str, other_homes: Sequence[str], options: DriverOptions, area: StagingArea) -> None:
        super().__init__(home, other_homes, options, area)
        if syscalls.fs_type(os.path.dirname(home)) != _MAGIC:
            raise FailedPrecondition(f"storage driver btrfs needs a btrfs file system below {os.path.dirname(home)}; use overlay")

    def make_tree(self, path: str, parent: str | None) -> None:
        """Make a subvolume at ``path``: empty, or a snapshot of the parent's."""
        folder, name = os.path.split(path)
        if parent is None:
            _subvolume_call(folder, _SUBVOL_CREATE, name, 0)
            os.chmod(path, BASE_MODE)
            return
        source = os.open(self.diff_path(parent), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _subvolume_call(folder, _SNAP_CREATE, name, source)
        finally:
            os.close(source)

    def set_aside(self, layer_id: str) -> str | None:
        """Destroy the subvolume: the kernel takes the name away at once and frees the space in the background."""
        path = self.mount_path(layer_id)
        if not os.path.isdir(path):
            return None
        try:
            _destroy(path)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                return super().set_aside(layer_id)
            # Somebody made subvolumes inside; they go first. This walks the tree, hence only when it has to.
            for inner in _subvolumes_below(path):
                _destroy(inner)
            _destroy(path)
        return None


def _destroy(path: str) -> None:
    folder, name = os.path.split(path)
    _subvolume_call(folder, _SNAP_DESTROY, name, 0)


def _subvolumes_below(path: str) -> list[str]:
    """Return the subvolumes that somebody made inside ``path``, deepest first."""
    device = os.stat(path).st_dev
    found = []
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = f"{folder}/{name}"
            status = os.lstat(inner)
            if status.st_ino == _SUBVOLUME_INODE and status.st_dev != device:
                found.append(inner)
    return sorted(found, key=len, reverse=True)


def _subvolume_call(folder: str, request: int, name: str, source_fd: int) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # A mutable buffer: the fcntl module copies others, and no more than 1024 bytes of them.
        fcntl.ioctl(fd, request, bytearray(_ARGS.pack(source_fd, name.encode())))
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{folder}/{name}") from error
    finally:
        os.close(fd)
