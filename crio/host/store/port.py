"""The store as operations see it: a port, so that tests of operations can bring a store that breaks on demand.

Every method is synchronous and thread-safe; those that read answer from memory in microseconds, those that write hold the
store's locks for milliseconds. Call them from a bounded executor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from crio.core.storage.findings import Finding
from crio.core.storage.records import ContainerRecord, ImageRecord, LayerRecord
from crio.host.store.drivers.port import Traits
from crio.host.store.options import ContainerCreate, FsUsage, ImageCommit, LayerCommit


class StagedLayer(Protocol):
    """A private place for one layer being unpacked, on the store's own file system and under no lock."""

    @property
    def diff_path(self) -> str:
        """The directory to unpack into: exists, with the mode and owner that the layer's root starts from."""

    @property
    def tar_split_path(self) -> str:
        """Where to write the tar-split file (gzip); it must be complete before the commit."""

    def discard(self) -> None:
        """Remove it all. Does nothing after a commit or a discard."""


class ImagePort(Protocol):
    """Images and layers."""

    @property
    def traits(self) -> Traits: ...

    def images(self) -> tuple[ImageRecord, ...]: ...

    def image(self, image_id: str) -> ImageRecord | None: ...

    def find_image(self, name_or_id: str) -> ImageRecord | None: ...

    def image_size(self, record: ImageRecord) -> int | None: ...

    def image_config(self, image_id: str) -> bytes: ...

    def image_manifest(self, image_id: str) -> bytes: ...

    def image_big_data(self, image_id: str, key: str) -> bytes: ...

    def layer(self, layer_id: str) -> LayerRecord | None: ...

    def layers(self) -> tuple[LayerRecord, ...]: ...

    def layer_by_diff(self, parent: str | None, diff_id: str) -> LayerRecord | None: ...

    def stage_layer(self, parent: str | None) -> StagedLayer: ...

    def commit_layer(self, staged: StagedLayer, commit: LayerCommit) -> str: ...

    def commit_image(self, commit: ImageCommit) -> ImageRecord: ...

    def add_name(self, image_id: str, name: str) -> ImageRecord: ...

    def remove_name(self, image_id: str, name: str) -> ImageRecord: ...

    def set_names(self, image_id: str, names: Sequence[str]) -> ImageRecord: ...

    def delete_image(self, image_id: str) -> None: ...

    def delete_layer(self, layer_id: str) -> None: ...


class ContainerPort(Protocol):
    """Containers and their mounts."""

    def create_container(self, create: ContainerCreate) -> ContainerRecord: ...

    def containers(self) -> tuple[ContainerRecord, ...]: ...

    def container(self, id_or_name: str) -> ContainerRecord | None: ...

    def mount(self, container_id: str) -> str: ...

    def unmount(self, container_id: str, force: bool = True) -> None: ...

    def mount_image(self, image_id: str, label: str = "") -> str: ...

    def unmount_image(self, image_id: str, force: bool = False) -> None: ...

    def delete_container(self, container_id: str) -> None: ...

    def container_dir(self, container_id: str) -> str: ...

    def run_dir(self, container_id: str) -> str: ...

    def set_container_metadata(self, container_id: str, metadata: str) -> ContainerRecord: ...


class UpkeepPort(Protocol):
    """The store as a whole."""

    def garbage_collect(self) -> list[str]: ...

    def check(self, quick: bool) -> tuple[Finding, ...]: ...

    def repair(self, findings: Sequence[Finding]) -> tuple[str, ...]: ...

    def usage(self) -> FsUsage: ...

    def shutdown(self) -> None: ...


class StorePort(ImagePort, ContainerPort, UpkeepPort, Protocol):
    """Everything that the operations may ask of a store."""
