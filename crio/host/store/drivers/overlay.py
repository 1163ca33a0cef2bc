"""The overlay driver: one directory per layer, joined at mount time by the kernel.

``<home>/<id>/`` has ``diff`` (the files), ``link`` (a short name), ``lower`` (short names of everything below), ``work``,
``merged`` and, for base layers, ``empty``; ``<home>/l/<link>`` points to ``diff``. The short names keep the mount data within
a page.

The home is a private mount of itself, so that container mounts do not spread into other mount namespaces and stay busy there.
Other tools take that mount away when they end, hence each overlay is made private as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

from crio.core.errors import FailedPrecondition, Internal, NotFound
from crio.core.storage.driveroptions import DriverOptions
from crio.core.storage.ids import LINK_BYTES, is_id, link_from_random
from crio.core.storage.overlaydir import MAX_LOWERS, OverlayMount, lower_entries, lower_text
from crio.host import syscalls
from crio.host.store.drivers.overlaymount import mount_overlay
from crio.host.store.drivers.port import LayerLimits, MountRequest, Traits
from crio.host.store.files import make_directory, read_file, write_new
from crio.host.store.quota import ProjectQuota, TreeUsage
from crio.host.store.staging import StagingArea, remove_trees

BASE_MODE = 0o555
_RENAME_EXCHANGE = 2
_SMALL_FILE_LIMIT = 64 * 1024


class OverlayDriver:
    """Layers below ``home``; those of ``other_homes`` (image store, additional stores) can be lower layers."""

    traits = Traits(ordered=False, stores_whiteouts=True)

    def __init__(self, home: str, other_homes: Sequence[str], options: DriverOptions, area: StagingArea) -> None:
        self.home = home
        self._homes = (home, *other_homes)
        self._options = options
        self._area = area
        self._quota = ProjectQuota(home)
        self._volatile_works = True
        self._home_mounted = False

    def prepare(self) -> None:
        """Create the home, the directory of links, and the private mount of the home."""
        make_directory(self.home)
        make_directory(f"{self.home}/l", 0o755)
        flag = f"{self.home}/.has-mount-program"
        if not os.path.exists(flag):
            write_new(flag, b"false", durable=False, mode=0o600)
        if self._options.size_bytes or self._options.inodes:
            self._quota.require()
        if not self._options.skip_mount_home:
            self.ensure_private_home()
        self._restore_symlinks()

    def _restore_symlinks(self) -> None:
        """Make the short names again when somebody has deleted them; ``link`` files have them."""
        layers = self.layer_ids()
        if len(os.listdir(f"{self.home}/l")) >= len(layers):
            return
        for layer_id in layers:
            with contextlib.suppress(NotFound):
                self._make_symlink(layer_id)

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

    def exists(self, layer_id: str) -> bool:
        """Whether the layer has a usable directory here."""
        return os.path.exists(f"{self.home}/{layer_id}/diff")

    def layer_ids(self) -> list[str]:
        """Every layer directory of the own home."""
        with os.scandir(self.home) as entries:
            return [entry.name for entry in entries if is_id(entry.name)]

    def diff_path(self, layer_id: str) -> str:
        """The layer's own files; raises NotFound when no home has it."""
        return f"{self._directory(layer_id)}/diff"

    def mount_path(self, layer_id: str) -> str:
        """Where the merged tree is."""
        return f"{self.home}/{layer_id}/merged"

    def stage(self, place: str, parent: str | None) -> str:
        """Make ``diff`` in ``place``, with the parent's mode and owner when the parent is there already."""
        diff = f"{place}/diff"
        os.mkdir(diff, 0o700)
        self._root_like_parent(diff, parent)
        return diff

    def finish(self, place: str, layer_id: str, parent: str | None, root_in_tar: bool) -> None:
        """Add link, lower and the directories of a mount. The parent must be committed by now."""
        if parent is not None and not root_in_tar:
            self._root_like_parent(f"{place}/diff", parent)
        self._write_links(place, layer_id, parent, durable=True)
        if self._options.sync_layers:
            fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            try:
                syscalls.syncfs(fd)
            finally:
                os.close(fd)

    def adopt(self, place: str, layer_id: str) -> None:
        """Rename the staged layer to its id. A directory of that name has no record (the lock is held): it goes."""
        target = f"{self.home}/{layer_id}"
        try:
            os.rename(place, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            orphan = self._area.set_aside(target)
            os.rename(place, target)
            if orphan is not None:
                remove_trees([orphan])
        self._make_symlink(layer_id)

    def create(self, layer_id: str, parent: str | None, limits: LayerLimits) -> None:
        """Make the directory of a container's layer."""
        place = f"{self.home}/{layer_id}"
        os.mkdir(place, 0o700)
        try:
            diff = f"{place}/diff"
            os.mkdir(diff, 0o700)
            self._root_like_parent(diff, parent)
            self._write_links(place, layer_id, parent, durable=False)
            self._make_symlink(layer_id)
            self._limit(place, limits)
        except BaseException:
            aside = self.set_aside(layer_id)
            if aside is not None:
                remove_trees([aside])
            raise

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

    def set_aside(self, layer_id: str) -> str | None:
        """Take the layer's link away and its directory out of sight."""
        try:
            link = self._read_links(f"{self.home}/{layer_id}", layer_id)[0]
        except NotFound:
            link = ""
        if link:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.home}/l/{link}")
        self._quota.release(f"{self.home}/{layer_id}/diff")
        return self._area.set_aside(f"{self.home}/{layer_id}")

    def usage(self, layer_id: str) -> TreeUsage | None:
        """What a container has written, where the file system counts it."""
        return self._quota.usage(f"{self.home}/{layer_id}/diff")

    def complaint(self, layer_id: str) -> str:
        """What is missing of the layer's directory."""
        place = f"{self.home}/{layer_id}"
        if not os.path.isdir(f"{place}/diff"):
            return f"{place}/diff does not exist"
        try:
            link = self._read_links(place, layer_id)[0]
        except NotFound:
            return f"{place}/link does not exist"
        return "" if link else f"{place}/link is empty"

    def mend(self, place: str, layer_id: str, parent: str | None, children: Sequence[str]) -> None:
        """Put the staged ``diff`` in place; a lost ``link`` is found again in what a child has written down."""
        target = f"{self.home}/{layer_id}"
        make_directory(target)
        if os.path.isdir(f"{target}/diff"):
            syscalls.renameat2(f"{place}/diff", f"{target}/diff", _RENAME_EXCHANGE)
        else:
            os.rename(f"{place}/diff", f"{target}/diff")
        if not os.path.exists(f"{target}/link"):
            self._write_links(target, layer_id, parent, durable=True, link=self._link_in(children))
        for name in ("work", "merged"):
            make_directory(f"{target}/{name}")
        self._make_symlink(layer_id)

    def _link_in(self, children: Sequence[str]) -> str:
        for child in children:
            with contextlib.suppress(NotFound):
                entries = lower_entries(self._links_of(child)[1])
                if entries:
                    return entries[0].removeprefix("l/")
        return ""

    def _directory(self, layer_id: str) -> str:
        for home in self._homes:
            if os.path.exists(f"{home}/{layer_id}/link"):
                return f"{home}/{layer_id}"
        raise NotFound(f"layer {layer_id} has no directory with a link file below {' or '.join(self._homes)}")

    def _root_like_parent(self, diff: str, parent: str | None) -> None:
        if parent is None:
            os.chmod(diff, BASE_MODE)
            return
        try:
            status = os.stat(self.diff_path(parent))
        except NotFound:
            os.chmod(diff, BASE_MODE)
            return
        os.chown(diff, status.st_uid, status.st_gid)
        os.chmod(diff, stat.S_IMODE(status.st_mode))

    def _write_links(self, place: str, layer_id: str, parent: str | None, durable: bool, link: str = "") -> None:
        link = link or link_from_random(os.urandom(LINK_BYTES))
        if parent is None:
            make_directory(f"{place}/empty")
        else:
            lower = lower_text(*self._links_of(parent))
            write_new(f"{place}/lower", lower.encode(), durable=durable, mode=0o644)
        write_new(f"{place}/link", link.encode(), durable=durable, mode=0o644)
        make_directory(f"{place}/work")
        make_directory(f"{place}/merged")

    def _make_symlink(self, layer_id: str) -> None:
        link = self._links_of(layer_id)[0]
        with contextlib.suppress(FileExistsError):
            os.symlink(f"../{layer_id}/diff", f"{self.home}/l/{link}")

    def _links_of(self, layer_id: str) -> tuple[str, str]:
        return self._read_links(self._directory(layer_id), layer_id)

    def _read_links(self, place: str, layer_id: str) -> tuple[str, str]:
        try:
            link = read_file(f"{place}/link", _SMALL_FILE_LIMIT).decode().strip()
        except FileNotFoundError as error:
            raise NotFound(f"layer {layer_id} has no file {place}/link") from error
        try:
            lower = read_file(f"{place}/lower", _SMALL_FILE_LIMIT).decode().strip()
        except FileNotFoundError:
            lower = ""
        return link, lower

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

    def _limit(self, place: str, limits: LayerLimits) -> None:
        size = limits.size_bytes or self._options.size_bytes
        self._quota.limit((f"{place}/diff", f"{place}/work"), size, limits.inodes or self._options.inodes)

    @contextlib.contextmanager
    def _lowers_shown(self, request: MountRequest) -> Iterator[tuple[str, ...]]:
        lowers = self._lower_paths(request.layer_id)
        if not request.userns_path:
            yield lowers
            return
        with mapped_lowers(f"{self.home}/{request.layer_id}/mapped", lowers, request.userns_path) as mapped:
            yield mapped

    def _lower_paths(self, layer_id: str) -> tuple[str, ...]:
        """Return the lower directories of a layer, nearest first, wherever their link is."""
        entries = lower_entries(self._links_of(layer_id)[1])
        if len(entries) > MAX_LOWERS:
            raise FailedPrecondition(f"layer {layer_id} has {len(entries)} layers below it, expected at most {MAX_LOWERS}")
        paths = []
        for entry in entries:
            path = next((f"{home}/{entry}" for home in self._homes if os.path.isdir(f"{home}/{entry}")), None)
            if path is None:
                raise NotFound(f"layer {layer_id} needs {entry}, which is in none of {', '.join(self._homes)}")
            paths.append(path)
            paths += _remapped(path)
        return tuple(paths)


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
    """Whether ``path`` is mounted on itself: a mount point on the file system of its parent, not a disk of its own."""
    return is_mount_root(path) and os.stat(path).st_dev == os.stat(os.path.dirname(path)).st_dev


def _mount_id(fd: int) -> bytes:
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        return next(line for line in file if line.startswith(b"mnt_id:"))


def _remapped(lower: str) -> list[str]:
    """Return ``diff1``, ``diff2`` … beside a lower directory: what in-place remapping of a layer left."""
    place = os.path.dirname(os.path.realpath(lower))
    found: list[str] = []
    while os.path.isdir(f"{place}/diff{len(found) + 1}"):
        found.append(f"{place}/diff{len(found) + 1}")
    return found


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
                syscalls.mount_setattr(
                    tree, "", attr_set=syscalls.MOUNT_ATTR_IDMAP, propagation=syscalls.MS_PRIVATE, userns_fd=userns_fd
                )
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
