"""Sigstore signatures as data: the form in which they are stored, and what their transparency log entry claims.

Source: containers-signature(5); cosign signature specification; specification D.7.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from crio.core.image.document import Fields, parse_object
from crio.core.image.errors import BadDocument

MAGIC = b"\0sigstore-json\n"
PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_KEY = "dev.cosignproject.cosign/signature"
BUNDLE_KEY = "dev.sigstore.cosign/bundle"
CERTIFICATE_KEY = "dev.sigstore.cosign/certificate"
CHAIN_KEY = "dev.sigstore.cosign/chain"


@dataclass(frozen=True, slots=True)
class SigstoreBlob:
    """One signature: the signed payload, and the annotations that carry signature, certificate and log entry."""

    mime_type: str
    payload: bytes
    annotations: Mapping[str, str]

    def encode(self) -> bytes:
        """The form in which stores and lookaside servers keep it."""
        document = {
            "mimeType": self.mime_type,
            "payload": base64.b64encode(self.payload).decode(),
            "annotations": dict(self.annotations),
        }
        return MAGIC + json.dumps(document, separators=(",", ":")).encode()

    @property
    def signature(self) -> bytes:
        """The raw signature over the payload.

        :raises BadDocument: absent or not base64
        """
        return _decoded(self.annotations.get(SIGNATURE_KEY, ""), SIGNATURE_KEY)


def parse_sigstore_blob(blob: bytes) -> SigstoreBlob | None:
    """Parses a stored signature; None when it is of another kind.

    :raises BadDocument: it says that it is one and is malformed
    """
    if not blob.startswith(MAGIC):
        return None
    fields = parse_object(blob[len(MAGIC) :], "sigstore signature")
    payload = _decoded(fields.text("payload"), "payload")
    return SigstoreBlob(fields.text("mimeType"), payload, fields.text_map("annotations"))


@dataclass(frozen=True, slots=True)
class RekorEntry:
    """An entry of the transparency log: when it was made, what was signed over it, and what it is about."""

    signed_bytes: bytes
    timestamp_signature: bytes
    integrated_at_s: int
    payload_sha256: str
    signature: bytes
    public_key_pem: bytes


def parse_rekor_bundle(text: str) -> RekorEntry:
    """Parses the bundle annotation.

    :raises BadDocument: malformed, or an entry of another kind than hashedrekord 0.0.1
    """
    bundle = parse_object(text.encode(), "Rekor bundle", unique_keys=True)
    payload = bundle.child("Payload")
    payload.only(frozenset({"body", "integratedTime", "logIndex", "logID"}))
    body = parse_object(_decoded(payload.text("body"), "body"), "Rekor entry", unique_keys=True)
    if (body.text("kind"), body.text("apiVersion")) != ("hashedrekord", "0.0.1"):
        raise body.wrong("kind", "hashedrekord of version 0.0.1")
    digest, signature = _entry_parts(body.child("spec"))
    return RekorEntry(
        signed_bytes=json.dumps(dict(payload.values), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
        timestamp_signature=_decoded(bundle.text("SignedEntryTimestamp"), "SignedEntryTimestamp"),
        integrated_at_s=payload.whole("integratedTime"),
        payload_sha256=digest,
        signature=_decoded(signature.text("content"), "signature.content"),
        public_key_pem=_decoded(signature.child("publicKey").text("content"), "publicKey.content"),
    )


def _entry_parts(spec: Fields) -> tuple[str, Fields]:
    digest = spec.child("data").child("hash")
    if digest.text("algorithm") != "sha256":
        raise digest.wrong("algorithm", "sha256")
    return digest.text("value"), spec.child("signature")


def entry_is_about(entry: RekorEntry, payload: bytes, signature: bytes) -> bool:
    """Whether the log entry is for this payload and this signature."""
    return entry.payload_sha256 == hashlib.sha256(payload).hexdigest() and entry.signature == signature


def _decoded(text: str, what: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadDocument(f"sigstore signature: {what} is not base64") from error
    if not found:
        raise BadDocument(f"sigstore signature: {what} is missing")
    return found
