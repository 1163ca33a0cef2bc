"""The artifact store: an OCI layout that podman uses in the same way.

A blob is written under another name, checked, synced and renamed; the index is replaced as a whole under its lock. Removal takes
the entry out first and then the blobs that no remaining entry needs.

Source: specification C.7.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from crio.core.errors import NotFound
from crio.core.image.artifact import (
    LAYOUT,
    Artifact,
    IndexEntry,
    encode_artifact_index,
    new_entry,
    parse_artifact_index,
    with_entry,
)
from crio.core.image.digest import Digest
from crio.core.image.document import DOCUMENT_LIMIT_BYTES
from crio.core.image.errors import DigestMismatch
from crio.core.image.manifest import ImageManifest, parse_manifest
from crio.host.pull.progress import LayerCounter, LayerState
from crio.host.pull.source import Blob, ImageSource
from crio.host.registry.conffiles import read_bounded_file
from crio.host.store.lockfile import LockFile

_EMPTY = b'{"schemaVersion":2,"manifests":[]}'


class FileFeed:
    """Writes a blob to a file and hashes it on the way; the file appears under its digest only when that is right."""

    def __init__(self, path: str, digest: Digest) -> None:
        self._path = path
        self._digest = digest
        self._hash = hashlib.new(digest.algorithm)
        self._fd, self._temporary = tempfile.mkstemp(prefix=".incoming-", dir=os.path.dirname(path))

    async def write(self, data: bytes | memoryview) -> None:
        """Appends ``data``."""
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def finish(self) -> None:
        """Gives the file its name.

        :raises DigestMismatch: the content is another
        """
        if self._hash.hexdigest() != self._digest.hex:
            raise DigestMismatch(f"blob {self._digest}: the content has another digest")
        os.fsync(self._fd)
        os.rename(self._temporary, self._path)

    def close(self) -> None:
        """Closes the file, and removes it when it never got its name."""
        os.close(self._fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)


@dataclass(frozen=True, slots=True)
class ArtifactBlob:
    """One blob of an artifact on its way."""

    blob: Blob
    counter: LayerCounter


class ArtifactStore:
    """Artifacts below ``path``; all methods but ``fetch`` block. A ``read_only`` one is only looked into."""

    def __init__(self, path: str, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._blobs = f"{path}/blobs/sha256"
        self._lock = LockFile(f"{path}/index.lock")

    def artifacts(self) -> tuple[Artifact, ...]:
        """All artifacts."""
        if not os.path.exists(f"{self.path}/index.json"):
            return ()
        return tuple(self._describe(entry) for entry in self._entries())

    def find(self, text: str) -> Artifact | None:
        """The artifact with this reference, id, or id prefix of at least three digits."""
        found = self.artifacts()
        for artifact in found:
            if text in {artifact.reference, artifact.artifact_id, *artifact.repo_digests}:
                return artifact
        if len(text) < 3:
            return None
        alike = {one.artifact_id: one for one in found if one.artifact_id.startswith(text.removeprefix("sha256:"))}
        return next(iter(alike.values())) if len(alike) == 1 else None

    def blob_path(self, digest: Digest) -> str:
        """Where a blob is."""
        return f"{self._blobs}/{digest.hex}"

    async def fetch(self, source: ImageSource, wanted: ArtifactBlob) -> None:
        """Brings one blob into the layout, unless it is there."""
        path = self.blob_path(wanted.blob.digest)
        await asyncio.to_thread(self._prepare)
        if await asyncio.to_thread(os.path.exists, path):
            wanted.counter.enter(LayerState.PRESENT)
            return
        wanted.counter.enter(LayerState.FETCHING)
        feed = await asyncio.to_thread(FileFeed, path, wanted.blob.digest)
        try:
            await source.send_blob(wanted.blob, feed, wanted.counter.add)
            await asyncio.to_thread(feed.finish)
        finally:
            feed.close()
        wanted.counter.enter(LayerState.COMMITTED)

    def add(self, manifest: bytes, media_type: str, digest: Digest, reference: str) -> None:
        """Records an artifact whose blobs are there."""
        self._replace(self.blob_path(digest), manifest)
        with self._lock.writing():
            entry = new_entry(media_type, digest, len(manifest), reference)
            self._save(with_entry(self._entries(), entry))

    def remove(self, text: str) -> None:
        """Removes an artifact and the blobs that nothing else needs.

        :raises NotFound: there is none
        """
        found = self.find(text)
        if found is None:
            raise NotFound(f"artifact {text!r} is not in the store")
        with self._lock.writing():
            kept = tuple(
                entry for entry in self._entries() if (entry.descriptor.digest, entry.reference) != (found.digest, found.reference)
            )
            self._save(kept)
            needed = {digest for entry in kept for digest in self._needed(entry)}
            for name in os.listdir(self._blobs):
                if name not in needed and not name.startswith(".incoming-"):
                    os.unlink(f"{self._blobs}/{name}")

    def _needed(self, entry: IndexEntry) -> Iterator[str]:
        yield entry.descriptor.digest.hex
        manifest = self._manifest(entry)
        yield manifest.config.digest.hex
        for layer in manifest.layers:
            yield layer.digest.hex

    def _describe(self, entry: IndexEntry) -> Artifact:
        manifest = self._manifest(entry)
        size = sum(layer.size_bytes for layer in manifest.layers)
        return Artifact(entry.descriptor.digest, entry.reference, size, manifest.layers, manifest.annotations)

    def _manifest(self, entry: IndexEntry) -> ImageManifest:
        digest = entry.descriptor.digest
        body = read_bounded_file(self.blob_path(digest), DOCUMENT_LIMIT_BYTES)
        manifest = parse_manifest(body, entry.descriptor.media_type, f"artifact {digest}")
        if not isinstance(manifest, ImageManifest) or not digest.matches(body):
            raise DigestMismatch(f"artifact {digest}: its manifest in the store is damaged")
        return manifest

    def _entries(self) -> tuple[IndexEntry, ...]:
        try:
            return parse_artifact_index(read_bounded_file(f"{self.path}/index.json"))
        except FileNotFoundError:
            return ()

    def _prepare(self) -> None:
        os.makedirs(self._blobs, mode=0o700, exist_ok=True)
        for name, content in (("oci-layout", LAYOUT), ("index.json", _EMPTY)):
            if not os.path.exists(f"{self.path}/{name}"):
                self._replace(f"{self.path}/{name}", content)

    def _save(self, entries: tuple[IndexEntry, ...]) -> None:
        self._replace(f"{self.path}/index.json", encode_artifact_index(entries))

    def _replace(self, path: str, content: bytes) -> None:
        fd, temporary = tempfile.mkstemp(prefix=".incoming-", dir=os.path.dirname(path))
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
