"""One layer: entries in, a reproducible tar and its digests out.

The writer adds nothing of its own: entries come out in the order given, with exactly their names. So the same code makes
the good layers of the kit (which sorts its entries) and the bad ones of the tests (absolute names, ``..``, devices).
"""

from __future__ import annotations

import enum
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# One moment for every file and every "created" of the kit: 2024-01-01T00:00:00Z.
EPOCH_S = 1_704_067_200
GZIP_LEVEL = 6
GZIP_WINDOW_BITS = 31


class Kind(enum.Enum):
    """What an entry is; the values are the type flags of the tar header. Source: POSIX pax, ustar typeflag."""

    FILE = b"0"
    HARD_LINK = b"1"
    SYMLINK = b"2"
    CHARACTER_DEVICE = b"3"
    BLOCK_DEVICE = b"4"
    DIRECTORY = b"5"
    FIFO = b"6"


class Compression(enum.Enum):
    """How a layer's blob is packed."""

    NONE = "tar"
    GZIP = "tar+gzip"


@dataclass(frozen=True, slots=True)
class Entry:
    """One header of the tar, with its data; ``link`` is the target of a link, ``xattrs`` are raw extended attributes."""

    path: str
    kind: Kind = Kind.FILE
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Layer:
    """A packed layer: the blob as a registry serves it, its digest and the digest of the tar inside."""

    blob: bytes
    digest: str
    diff_id: str
    compression: Compression


def file(path: str, data: bytes | str, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> Entry:
    """A regular file."""
    raw = data.encode() if isinstance(data, str) else data
    return Entry(path, data=raw, mode=mode, uid=owner[0], gid=owner[1])


def program(path: str, data: bytes | str, mode: int = 0o755) -> Entry:
    """An executable file of root."""
    return file(path, data, mode)


def directory(path: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> Entry:
    """A directory."""
    return Entry(path, Kind.DIRECTORY, mode=mode, uid=owner[0], gid=owner[1])


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, Kind.SYMLINK, link=target, mode=0o777)


def hard_link(path: str, target: str, mode: int = 0o755) -> Entry:
    """Another name of an earlier entry of the same layer; ``target`` is that entry's path."""
    return Entry(path, Kind.HARD_LINK, link=target, mode=mode)


def whiteout(path: str) -> Entry:
    """The mark that hides ``path`` of the layers below. Source: OCI image-spec, layer.md, whiteouts."""
    folder, _, name = path.rpartition("/")
    return Entry(f"{folder}/.wh.{name}" if folder else f".wh.{name}", mode=0)


def opaque(path: str) -> Entry:
    """The mark that hides everything the layers below have in the directory ``path``."""
    return Entry(f"{path}/.wh..wh..opq", mode=0)


def sha256(data: bytes) -> str:
    """The digest of some bytes, with its algorithm."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _header(entry: Entry) -> tarfile.TarInfo:
    header = tarfile.TarInfo(entry.path)
    header.type = entry.kind.value
    header.mode, header.uid, header.gid, header.mtime = entry.mode, entry.uid, entry.gid, EPOCH_S
    header.linkname = entry.link
    header.devmajor, header.devminor = entry.device
    header.size = len(entry.data)
    header.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in sorted(entry.xattrs.items())}
    return header


def pack_tar(entries: Iterable[Entry]) -> bytes:
    """The tar of these entries, in their order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            archive.addfile(_header(entry), io.BytesIO(entry.data))
    return out.getvalue()


def gzip(data: bytes) -> bytes:
    """One gzip member without name and time, so that it depends on the data alone."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW_BITS)
    return packer.compress(data) + packer.flush()


def from_tar(tar: bytes, compression: Compression = Compression.GZIP) -> Layer:
    """A layer around a tar that exists already, a broken one for instance."""
    blob = gzip(tar) if compression is Compression.GZIP else tar
    return Layer(blob, sha256(blob), sha256(tar), compression)


def layer(entries: Iterable[Entry], compression: Compression = Compression.GZIP) -> Layer:
    """A layer of these entries, in their order."""
    return from_tar(pack_tar(entries), compression)


def _rank(entry: Entry) -> tuple[bool, str]:
    return (entry.kind is Kind.HARD_LINK, entry.path)


def with_parents(entries: Iterable[Entry]) -> list[Entry]:
    """The entries sorted (links after what they point to), with the directories that nobody listed."""
    listed = {entry.path.rstrip("/"): entry for entry in entries}
    for path in list(listed):
        folder = path.rpartition("/")[0]
        while folder and folder not in listed:
            listed[folder] = directory(folder)
            folder = folder.rpartition("/")[0]
    return sorted(listed.values(), key=_rank)
