"""A content digest as a type that is parsed once.

Whoever holds a ``Digest`` may use its hex in a path or a URL: it cannot contain anything but lower-case hex digits.
Source: OCI image specification, descriptors, "Digests".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from crio.core.image.errors import BadReference

HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """An algorithm and the hex of its value; ``str()`` gives ``sha256:…``."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    def matches(self, body: bytes) -> bool:
        """Whether ``body`` has this digest."""
        return hashlib.new(self.algorithm, body).hexdigest() == self.hex


def parse_digest(text: str, what: str = "digest") -> Digest:
    """Parses ``algorithm:hex``.

    :param what: what the digest belongs to, for the error
    :raises BadReference: an unknown algorithm, a wrong length, or anything but lower-case hex
    """
    algorithm, colon, value = text.partition(":")
    length = HEX_LENGTHS.get(algorithm)
    if not colon or length is None:
        raise BadReference(f"{what} {text[:200]!r}: expected sha256:, sha384: or sha512: and hex digits")
    if len(value) != length or _HEX.fullmatch(value) is None:
        raise BadReference(f"{what} {text[:200]!r}: expected {length} lower-case hex digits after {algorithm}:")
    return Digest(algorithm, value)


def digest_of(body: bytes) -> Digest:
    """The SHA-256 digest of ``body``."""
    return Digest("sha256", hashlib.sha256(body).hexdigest())
