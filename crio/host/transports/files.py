"""Pieces of local files as blobs: a whole file of a folder, or a member of an archive where it lies.

Nothing is ever extracted. An archive is indexed once by its headers, and a blob is read at its offset; a compressed archive is first
decompressed into a nameless temporary file, which disappears with its descriptor.
"""

from __future__ import annotations

import asyncio
import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Protocol, cast

from crio.core.image.digest import Digest
from crio.core.image.document import DOCUMENT_LIMIT_BYTES
from crio.core.image.errors import BadDocument, DigestMismatch, ManifestUnknown
from crio.host import syscalls
from crio.host.registry.pipe import BlobFeed

CHUNK_BYTES = 1024 * 1024
MAX_MEMBERS = 100_000
MAX_LINKS = 8
_GZIP, _BZIP2, _XZ = b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0"
_OPENERS: Mapping[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    _GZIP: lambda file: cast("IO[bytes]", gzip.GzipFile(fileobj=file)),
    _BZIP2: lambda file: cast("IO[bytes]", bz2.BZ2File(file)),
    _XZ: lambda file: cast("IO[bytes]", lzma.LZMAFile(file)),  # noqa: SIM115
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of an open file."""

    fd: int
    offset: int
    size_bytes: int


class Pieces(Protocol):
    """Named pieces: a folder or an archive."""

    @property
    def label(self) -> str:
        """The path, for sentences."""

    def find(self, name: str) -> Piece | None:
        """The piece called ``name``; it stays valid until ``close``."""

    def close(self) -> None:
        """Closes all files."""


class FolderPieces:
    """The plain files of a folder; links inside of it cannot lead out of it."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._dir_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ManifestUnknown(f"{path}: {error.strerror}") from error
        self._open: dict[str, Piece] = {}

    @property
    def label(self) -> str:
        """The path."""
        return self._path

    def find(self, name: str) -> Piece | None:
        """The file ``name``; a name may have folders in it but never leads out of this one."""
        if name not in self._open:
            parts = name.split("/")
            if any(part in {"", ".", ".."} for part in parts):
                return None
            try:
                fd = syscalls.openat2(self._dir_fd, name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return None
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                os.close(fd)
                return None
            self._open[name] = Piece(fd, 0, status.st_size)
        return self._open[name]

    def close(self) -> None:
        """Closes all files."""
        for piece in self._open.values():
            os.close(piece.fd)
        self._open.clear()
        os.close(self._dir_fd)


class ArchivePieces:
    """The members of a tar archive."""

    def __init__(self, path: str, temporary_folder: str) -> None:
        self._path = path
        try:
            file = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise ManifestUnknown(f"{path}: {error.strerror}") from error
        try:
            self._file = _plain(file, path, temporary_folder)
        except BaseException:
            file.close()
            raise
        try:
            self._pieces, self._links = _index(self._file, path)
        except BaseException:
            self._file.close()
            raise

    @property
    def label(self) -> str:
        """The path."""
        return self._path

    def find(self, name: str) -> Piece | None:
        """The member ``name``, links inside of the archive followed."""
        for _ in range(MAX_LINKS):
            if name not in self._links:
                break
            name = self._links[name]
        return self._pieces.get(name)

    def close(self) -> None:
        """Closes the archive."""
        self._file.close()


def _plain(file: IO[bytes], path: str, temporary_folder: str) -> IO[bytes]:
    head = file.read(6)
    file.seek(0)
    opener = next((found for magic, found in _OPENERS.items() if head.startswith(magic)), None)
    if opener is None:
        return file
    plain = tempfile.TemporaryFile(dir=temporary_folder)  # noqa: SIM115
    try:
        with file, opener(file) as packed:
            shutil.copyfileobj(packed, plain, CHUNK_BYTES)
    except (OSError, EOFError, lzma.LZMAError) as error:
        plain.close()
        raise BadDocument(f"{path}: cannot be decompressed: {error}") from error
    plain.seek(0)
    return cast("IO[bytes]", plain)


def _index(file: IO[bytes], path: str) -> tuple[dict[str, Piece], dict[str, str]]:
    pieces: dict[str, Piece] = {}
    links: dict[str, str] = {}
    try:
        # Only headers are read here; nothing is extracted.
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for number, member in enumerate(archive):
                if number >= MAX_MEMBERS:
                    raise BadDocument(f"{path}: more than {MAX_MEMBERS} members")
                name = os.path.normpath(member.name)
                if member.isreg() and not member.issparse():
                    pieces[name] = Piece(file.fileno(), member.offset_data, member.size)
                elif member.issym():
                    links[name] = os.path.normpath(os.path.join(os.path.dirname(name), member.linkname))
                elif member.islnk():
                    links[name] = os.path.normpath(member.linkname)
    except (tarfile.TarError, EOFError) as error:
        raise BadDocument(f"{path}: not a tar archive: {error}") from error
    return pieces, links


async def read_piece(pieces: Pieces, name: str, limit_bytes: int = DOCUMENT_LIMIT_BYTES) -> bytes:
    """The content of a small piece.

    :raises ManifestUnknown: there is none of this name
    :raises BadDocument: it is bigger than ``limit_bytes``
    """
    piece = await asyncio.to_thread(pieces.find, name)
    if piece is None:
        raise ManifestUnknown(f"{pieces.label}: has no {name!r}")
    if piece.size_bytes > limit_bytes:
        raise BadDocument(f"{pieces.label}: {name!r} has {piece.size_bytes} bytes, limit {limit_bytes}")
    return await asyncio.to_thread(os.pread, piece.fd, piece.size_bytes, piece.offset)


async def send_piece(piece: Piece, feed: BlobFeed, on_bytes: Callable[[int], None]) -> None:
    """Writes a piece into ``feed``."""
    done = 0
    while done < piece.size_bytes:
        count = min(CHUNK_BYTES, piece.size_bytes - done)
        chunk = await asyncio.to_thread(os.pread, piece.fd, count, piece.offset + done)
        if not chunk:
            raise DigestMismatch(f"file became shorter while it was read: {done} of {piece.size_bytes} bytes")
        await feed.write(chunk)
        done += len(chunk)
        on_bytes(len(chunk))


def hash_piece(piece: Piece) -> Digest:
    """The SHA-256 digest of a piece; reads all of it."""
    state = hashlib.sha256()
    done = 0
    while done < piece.size_bytes and (chunk := os.pread(piece.fd, min(CHUNK_BYTES, piece.size_bytes - done), piece.offset + done)):
        state.update(chunk)
        done += len(chunk)
    return Digest("sha256", state.hexdigest())


def is_compressed(piece: Piece) -> bool:
    """Whether a piece begins like a compressed file."""
    head = os.pread(piece.fd, 6, piece.offset)
    return head.startswith((_GZIP, _BZIP2, _XZ, b"\x28\xb5\x2f\xfd"))
