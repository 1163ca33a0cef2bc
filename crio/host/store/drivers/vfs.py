"""Drivers whose layers are whole trees: a layer begins as a copy (or snapshot) of its parent, and mounting is naming the path.

Whiteouts are carried out while unpacking, so a layer's files are all below its directory. vfs copies; btrfs takes snapshots. The
directory of a layer is ``<home>/<sub>/<id>``.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence

from crio.core.errors import FailedPrecondition, NotFound
from crio.core.storage.driveroptions import DriverOptions
from crio.core.storage.ids import is_id
from crio.host import syscalls
from crio.host.store.drivers.port import LayerLimits, MountRequest, Traits
from crio.host.store.drivers.treecopy import copy_tree
from crio.host.store.files import make_directory
from crio.host.store.quota import TreeUsage
from crio.host.store.staging import StagingArea

BASE_MODE = 0o555


class VfsDriver:
    """Full copies: works on every file system, costs the space of every layer above its base."""

    traits = Traits(ordered=True, stores_whiteouts=False, mounts=False)
    sub = "dir"

    def __init__(self, home: str, other_homes: Sequence[str], options: DriverOptions, area: StagingArea) -> None:
        self.home = home
        self._homes = (home, *other_homes)
        self._options = options
        self._area = area

    def prepare(self) -> None:
        """Create the home and the directory of trees."""
        make_directory(self.home)
        make_directory(f"{self.home}/{self.sub}")

    def release(self) -> None:
        """Nothing was mounted."""

    def exists(self, layer_id: str) -> bool:
        """Whether the tree is in the own home."""
        return os.path.isdir(self.mount_path(layer_id))

    def complaint(self, layer_id: str) -> str:
        """What is missing of the layer's tree."""
        return "" if self.exists(layer_id) else f"{self.mount_path(layer_id)} does not exist"

    def layer_ids(self) -> list[str]:
        """Every tree of the own home."""
        with os.scandir(f"{self.home}/{self.sub}") as entries:
            return [entry.name for entry in entries if is_id(entry.name)]

    def diff_path(self, layer_id: str) -> str:
        """The layer's tree; raises NotFound when no home has it."""
        for home in self._homes:
            path = f"{home}/{self.sub}/{layer_id}"
            if os.path.isdir(path):
                return path
        raise NotFound(f"layer {layer_id} has no tree below {' or '.join(self._homes)}")

    def mount_path(self, layer_id: str) -> str:
        """The tree itself."""
        return f"{self.home}/{self.sub}/{layer_id}"

    def stage(self, place: str, parent: str | None) -> str:
        """Make the tree of a new layer in ``place``: the parent's, or an empty one."""
        tree = f"{place}/tree"
        self.make_tree(tree, parent)
        return tree

    def finish(self, place: str, layer_id: str, parent: str | None, root_in_tar: bool) -> None:
        """Nothing is left to do: the tree has the parent's root already."""
        if self._options.sync_layers:
            fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                syscalls.syncfs(fd)
            finally:
                os.close(fd)

    def adopt(self, place: str, layer_id: str) -> None:
        """Rename the staged tree to its id; an orphan of that name goes."""
        target = self.mount_path(layer_id)
        try:
            os.rename(f"{place}/tree", target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            self.set_aside(layer_id)
            os.rename(f"{place}/tree", target)

    def create(self, layer_id: str, parent: str | None, limits: LayerLimits) -> None:
        """Make the tree of a container."""
        if limits.size_bytes or limits.inodes or self._options.size_bytes or self._options.inodes:
            self.limit(layer_id, limits)
        self.make_tree(self.mount_path(layer_id), parent)

    def limit(self, layer_id: str, limits: LayerLimits) -> None:
        """Refuse a limit that this driver cannot keep."""
        raise FailedPrecondition("storage option size needs the overlay driver: this one cannot limit a container's layer")

    def make_tree(self, path: str, parent: str | None) -> None:
        """Make a tree at ``path`` with what the parent has."""
        source = self.diff_path(parent) if parent is not None else ""
        os.mkdir(path, 0o700)
        if source:
            copy_tree(source, path)
        else:
            os.chmod(path, BASE_MODE)

    def mount(self, request: MountRequest) -> str:
        """Give the path of the tree."""
        if request.userns_path:
            raise FailedPrecondition("user namespaces need the overlay driver: this one cannot show files with another owner")
        return self.diff_path(request.layer_id)

    def mounted(self, layer_id: str) -> bool:
        """Trees are always there."""
        return self.exists(layer_id)

    def unmount(self, layer_id: str) -> None:
        """Nothing to do."""

    def mend(self, place: str, layer_id: str, parent: str | None, children: Sequence[str]) -> None:
        """Exchange the tree for the staged one. Trees of children have copies of their own."""
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.mount_path(layer_id), f"{place}/old")
        os.rename(f"{place}/tree", self.mount_path(layer_id))

    def usage(self, layer_id: str) -> TreeUsage | None:
        """Nobody counts."""
        return None

    def set_aside(self, layer_id: str) -> str | None:
        """Rename the tree out of sight."""
        return self._area.set_aside(self.mount_path(layer_id))
