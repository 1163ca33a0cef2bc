"""Tar archives made byte by byte, so that a test can also write what no tar program would.

A :class:`Member` says what goes into one header; :func:`archive` joins members and ends the archive. Nothing is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BLOCK = 512
END = bytes(2 * BLOCK)
FILE, HARDLINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = "0", "1", "2", "3", "4", "5", "6"
USTAR = b"ustar\x0000"
GNU = b"ustar  \x00"
OLD = bytes(8)


@dataclass(frozen=True, slots=True)
class Member:
    """One member. ``pax`` becomes an extended header in front; ``size`` overrides the length of ``content``."""

    name: str | bytes
    content: bytes = b""
    kind: str = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 1_000_000_000
    link: str | bytes = ""
    size: int | None = None
    major: int = 0
    minor: int = 0
    magic: bytes = USTAR
    prefix: str = ""
    binary_numbers: bool = False
    pax: Mapping[str, str | bytes] = field(default_factory=dict)


def raw(text: str | bytes) -> bytes:
    """The bytes of a name."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def octal(value: int, width: int) -> bytes:
    """A numeric field, NUL-ended; base-256 when octal does not fit."""
    text = b"%0*o" % (width - 1, value) if value >= 0 else b""
    return text + b"\0" if value >= 0 and len(text) < width else base256(value, width)


def base256(value: int, width: int) -> bytes:
    """A numeric field in GNU's binary form."""
    data = bytearray(value.to_bytes(width, "big", signed=True))
    data[0] |= 0x80
    return bytes(data)


def with_checksum(block: bytes | bytearray) -> bytes:
    """The header with its checksum filled in."""
    data = bytearray(block)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


def header(member: Member) -> bytes:
    """The 512 bytes of a member's own header; names are cut to their fields."""
    number = base256 if member.binary_numbers else octal
    size = len(member.content) if member.size is None else member.size
    block = bytearray(BLOCK)
    block[0:100] = raw(member.name)[:100].ljust(100, b"\0")
    block[100:108] = octal(member.mode, 8)
    block[108:116] = number(member.uid, 8)
    block[116:124] = number(member.gid, 8)
    block[124:136] = number(size, 12)
    block[136:148] = number(member.mtime, 12)
    block[156:157] = member.kind.encode("latin-1")
    block[157:257] = raw(member.link)[:100].ljust(100, b"\0")
    block[257:265] = member.magic
    block[329:337] = octal(member.major, 8)
    block[337:345] = octal(member.minor, 8)
    block[345:500] = raw(member.prefix)[:155].ljust(155, b"\0")
    return with_checksum(block)


def padded(data: bytes) -> bytes:
    """The data and zeros up to the next block."""
    return data + bytes(-len(data) % BLOCK)


def pax_records(records: Mapping[str, str | bytes]) -> bytes:
    """``length key=value`` lines, the length counting itself."""
    out = b""
    for key, value in records.items():
        body = b" " + raw(key) + b"=" + raw(value) + b"\n"
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        out += str(length).encode() + body
    return out


def extension(kind: str, data: bytes, name: str = "ext") -> bytes:
    """An extension header (``x``, ``g``, ``L``, ``K``) and its data."""
    return header(Member(name, kind=kind, size=len(data), magic=GNU if kind in "LK" else USTAR)) + padded(data)


def member_bytes(member: Member) -> bytes:
    """Everything of one member: extended header, header, content, padding."""
    front = extension("x", pax_records(member.pax)) if member.pax else b""
    return front + header(member) + padded(member.content)


def archive(*parts: Member | bytes, end: bytes = END) -> bytes:
    """Members, or raw bytes in their place, and the end blocks."""
    return b"".join(part if isinstance(part, bytes) else member_bytes(part) for part in parts) + end


def gnu_long(name: bytes = b"", link: bytes = b"") -> bytes:
    """GNU's ``L`` and ``K`` headers in front of a member."""
    out = extension("L", name + b"\0", "././@LongLink") if name else b""
    return out + (extension("K", link + b"\0", "././@LongLink") if link else b"")
