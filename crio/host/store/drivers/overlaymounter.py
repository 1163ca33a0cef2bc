"""Mounting the layers of the overlay driver: what is mounted over what, with which options, seen by whom.

The home is a private mount of itself, so that container mounts do not spread into other mount namespaces and stay busy there.
Other tools take that mount away when they end, hence it is looked after at every mount, and each overlay is made private as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence

from crio.core.errors import Internal
from crio.core.storage.driveroptions import DriverOptions
from crio.core.storage.overlaydir import OverlayMount
from crio.host import syscalls
from crio.host.store.drivers.overlaydirs import LayerDirectories
from crio.host.store.drivers.overlaymount import mount_overlay
from crio.host.store.drivers.port import MountRequest
from crio.host.store.files import make_directory
from crio.host.store.staging import remove_trees


class OverlayMounter:
    """Mounts and unmounts the layers of ``directories``."""

    def __init__(self, directories: LayerDirectories, options: DriverOptions) -> None:
        self.home = directories.home
        self._directories = directories
        self._options = options
        self._volatile_works = True
        self._home_mounted = False

    def ensure_private_home(self) -> None:
        """Bind the home on itself with private propagation unless it is a mount point already."""
        if not is_mount_root(self.home):
            syscalls.mount(self.home, self.home, "", syscalls.MS_BIND)
            syscalls.mount("", self.home, "", syscalls.MS_PRIVATE)
            self._home_mounted = True

    def release(self) -> None:
        """Take the private mount of the home away, this process's or that of one that was killed; the caller saw nothing mounted below.

        Open descriptors of staging areas keep a plain umount from working, so the mount is detached.
        """
        with contextlib.suppress(OSError):
            if self._home_mounted or is_self_bind(self.home):
                syscalls.umount(self.home, syscalls.MNT_DETACH)
        self._home_mounted = False

    def mount_path(self, layer_id: str) -> str:
        """Where the merged tree is."""
        return f"{self.home}/{layer_id}/merged"

    def mounted(self, layer_id: str) -> bool:
        """Whether the merged directory is a mount."""
        place = f"{self.home}/{layer_id}"
        try:
            return os.stat(f"{place}/merged").st_dev != os.stat(place).st_dev
        except FileNotFoundError:
            return False

    def mount(self, request: MountRequest) -> str:
        """Mount the layer over those below it."""
        place = f"{self.home}/{request.layer_id}"
        merged = f"{place}/merged"
        make_directory(merged)
        if not self._options.skip_mount_home:
            self.ensure_private_home()
        with self._lowers_shown(request) as lowers:
            mount = self._mount_of(request, lowers)
            if request.volatile and not request.read_only:
                # The mark of an unclean end, left until an overlay is unmounted: with it the kernel refuses.
                remove_trees([f"{place}/work/work/incompat/volatile"])
            self._mount_volatile_or_not(mount, merged)
        return merged

    def unmount(self, layer_id: str) -> None:
        """Detach the merged tree."""
        with contextlib.suppress(FileNotFoundError):
            try:
                syscalls.umount(self.mount_path(layer_id), syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise

    def _mount_of(self, request: MountRequest, lowers: tuple[str, ...]) -> OverlayMount:
        place = f"{self.home}/{request.layer_id}"
        if request.read_only:
            own = (f"{place}/diff", *lowers)
            return OverlayMount(lowers=own if len(own) > 1 else (*own, f"{place}/empty"), label=request.label)
        options = self._options.mount_options
        if request.volatile and self._volatile_works and not self._options.disable_volatile and "volatile" not in options:
            options = (*options, "volatile")
        return OverlayMount(
            lowers=lowers or (f"{place}/empty",),
            upper=f"{place}/diff",
            work=f"{place}/work",
            options=options,
            label=request.label,
        )

    def _mount_volatile_or_not(self, mount: OverlayMount, merged: str) -> None:
        try:
            mount_overlay(mount, merged)
        except OSError as error:
            if error.errno != errno.EINVAL or "volatile" not in mount.options:
                raise self._mount_error(mount, merged, error) from error
            # Kernels before 5.10 do not know the option; what follows is only slower.
            plain = tuple(option for option in mount.options if option != "volatile")
            try:
                mount_overlay(OverlayMount(mount.lowers, mount.upper, mount.work, plain, mount.label), merged)
            except OSError as second:
                raise self._mount_error(mount, merged, second) from second
            self._volatile_works = False

    def _mount_error(self, mount: OverlayMount, merged: str, error: OSError) -> Internal:
        return Internal(
            f"cannot mount overlay at {merged}: {error.strerror} ({len(mount.lowers)} lower directories,"
            f" options {','.join(mount.options) or 'none'}); the kernel log may say more"
        )

    @contextlib.contextmanager
    def _lowers_shown(self, request: MountRequest) -> Iterator[tuple[str, ...]]:
        lowers = self._directories.lower_paths(request.layer_id)
        if not request.userns_path:
            yield lowers
            return
        with mapped_lowers(f"{self.home}/{request.layer_id}/mapped", lowers, request.userns_path) as mapped:
            yield mapped


def is_mount_root(path: str) -> bool:
    """Whether ``path`` is a mount point, self-binds included."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        above = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return _mount_id(fd) != _mount_id(above)
        finally:
            os.close(above)
    finally:
        os.close(fd)


def is_self_bind(path: str) -> bool:
    """Whether the topmost mount at ``path`` shows the directory itself, and not a disk or another directory that somebody put there."""
    roots = []
    with open("/proc/self/mountinfo") as table:
        for line in table:
            fields = line.split(" ", 6)
            if fields[4] == path:
                roots.append(fields[3])
    return bool(roots) and roots[-1] != "/" and path.endswith(roots[-1])


def _mount_id(fd: int) -> bytes:
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        return next(line for line in file if line.startswith(b"mnt_id:"))


@contextlib.contextmanager
def mapped_lowers(folder: str, lowers: Sequence[str], userns_path: str) -> Iterator[tuple[str, ...]]:
    """Show every lower directory through an id-mapped mount while the overlay is being mounted above them."""
    make_directory(folder)
    shown: list[str] = []
    userns_fd = os.open(userns_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for number, lower in enumerate(lowers):
            target = f"{folder}/{number}"
            make_directory(target)
            tree = syscalls.open_tree(syscalls.AT_FDCWD, os.path.realpath(lower), syscalls.OPEN_TREE_CLONE)
            try:
                syscalls.mount_setattr(tree, "", attr_set=syscalls.MOUNT_ATTR_IDMAP, propagation=syscalls.MS_PRIVATE, userns_fd=userns_fd)
                syscalls.move_mount(tree, target)
            finally:
                os.close(tree)
            shown.append(target)
        yield tuple(shown)
    finally:
        os.close(userns_fd)
        for target in shown:
            with contextlib.suppress(OSError):
                syscalls.umount(target, syscalls.MNT_DETACH)
        remove_trees([folder])
