"""Layers: look-ups, staging and commit."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from crio.core.errors import Internal, NotFound
from crio.core.storage.ids import ID_BYTES, digest_hex, id_from_random, layer_id
from crio.core.storage.records import LayerRecord
from crio.core.storage.tables import LayerTable
from crio.core.storage.times import rfc3339_from_ns
from crio.host.store.diskerrors import disk_errors
from crio.host.store.drivers.port import Traits
from crio.host.store.options import LayerCommit
from crio.host.store.parts import Parts
from crio.host.store.port import StagedLayer
from crio.host.store.staging import remove_trees


@dataclass(slots=True)
class Staged:
    """A layer directory in the making: in the image store's driver home, in nobody's index."""

    parent: str | None
    place: str
    diff_path: str
    files: str
    tar_split_path: str = field(init=False)
    open: bool = True

    def __post_init__(self) -> None:
        self.tar_split_path = f"{self.files}/tar-split.gz"

    def discard(self) -> None:
        """Remove it all, unless it was committed or discarded before."""
        if self.open:
            self.open = False
            remove_trees([self.place, self.files])


class LayerVerbs:
    """The part of a store that deals with layers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @property
    def traits(self) -> Traits:
        """What the driver wants of whoever unpacks layers."""
        return self._parts.image_driver.traits

    def layer(self, layer_id: str) -> LayerRecord | None:
        """Return the layer, from the own store or an additional one."""
        found = self._parts.layers.view().by_id.get(layer_id)
        for store in self._parts.additional:
            if found is not None:
                break
            found = store.layers.view().by_id.get(layer_id)
        return found

    def layers(self) -> tuple[LayerRecord, ...]:
        """Return every layer of the own store."""
        return self._parts.layers.view().records

    def layer_by_diff(self, parent: str | None, diff_id: str) -> LayerRecord | None:
        """Return the layer with this content on this parent, wherever it is; None when it has to be fetched."""
        wanted = layer_id(parent, diff_id)
        for table in self._layer_tables():
            found = table.by_id.get(wanted) or table.by_content(parent, diff_id)
            if found is not None and not found.incomplete:
                return found
        return None

    def layer_diff_path(self, layer_id: str) -> str:
        """Return the directory with the layer's own files. Raises NotFound."""
        return self._parts.driver.diff_path(layer_id)

    @disk_errors
    def stage_layer(self, parent: str | None) -> Staged:
        """Return a private place to unpack a layer into. The parent may still be in the making, unless the driver is ordered."""
        parts = self._parts
        home = parts.places.home(parts.places.image_root)
        place = parts.area(home).new_directory()
        files = parts.area(parts.layers_path_of(parts.image_source)).new_directory()
        try:
            return Staged(parent, place, parts.image_driver.stage(place, parent), files)
        except BaseException:
            remove_trees([place, files])
            raise

    @disk_errors
    def commit_layer(self, staged: StagedLayer, commit: LayerCommit) -> str:
        """Give a staged layer its record and return its id; an equal layer that is there already is used instead.

        Raises NotFound when the parent is not committed, Internal when the tar-split file is missing. Source: A layer's id.
        """
        assert isinstance(staged, Staged)
        new_id = layer_id(commit.parent, commit.diff_id)
        existing = self.layer_by_diff(commit.parent, commit.diff_id)
        if existing is not None:
            staged.discard()
            return existing.id
        if commit.parent is not None and self.layer(commit.parent) is None:
            raise NotFound(f"layer {new_id}: its parent {commit.parent} is not in the store: commit the parent first")
        if not os.path.exists(staged.tar_split_path):
            raise Internal(f"layer {new_id}: {staged.tar_split_path} was not written, it could never be pushed again")
        self._parts.image_driver.finish(staged.place, new_id, commit.parent, commit.root_in_tar)
        os.chmod(staged.tar_split_path, 0o600)
        self._record(staged, commit, new_id)
        staged.discard()
        return new_id

    def _record(self, staged: Staged, commit: LayerCommit, new_id: str) -> None:
        parts = self._parts
        source = parts.image_source
        with parts.layers.writing() as edit:
            if new_id in edit.table.by_id:
                return
            if commit.parent is not None and self._parent_gone(edit.table, commit.parent):
                raise NotFound(f"layer {new_id}: its parent {commit.parent} was removed meanwhile")
            parts.image_driver.adopt(staged.place, new_id)
            try:
                os.rename(staged.tar_split_path, parts.tar_split(new_id, source))
                edit.add(_layer_record(commit, new_id), source)
                edit.save()
            except BaseException:
                parts.reaper.submit(*parts.set_aside_layer(new_id, source))
                raise

    def _parent_gone(self, own: LayerTable, parent: str) -> bool:
        return parent not in own.by_id and all(parent not in store.layers.view().by_id for store in self._parts.additional)

    def _layer_tables(self) -> list[LayerTable]:
        return [self._parts.layers.view(), *(store.layers.view() for store in self._parts.additional)]


def random_id() -> str:
    """Return a random id for a container's layer."""
    while True:
        drawn = id_from_random(os.urandom(ID_BYTES))
        if drawn is not None:
            return drawn


def now_text() -> str:
    """Return the present time as the records write it."""
    return rfc3339_from_ns(time.time_ns())


def _layer_record(commit: LayerCommit, new_id: str) -> LayerRecord:
    digest_hex(commit.blob_digest or commit.diff_id, "blob_digest")
    return LayerRecord(
        id=new_id,
        created=rfc3339_from_ns(commit.created_at_ns) if commit.created_at_ns else now_text(),
        parent=commit.parent,
        compressed_digest=commit.blob_digest or commit.diff_id,
        compressed_size=commit.blob_size or commit.diff_size,
        diff_digest=commit.diff_id,
        diff_size=commit.diff_size,
        compression=commit.compression,
        uids=tuple(sorted(set(commit.uids))),
        gids=tuple(sorted(set(commit.gids))),
    )
