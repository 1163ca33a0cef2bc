"""Images: look-ups, commit, names, removal."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from crio.core.errors import FailedPrecondition, NotFound
from crio.core.storage.bigdata import MANIFEST_KEY, SIGNATURES_KEY, file_name, manifest_key, signature_key
from crio.core.storage.deletion import layers_of_image_only, refuse_image_in_use, refuse_layer_in_use
from crio.core.storage.ids import digest_hex, is_digest
from crio.core.storage.lookup import find_image
from crio.core.storage.names import names_minus, names_plus, with_names
from crio.core.storage.records import ImageRecord
from crio.core.storage.signatures import metadata_with
from crio.core.storage.sizes import image_size
from crio.core.storage.tables import ImageTable
from crio.host.store.diskerrors import disk_errors
from crio.host.store.files import (
    FILE_MODE,
    make_directory,
    read_file,
    replace_file,
    sync_directory,
    write_new,
)
from crio.host.store.layerverbs import LayerVerbs, now_text
from crio.host.store.options import ImageCommit

BIG_DATA_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Item:
    """One piece of big data on its way into an image."""

    key: str
    data: bytes
    digest: str


class ImageVerbs(LayerVerbs):
    """The part of a store that deals with images."""

    def images(self) -> tuple[ImageRecord, ...]:
        """Return every image: the own ones, then those of additional stores, each id once."""
        tables = self._image_tables()
        if len(tables) == 1:
            return tables[0].records
        found: dict[str, ImageRecord] = {}
        for number, table in enumerate(tables):
            for record in table.records:
                found.setdefault(record.id, replace(record, read_only=True) if number else record)
        return tuple(found.values())

    def image(self, image_id: str) -> ImageRecord | None:
        """Return the image with exactly this id."""
        return self.find_image(image_id) if len(image_id) == 64 else None

    def find_image(self, name_or_id: str) -> ImageRecord | None:
        """Return the image that a full reference, an id or an id prefix means."""
        tables = self._image_tables()
        found = find_image(tables, name_or_id)
        if found is None or found.id in tables[0].by_id:
            return found
        return replace(found, read_only=True)

    def image_size(self, record: ImageRecord) -> int | None:
        """Return big data plus layers in bytes; None when a layer's size is unknown."""
        return image_size(record, self.layer)

    def image_config(self, image_id: str) -> bytes:
        """Return the configuration of an image. Raises NotFound."""
        record = self._needed_image(image_id)
        key = f"sha256:{record.id}"
        if key not in record.big_data_sizes:
            key = next((name for name in record.big_data_names if is_digest(name)), key)
        return self.image_big_data(record.id, key)

    def image_manifest(self, image_id: str) -> bytes:
        """Return the manifest that describes exactly this image's layers. Raises NotFound."""
        return self.image_big_data(image_id, MANIFEST_KEY)

    def image_big_data(self, image_id: str, key: str) -> bytes:
        """Return one piece of an image's big data. Raises NotFound."""
        for root, table in zip(self._image_roots(), self._image_tables(), strict=True):
            if image_id in table.by_id:
                with contextlib.suppress(FileNotFoundError):
                    return read_file(f"{root}/{image_id}/{file_name(key)}", BIG_DATA_LIMIT)
        raise NotFound(f"image {image_id} has no data {key!r}")

    @disk_errors
    def commit_image(self, commit: ImageCommit) -> ImageRecord:
        """Record an image whose layers are in the store; one with this id keeps its names and gets what is new.

        Raises NotFound when the top layer is not there.
        """
        parts = self._parts
        items = _items_of(commit)
        with contextlib.ExitStack() as stack:
            prepared = _prepare(parts.area(parts.places.images).new_directory(), items)
            stack.callback(parts.reaper.submit, os.path.dirname(prepared[0]))
            layers = stack.enter_context(parts.layers.reading())
            edit = stack.enter_context(parts.images.writing())
            if commit.top_layer and commit.top_layer not in layers.by_id and self.layer(commit.top_layer) is None:
                raise NotFound(f"image {commit.image_id}: its top layer {commit.top_layer} is not in the store")
            old = edit.table.by_id.get(commit.image_id)
            folder = f"{parts.places.images}/{commit.image_id}"
            make_directory(folder)
            for item, temporary in zip(items, prepared, strict=True):
                os.rename(temporary, f"{folder}/{file_name(item.key)}")
            sync_directory(folder)
            record = _with_items(old or _new_record(commit), items)
            record = replace(record, metadata=metadata_with(record.metadata, commit.instance_digest, commit.signatures))
            if old is None:
                edit.add(record)
            else:
                edit.replace(record)
            names = names_plus(record, commit.names)
            edit.replace(*_changed(edit.current(), with_names(edit.current(), record.id, names)))
            edit.save()
            return edit.table.by_id[record.id]

    @disk_errors
    def add_name(self, image_id: str, name: str) -> ImageRecord:
        """Give ``name`` to the image, taking it from another one. Raises NotFound."""
        return self._rename(image_id, lambda record: names_plus(record, [name]))

    @disk_errors
    def remove_name(self, image_id: str, name: str) -> ImageRecord:
        """Take ``name`` from the image, which stays even without any. Raises NotFound."""
        return self._rename(image_id, lambda record: names_minus(record, [name]))

    @disk_errors
    def set_names(self, image_id: str, names: Sequence[str]) -> ImageRecord:
        """Give the image exactly ``names``. Raises NotFound."""
        return self._rename(image_id, lambda record: tuple(names))

    @disk_errors
    def delete_image(self, image_id: str) -> None:
        """Remove an image and the layers that nobody else needs.

        Raises NotFound, InUse naming the container that uses it, FailedPrecondition for an image of a read-only store.
        """
        parts = self._parts
        aside: list[str | None] = []
        with contextlib.ExitStack() as stack:
            layers = stack.enter_context(parts.layers.writing())
            images = stack.enter_context(parts.images.writing())
            containers = stack.enter_context(parts.containers.reading())
            image = images.table.by_id.get(image_id)
            if image is None:
                raise self._not_removable(image_id)
            refuse_image_in_use(image, containers)
            gone = layers_of_image_only(image, layers.table, images.table, containers)
            sources = {layer: layers.table.source_of(layer) for layer in gone}
            images.remove([image_id])
            images.save()
            layers.remove(gone)
            layers.save()
            for layer, source in sources.items():
                aside += parts.set_aside_layer(layer, source or 0)
            aside.append(parts.area(parts.places.images).set_aside(f"{parts.places.images}/{image_id}"))
        parts.reaper.submit(*aside)

    @disk_errors
    def delete_layer(self, layer_id: str) -> None:
        """Remove one layer that nothing needs; one that is not there is removed already. Raises InUse naming who needs it."""
        parts = self._parts
        with parts.layers.writing() as edit, parts.images.reading() as images, parts.containers.reading() as containers:
            source = edit.table.source_of(layer_id)
            if source is None:
                return
            refuse_layer_in_use(layer_id, edit.table, images, containers)
            edit.remove([layer_id])
            edit.save()
            aside = parts.set_aside_layer(layer_id, source)
        parts.reaper.submit(*aside)

    def _rename(self, image_id: str, names_of: Callable[[ImageRecord], tuple[str, ...]]) -> ImageRecord:
        parts = self._parts
        with parts.images.writing() as edit:
            record = edit.table.by_id.get(image_id)
            if record is None:
                record = self._pulled_up(image_id)
                edit.add(record)
            edit.replace(*_changed(edit.current(), with_names(edit.current(), image_id, names_of(record))))
            edit.save()
            return edit.table.by_id[image_id]

    def _pulled_up(self, image_id: str) -> ImageRecord:
        """Copy the record and big data of a read-only image to the own store, so that its names can be changed."""
        record = self._needed_image(image_id)
        folder = f"{self._parts.places.images}/{image_id}"
        make_directory(folder)
        for key in record.big_data_names:
            path = f"{folder}/{file_name(key)}"
            replace_file(path, self.image_big_data(image_id, key), durable=True)
        return replace(record, read_only=False)

    def _not_removable(self, image_id: str) -> Exception:
        for store in self._parts.additional:
            if image_id in store.images.view().by_id:
                return FailedPrecondition(f"image {image_id} is in the read-only store {store.root} and cannot be removed")
        return NotFound(f"image {image_id} is not in the store")

    def _needed_image(self, image_id: str) -> ImageRecord:
        record = self.image(image_id)
        if record is None:
            raise NotFound(f"image {image_id} is not in the store")
        return record

    def _image_tables(self) -> list[ImageTable]:
        return [self._parts.images.view(), *(store.images.view() for store in self._parts.additional)]

    def _image_roots(self) -> list[str]:
        return [self._parts.places.images, *(store.images_path for store in self._parts.additional)]


