"""Mending one layer: fetch it again from where its image came from, and put it back under its own id.

Only the damaged layer is fetched. The image's stored manifest says which blob it is, the image's names say where to ask, and the layer's
recorded content digest decides whether what came is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from crio.core.errors import CriError, NotFound
from crio.core.image.digest import parse_digest
from crio.core.image.errors import BadReference
from crio.core.image.manifest import ImageManifest, parse_manifest
from crio.core.image.reference import Reference, parse_reference
from crio.core.storage.records import ImageRecord
from crio.host.pull.options import PullOptions
from crio.host.pull.source import Blob, blob_of, open_registry
from crio.host.pull.unpacker import LayerJob, UnpackOptions, fetch_and_unpack
from crio.host.registry.conffiles import load_registries
from crio.host.registry.credentials import CredentialSource, GivenCredentials
from crio.host.registry.http import Web
from crio.host.store.options import LayerCommit
from crio.host.store.port import StorePort


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a layer can be had again: the image's names in registries and the blob in its manifest."""

    references: tuple[Reference, ...]
    blob: Blob


async def mend_layer(store: StorePort, options: PullOptions, layer_id: str) -> str:
    """Fetch a layer again and mend it; returns a sentence that says from where.

    Raises NotFound when no image of the store says where it came from, and the last endpoint's error when none has it.
    """
    record = store.layer(layer_id)
    if record is None:
        raise NotFound(f"layer {layer_id} is not in the store")
    failure: CriError = NotFound(f"layer {layer_id}: no image with a name in a registry has it, so it cannot be fetched again")
    for origin in _origins(store, layer_id):
        for reference in origin.references:
            try:
                return await _fetch(store, options, layer_id, reference, origin.blob)
            except CriError as error:
                failure = error
    raise failure


def _chain(store: StorePort, image: ImageRecord) -> list[str]:
    """The image's layers from the base up."""
    found: list[str] = []
    current = store.layer(image.layer) if image.layer else None
    while current is not None and current.id not in found:
        found.append(current.id)
        current = store.layer(current.parent) if current.parent else None
    return found[::-1]


def _origins(store: StorePort, layer_id: str) -> Iterator[_Origin]:
    for image in store.images():
        chain = _chain(store, image)
        if layer_id not in chain:
            continue
        manifest = parse_manifest(store.image_manifest(image.id))
        if not isinstance(manifest, ImageManifest) or len(manifest.layers) != len(chain):
            continue
        references = tuple(reference for name in image.names if (reference := _reference(name)) is not None)
        yield _Origin(references, blob_of(manifest.layers[chain.index(layer_id)]))


def _reference(name: str) -> Reference | None:
    try:
        return parse_reference(name)
    except BadReference:
        return None


async def _fetch(store: StorePort, options: PullOptions, layer_id: str, reference: Reference, blob: Blob) -> str:
    record = store.layer(layer_id)
    assert record is not None
    conf = await asyncio.to_thread(load_registries, options.registries)
    job = LayerJob(blob, parse_digest(record.diff_digest))
    staged = await asyncio.to_thread(store.stage_layer, record.parent)
    try:
        async with Web(options.web) as web:
            credentials = CredentialSource(options.auth, conf.credential_helpers, reference, GivenCredentials())
            opened = await open_registry(web, conf, reference, credentials)
            unpack = UnpackOptions(options.unpack_program, options.budgets.unpack_s)
            report = await fetch_and_unpack(unpack, job, opened.source, staged, lambda _: None)
        commit = LayerCommit(
            parent=record.parent,
            diff_id=str(report.diff_id),
            diff_size=report.diff_size_bytes,
            blob_digest=str(report.digest),
            blob_size=report.size_bytes,
            compression=report.compression,
            uids=report.uids,
            gids=report.gids,
            root_in_tar=report.root_in_tar,
        )
        await asyncio.to_thread(store.mend_layer, layer_id, staged, commit)
        return f"mended layer {layer_id} with {blob.digest} from {opened.source.label}"
    finally:
        await asyncio.to_thread(staged.discard)
