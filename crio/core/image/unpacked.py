"""The one line that the unpacker prints, and what its failures mean.

Source: the unpacker's own documentation (``unpack --help``); specification F.
"""

from __future__ import annotations

from dataclasses import dataclass

from crio.core.errors import CriError, Internal, ResourceExhausted
from crio.core.image.digest import Digest, parse_digest
from crio.core.image.document import Fields, JsonValue, parse_object
from crio.core.image.errors import BadDocument, BadLayer, BadReference, DigestMismatch, LayerOverBudget

REPORT_LIMIT_BYTES = 64 * 1024 * 1024
_COMPRESSIONS = {"none": 0, "bzip2": 1, "gzip": 2, "xz": 3, "zstd": 4}
_MISMATCHES = frozenset({"digest_mismatch", "size_mismatch", "diffid_mismatch"})
_BAD = frozenset({"truncated", "bad_archive", "hostile_entry"})


@dataclass(frozen=True, slots=True)
class UnpackReport:
    """What is known of a layer after it was unpacked."""

    digest: Digest
    size_bytes: int
    diff_id: Digest
    diff_size_bytes: int
    compression: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    root_in_tar: bool = False


def parse_report(line: bytes, layer: str) -> UnpackReport:
    """Parses the unpacker's line.

    :param layer: what to call the layer in a sentence
    :raises CriError: the failure that the line tells of
    :raises Internal: the line is none of the unpacker's
    """
    try:
        fields = parse_object(line, "unpacker", limit_bytes=REPORT_LIMIT_BYTES)
        if fields.has("error"):
            raise error_for_code(fields.text("error"), f"{layer}: {fields.text('message')}")
        return UnpackReport(
            digest=parse_digest(fields.text("digest")),
            size_bytes=fields.whole("size"),
            diff_id=parse_digest(fields.text("diff_id")),
            diff_size_bytes=fields.whole("diff_size"),
            compression=_compression(fields),
            uids=_numbers(fields, "uids"),
            gids=_numbers(fields, "gids"),
            root_in_tar=fields.flag("root_in_tar"),
        )
    except (BadDocument, BadReference) as error:
        raise Internal(f"{layer}: the unpacker printed something unexpected: {error.message}") from error


def error_for_code(code: str, message: str) -> CriError:
    """The error for one of the unpacker's codes."""
    word = code.lower().replace("-", "_")
    if word in _MISMATCHES:
        return DigestMismatch(message)
    if word in _BAD:
        return BadLayer(message)
    if word == "no_space":
        return ResourceExhausted(message)
    if word == "budget":
        return LayerOverBudget(message) if "second" in message else ResourceExhausted(message)
    return Internal(message)


def _compression(fields: Fields) -> int:
    value = fields.values.get("compression")
    if isinstance(value, str):
        if value not in _COMPRESSIONS:
            raise fields.wrong("compression", " or ".join(_COMPRESSIONS))
        return _COMPRESSIONS[value]
    return fields.whole("compression")


def _numbers(fields: Fields, key: str) -> tuple[int, ...]:
    return tuple(_number(fields, key, item) for item in fields.items(key))


def _number(fields: Fields, key: str, item: JsonValue) -> int:
    if not isinstance(item, int):
        raise fields.wrong(key, "a list of whole numbers")
    return item
