"""Times as the store writes them: RFC 3339 in UTC with up to nine fraction digits. Nanoseconds in, nanoseconds out."""

from __future__ import annotations

import datetime
import re

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SHAPE = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)")


def rfc3339_from_ns(time_ns: int) -> str:
    """Return ``time_ns`` (since 1970, UTC) as text, without trailing zeros of the fraction."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    moment = _EPOCH + datetime.timedelta(seconds=seconds)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{digits}Z"


def ns_from_rfc3339(text: str) -> int:
    """Return nanoseconds since 1970; 0 for the unset time (year 1), the empty string and anything that is not a time."""
    match = _SHAPE.fullmatch(text)
    if match is None or text.startswith("0001-"):
        return 0
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        return 0
    whole = moment - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
