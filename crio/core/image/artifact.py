"""OCI artifacts: content of any kind, kept as an OCI layout beside the images.

Source: OCI image layout; specification C.7.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crio.core.image.digest import Digest
from crio.core.image.document import JsonValue, parse_object
from crio.core.image.errors import BadDocument, BadReference
from crio.core.image.manifest import Descriptor, parse_descriptor
from crio.core.image.reference import Reference, parse_reference

REF_NAME = "org.opencontainers.image.ref.name"
TITLES = ("org.opencontainers.image.title", "org.cncf.model.filepath")
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One artifact in the index: its descriptor as JSON (unknown members are kept), digest and full reference."""

    raw: Mapping[str, JsonValue]
    descriptor: Descriptor
    reference: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact as the CRI sees an image: the id is the hex of the manifest's digest."""

    digest: Digest
    reference: str
    size_bytes: int
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]

    @property
    def artifact_id(self) -> str:
        """The id."""
        return self.digest.hex

    @property
    def repo_tags(self) -> tuple[str, ...]:
        """The reference, when it is a tag."""
        return (self.reference,) if self.reference and "@" not in self.reference else ()

    @property
    def repo_digests(self) -> tuple[str, ...]:
        """The repository with the manifest's digest."""
        name = _repository(self.reference)
        return (f"{name.repository}@{self.digest}",) if name is not None else ()


def _repository(reference: str) -> Reference | None:
    try:
        return parse_reference(reference) if reference else None
    except BadReference:
        return None


def parse_artifact_index(body: bytes) -> tuple[IndexEntry, ...]:
    """Parses ``index.json``; null in place of the list is an empty one.

    :raises BadDocument: malformed
    """
    entries: list[IndexEntry] = []
    try:
        for entry in parse_object(body, "artifact index").children("manifests"):
            descriptor = parse_descriptor(entry)
            entries.append(IndexEntry(entry.values, descriptor, (descriptor.annotations or {}).get(REF_NAME, "")))
    except BadReference as error:
        raise BadDocument(f"artifact index: {error.message}") from error
    return tuple(entries)


def new_entry(media_type: str, digest: Digest, size_bytes: int, reference: str) -> IndexEntry:
    """The entry for an artifact that was just pulled."""
    raw: dict[str, JsonValue] = {
        "mediaType": media_type,
        "digest": str(digest),
        "size": size_bytes,
        "annotations": {REF_NAME: reference},
    }
    return IndexEntry(raw, Descriptor(media_type, digest, size_bytes, annotations={REF_NAME: reference}), reference)


def with_entry(entries: Sequence[IndexEntry], entry: IndexEntry) -> tuple[IndexEntry, ...]:
    """The index after ``entry`` took its reference, also from another artifact."""
    return (*(other for other in entries if other.reference != entry.reference), entry)


def encode_artifact_index(entries: Sequence[IndexEntry]) -> bytes:
    """The bytes of ``index.json``."""
    document = {"schemaVersion": 2, "manifests": [dict(entry.raw) for entry in entries]}
    return json.dumps(document, separators=(",", ":")).encode()


def file_name_of(layer: Descriptor) -> str:
    """What the content of a layer is called as a file: its title, or its digest; never a path.

    :raises BadDocument: a title that would lead elsewhere
    """
    title = next((title for key in TITLES if (title := (layer.annotations or {}).get(key))), "")
    if not title:
        return layer.digest.hex
    bad = "\0" in title or title.startswith("/") or any(part in {"", ".", ".."} for part in title.split("/"))
    if bad or len(title.encode()) > MAX_NAME_BYTES:
        raise BadDocument(f"artifact layer {layer.digest}: title {title[:80]!r} is not a file name")
    return title
