"""Reading what a registry says apart from content: errors, "come back later", and where a partial answer begins.

Source: OCI distribution specification, "Error codes"; RFC 9110 (Retry-After, Content-Range); specification E.1 and E.5.
"""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass

from crio.core.errors import CriError
from crio.core.image.document import parse_object
from crio.core.image.errors import (
    REGISTRY_CODES,
    BadDocument,
    ManifestUnknown,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnavailable,
)

MAX_RETRY_AFTER_S = 60.0
FIRST_RETRY_AFTER_S = 2.0
RETRY_RESUME_BYTES = 1024 * 1024
RETRY_RESUME_S = 60.0

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:[0-9]{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class RegistryErrorText:
    """The first error of a reply; both empty when the reply carries none."""

    code: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.code, self.message) if part)


def parse_error_reply(body: bytes) -> RegistryErrorText:
    """The first entry of ``errors``; never raises, since an error page may be anything."""
    try:
        errors = parse_object(body, "reply").children("errors")
        if errors:
            return RegistryErrorText(_line(errors[0].text("code")), _line(errors[0].text("message")))
    except BadDocument:
        pass
    return RegistryErrorText("", "")


def _line(text: str) -> str:
    """A registry's words on one line and not longer than a person reads."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:300]).split())


def error_for_status(status: int, body: bytes, asked: str) -> CriError:
    """The error for an answer that is not the content.

    :param asked: what was asked for and where, the beginning of the sentence
    """
    text = parse_error_reply(body)
    error = _error_of(status, f" ({text})" if str(text) else "", asked)
    if text.code in REGISTRY_CODES:
        error.reason = text.code
    elif status == 429:
        error.reason = "TOOMANYREQUESTS"
    return error


def _error_of(status: int, said: str, asked: str) -> CriError:
    if status == 401:
        return RegistryUnauthorized(f"{asked}: unauthorized: the registry wants other credentials{said}")
    if status == 403:
        return RegistryDenied(f"{asked}: denied: the registry refuses access{said}")
    if status == 404:
        return ManifestUnknown(f"{asked}: not found: the registry does not have it{said}")
    if status == 429:
        return RegistryUnavailable(f"{asked}: too many requests, and waiting did not help{said}")
    if status >= 500:
        return RegistryUnavailable(f"{asked}: the registry failed with status {status}{said}")
    return CriError(f"{asked}: the registry answered with status {status}{said}")


def retry_after_s(header: str, attempt: int, now_s: float) -> float:
    """How long to wait after a 429.

    :param header: the ``Retry-After`` header, or an empty string
    :param attempt: how many 429 came before this one; without a header the wait doubles with each
    :param now_s: the time of day in seconds since 1970, for a header that holds a date
    """
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    if text:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            pass
        else:
            return min(max(moment.timestamp() - now_s, 0.0), MAX_RETRY_AFTER_S)
    return min(FIRST_RETRY_AFTER_S * 2.0**attempt, MAX_RETRY_AFTER_S)


def content_range_start(header: str) -> int | None:
    """The first byte of a ``Content-Range`` header, or None when it is not one of bytes."""
    match = _CONTENT_RANGE.fullmatch(header.strip())
    return int(match.group(1)) if match else None


@dataclass(frozen=True, slots=True)
class ResumeRule:
    """Whether a cut download goes on: after the first cut always, later only when it got somewhere meanwhile."""

    offset: int = 0
    at_s: float = 0.0
    used: bool = False

    def allows(self, offset: int, now_s: float) -> bool:
        """Whether a cut at ``offset`` and at the moment ``now_s`` may be resumed."""
        if not self.used:
            return True
        return offset - self.offset >= RETRY_RESUME_BYTES or now_s - self.at_s >= RETRY_RESUME_S

    def after(self, offset: int, now_s: float) -> ResumeRule:
        """The rule after a resume at ``offset``."""
        return ResumeRule(offset, now_s, used=True)
