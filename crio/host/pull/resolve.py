"""From the manifest that a source gave to the one image that fits this machine, every digest checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crio.core.image import mediatypes
from crio.core.image.digest import Digest, digest_of
from crio.core.image.errors import BadDocument, DigestMismatch, NoMatchingPlatform
from crio.core.image.manifest import Descriptor, ImageIndex, ImageManifest, Manifest, parse_manifest
from crio.core.image.platform import Platform, choose_entry
from crio.core.image.schema1 import SchemaOneManifest
from crio.host.pull.source import ImageSource
from crio.host.registry.client import FetchedManifest


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """One image: its manifest, the digest that was asked for, and all manifests on the way as they were sent."""

    manifest: ImageManifest | SchemaOneManifest
    top_digest: Digest
    instance_digest: Digest
    bodies: Mapping[str, bytes]


async def resolve(source: ImageSource, top: FetchedManifest, wanted: Digest | None, platform: Platform) -> ResolvedImage:
    """Checks the top manifest, and when it is an index fetches the manifest for ``platform``.

    :param wanted: the digest of the reference, if it has one
    :raises DigestMismatch: a manifest is not what its digest promises
    :raises NoMatchingPlatform: the index has nothing for this machine
    :raises BadDocument: malformed, ambiguous, or an index inside of an index
    """
    manifest = parse_manifest(top.body, top.content_type, f"manifest of {source.label}")
    digest = _checked_digest(top.body, manifest, wanted, source.label)
    bodies = {str(digest): top.body}
    if not isinstance(manifest, ImageIndex):
        return ResolvedImage(manifest, digest, digest, bodies)
    entry = _choose(manifest, platform, source.label)
    fetched = await source.manifest(entry.digest)
    instance = parse_manifest(fetched.body, _type_of(entry, fetched), f"manifest {entry.digest} of {source.label}")
    instance_digest = _checked_digest(fetched.body, instance, entry.digest, source.label)
    if len(fetched.body) != entry.size_bytes:
        raise DigestMismatch(f"manifest {entry.digest}: {len(fetched.body)} bytes, the index says {entry.size_bytes}")
    if isinstance(instance, ImageIndex):
        raise BadDocument(f"manifest {entry.digest} of {source.label}: an index inside of an index")
    bodies[str(instance_digest)] = fetched.body
    return ResolvedImage(instance, digest, instance_digest, bodies)


def _type_of(entry: Descriptor, fetched: FetchedManifest) -> str:
    """The index covers its entries with a digest, so its word on their type goes before the registry's header."""
    return entry.media_type if entry.media_type in mediatypes.ACCEPTED_MANIFESTS else fetched.content_type


def _checked_digest(body: bytes, manifest: Manifest, wanted: Digest | None, label: str) -> Digest:
    if wanted is not None and wanted.matches(body):
        return wanted
    digest = manifest.payload_digest if isinstance(manifest, SchemaOneManifest) else digest_of(body)
    if wanted is not None and digest != wanted:
        raise DigestMismatch(f"manifest of {label}: digest is {digest}, expected {wanted}")
    return digest


def _choose(index: ImageIndex, platform: Platform, label: str) -> Descriptor:
    position = choose_entry(tuple(entry.as_candidate() for entry in index.manifests), platform)
    if position is None:
        there = ", ".join(sorted({f"{e.platform.os}/{e.platform.architecture}" for e in index.manifests if e.platform}))
        raise NoMatchingPlatform(f"{label}: no image found in its index for {platform} (it has {there or 'none'})")
    return index.manifests[position]
