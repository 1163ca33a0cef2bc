"""Where the parts of an image come from: a port that a registry, an archive or a directory can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from crio.core.errors import CriError
from crio.core.image.digest import Digest
from crio.core.image.document import DOCUMENT_LIMIT_BYTES
from crio.core.image.manifest import Descriptor
from crio.core.image.mediatypes import is_foreign_layer
from crio.core.image.reference import Reference
from crio.core.image.registries import Endpoint, RegistriesConf, endpoints
from crio.host.registry.client import FetchedManifest, RegistryClient
from crio.host.registry.credentials import CredentialSource
from crio.host.registry.download import UNKNOWN_SIZE, Download
from crio.host.registry.http import Web
from crio.host.registry.pipe import BlobFeed


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob to fetch; schema 1 does not know its size."""

    digest: Digest
    size_bytes: int = UNKNOWN_SIZE
    media_type: str = ""
    urls: tuple[str, ...] = ()


def blob_of(descriptor: Descriptor) -> Blob:
    """The blob that a descriptor promises."""
    return Blob(descriptor.digest, descriptor.size_bytes, descriptor.media_type, descriptor.urls)


class ImageSource(Protocol):
    """One place that has the whole image."""

    @property
    def label(self) -> str:
        """What to call the place in a sentence."""

    async def manifest(self, digest: Digest | None) -> FetchedManifest:
        """The manifest that was asked for, or with ``digest`` another one of the same repository; unchecked."""

    async def small_blob(self, blob: Blob) -> bytes:
        """A blob in memory, its digest and size checked."""

    async def send_blob(self, blob: Blob, feed: BlobFeed, on_bytes: Callable[[int], None]) -> None:
        """Writes a blob into ``feed``; its reader checks the digest."""


class RegistrySource:
    """A repository in a registry."""

    def __init__(self, client: RegistryClient, reference: Reference) -> None:
        self._client = client
        self._reference = reference

    @property
    def label(self) -> str:
        """``host/path``."""
        return self._reference.repository

    @property
    def client(self) -> RegistryClient:
        """The client, for what only registries have (signature attachments)."""
        return self._client

    async def manifest(self, digest: Digest | None) -> FetchedManifest:
        """The manifest of the reference, or of ``digest``."""
        return await self._client.manifest(self._reference.selector if digest is None else str(digest))

    async def small_blob(self, blob: Blob) -> bytes:
        """A blob of at most 4 MiB."""
        limit = DOCUMENT_LIMIT_BYTES if blob.size_bytes == UNKNOWN_SIZE else min(blob.size_bytes, DOCUMENT_LIMIT_BYTES)
        return await self._client.small_blob(blob.digest, limit)

    async def send_blob(self, blob: Blob, feed: BlobFeed, on_bytes: Callable[[int], None]) -> None:
        """Streams a blob, resuming as the rules allow; a foreign layer is tried at its own addresses first."""
        if is_foreign_layer(blob.media_type) and await self._from_elsewhere(blob, feed, on_bytes):
            return
        await Download(self._client, blob.digest, blob.size_bytes, feed, on_bytes).run()

    async def _from_elsewhere(self, blob: Blob, feed: BlobFeed, on_bytes: Callable[[int], None]) -> bool:
        """Whether one of the blob's URLs gave it. No credentials go there: the image chose the address (CVE-2020-15157)."""
        for url in blob.urls:
            if not url.startswith(("https://", "http://")):
                continue
            download = Download(self._client.elsewhere(url), blob.digest, blob.size_bytes, feed, on_bytes)
            try:
                await download.run()
            except CriError:
                if download.offset:
                    raise
            else:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Opened:
    """An endpoint that answered, with the manifest that it gave."""

    source: RegistrySource
    top: FetchedManifest


async def open_registry(web: Web, conf: RegistriesConf, reference: Reference, credentials: CredentialSource) -> Opened:
    """Asks the endpoints for ``reference`` in order until one gives a manifest; that one serves the blobs, too.

    :raises CriError: none did; the error is that of the last one, with those of the mirrors told in it
    """
    failures: list[tuple[Endpoint, CriError]] = []
    for endpoint in endpoints(conf, reference):
        try:
            return await _open_endpoint(web, endpoint, credentials)
        except CriError as error:
            failures.append((endpoint, error))
    return _give_up(failures)


async def _open_endpoint(web: Web, endpoint: Endpoint, credentials: CredentialSource) -> Opened:
    found = await credentials.find(endpoint.reference)
    client = RegistryClient(web, endpoint.reference, found, insecure=endpoint.insecure)
    await client.ping()
    source = RegistrySource(client, endpoint.reference)
    return Opened(source, await source.manifest(None))


def _give_up(failures: list[tuple[Endpoint, CriError]]) -> Opened:
    *mirrors, (_, last) = failures
    if mirrors:
        told = "; ".join(f"{endpoint.reference.repository}: {error.message}" for endpoint, error in mirrors)
        last.message = f"{last.message} (tried before: {told})"
        last.args = (last.message,)
    raise last
