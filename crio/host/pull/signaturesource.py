"""Where the signatures of an image in a registry are: lookaside storage, and attachments beside the image.

Source: containers-registries.d(5); specification D.4 and D.7.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import unquote, urlsplit

from crio.core.errors import CriError
from crio.core.image.digest import Digest
from crio.core.image.document import JsonValue
from crio.core.image.errors import BadConfigFile, BadDocument, ManifestUnknown
from crio.core.image.lookaside import (
    MAX_SIGNATURES,
    RegistriesD,
    attachment_tag,
    merge_registries_d,
    signature_url,
)
from crio.core.image.manifest import Descriptor, ImageManifest, parse_manifest
from crio.core.image.reference import Reference
from crio.core.image.replies import error_for_status
from crio.core.image.sigstoreblob import PAYLOAD_TYPE, SigstoreBlob
from crio.host.pull.options import TrustOptions
from crio.host.registry.client import RegistryClient
from crio.host.registry.conffiles import read_bounded_file
from crio.host.registry.http import Request, Web, read_bounded

SIGNATURE_LIMIT_BYTES = 4 * 1024 * 1024


class RegistrySignatures:
    """The signatures of one image; ``reference`` is what the user asked for, ``client`` the endpoint that answered."""

    def __init__(self, options: TrustOptions, web: Web, client: RegistryClient, reference: Reference) -> None:
        self._options = options
        self._web = web
        self._client = client
        self._reference = reference

    async def signatures(self, digest: Digest) -> tuple[bytes, ...]:
        """All signature blobs for the manifest ``digest``, in storage form.

        :raises BadConfigFile: registries.d has errors
        :raises CriError: a place that should have signatures cannot be read
        """
        conf = await asyncio.to_thread(load_registries_d, self._options.registries_d)
        found = await self._lookaside(conf.lookaside(self._reference) or self._options.lookaside, digest)
        if conf.attachments(self._reference):
            found += await self._attached(digest)
        return tuple(found)

    async def _lookaside(self, base: str, digest: Digest) -> list[bytes]:
        found: list[bytes] = []
        while len(found) < MAX_SIGNATURES:
            url = signature_url(base, self._reference, digest, len(found) + 1)
            blob = await self._read(url)
            if blob is None:
                break
            found.append(blob)
        return found

    async def _read(self, url: str) -> bytes | None:
        parts = urlsplit(url)
        if parts.scheme == "file":
            return await asyncio.to_thread(_read_file, unquote(parts.path))
        if parts.scheme not in {"http", "https"}:
            raise BadConfigFile(f"registries.d: lookaside {url!r} is neither file, http nor https")
        request = Request(url, parts.netloc, insecure=parts.scheme == "http")
        async with self._web.open(request) as response:
            body = await read_bounded(response, SIGNATURE_LIMIT_BYTES)
            if response.status == 404:
                return None
            if response.status != 200:
                raise error_for_status(response.status, body, f"reading signature {url}")
            return body

    async def _attached(self, digest: Digest) -> list[bytes]:
        tag = attachment_tag(digest)
        try:
            fetched = await self._client.manifest(tag)
        except ManifestUnknown:
            return []
        manifest = parse_manifest(fetched.body, fetched.content_type, f"signatures {tag}")
        if not isinstance(manifest, ImageManifest):
            raise BadDocument(f"signatures {tag}: expected an image manifest")
        layers = [layer for layer in manifest.layers if layer.media_type == PAYLOAD_TYPE]
        return [await self._attachment(layer) for layer in layers[:MAX_SIGNATURES]]

    async def _attachment(self, layer: Descriptor) -> bytes:
        payload = await self._client.small_blob(layer.digest, min(layer.size_bytes, SIGNATURE_LIMIT_BYTES))
        return SigstoreBlob(layer.media_type, payload, layer.annotations or {}).encode()


def _read_file(path: str) -> bytes | None:
    try:
        return read_bounded_file(path, SIGNATURE_LIMIT_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CriError(f"signature {path}: {error.strerror}") from error


def load_registries_d(folders: Sequence[str]) -> RegistriesD:
    """Reads every ``*.yaml`` of the folders; a missing folder is an empty one.

    :raises BadConfigFile: names the file and what is wrong with it
    """
    paths = [
        os.path.join(folder, name)
        for folder in folders
        if os.path.isdir(folder)
        for name in sorted(os.listdir(folder))
        if name.endswith(".yaml")
    ]
    return merge_registries_d((path, _load_yaml(path)) for path in paths)


def _load_yaml(path: str) -> Mapping[str, JsonValue]:
    # Only nodes whose policy wants signatures pay for the library.
    import yaml

    try:
        table = yaml.safe_load(read_bounded_file(path))
    except (OSError, yaml.YAMLError) as error:
        raise BadConfigFile(f"{path}: {error}") from error
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise BadConfigFile(f"{path}: expected a mapping, got {type(table).__name__}")
    return cast("Mapping[str, JsonValue]", table)
