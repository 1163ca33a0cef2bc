"""The parts of an open store that its verbs share: paths, locks, indexes, driver, staging areas.

With a split image store, images and their layers are below ``imagestore`` and everything else below ``root``; without one the two
are the same and so are the objects. Layer records have up to three files: stable, volatile, image store.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from crio.core.errors import InvalidArgument
from crio.core.storage.codec import (
    decode_container,
    decode_image,
    decode_layer,
    encode_container,
    encode_image,
    encode_layer,
)
from crio.core.storage.driveroptions import DriverOptions, parse_driver_options
from crio.core.storage.records import ContainerRecord, ImageRecord, LayerRecord
from crio.core.storage.tables import ContainerTable, ImageTable, LayerTable
from crio.host.store.drivers.port import Driver
from crio.host.store.drivers.registry import make_driver
from crio.host.store.files import make_directory, renames_are_ordered
from crio.host.store.index import Codec, Index, IndexFile
from crio.host.store.lockfile import LockFile
from crio.host.store.mounts import MountCounts
from crio.host.store.options import StoreOptions
from crio.host.store.reaper import Reaper
from crio.host.store.staging import StagingArea

LayerIndex = Index[LayerRecord, LayerTable]
ImageIndex = Index[ImageRecord, ImageTable]
ContainerIndex = Index[ContainerRecord, ContainerTable]

STABLE, VOLATILE, IMAGE_STORE = 0, 1, 2

_LAYERS: Codec[LayerRecord, LayerTable] = Codec(
    decode_layer, encode_layer, LayerTable, lambda table: table.sources, lambda layer: layer.incomplete
)
_IMAGES: Codec[ImageRecord, ImageTable] = Codec(decode_image, encode_image, ImageTable, lambda table: table.sources, lambda image: False)
_CONTAINERS: Codec[ContainerRecord, ContainerTable] = Codec(
    decode_container, encode_container, ContainerTable, lambda table: table.sources, lambda container: False
)


@dataclass(frozen=True, slots=True)
class Places:
    """The directories of one store for one driver."""

    root: str
    runroot: str
    image_root: str
    driver: str
    transient: bool = False

    @property
    def split(self) -> bool:
        """Whether images have a root of their own."""
        return self.image_root != self.root

    def home(self, root: str) -> str:
        """The driver's home below ``root``."""
        return f"{root}/{self.driver}"

    def layers(self, root: str) -> str:
        """The directory of layer records and their files below ``root``."""
        return f"{root}/{self.driver}-layers"

    @property
    def images(self) -> str:
        """The directory of image records and their data."""
        return f"{self.image_root}/{self.driver}-images"

    @property
    def containers(self) -> str:
        """The directory of container records and their data."""
        return f"{self.root}/{self.driver}-containers"

    @property
    def volatile_layers(self) -> str:
        """The directory of the records of layers that a reboot may lose."""
        return self.run_layers if self.transient else self.layers(self.root)

    @property
    def volatile_containers(self) -> str:
        """The directory of the lock of all container records, and of those that a reboot may lose."""
        return self.run_containers if self.transient else self.containers

    @property
    def run_layers(self) -> str:
        """The directory of mount counts."""
        return f"{self.runroot}/{self.driver}-layers"

    @property
    def run_containers(self) -> str:
        """The directory of what containers keep until the next boot."""
        return f"{self.runroot}/{self.driver}-containers"


class _Closable(Protocol):
    def close(self) -> None: ...


class ReadOnlyStore:
    """An additional image store: looked into, never written."""

    def __init__(self, root: str, driver: str) -> None:
        if not os.path.isdir(root):
            raise InvalidArgument(f"additional image store {root!r} is not a directory")
        self.root = root
        self.images_path = f"{root}/{driver}-images"
        layers = f"{root}/{driver}-layers"
        self.layers_path = layers
        self.layers: LayerIndex = Index([LockFile(f"{layers}/layers.lock", read_only=True)], [IndexFile(f"{layers}/layers.json")], _LAYERS)
        self.images: ImageIndex = Index(
            [LockFile(f"{self.images_path}/images.lock", read_only=True)], [IndexFile(f"{self.images_path}/images.json")], _IMAGES
        )

    def close(self) -> None:
        """Close what is kept open."""
        self.layers.close()
        self.images.close()


