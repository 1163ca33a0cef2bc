"""Reading tar-split files: putting an archive together again from the file and a directory tree.

Written from the format's description alone, as the check of what ``unpack`` writes.
"""

from __future__ import annotations

import base64
import gzip
import json
import pathlib
from dataclasses import dataclass

_POLYNOMIAL = 0xD800000000000000
_ONES = 0xFFFFFFFFFFFFFFFF


def _table() -> tuple[int, ...]:
    out = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ _POLYNOMIAL if crc & 1 else crc >> 1
        out.append(crc)
    return tuple(out)


_TABLE = _table()


def crc64_iso(data: bytes) -> int:
    """CRC-64/ISO: reflected, all ones at the start and inverted at the end."""
    crc = _ONES
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _ONES


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. ``raw`` is the payload of a segment, ``crc`` the checksum of a file's content."""

    name: bytes | None
    size: int
    raw: bytes
    crc: int | None


def _entry(line: str, position: int) -> Entry:
    item = json.loads(line)
    if item["position"] != position:
        raise ValueError(f"line {position} says that its position is {item['position']}")
    if item["type"] == 2:
        return Entry(None, 0, base64.b64decode(item["payload"], validate=True), None)
    if item["type"] != 1:
        raise ValueError(f"line {position} has the unknown type {item['type']}")
    name = base64.b64decode(item["name_raw"], validate=True) if "name_raw" in item else item["name"].encode()
    size = item.get("size", 0)
    if size == 0:
        if item["payload"] is not None:
            raise ValueError(f"line {position} has a checksum and no size")
        return Entry(name, 0, b"", None)
    crc = base64.b64decode(item["payload"], validate=True)
    if len(crc) != 8:
        raise ValueError(f"line {position} has a checksum of {len(crc)} bytes")
    return Entry(name, size, b"", int.from_bytes(crc, "big"))


def read(path: pathlib.Path) -> list[Entry]:
    """All entries of a file; raises ValueError for what is not one."""
    text = gzip.decompress(path.read_bytes()).decode()
    if text and not text.endswith("\n"):
        raise ValueError("the last line has no end")
    return [_entry(line, position) for position, line in enumerate(text.splitlines())]


def _content(root: pathlib.Path, name: bytes) -> bytes:
    """The content of a file by its member name, links on the way followed inside the root."""
    left = name.decode("utf-8", "surrogateescape").split("/")[::-1]
    at: list[str] = []
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            at = at[:-1]
        elif part not in ("", "."):
            path = root.joinpath(*at, part)
            if not path.is_symlink():
                at.append(part)
                continue
            links += 1
            if links > 40:
                raise ValueError(f"{name!r} leads through too many links")
            target = str(path.readlink())
            at = [] if target.startswith("/") else at
            left.extend(target.split("/")[::-1])
    return root.joinpath(*at).read_bytes()


def reassemble(path: pathlib.Path, root: pathlib.Path) -> bytes:
    """The archive, byte for byte; raises ValueError when a file's size or checksum differs."""
    out = []
    for entry in read(path):
        out.append(entry.raw)
        if entry.name is None or entry.crc is None:
            continue
        content = _content(root, entry.name)
        if len(content) != entry.size or crc64_iso(content) != entry.crc:
            raise ValueError(f"{entry.name!r}: the content differs from what was recorded")
        out.append(content)
    return b"".join(out)
