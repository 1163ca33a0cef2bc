"""Putting a layer's tar together again from its tar-split file and the files on disk, to compare digest and size.

Nothing is written: the bytes go through a hash. Names come from a file that another program may have written, and the tree below
is a container image's: every path is resolved below the layer's own directory, following no link.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass

import orjson

from crio.host import syscalls

_CHUNK = 1024 * 1024
_LINE_LIMIT = 64 * 1024 * 1024
_RESOLVE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS


class Unassembled(Exception):
    """The tar cannot be put together; the sentence says at which entry and why."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """What came out: digest and size of the whole tar."""

    digest: str
    size_bytes: int


def assemble(recipe_path: str, diff_path: str) -> Assembled:
    """Return digest and size of the tar that ``recipe_path`` and the files below ``diff_path`` make. Raises Unassembled."""
    digest = hashlib.sha256()
    size = 0
    root = os.open(diff_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with gzip.open(recipe_path, "rb") as recipe:
            while line := recipe.readline(_LINE_LIMIT):
                size += _add(line, root, digest)
    except (OSError, EOFError, zlib.error) as error:
        raise Unassembled(f"{recipe_path}: {error}") from error
    finally:
        os.close(root)
    return Assembled(f"sha256:{digest.hexdigest()}", size)


def _add(line: bytes, root: int, digest: hashlib._Hash) -> int:
    try:
        entry = orjson.loads(line)
        if entry["type"] == 2:
            data = base64.b64decode(entry["payload"] or "")
            digest.update(data)
            return len(data)
        name = os.fsdecode(base64.b64decode(entry["name_raw"])) if entry.get("name_raw") else entry.get("name", "")
        size = int(entry.get("size", 0))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise Unassembled(f"a line of the recipe is not an entry: {error!r}") from error
    if size > 0:
        _add_file(root, name, size, digest)
    return size


def _add_file(root: int, name: str, size: int, digest: hashlib._Hash) -> None:
    path = os.path.normpath(f"/{name}").lstrip("/")
    try:
        fd = syscalls.openat2(root, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, 0, _RESOLVE)
    except OSError as error:
        raise Unassembled(f"{name!r}: {error.strerror}") from error
    try:
        left = size
        while left > 0:
            data = os.read(fd, min(left, _CHUNK))
            if not data:
                raise Unassembled(f"{name!r}: {size - left} bytes on disk, expected {size}")
            digest.update(data)
            left -= len(data)
    finally:
        os.close(fd)
