"""Immutable tables of records with the indexes that look-ups need.

A table is what one load of an index file (or of several that belong together: stable, volatile, image store) says. It never
changes; a write makes a new one. Indexes are built on first use, because most tables of a busy writer are never asked.

*Sources* are the files that a table was read from, in load order; the first record of an id wins, later ones are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from crio.core.storage.ids import is_id_prefix
from crio.core.storage.records import ContainerRecord, ImageRecord, LayerRecord


class _Named(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...


R = TypeVar("R", bound=_Named)


class Table(Generic[R]):
    """Records of one kind by id, name and id prefix."""

    __slots__ = ("_by_id", "_by_name", "sources")

    def __init__(self, sources: Sequence[tuple[R, ...]]) -> None:
        self.sources: tuple[tuple[R, ...], ...] = tuple(sources)
        self._by_id: dict[str, R] | None = None
        self._by_name: dict[str, R] | None = None

    @property
    def by_id(self) -> dict[str, R]:
        """Every record by its id, in the order of the files."""
        if self._by_id is None:
            index: dict[str, R] = {}
            for records in self.sources:
                for record in records:
                    index.setdefault(record.id, record)
            self._by_id = index
        return self._by_id

    @property
    def by_name(self) -> dict[str, R]:
        """Every record by each of its names; the first owner of a name keeps it."""
        if self._by_name is None:
            index: dict[str, R] = {}
            for record in self.by_id.values():
                for name in record.names:
                    index.setdefault(name, record)
            self._by_name = index
        return self._by_name

    @property
    def records(self) -> tuple[R, ...]:
        """Every record once."""
        return tuple(self.by_id.values())

    def find(self, id_or_name: str) -> R | None:
        """Return the record with this id or name."""
        return self.by_id.get(id_or_name) or self.by_name.get(id_or_name)

    def find_by_prefix(self, prefix: str) -> R | None:
        """Return the only record whose id begins with ``prefix`` (3 or more hex digits); None when none or several do."""
        exact = self.by_id.get(prefix)
        if exact is not None:
            return exact
        if not is_id_prefix(prefix):
            return None
        found = [record for key, record in self.by_id.items() if key.startswith(prefix)]
        return found[0] if len(found) == 1 else None

    def source_of(self, record_id: str) -> int | None:
        """Return the number of the file that the record came from."""
        for number, records in enumerate(self.sources):
            if any(record.id == record_id for record in records):
                return number
        return None


class LayerTable(Table[LayerRecord]):
    """Layers, with children and content indexes."""

    __slots__ = ("_by_diff", "_children")

    def __init__(self, sources: Sequence[tuple[LayerRecord, ...]]) -> None:
        super().__init__(sources)
        self._children: dict[str, list[str]] | None = None
        self._by_diff: dict[tuple[str | None, str], LayerRecord] | None = None

    @property
    def children(self) -> dict[str, list[str]]:
        """Ids of the direct children by the parent's id."""
        if self._children is None:
            index: dict[str, list[str]] = {}
            for layer in self.by_id.values():
                if layer.parent:
                    index.setdefault(layer.parent, []).append(layer.id)
            self._children = index
        return self._children

    def by_content(self, parent: str | None, diff_id: str) -> LayerRecord | None:
        """Return a complete layer with this parent and uncompressed digest."""
        if self._by_diff is None:
            index: dict[tuple[str | None, str], LayerRecord] = {}
            for layer in self.by_id.values():
                if layer.diff_digest and not layer.incomplete and not layer.uid_map and not layer.gid_map:
                    index.setdefault((layer.parent, layer.diff_digest), layer)
            self._by_diff = index
        return self._by_diff.get((parent, diff_id))

    def chain(self, top: str) -> tuple[LayerRecord, ...] | None:
        """Return the layers from ``top`` down to the base; None when one is missing (or they form a ring)."""
        chain: list[LayerRecord] = []
        layer_id: str | None = top
        while layer_id:
            layer = self.by_id.get(layer_id)
            if layer is None or len(chain) > len(self.by_id):
                return None
            chain.append(layer)
            layer_id = layer.parent
        return tuple(chain)


class ImageTable(Table[ImageRecord]):
    """Images, with the index of manifest digests."""

    __slots__ = ("_by_digest",)

    def __init__(self, sources: Sequence[tuple[ImageRecord, ...]]) -> None:
        super().__init__(sources)
        self._by_digest: dict[str, list[ImageRecord]] | None = None

    def by_digest(self, digest: str) -> tuple[ImageRecord, ...]:
        """Return the images that have a manifest with ``digest``."""
        if self._by_digest is None:
            index: dict[str, list[ImageRecord]] = {}
            for image in self.by_id.values():
                for one in image.digests:
                    index.setdefault(one, []).append(image)
            self._by_digest = index
        return tuple(self._by_digest.get(digest, ()))


class ContainerTable(Table[ContainerRecord]):
    """Containers, with the indexes of what they use."""

    __slots__ = ("_by_image", "_by_layer")

    def __init__(self, sources: Sequence[tuple[ContainerRecord, ...]]) -> None:
        super().__init__(sources)
        self._by_image: dict[str, ContainerRecord] | None = None
        self._by_layer: dict[str, ContainerRecord] | None = None

    def user_of_image(self, image_id: str) -> ContainerRecord | None:
        """Return a container that refers to the image."""
        if self._by_image is None:
            self._by_image = {record.image: record for record in self.by_id.values() if record.image}
        return self._by_image.get(image_id)

    def user_of_layer(self, layer_id: str) -> ContainerRecord | None:
        """Return the container whose writable layer this is."""
        if self._by_layer is None:
            self._by_layer = {record.layer: record for record in self.by_id.values() if record.layer}
        return self._by_layer.get(layer_id)
