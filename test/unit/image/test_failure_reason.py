"""One word for why a pull failed, from a closed list."""

from __future__ import annotations

import json

import pytest

from crio.core.errors import CriError, DeadlineExceeded
from crio.core.image.errors import (
    BlockedRegistry,
    NoMatchingPlatform,
    RegistryUnavailable,
    SignatureValidationFailed,
    failure_reason,
)
from crio.core.image.replies import error_for_status


def said(status: int, code: str = "") -> CriError:
    """What becomes of an answer of a registry."""
    body = json.dumps({"errors": [{"code": code, "message": "said so"}]}).encode() if code else b"<html>"
    return error_for_status(status, body, "asked")


REASONS = {
    "the registry's own code": (said(404, "NAME_UNKNOWN"), "NAME_UNKNOWN"),
    "its code with another status": (said(500, "TOOMANYREQUESTS"), "TOOMANYREQUESTS"),
    "a code that it made up": (said(404, "PONIES"), "NOT_FOUND"),
    "404 without a code": (said(404), "NOT_FOUND"),
    "401 without a code": (said(401), "UNAUTHORIZED"),
    "403 without a code": (said(403), "DENIED"),
    "429 without a code": (said(429), "TOOMANYREQUESTS"),
    "503 without a code": (said(503), "UNKNOWN"),
    "nobody there": (RegistryUnavailable("x", "CONNECTION_REFUSED"), "CONNECTION_REFUSED"),
    "a registry that falls silent": (DeadlineExceeded("x"), "CONNECTION_TIMEOUT"),
    "no image for this machine": (NoMatchingPlatform("x"), "NOT_FOUND"),
    "blocked by registries.conf": (BlockedRegistry("x"), "UNKNOWN"),
    "a policy's no": (SignatureValidationFailed("x"), "UNKNOWN"),
    "a bug": (ValueError("x"), "UNKNOWN"),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_reason_is_one_word(case: str) -> None:
    error, wanted = REASONS[case]
    assert failure_reason(error) == wanted
