"""What the store asks of a driver. All of it happens under ``layers.lock`` held for writing, except ``stage`` and ``finish``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from crio.host.store.quota import TreeUsage


@dataclass(frozen=True, slots=True)
class Traits:
    """What callers have to know of a driver.

    ``ordered``: a layer can be staged only after its parent was committed. ``stores_whiteouts``: the unpacker leaves whiteouts as
    overlay's marks; otherwise it carries them out on the tree. ``mounts``: a
    layer has to be mounted to be seen whole; otherwise its tree is always there.
    """

    ordered: bool
    stores_whiteouts: bool
    mounts: bool = True


@dataclass(frozen=True, slots=True)
class MountRequest:
    """How a layer is mounted. ``userns_path`` names a user namespace whose mapping the files are shown with."""

    layer_id: str
    read_only: bool = False
    volatile: bool = False
    label: str = ""
    userns_path: str = ""


@dataclass(frozen=True, slots=True)
class LayerLimits:
    """Limits of a writable layer; 0 is none."""

    size_bytes: int = 0
    inodes: int = 0


class Driver(Protocol):
    """One kind of layer tree below ``home``."""

    @property
    def home(self) -> str:
        """The directory of all layers."""

    @property
    def traits(self) -> Traits:
        """What callers have to know."""

    def prepare(self) -> None:
        """Create the home and what belongs to it."""

    def exists(self, layer_id: str) -> bool:
        """Whether there is a directory for the layer in the own home."""

    def layer_ids(self) -> list[str]:
        """Every directory of the own home that looks like a layer."""

    def diff_path(self, layer_id: str) -> str:
        """The directory with the layer's own files."""

    def stage(self, place: str, parent: str | None) -> str:
        """Make a layer directory in the empty ``place`` and return where to unpack. No lock is held."""

    def finish(self, place: str, layer_id: str, parent: str | None, root_in_tar: bool) -> None:
        """Complete a staged layer, as far as it can be done before it has its place. No lock is held."""

    def adopt(self, place: str, layer_id: str) -> None:
        """Give a finished layer its place by renaming."""

    def create(self, layer_id: str, parent: str | None, limits: LayerLimits) -> None:
        """Make the writable layer of a container."""

    def mount(self, request: MountRequest) -> str:
        """Mount a layer that is not mounted; returns the path of the merged tree."""

    def unmount(self, layer_id: str) -> None:
        """Unmount it; does nothing when it is not mounted."""

    def mounted(self, layer_id: str) -> bool:
        """Whether the merged tree is there."""

    def mount_path(self, layer_id: str) -> str:
        """Where the merged tree is, or would be."""

    def complaint(self, layer_id: str) -> str:
        """What is missing of a layer's directory, as a phrase; empty when it looks sound."""

    def mend(self, place: str, layer_id: str, parent: str | None, children: Sequence[str]) -> None:
        """Exchange a layer's content for the staged one, keeping what ``children`` refer to."""

    def set_aside(self, layer_id: str) -> str | None:
        """Rename the layer's directory out of sight and return where it is now, for removal; None when it has none."""

    def usage(self, layer_id: str) -> TreeUsage | None:
        """What a container's layer holds, from counters; None where nobody counts."""

    def release(self) -> None:
        """Undo what ``prepare`` did to the mount table. Called when no layer is mounted."""
