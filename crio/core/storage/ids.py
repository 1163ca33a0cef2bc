"""Identifiers of the store: layer ids, link names, digests. Randomness comes in as bytes.

An image layer's id follows from its content and its parent, so that every program computes the same one and shares the layer.
It is not the OCI chain id: the parent's layer id and the bare hex of the diff id are joined by a plus sign and hashed.
"""

from __future__ import annotations

import base64
import hashlib
import re

from crio.core.errors import InvalidArgument

ID_BYTES = 32
LINK_BYTES = 16
LINK_LENGTH = 26
SHORTEST_PREFIX = 3

_ID = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{3,64}")
_DIGEST = re.compile(r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([0-9a-f]{32,})")


def is_id(text: str) -> bool:
    """Whether ``text`` is 64 lower-case hex digits."""
    return _ID.fullmatch(text) is not None


def is_id_prefix(text: str) -> bool:
    """Whether ``text`` can be the beginning of an id: at least 3 hex digits."""
    return _PREFIX.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether ``text`` is ``algorithm:hex``."""
    return _DIGEST.fullmatch(text) is not None


def digest_hex(digest: str, field: str) -> str:
    """Return the hex part of ``digest``. Raises InvalidArgument, naming ``field``, when it is not ``algorithm:hex``."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise InvalidArgument(f"{field} is {digest!r}, expected algorithm:hex, such as sha256:<64 hex digits>")
    return match[2]


def layer_id(parent: str | None, diff_id: str) -> str:
    """Return the id of the layer with ``diff_id`` on top of the layer ``parent`` (None for a base layer)."""
    own = digest_hex(diff_id, "diff_id")
    if parent is None:
        return own
    return hashlib.sha256(f"{parent}+{own}".encode()).hexdigest()


def id_from_random(raw: bytes) -> str | None:
    """Return an id from 32 random bytes, or None when its first 12 digits read as a decimal number: draw again."""
    text = raw.hex()
    return None if text[:12].isdecimal() else text


def link_from_random(raw: bytes) -> str:
    """Return the short name of a layer directory: 26 characters of the base32 alphabet from 16 random bytes."""
    return base64.b32encode(raw).decode()[:LINK_LENGTH]
