"""System calls without a Python wrapper, with Python's error rules.

Every function raises ``OSError`` with the kernel's errno and the path it was about. Paths are ``str``; descriptors are
borrowed, never closed here, except that calls which create one return it close-on-exec. Source: the kernel's man pages.
"""

from __future__ import annotations

import os
from typing import Final

from crio.host.native import _native  # type: ignore[attr-defined]

_lib = _native.lib

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_RECURSIVE: Final = 0x8000

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_MOVE: Final = 8192
MS_REC: Final = 16384
MS_UNBINDABLE: Final = 1 << 17
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10

OPEN_TREE_CLONE: Final = 1
OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4
MOVE_MOUNT_T_EMPTY_PATH: Final = 0x40
FSOPEN_CLOEXEC: Final = 1
FSMOUNT_CLOEXEC: Final = 1
FSCONFIG_SET_FLAG: Final = 0
FSCONFIG_SET_STRING: Final = 1
FSCONFIG_CMD_CREATE: Final = 6
MOUNT_ATTR_RDONLY: Final = 0x1
MOUNT_ATTR_NOSUID: Final = 0x2
MOUNT_ATTR_NODEV: Final = 0x4
MOUNT_ATTR_NOEXEC: Final = 0x8
MOUNT_ATTR_IDMAP: Final = 0x00100000

PR_SET_CHILD_SUBREAPER: Final = 36
PR_CAPBSET_READ: Final = 23

OVERLAYFS_MAGIC: Final = 0x794C7630
CGROUP2_MAGIC: Final = 0x63677270
TMPFS_MAGIC: Final = 0x01021994
NSFS_MAGIC: Final = 0x6E736673


def _check(value: int, *paths: str) -> int:
    if value < 0:
        raise OSError(-value, os.strerror(-value), *(paths[:1]))
    return value


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Mount ``source`` at ``target``; empty strings are NULL for the kernel. Source: mount(2)."""
    _check(_lib.crio_mount(os.fsencode(source), os.fsencode(target), fstype.encode(), flags, os.fsencode(data)), target)


def umount(target: str, flags: int = 0) -> None:
    """Unmount ``target``. Source: umount2(2)."""
    _check(_lib.crio_umount2(os.fsencode(target), flags), target)


def openat2(dir_fd: int, path: str, flags: int, mode: int = 0, resolve: int = RESOLVE_IN_ROOT) -> int:
    """Open ``path`` below ``dir_fd`` with resolution rules; the result is close-on-exec. Source: openat2(2)."""
    return _check(_lib.crio_openat2(dir_fd, os.fsencode(path), flags | os.O_CLOEXEC, mode, resolve), path)


def syncfs(fd: int) -> None:
    """Write out the file system of ``fd``. Source: syncfs(2)."""
    _check(_lib.crio_syncfs(fd))


def set_child_subreaper() -> None:
    """Make orphaned descendants children of this process. Source: prctl(2)."""
    _check(_lib.crio_prctl(PR_SET_CHILD_SUBREAPER, 1, 0))


def in_bounding_set(capability: int) -> bool:
    """Whether the capability number is in this process's bounding set; unknown numbers are not. Source: prctl(2)."""
    return bool(_lib.crio_prctl(PR_CAPBSET_READ, capability, 0) == 1)


def fs_type(path: str) -> int:
    """The magic number of the file system at ``path``. Source: statfs(2)."""
    value = int(_lib.crio_fs_type(os.fsencode(path)))
    if value < 0:
        raise OSError(-value, os.strerror(-value), path)
    return value


def open_tree(dir_fd: int, path: str, flags: int) -> int:
    """A descriptor of a mount, or of a detached copy with OPEN_TREE_CLONE. Source: open_tree(2)."""
    return _check(_lib.crio_open_tree(dir_fd, os.fsencode(path), flags | OPEN_TREE_CLOEXEC), path)


def move_mount(from_fd: int, to_path: str, *, to_fd: int = AT_FDCWD, flags: int = MOVE_MOUNT_F_EMPTY_PATH) -> None:
    """Attach the mount behind ``from_fd`` at ``to_path``. Source: move_mount(2)."""
    _check(_lib.crio_move_mount(from_fd, b"", to_fd, os.fsencode(to_path), flags), to_path)


def fsopen(fstype: str) -> int:
    """A configuration context for a new file system, close-on-exec. Source: fsopen(2)."""
    return _check(_lib.crio_fsopen(fstype.encode(), FSOPEN_CLOEXEC))


def fsconfig(fd: int, command: int, key: str = "", value: str = "", aux: int = 0) -> None:
    """Set one parameter or carry out a command on an fsopen context. Source: fsconfig(2)."""
    _check(_lib.crio_fsconfig(fd, command, key.encode(), os.fsencode(value), aux), value)


def fsmount(fd: int, attr_flags: int = 0) -> int:
    """A detached mount of a created fsopen context, close-on-exec. Source: fsmount(2)."""
    return _check(_lib.crio_fsmount(fd, FSMOUNT_CLOEXEC, attr_flags))


def mount_setattr(dir_fd: int, path: str, *, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0, userns_fd: int = -1) -> None:
    """Change the attributes of a whole mount tree. Source: mount_setattr(2)."""
    flags = AT_RECURSIVE | (AT_EMPTY_PATH if not path else 0)
    value = _lib.crio_mount_setattr(dir_fd, os.fsencode(path), flags, attr_set, attr_clr, propagation, userns_fd)
    _check(value, path)


def renameat2(old_path: str, new_path: str, flags: int) -> None:
    """Rename with flags (1 = do not replace, 2 = exchange). Source: renameat2(2)."""
    _check(_lib.crio_renameat2(AT_FDCWD, os.fsencode(old_path), AT_FDCWD, os.fsencode(new_path), flags), old_path)


def quotactl_fd(fd: int, command: int, quota_id: int, value: bytearray) -> None:
    """Read or set the quota ``quota_id`` of the file system of ``fd``; ``value`` is read and written. Source: quotactl_fd(2)."""
    _check(_lib.crio_quotactl_fd(fd, command, quota_id, _native.ffi.from_buffer(value)))


def inotify_init() -> int:
    """A non-blocking, close-on-exec inotify instance. Source: inotify_init1(2)."""
    return _check(_lib.crio_inotify_init())


def inotify_add(fd: int, path: str, mask: int) -> int:
    """Watch ``path``; returns the watch number. Source: inotify_add_watch(2)."""
    return _check(_lib.crio_inotify_add(fd, os.fsencode(path), mask), path)


def inotify_remove(fd: int, watch: int) -> None:
    """Stop a watch. Source: inotify_rm_watch(2)."""
    _check(_lib.crio_inotify_remove(fd, watch))


def forward_connections(listen_fd: int, stop_fd: int, grpc_path: str, http_path: str) -> int:
    """Run the protocol forwarder until ``stop_fd`` is readable; returns 0, or -errno when it could not go on.

    Blocks without the interpreter lock; call it from a thread of its own. Theory: ``native/forward.c``.
    """
    return int(_lib.crio_forward(listen_fd, stop_fd, os.fsencode(grpc_path), os.fsencode(http_path)))
