"""The last-writer token at the beginning of a lock file: 64 bytes that differ after every write.

Layout: nanoseconds and a counter (little endian, 8 bytes each), process id (4), randomness. Readers compare for equality only.
"""

from __future__ import annotations

import struct

TOKEN_BYTES = 64
RANDOM_BYTES = 44
_HEAD = struct.Struct("<QQI")


def make_token(now_ns: int, counter: int, pid: int, randomness: bytes) -> bytes:
    """Return a token; ``randomness`` is 44 bytes."""
    assert len(randomness) == RANDOM_BYTES
    return _HEAD.pack(now_ns & 0xFFFF_FFFF_FFFF_FFFF, counter & 0xFFFF_FFFF_FFFF_FFFF, pid & 0xFFFF_FFFF) + randomness
