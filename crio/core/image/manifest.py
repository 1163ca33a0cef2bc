"""Manifests: from bytes of a registry to one unambiguous value.

A document is an image (Docker schema 2, OCI), an index (Docker list, OCI) or a schema 1 manifest. One that could be read
as two of these is refused, whatever its Content-Type says, because two readers that choose differently would run
different images under one digest (CVE-2021-41190).

Source: OCI image specification, manifest and index; Docker manifest schema 2; specification E.3.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from crio.core.image import mediatypes as mt
from crio.core.image.digest import Digest, parse_digest
from crio.core.image.document import Fields, parse_object
from crio.core.image.errors import BadDocument, BadReference
from crio.core.image.platform import Candidate, Platform
from crio.core.image.schema1 import SchemaOneManifest, parse_schema_one

MAX_LAYERS = 500
MAX_INDEX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A promise about content: its type, digest and size."""

    media_type: str
    digest: Digest
    size_bytes: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] | None = None
    platform: Platform | None = None
    artifact_type: str = ""
    data: bytes | None = None

    def as_candidate(self) -> Candidate:
        """The descriptor as an entry to choose from."""
        return Candidate(self.platform, self.annotations or {})


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """One image or artifact: a configuration and layers from the base up."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    artifact_type: str = ""

    @property
    def is_artifact(self) -> bool:
        """Whether this has no root file system. Source: specification C.7."""
        return bool(self.artifact_type) or self.config.media_type not in mt.IMAGE_CONFIGS


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """A list of manifests, one for each platform."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str]


Manifest: TypeAlias = ImageManifest | ImageIndex | SchemaOneManifest


def parse_manifest(body: bytes, content_type: str = "", what: str = "manifest") -> Manifest:
    """Parses a manifest of any kind.

    :param content_type: the Content-Type header or the media type of the descriptor; may be empty or generic
    :param what: how errors call the document
    :raises BadDocument: malformed, ambiguous, or a kind that contradicts its media type
    """
    fields = parse_object(body, what)
    media_type = _media_type(fields, mt.without_parameters(content_type))
    _refuse_ambiguity(fields, media_type)
    try:
        if media_type in mt.INDEXES:
            return _parse_index(fields, media_type)
        if media_type in mt.IMAGES:
            return _parse_image(fields, media_type)
        return parse_schema_one(body, fields)
    except BadReference as error:
        raise BadDocument(f"{what}: {error.message}") from error


def _media_type(fields: Fields, declared: str) -> str:
    inner = fields.text("mediaType")
    known = frozenset(mt.ACCEPTED_MANIFESTS)
    if declared not in known:
        declared = ""
    if inner and inner not in known:
        raise BadDocument(f"{fields.path}.mediaType: {inner[:100]!r} is not a manifest type that can be pulled")
    if declared and inner and declared != inner and not {declared, inner} <= {mt.SCHEMA1, mt.SCHEMA1_SIGNED}:
        raise BadDocument(f"{fields.path}.mediaType: ambiguous, the document says {inner!r}, its header {declared!r}")
    return declared or inner or _guess(fields)


def _guess(fields: Fields) -> str:
    version = fields.whole("schemaVersion")
    if version == 1:
        return mt.SCHEMA1_SIGNED if fields.has("signatures") else mt.SCHEMA1
    if version == 2 and fields.has("manifests"):
        return mt.OCI_INDEX
    if version == 2 and fields.has("config"):
        return mt.OCI_MANIFEST
    raise BadDocument(f"{fields.path}.schemaVersion: {version} with these members is not a known kind of manifest")


def _refuse_ambiguity(fields: Fields, media_type: str) -> None:
    foreign: tuple[str, ...]
    if media_type in mt.INDEXES:
        version, foreign = 2, ("config", "layers", "fsLayers", "history")
    elif media_type in mt.IMAGES:
        version, foreign = 2, ("manifests", "fsLayers", "history")
    else:
        version, foreign = 1, ("config", "layers", "manifests")
    if fields.whole("schemaVersion") != version:
        raise fields.wrong("schemaVersion", f"{version} for {media_type}")
    for key in foreign:
        if key in fields.values:
            raise BadDocument(f"{fields.path}.{key}: ambiguous, {media_type} must not have this member")


def _parse_image(fields: Fields, media_type: str) -> ImageManifest:
    if not fields.has("config"):
        raise fields.wrong("config", "a descriptor")
    layers = fields.children("layers")
    if len(layers) > MAX_LAYERS:
        raise BadDocument(f"{fields.path}.layers: {len(layers)} layers, more than the limit of {MAX_LAYERS}")
    return ImageManifest(
        media_type,
        parse_descriptor(fields.child("config")),
        tuple(parse_descriptor(layer) for layer in layers),
        fields.text_map("annotations"),
        fields.text("artifactType"),
    )


def _parse_index(fields: Fields, media_type: str) -> ImageIndex:
    entries = fields.children("manifests")
    if len(entries) > MAX_INDEX_ENTRIES:
        raise BadDocument(f"{fields.path}.manifests: {len(entries)} entries, limit {MAX_INDEX_ENTRIES}")
    return ImageIndex(media_type, tuple(parse_descriptor(entry) for entry in entries), fields.text_map("annotations"))


def parse_descriptor(fields: Fields) -> Descriptor:
    """Parses one descriptor.

    :raises BadDocument: a member of the wrong type, a negative size, embedded data that contradicts the digest
    :raises BadReference: a digest that is not one
    """
    size = fields.whole("size", -1)
    if size < 0:
        raise fields.wrong("size", "a number of bytes")
    digest = parse_digest(fields.text("digest"), f"{fields.path}.digest")
    return Descriptor(
        media_type=fields.text("mediaType"),
        digest=digest,
        size_bytes=size,
        urls=fields.texts("urls"),
        annotations=fields.text_map("annotations"),
        platform=_platform(fields),
        artifact_type=fields.text("artifactType"),
        data=_embedded(fields, digest, size),
    )


def _platform(fields: Fields) -> Platform | None:
    if not fields.has("platform"):
        return None
    platform = fields.child("platform")
    return Platform(platform.text("os"), platform.text("architecture"), platform.text("variant"))


def _embedded(fields: Fields, digest: Digest, size_bytes: int) -> bytes | None:
    if not fields.has("data"):
        return None
    try:
        data = base64.b64decode(fields.text("data"), validate=True)
    except binascii.Error as error:
        raise fields.wrong("data", "base64") from error
    if len(data) != size_bytes or not digest.matches(data):
        raise fields.wrong("data", f"content with digest {digest}")
    return data
