"""Bringing an image from a file or folder into the store: ``oci``, ``oci-archive``, ``docker-archive``, ``dir``.

This is for operators and tools; a pod cannot name files of the host as its image.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from crio.core.image.digest import Digest
from crio.core.image.errors import BadReference
from crio.core.image.policy import path_scopes
from crio.core.image.reference import parse_reference
from crio.host.pull.onepull import Bench, Fetched, fetch_image
from crio.host.pull.options import PullResult
from crio.host.pull.progress import PullCounter
from crio.host.pull.resolve import resolve
from crio.host.pull.trust import TrustSubject
from crio.host.transports.files import ArchivePieces, FolderPieces, Pieces, read_piece
from crio.host.transports.sources import OpenedLocal, open_directory, open_docker_archive, open_layout

TRANSPORTS = ("oci", "oci-archive", "docker-archive", "dir")
MAX_SIGNATURES = 128


@dataclass(frozen=True, slots=True)
class LocalReference:
    """``transport:path[:selector]``."""

    transport: str
    path: str
    selector: str = ""


def parse_local_reference(text: str) -> LocalReference | None:
    """Parses a reference to a file or folder; None when it names another transport.

    :raises BadReference: no path
    """
    transport, colon, rest = text.partition(":")
    if not colon or transport not in TRANSPORTS:
        return None
    path, _, selector = (rest, "", "") if transport == "dir" else rest.partition(":")
    if not path:
        raise BadReference(f"image {text!r}: expected {transport}:PATH")
    return LocalReference(transport, os.path.realpath(path), selector)


@dataclass(frozen=True, slots=True)
class DirectorySignatures:
    """The signatures beside the blobs of a plain directory; other local transports have none."""

    pieces: Pieces | None

    async def signatures(self, digest: Digest) -> tuple[bytes, ...]:
        """All signature blobs of the directory."""
        found: list[bytes] = []
        while self.pieces is not None and len(found) < MAX_SIGNATURES:
            name = f"signature-{len(found) + 1}"
            if await asyncio.to_thread(self.pieces.find, name) is None:
                break
            found.append(await read_piece(self.pieces, name))
        return tuple(found)


async def load_local(bench: Bench, reference: LocalReference, name: str, counter: PullCounter) -> PullResult:
    """Brings the image that ``reference`` names into the store.

    :param name: the name that it gets; when empty, the names that the archive gives it
    """
    pieces = await asyncio.to_thread(_open_pieces, reference, bench.options.big_files_dir)
    try:
        opened = await _open(pieces, reference)
        image = await resolve(opened.source, opened.source.top, None, bench.options.platform)
        names = (str(parse_reference(name).settled()),) if name else opened.names
        asked = parse_reference(names[0]) if names else None
        subject = TrustSubject(
            reference.transport,
            tuple(path_scopes(reference.path, reference.selector)),
            None,
            image.instance_digest,
            DirectorySignatures(pieces if reference.transport == "dir" else None),
        )
        await bench.trust.check(subject, "")
        return await fetch_image(bench, Fetched(opened.source, image, names), asked, counter)
    finally:
        await asyncio.to_thread(pieces.close)


def _open_pieces(reference: LocalReference, temporary_folder: str) -> Pieces:
    if reference.transport in {"oci", "dir"}:
        return FolderPieces(reference.path)
    return ArchivePieces(reference.path, temporary_folder)


async def _open(pieces: Pieces, reference: LocalReference) -> OpenedLocal:
    if reference.transport == "dir":
        return await open_directory(pieces)
    if reference.transport == "docker-archive":
        return await open_docker_archive(pieces, reference.selector)
    return await open_layout(pieces, reference.selector)
