"""Comparing the records of a store with what is on disk.

No lock is held while data is read, so something may go while it is looked at: a finding counts only if its record is still there
at the end. The quick check looks at what exists and at sizes; the full one reads every byte of every layer and image document.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator

from crio.core.errors import CriError
from crio.core.storage.bigdata import file_name
from crio.core.storage.findings import Damage, Finding, Kind
from crio.core.storage.ids import is_digest
from crio.core.storage.records import ContainerRecord, ImageRecord, LayerRecord
from crio.host.store.files import read_file
from crio.host.store.parts import STABLE, Parts
from crio.host.store.tarsplit import Unassembled, assemble

UNUSED_GRACE_NS = 24 * 3600 * 10**9
_DATA_LIMIT = 64 * 1024 * 1024


def find_damage(parts: Parts, quick: bool) -> tuple[Finding, ...]:
    """Return everything that is not as its record says."""
    found = [*_layers(parts, quick), *_images(parts, quick), *_containers(parts), *_orphans(parts)]
    known = {
        Kind.LAYER: parts.layers.view().by_id.keys(),
        Kind.IMAGE: parts.images.view().by_id.keys(),
        Kind.CONTAINER: parts.containers.view().by_id.keys(),
    }
    return tuple(finding for finding in found if finding.kind is Kind.FILE or finding.id in known[finding.kind])


def _layers(parts: Parts, quick: bool) -> Iterator[Finding]:
    table = parts.layers.view()
    others = [store.layers.view() for store in parts.additional]
    used = {layer for image in parts.images.view().records for layer in (image.layer, *image.mapped_layers)}
    used |= {container.layer for container in parts.containers.view().records}
    now_ns = time.time_ns()
    for layer in table.records:
        if layer.parent and layer.parent not in table.by_id and all(layer.parent not in other.by_id for other in others):
            yield _of_layer(layer, Damage.LAYER_PARENT_MISSING, f"parent {layer.parent} has no record")
        source = table.source_of(layer.id) or STABLE
        complaint = parts.driver_of(source).complaint(layer.id)
        if complaint:
            yield _of_layer(layer, Damage.LAYER_DATA_MISSING, complaint)
        elif layer.diff_digest:
            yield from _layer_content(parts, layer, source, quick)
        if layer.id not in used and layer.id not in table.children and now_ns - layer.created_at_ns > UNUSED_GRACE_NS:
            yield _of_layer(layer, Damage.LAYER_UNUSED, "no image, container or layer needs it", fatal=False)


def _layer_content(parts: Parts, layer: LayerRecord, source: int, quick: bool) -> Iterator[Finding]:
    recipe = parts.tar_split(layer.id, source)
    if not os.path.exists(recipe):
        yield _of_layer(layer, Damage.LAYER_RECIPE_MISSING, f"{recipe} does not exist, the layer cannot be pushed", fatal=False)
        return
    if quick:
        return
    try:
        got = assemble(recipe, parts.driver_of(source).diff_path(layer.id))
    except Unassembled as error:
        yield _of_layer(layer, Damage.LAYER_CONTENT, str(error))
        return
    if layer.diff_size is not None and got.size_bytes != layer.diff_size:
        yield _of_layer(layer, Damage.LAYER_SIZE, f"{got.size_bytes} bytes, expected {layer.diff_size}")
    elif got.digest != layer.diff_digest:
        yield _of_layer(layer, Damage.LAYER_DIGEST, f"{got.digest}, expected {layer.diff_digest}")


def _images(parts: Parts, quick: bool) -> Iterator[Finding]:
    tables = [parts.layers.view(), *(store.layers.view() for store in parts.additional)]
    for image in parts.images.view().records:
        if image.layer and all(image.layer not in table.by_id for table in tables):
            yield Finding(Kind.IMAGE, image.id, Damage.IMAGE_LAYER_MISSING, f"top layer {image.layer} has no record")
        for key in image.big_data_names:
            wrong = _wrong_data(parts.places.images, image, key, quick)
            if wrong:
                yield Finding(Kind.IMAGE, image.id, Damage.IMAGE_DATA, f"{key}: {wrong}")


def _containers(parts: Parts) -> Iterator[Finding]:
    layers = parts.layers.view()
    images = [parts.images.view(), *(store.images.view() for store in parts.additional)]
    for one in parts.containers.view().records:
        if one.layer and one.layer not in layers.by_id:
            yield Finding(Kind.CONTAINER, one.id, Damage.CONTAINER_LAYER_MISSING, f"layer {one.layer} has no record")
        if one.image and all(one.image not in table.by_id for table in images):
            yield Finding(Kind.CONTAINER, one.id, Damage.CONTAINER_IMAGE_MISSING, f"image {one.image} has no record")
        for key in one.big_data_names:
            wrong = _wrong_data(parts.places.containers, one, key, quick=True)
            if wrong:
                yield Finding(Kind.CONTAINER, one.id, Damage.CONTAINER_DATA, f"{key}: {wrong}")


def _orphans(parts: Parts) -> Iterator[Finding]:
    for source in {STABLE, parts.image_source}:
        driver = parts.driver_of(source)
        known = parts.layers.view().by_id
        for layer_id in sorted(driver.layer_ids()):
            if layer_id not in known and layer_id not in parts.layers.view().by_id:
                yield Finding(Kind.FILE, layer_id, Damage.ORPHAN, f"{driver.home}/{layer_id} has no record", fatal=False)


def _wrong_data(folder: str, record: ImageRecord | ContainerRecord, key: str, quick: bool) -> str:
    """Return what is wrong with one piece of big data; empty when nothing is."""
    try:
        path = f"{folder}/{record.id}/{file_name(key)}"
        size = os.stat(path).st_size
        if size != record.big_data_sizes.get(key, size):
            return f"{size} bytes, expected {record.big_data_sizes[key]}"
        if quick:
            return ""
        data = read_file(path, _DATA_LIMIT)
    except (OSError, CriError) as error:
        return str(error)
    expected = record.big_data_digests.get(key, "")
    signed_schema1 = key.startswith("manifest") and b'"signatures"' in data
    if signed_schema1 or not is_digest(expected) or not expected.startswith("sha256:"):
        return ""
    got = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return "" if got == expected else f"{got}, expected {expected}"


def _of_layer(layer: LayerRecord, damage: Damage, detail: str, fatal: bool = True) -> Finding:
    return Finding(Kind.LAYER, layer.id, damage, detail, fatal)
