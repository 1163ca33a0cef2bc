"""The overlay driver: one directory per layer, joined at mount time by the kernel.

``<home>/<id>/`` has ``diff`` (the files), ``link`` (a short name), ``lower`` (short names of everything below), ``work``,
``merged`` and, for base layers, ``empty``; ``<home>/l/<link>`` points to ``diff``. The short names keep the mount data within
a page.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence

from crio.core.errors import NotFound
from crio.core.storage.driveroptions import DriverOptions
from crio.host import syscalls
from crio.host.store.drivers.overlaydirs import LayerDirectories
from crio.host.store.drivers.overlaymounter import OverlayMounter
from crio.host.store.drivers.port import LayerLimits, MountRequest, Traits
from crio.host.store.files import make_directory, write_new
from crio.host.store.quota import ProjectQuota, TreeUsage
from crio.host.store.staging import StagingArea, remove_trees

_RENAME_EXCHANGE = 2


class OverlayDriver:
    """Layers below ``home``; those of ``other_homes`` (image store, additional stores) can be lower layers."""

    traits = Traits(ordered=False, stores_whiteouts=True)

    def __init__(self, home: str, other_homes: Sequence[str], options: DriverOptions, area: StagingArea) -> None:
        self.home = home
        self._options = options
        self._area = area
        self._quota = ProjectQuota(home)
        self._directories = LayerDirectories(home, other_homes)
        self._mounter = OverlayMounter(self._directories, options)

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
            self._mounter.ensure_private_home()
        self._directories.restore_symlinks()

    def stage(self, place: str, parent: str | None) -> str:
        """Make ``diff`` in ``place``, with the parent's mode and owner when the parent is there already."""
        diff = f"{place}/diff"
        os.mkdir(diff, 0o700)
        self._directories.root_like_parent(diff, parent)
        return diff

    def finish(self, place: str, layer_id: str, parent: str | None, root_in_tar: bool) -> None:
        """Add link, lower and the directories of a mount. The parent must be committed by now."""
        if parent is not None and not root_in_tar:
            self._directories.root_like_parent(f"{place}/diff", parent)
        self._directories.write_links(place, layer_id, parent, durable=True)
        if self._options.sync_layers:
            fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            try:
                syscalls.syncfs(fd)
            finally:
                os.close(fd)

    def adopt(self, place: str, layer_id: str) -> None:
        """Rename the staged layer to its id. A directory of that name has no record (the lock is held): it goes."""
        target = f"{self.home}/{layer_id}"
        source, seen = self._area.seen(place), self._area.seen(target)
        try:
            os.rename(source, seen)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            orphan = self._area.set_aside(target)
            os.rename(source, seen)
            if orphan is not None:
                remove_trees([orphan])
        self._directories.make_symlink(layer_id)

    def create(self, layer_id: str, parent: str | None, limits: LayerLimits) -> None:
        """Make the directory of a container's layer."""
        place = f"{self.home}/{layer_id}"
        os.mkdir(place, 0o700)
        try:
            diff = f"{place}/diff"
            os.mkdir(diff, 0o700)
            self._directories.root_like_parent(diff, parent)
            self._directories.write_links(place, layer_id, parent, durable=False)
            self._directories.make_symlink(layer_id)
            self._limit(place, limits)
        except BaseException:
            aside = self.set_aside(layer_id)
            if aside is not None:
                remove_trees([aside])
            raise

    def release(self) -> None:
        """Take the private mount of the home away, if this process made it and nothing is mounted below."""
        self._mounter.release()

    def exists(self, layer_id: str) -> bool:
        """Whether the layer has a usable directory here."""
        return self._directories.exists(layer_id)

    def complaint(self, layer_id: str) -> str:
        """What is missing of the layer's directory."""
        return self._directories.complaint(layer_id)

    def layer_ids(self) -> list[str]:
        """Every layer directory of the own home."""
        return self._directories.layer_ids()

    def diff_path(self, layer_id: str) -> str:
        """The layer's own files; raises NotFound when no home has it."""
        return self._directories.diff_path(layer_id)

    def mount_path(self, layer_id: str) -> str:
        """Where the merged tree is."""
        return self._mounter.mount_path(layer_id)

    def mounted(self, layer_id: str) -> bool:
        """Whether the merged directory is a mount."""
        return self._mounter.mounted(layer_id)

    def mount(self, request: MountRequest) -> str:
        """Mount the layer over those below it."""
        return self._mounter.mount(request)

    def unmount(self, layer_id: str) -> None:
        """Detach the merged tree."""
        self._mounter.unmount(layer_id)

    def mend(self, place: str, layer_id: str, parent: str | None, children: Sequence[str]) -> None:
        """Put the staged ``diff`` in place; a lost ``link`` is found again in what a child has written down."""
        target = f"{self.home}/{layer_id}"
        make_directory(target)
        source, seen = self._area.seen(f"{place}/diff"), self._area.seen(f"{target}/diff")
        if os.path.isdir(f"{target}/diff"):
            syscalls.renameat2(source, seen, _RENAME_EXCHANGE)
        else:
            os.rename(source, seen)
        if not os.path.exists(f"{target}/link"):
            self._directories.write_links(target, layer_id, parent, durable=True, link=self._directories.link_in(children))
        for name in ("work", "merged"):
            make_directory(f"{target}/{name}")
        self._directories.make_symlink(layer_id)

    def set_aside(self, layer_id: str) -> str | None:
        """Take the layer's link away and its directory out of sight."""
        try:
            link = self._directories.read_links(f"{self.home}/{layer_id}", layer_id)[0]
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

    def _limit(self, place: str, limits: LayerLimits) -> None:
        size = limits.size_bytes or self._options.size_bytes
        self._quota.limit((f"{place}/diff", f"{place}/work"), size, limits.inodes or self._options.inodes)
