"""Lengths of signature blobs in an image's metadata: the blobs themselves are stored joined without separators."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from crio.core.storage.jsonvalue import JsonValue

_INSTANCE_SIZES = "signature-sizes"
_SIZES_BY_DIGEST = "signatures-sizes"


def metadata_with(metadata: str, instance: str, signatures: Mapping[str, tuple[bytes, ...]]) -> str:
    """Return image metadata with the lengths of ``signatures`` (by manifest digest) added; ``instance`` is the image's own."""
    if not signatures:
        return metadata or "{}"
    values = _object(metadata)
    known = values.get(_SIZES_BY_DIGEST)
    sizes: dict[str, JsonValue] = dict(known) if isinstance(known, dict) else {}
    for digest, blobs in signatures.items():
        lengths: list[JsonValue] = [len(blob) for blob in blobs]
        sizes[digest] = lengths
        if digest == instance:
            values[_INSTANCE_SIZES] = lengths
    values[_SIZES_BY_DIGEST] = sizes
    return orjson.dumps(values).decode()


def split_signatures(metadata: str, digest: str, joined: bytes) -> tuple[bytes, ...]:
    """Return the blobs of the manifest ``digest`` from what is stored joined. Lengths that do not add up give nothing."""
    sizes = _object(metadata).get(_SIZES_BY_DIGEST)
    lengths = sizes.get(digest) if isinstance(sizes, dict) else None
    if not isinstance(lengths, list):
        return ()
    numbers = [length for length in lengths if isinstance(length, int) and length >= 0]
    if len(numbers) != len(lengths) or sum(numbers) != len(joined):
        return ()
    blobs = []
    for number in numbers:
        blobs.append(joined[:number])
        joined = joined[number:]
    return tuple(blobs)


def _object(text: str) -> dict[str, JsonValue]:
    try:
        value: JsonValue = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
