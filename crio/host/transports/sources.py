"""OCI layouts, plain directories and docker archives as image sources.

Source: OCI image layout; containers-transports(5); specification E.7.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crio.core.image import mediatypes
from crio.core.image.digest import Digest, digest_of
from crio.core.image.document import Fields, JsonValue, parse_object
from crio.core.image.errors import BadDocument, DigestMismatch, ManifestUnknown
from crio.core.image.imageconfig import parse_image_config
from crio.core.image.manifest import parse_descriptor
from crio.host.pull.source import Blob
from crio.host.registry.client import FetchedManifest
from crio.host.registry.pipe import BlobFeed
from crio.host.transports.files import Piece, Pieces, hash_piece, is_compressed, read_piece, send_piece

REF_NAME = "org.opencontainers.image.ref.name"
ARCHIVE_INDEX_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalSource:
    """An image whose blobs are pieces of files. ``place`` says how the piece of a digest is called."""

    pieces: Pieces
    top: FetchedManifest
    place: Callable[[Digest], str]
    manifest_place: Callable[[Digest], str]

    @property
    def label(self) -> str:
        """The path."""
        return self.pieces.label

    async def manifest(self, digest: Digest | None) -> FetchedManifest:
        """The manifest that was chosen when the source was opened, or another one by digest."""
        if digest is None:
            return self.top
        return FetchedManifest(await read_piece(self.pieces, self.manifest_place(digest)), "")

    async def small_blob(self, blob: Blob) -> bytes:
        """A blob in memory, its digest checked."""
        body = await read_piece(self.pieces, self.place(blob.digest))
        if not blob.digest.matches(body):
            raise DigestMismatch(f"{self.label}: blob {blob.digest} has another digest")
        return body

    async def send_blob(self, blob: Blob, feed: BlobFeed, on_bytes: Callable[[int], None]) -> None:
        """Writes a blob into ``feed``."""
        piece = await asyncio.to_thread(self.pieces.find, self.place(blob.digest))
        if piece is None:
            raise ManifestUnknown(f"{self.label}: has no blob {blob.digest}")
        await send_piece(piece, feed, on_bytes)


@dataclass(frozen=True, slots=True)
class OpenedLocal:
    """A source, and the names that the archive itself gives the image."""

    source: LocalSource
    names: tuple[str, ...]


def _layout_place(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


async def open_layout(pieces: Pieces, wanted: str) -> OpenedLocal:
    """Opens an OCI layout.

    :param wanted: the reference name of the image, or empty when the layout has only one
    :raises ManifestUnknown: no such image, or several and no name to choose by
    """
    index = parse_object(await read_piece(pieces, "index.json"), f"{pieces.label}: index.json")
    entries = [parse_descriptor(entry) for entry in index.children("manifests")]
    if wanted:
        entries = [entry for entry in entries if (entry.annotations or {}).get(REF_NAME) == wanted]
    if len(entries) != 1:
        what = f"the name {wanted!r}" if wanted else "no name to choose by"
        raise ManifestUnknown(f"{pieces.label}: {len(entries)} images and {what}, expected exactly one image")
    entry = entries[0]
    body = await read_piece(pieces, _layout_place(entry.digest))
    if not entry.digest.matches(body):
        raise DigestMismatch(f"{pieces.label}: manifest {entry.digest} has another digest")
    name = (entry.annotations or {}).get(REF_NAME, "")
    source = LocalSource(pieces, FetchedManifest(body, entry.media_type), _layout_place, _layout_place)
    return OpenedLocal(source, (name,) if "/" in name else ())


async def open_directory(pieces: Pieces) -> OpenedLocal:
    """Opens a plain directory as ``dir:`` writes it."""
    body = await read_piece(pieces, "manifest.json")
    source = LocalSource(pieces, FetchedManifest(body, ""), _bare_name, lambda digest: f"{_bare_name(digest)}.manifest.json")
    return OpenedLocal(source, ())


def _bare_name(digest: Digest) -> str:
    return digest.hex if digest.algorithm == "sha256" else f"{digest.algorithm}-{digest.hex}"


async def open_docker_archive(pieces: Pieces, wanted: str) -> OpenedLocal:
    """Opens a docker archive; a schema 2 manifest is made for it.

    :param wanted: one of its tags, ``@`` and a position, or empty when the archive has only one image
    :raises ManifestUnknown: no such image
    :raises BadDocument: the archive contradicts itself
    """
    body = await read_piece(pieces, "manifest.json", ARCHIVE_INDEX_LIMIT_BYTES)
    # The document is a list; wrapped, it can be read with the same checks as every other one.
    entries = parse_object(b'{"images":' + body + b"}", f"{pieces.label}: manifest.json").children("images")
    entry = _choose(entries, wanted, pieces.label)
    config = await read_piece(pieces, entry.text("Config"))
    layers = await _archive_layers(pieces, entry, config)
    manifest = _made_manifest(config, layers)
    places = {layer.digest: layer.name for layer in layers} | {digest_of(config): entry.text("Config")}
    source = LocalSource(pieces, FetchedManifest(manifest, mediatypes.DOCKER_MANIFEST), lambda digest: places.get(digest, ""), str)
    return OpenedLocal(source, entry.texts("RepoTags"))


def _choose(entries: tuple[Fields, ...], wanted: str, label: str) -> Fields:
    if wanted.startswith("@") and wanted[1:].isdecimal():
        found = entries[int(wanted[1:]) :][:1]
    elif wanted:
        found = tuple(entry for entry in entries if wanted in entry.texts("RepoTags"))
    else:
        found = entries
    if len(found) != 1:
        raise ManifestUnknown(f"{label}: {len(found)} images for {wanted!r}, expected exactly one")
    return found[0]


@dataclass(frozen=True, slots=True)
class _ArchiveLayer:
    name: str
    digest: Digest
    size_bytes: int


async def _archive_layers(pieces: Pieces, entry: Fields, config: bytes) -> list[_ArchiveLayer]:
    names = entry.texts("Layers")
    diff_ids = parse_image_config(config, f"{pieces.label}: configuration").diff_ids
    if len(names) != len(diff_ids):
        raise BadDocument(f"{pieces.label}: {len(names)} layers, but the configuration has {len(diff_ids)} diff_ids")
    layers: list[_ArchiveLayer] = []
    for name, diff_id in zip(names, diff_ids, strict=True):
        piece = await asyncio.to_thread(pieces.find, name)
        if piece is None:
            raise BadDocument(f"{pieces.label}: has no layer {name!r}")
        layers.append(_ArchiveLayer(name, await asyncio.to_thread(_blob_digest, piece, diff_id), piece.size_bytes))
    return layers


def _blob_digest(piece: Piece, diff_id: Digest) -> Digest:
    """An uncompressed layer has its diff id as digest, which the unpacker checks; another one has to be read once for it."""
    return hash_piece(piece) if is_compressed(piece) else diff_id


def _made_manifest(config: bytes, layers: list[_ArchiveLayer]) -> bytes:
    document: Mapping[str, JsonValue] = {
        "schemaVersion": 2,
        "mediaType": mediatypes.DOCKER_MANIFEST,
        "config": {"mediaType": mediatypes.DOCKER_CONFIG, "size": len(config), "digest": str(digest_of(config))},
        "layers": [{"mediaType": mediatypes.DOCKER_LAYER, "size": layer.size_bytes, "digest": str(layer.digest)} for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()
