"""Private places inside the store: layers being unpacked, and trees being removed.

An area is a directory ``crio-staging-<random>`` on the file system of the things it will become or has been, so that a rename is
all it takes. A lock held for the life of the process tells it from the rest of a dead one, which the next opening of the store
removes.

Where it is matters to the neighbours. ``podman system check`` takes every unknown directory in the overlay home for a layer without
record, and ``--repair`` would remove it under a pull; what the home has for such things is emptied by the oldest podman whenever it
ends. So the area of the overlay home is beside it, in the store's root. Between the two is a mount, the private one of the home, and
the kernel renames nothing across mounts even on one file system: the area keeps a view of the root without what is mounted below
(a detached clone), and renames go through that. Where the home is another file system the area is inside the home after all.

Removal of a tree is bounded in depth and crosses no mount: what a container or a layer left behind is hostile. The kernel itself
refuses to enter a mount (RESOLVE_NO_XDEV), which is then detached; a deep directory is moved up and taken as a tree of its own.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import threading

from crio.host import syscalls
from crio.host.files import NO_ROOM
from crio.host.store.lockfile import try_lock

PREFIX = "crio-staging-"
_LOCK = "lock"
_DEPTH = 64
_MOUNTS_LIMIT = 100
_RESOLVE = syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS


class StagingArea:
    """The area of this process for one home, made when it is first needed: inside, or ``beside`` when that folder can have it."""

    def __init__(self, home: str, beside: str = "") -> None:
        self._home = home
        self._beside = beside
        self._view = -1
        self._mutex = threading.Lock()
        self._numbers = itertools.count(1)
        self._path = ""
        self._fd = -1

    def new_name(self) -> str:
        """Return a path in the area that nothing has yet."""
        with self._mutex:
            if not self._path or not os.path.isdir(self._path):
                self._open()
            return f"{self._path}/{next(self._numbers)}"

    def new_directory(self) -> str:
        """Return a fresh directory in the area, mode 0700."""
        path = self.new_name()
        os.mkdir(path, 0o700)
        return path

    def set_aside(self, path: str) -> str | None:
        """Rename ``path`` into the area and return its new path; None when there is nothing left of it.

        A full disk may have no room for the area or for one more name in it. Then ``path`` is removed where it is: that takes longer
        under the caller's locks, but needs nothing.
        """
        try:
            target = self.new_name()
            os.rename(self.seen(path), self.seen(target))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            remove_trees([path])
            return None
        return target

    def seen(self, path: str) -> str:
        """Return a path of the area or of its home as it has to be written in a rename between the two."""
        if self._view < 0:
            return path
        return f"/proc/self/fd/{self._view}/{os.path.relpath(path, self._beside)}"

    def close(self) -> None:
        """Remove the area with everything in it."""
        with self._mutex:
            if self._path:
                remove_area(self._path)
                self._path = ""
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            if self._view >= 0:
                os.close(self._view)
                self._view = -1

    def _open(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._view < 0 and self._beside:
            self._view = _view_with(self._beside, self._home)
        path = f"{self._beside if self._view >= 0 else self._home}/{PREFIX}{secrets.token_hex(6)}"
        os.mkdir(path, 0o700)
        try:
            self._fd = os.open(f"{path}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except BaseException:
            os.rmdir(path)
            raise
        try_lock(self._fd)
        self._path = path


def _view_with(folder: str, home: str) -> int:
    """Return a view of ``folder`` without the mounts below it, in which ``home`` is the same directory; -1 when there is none."""
    try:
        view = syscalls.open_tree(syscalls.AT_FDCWD, folder, syscalls.OPEN_TREE_CLONE | syscalls.OPEN_TREE_CLOEXEC)
    except OSError:
        return -1
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(os.path.relpath(home, folder), dir_fd=view), os.stat(home)):
            return view
    os.close(view)
    return -1


def stale_areas(home: str) -> list[str]:
    """Return the areas in ``home`` whose owner is dead."""
    stale = []
    with os.scandir(home) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
    for name in names:
        try:
            fd = os.open(f"{home}/{name}/{_LOCK}", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # Made this instant and not locked yet, or half removed: an area without a lock holds nothing of value, but
            # only an empty one is certainly not in the making.
            continue
        try:
            if try_lock(fd):
                stale.append(f"{home}/{name}")
        finally:
            os.close(fd)
    return stale


def remove_area(path: str) -> None:
    """Remove an area with everything in it."""
    try:
        children = [f"{path}/{name}" for name in os.listdir(path)]
    except FileNotFoundError:
        return
    remove_trees(children)
    os.rmdir(path)


def remove_trees(paths: list[str]) -> None:
    """Remove directory trees (or files). Mounts below them are detached, never entered."""
    numbers = itertools.count()
    for path in paths:
        todo = [path]
        while todo:
            todo += _remove_tree(todo.pop(), os.path.dirname(path), numbers)


def _remove_tree(path: str, lift_to: str, numbers: itertools.count[int]) -> list[str]:
    """Remove ``path``; returns directories that were too deep and have been moved up to ``lift_to``."""
    try:
        os.unlink(path)
        return []
    except FileNotFoundError:
        return []
    except (IsADirectoryError, PermissionError):
        pass
    lifted: list[str] = []
    folder, name = os.path.split(path)
    above = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove_directory(above, name, _Lift(lift_to, lifted, numbers), 0)
    finally:
        os.close(above)
    return lifted


class _Lift:
    def __init__(self, folder: str, lifted: list[str], numbers: itertools.count[int]) -> None:
        self._folder = folder
        self._lifted = lifted
        self._numbers = numbers

    def take(self, dir_fd: int, name: str) -> None:
        target = f"{self._folder}/.deep-{secrets.token_hex(4)}-{next(self._numbers)}"
        os.rename(name, target, src_dir_fd=dir_fd)
        self._lifted.append(target)


def _empty(dir_fd: int, lift: _Lift, depth: int) -> None:
    with os.scandir(dir_fd) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            with contextlib.suppress(FileNotFoundError):
                _unlink(dir_fd, name)
        elif depth >= _DEPTH:
            lift.take(dir_fd, name)
        else:
            _remove_directory(dir_fd, name, lift, depth)


def _remove_directory(dir_fd: int, name: str, lift: _Lift, depth: int) -> None:
    try:
        # Most directories that a layer has are not empty, but an attempt costs less than an open and a read.
        os.rmdir(name, dir_fd=dir_fd)
        return
    except FileNotFoundError:
        return
    except OSError:
        pass
    fd = _open_or_detach(dir_fd, name)
    try:
        _empty(fd, lift, depth + 1)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=dir_fd)


def _unlink(dir_fd: int, name: str) -> None:
    for _ in range(_MOUNTS_LIMIT):
        try:
            os.unlink(name, dir_fd=dir_fd)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _detach(dir_fd, name)


def _open_or_detach(dir_fd: int, name: str) -> int:
    """Open a directory that is no mount point; mounts on it, one above the other, are detached until it is none."""
    for _ in range(_MOUNTS_LIMIT):
        try:
            return syscalls.openat2(dir_fd, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, 0, _RESOLVE)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _detach(dir_fd, name)
    raise OSError(errno.EBUSY, "too many mounts one above the other", name)


def _detach(dir_fd: int, name: str) -> None:
    syscalls.umount(f"/proc/self/fd/{dir_fd}/{name}", syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
