"""Docker schema 1: the oldest manifest, without a configuration of its own.

``fsLayers`` and ``history`` run from the top down. Each history entry holds JSON in a string, and the uncompressed digests
are known only after the layers have been read; then ``configuration`` builds the configuration that the image gets.
The digest of a signed one is taken over the document without its signatures.

Source: Docker image manifest version 2, schema 1; specification E.3.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass

from crio.core.image.digest import Digest, digest_of, parse_digest
from crio.core.image.document import Fields, JsonValue, parse_object
from crio.core.image.errors import BadDocument

_ID = re.compile(r"[0-9a-f]{64}")
# Members of the topmost v1 entry that describe the old image, not the container configuration.
_V1_ONLY = frozenset({"id", "parent", "parent_id", "layer_id", "throwaway", "Size"})


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One step of the image, from the base up; ``blob`` is None when it changed no file."""

    blob: Digest | None
    created: str
    author: str
    created_by: str
    comment: str


@dataclass(frozen=True, slots=True)
class SchemaOneManifest:
    """A schema 1 manifest, turned so that the base comes first."""

    payload_digest: Digest
    name: str
    tag: str
    history: tuple[HistoryEntry, ...]
    top: Fields

    @property
    def layers(self) -> tuple[Digest, ...]:
        """The blobs to apply, from the base up."""
        return tuple(entry.blob for entry in self.history if entry.blob is not None)

    def configuration(self, diff_ids: tuple[str, ...]) -> bytes:
        """The image configuration that schema 1 lacks.

        :param diff_ids: the digest of each uncompressed layer of ``layers``
        """
        merged: dict[str, JsonValue] = {key: value for key, value in self.top.values.items() if key not in _V1_ONLY}
        merged["rootfs"] = {"type": "layers", "diff_ids": list(diff_ids)}
        merged["history"] = [_history_json(entry) for entry in self.history]
        return json.dumps(merged, separators=(",", ":"), sort_keys=True).encode()


def parse_schema_one(body: bytes, fields: Fields) -> SchemaOneManifest:
    """Parses a schema 1 manifest whose JSON is ``fields``.

    :raises BadDocument: lists of different length, ids that are not chained, a history entry that is not JSON
    """
    blobs = fields.children("fsLayers")
    entries = fields.children("history")
    if not blobs or len(blobs) != len(entries):
        raise BadDocument(f"{fields.path}: {len(blobs)} fsLayers and {len(entries)} history entries, expected as many")
    parsed = [parse_object(entry.text("v1Compatibility").encode(), f"{entry.path}.v1Compatibility") for entry in entries]
    _check_chain(parsed)
    history = tuple(_history(blob, v1, f"{fields.path}.fsLayers") for blob, v1 in zip(reversed(blobs), reversed(parsed), strict=True))
    return SchemaOneManifest(digest_of(signed_payload(body, fields)), fields.text("name"), fields.text("tag"), history, parsed[0])


def signed_payload(body: bytes, fields: Fields) -> bytes:
    """The bytes that the digest of a schema 1 manifest covers: all of them, or those before the signatures.

    :raises BadDocument: a signature header that is malformed, or two that disagree
    """
    payload: bytes | None = None
    for signature in fields.children("signatures"):
        header = parse_object(_base64url(signature, "protected"), f"{signature.path}.protected")
        length = header.whole("formatLength", -1)
        if not 0 <= length <= len(body):
            raise header.wrong("formatLength", "a length inside of the document")
        candidate = body[:length] + _base64url(header, "formatTail")
        if payload is not None and payload != candidate:
            raise BadDocument(f"{signature.path}: the signatures cover different texts")
        payload = candidate
    return body if payload is None else payload


def _base64url(fields: Fields, key: str) -> bytes:
    text = fields.text(key)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise fields.wrong(key, "base64url") from error


def _check_chain(entries: list[Fields]) -> None:
    for position, entry in enumerate(entries):
        if _ID.fullmatch(entry.text("id")) is None:
            raise entry.wrong("id", "64 hex digits")
        below = entries[position + 1].text("id") if position + 1 < len(entries) else ""
        if entry.text("parent") != below:
            raise entry.wrong("parent", f"the id of the entry below, {below!r}")


def _history(blob: Fields, v1: Fields, path: str) -> HistoryEntry:
    digest = parse_digest(blob.text("blobSum"), path)
    command = v1.child("container_config").texts("Cmd")
    return HistoryEntry(
        blob=None if v1.flag("throwaway") else digest,
        created=v1.text("created"),
        author=v1.text("author"),
        created_by=" ".join(command),
        comment=v1.text("comment"),
    )


def _history_json(entry: HistoryEntry) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {"created": entry.created}
    for key, value in (("author", entry.author), ("created_by", entry.created_by), ("comment", entry.comment)):
        if value:
            found[key] = value
    if entry.blob is None:
        found["empty_layer"] = True
    return found