class Parts:
    """Everything that the verbs of one open store work with."""

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self.driver_options: DriverOptions = parse_driver_options(options.options, options.driver)
        image_root = options.imagestore or options.root
        self.places = Places(options.root, options.runroot, image_root, options.driver, options.transient)
        if options.imagestore and os.path.realpath(options.imagestore) == os.path.realpath(options.root):
            raise InvalidArgument(f"imagestore is {options.imagestore!r}, expected another directory than the root")
        self.make_tree()
        others = (*options.additional_stores, *self.driver_options.image_stores)
        self.additional = tuple(ReadOnlyStore(root, options.driver) for root in others)
        self.reaper = Reaper()
        self._areas: dict[str, StagingArea] = {}
        self.driver = self._make_driver(options.root, [image_root] if self.places.split else [])
        self.image_driver = self._make_driver(image_root, []) if self.places.split else self.driver
        self.graph_lock = LockFile(f"{options.root}/storage.lock")
        self.mounts = MountCounts(self.places.run_layers)
        self._ordered = renames_are_ordered(options.root)
        self.layers = self._layer_index()
        images, containers, volatile = self.places.images, self.places.containers, self.places.volatile_containers
        self.images: ImageIndex = Index([LockFile(f"{images}/images.lock")], [IndexFile(f"{images}/images.json")], _IMAGES)
        self.containers: ContainerIndex = Index(
            [LockFile(f"{volatile}/containers.lock")],
            [
                IndexFile(f"{containers}/containers.json", ordered=self._ordered),
                IndexFile(f"{volatile}/volatile-containers.json", durable=False),
            ],
            _CONTAINERS,
        )

    def make_tree(self) -> None:
        """Create every directory that is missing."""
        places = self.places
        for root in (places.root, places.runroot, places.image_root):
            os.makedirs(root, mode=0o700, exist_ok=True)
        for root in {places.root, places.image_root}:
            make_directory(places.home(root))
            make_directory(places.layers(root))
        for path in (places.images, places.containers, places.run_layers, places.run_containers):
            make_directory(path)

    def area(self, home: str) -> StagingArea:
        """Return this process's private place in ``home``."""
        beside = os.path.dirname(home) if os.path.basename(home) == "overlay" else ""
        return self._areas.setdefault(home, StagingArea(home, beside))

    @property
    def homes(self) -> tuple[str, ...]:
        """Every directory that can hold staging areas."""
        places = self.places
        roots = dict.fromkeys([places.root, places.image_root])
        homes = [path for root in roots for path in (root, places.home(root), places.layers(root))]
        return (*homes, places.images, places.containers, places.run_containers)

    def driver_of(self, source: int) -> Driver:
        """Return the driver that has the layers recorded in file ``source``."""
        return self.image_driver if source == IMAGE_STORE else self.driver

    def layers_path_of(self, source: int) -> str:
        """Return the directory with the files of layers recorded in file ``source``."""
        return self.places.layers(self.places.image_root if source == IMAGE_STORE else self.places.root)

    @property
    def image_source(self) -> int:
        """The number of the file that records image layers."""
        return IMAGE_STORE if self.places.split else STABLE

    def tar_split(self, layer_id: str, source: int) -> str:
        """Return the path of a layer's tar-split file."""
        return f"{self.layers_path_of(source)}/{layer_id}.tar-split.gz"

    def set_aside_layer(self, layer_id: str, source: int) -> list[str | None]:
        """Rename everything of a layer out of the store; returns what is to be removed once the locks are released."""
        folder = self.layers_path_of(source)
        area = self.area(folder)
        return [
            self.driver_of(source).set_aside(layer_id),
            area.set_aside(f"{folder}/{layer_id}.tar-split.gz"),
            area.set_aside(f"{folder}/{layer_id}"),
        ]

    def release_drivers(self) -> None:
        """Undo what the drivers did to the mount table."""
        self.driver.release()
        if self.image_driver is not self.driver:
            self.image_driver.release()

    def close(self) -> None:
        """Close descriptors and remove the staging areas."""
        closing: list[_Closable] = [self.layers, self.images, self.containers, self.mounts, self.graph_lock, *self.additional]
        for one in closing:
            one.close()
        for area in self._areas.values():
            area.close()

    def _make_driver(self, root: str, image_roots: Sequence[str]) -> Driver:
        home = self.places.home(root)
        others = [self.places.home(one) for one in (*image_roots, *(store.root for store in self.additional))]
        return make_driver(self.options.driver, home, others, self.driver_options, self.area(home))

    def _layer_index(self) -> LayerIndex:
        places = self.places
        own = places.layers(places.root)
        locks = [LockFile(f"{own}/layers.lock")]
        files = [
            IndexFile(f"{own}/layers.json", ordered=self._ordered),
            IndexFile(f"{places.volatile_layers}/volatile-layers.json", durable=False),
        ]
        if places.split:
            image = places.layers(places.image_root)
            locks.append(LockFile(f"{image}/layers.lock"))
            files.append(IndexFile(f"{image}/layers.json", lock=1))
        return Index(locks, files, _LAYERS, self._drop_layer)

    def _drop_layer(self, layer: LayerRecord) -> None:
        """Remove the data of a layer whose creator or remover died; ``layers.lock`` is held."""
        for source in {STABLE, self.image_source}:
            self.reaper.submit(*self.set_aside_layer(layer.id, source))