def _items_of(commit: ImageCommit) -> list[_Item]:
    """Return an image's big data in the order in which the other tools write it."""
    digest_hex(commit.config_digest, "config_digest")
    items = [_Item(commit.config_digest, commit.config, commit.config_digest)]
    instance = commit.manifests[commit.instance_digest]
    others = [digest for digest in commit.manifests if digest != commit.instance_digest]
    for digest in (*others, commit.instance_digest):
        digest_hex(digest, "manifest digest")
        items.append(_Item(manifest_key(digest), commit.manifests[digest], digest))
    items.append(_Item(MANIFEST_KEY, instance, commit.instance_digest))
    for digest, blobs in commit.signatures.items():
        joined = b"".join(blobs)
        items.append(_Item(signature_key(digest_hex(digest, "signed digest")), joined, _sha256(joined)))
        if digest == commit.instance_digest:
            items.append(_Item(SIGNATURES_KEY, joined, _sha256(joined)))
    return items


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _prepare(folder: str, items: Sequence[_Item]) -> list[str]:
    """Write every item to a private directory, synced, so that under the lock renames are enough."""
    paths = []
    for number, item in enumerate(items):
        path = f"{folder}/{number}"
        write_new(path, item.data, durable=True, mode=FILE_MODE)
        paths.append(path)
    return paths


def _new_record(commit: ImageCommit) -> ImageRecord:
    return ImageRecord(
        id=commit.image_id,
        digest=commit.digest,
        layer=commit.top_layer,
        metadata="{}",
        created=commit.created or now_text(),
    )


def _with_items(record: ImageRecord, items: Sequence[_Item]) -> ImageRecord:
    sizes: Mapping[str, int] = {**record.big_data_sizes, **{item.key: len(item.data) for item in items}}
    digests: Mapping[str, str] = {**record.big_data_digests, **{item.key: item.digest for item in items}}
    names = tuple(dict.fromkeys([*record.big_data_names, *(item.key for item in items)]))
    return replace(record, big_data_names=names, big_data_sizes=sizes, big_data_digests=digests)


def _changed(old: Sequence[ImageRecord], new: Sequence[ImageRecord]) -> list[ImageRecord]:
    return [after for before, after in zip(old, new, strict=True) if before is not after]
