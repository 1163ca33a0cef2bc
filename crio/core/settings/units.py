"""Durations and sizes in the spelling of the configuration file.

Durations follow Go's syntax (``1h30m``, ``250ms``); sizes are a number with an optional binary or decimal unit
(``12MiB``, ``500KiB``). Source: crio-interfaces §2 (types) and §2.5 (container_min_memory).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
_DURATION: Final = rf"[+-]?(?:{_PART})+"
_SIZE: Final = r"(?i)(\d+(?:\.\d+)?) ?([kmgt]?)(i?)b?"
_SIZE_EXPONENT: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_duration(text: str) -> timedelta:
    """Read a Go duration; a bare ``0`` needs no unit. Raises ValueError for anything else."""
    if text in ("0", "+0", "-0"):
        return timedelta(0)
    if not re.fullmatch(_DURATION, text):
        raise ValueError(f"not a duration: {text!r}")
    nanoseconds = sum(float(number) * _NANOSECONDS[unit] for number, unit in re.findall(_PART, text))
    try:
        return timedelta(microseconds=(-nanoseconds if text.startswith("-") else nanoseconds) / 1000)
    except OverflowError as error:
        raise ValueError(f"too long a duration: {text!r}") from error


def format_duration(duration: timedelta) -> str:
    """Write a duration as Go does: ``4h0m0s``, ``1m30s``, ``1.5s``, ``250ms``, ``0s``."""
    microseconds = duration // timedelta(microseconds=1)
    sign = "-" if microseconds < 0 else ""
    microseconds = abs(microseconds)
    if microseconds == 0:
        return "0s"
    if microseconds < 1000:
        return f"{sign}{microseconds}µs"
    if microseconds < 1_000_000:
        return f"{sign}{_decimal(microseconds, 1000)}ms"
    minutes, rest = divmod(microseconds, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    prefix = (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "")
    return f"{sign}{prefix}{_decimal(rest, 1_000_000)}s"


def _decimal(numerator: int, denominator: int) -> str:
    whole, rest = divmod(numerator, denominator)
    digits = str(rest).rjust(len(str(denominator)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def parse_size_bytes(text: str) -> int:
    """Read a size in bytes; ``k`` and ``KiB`` are 1024, as ``kB`` is too. Raises ValueError for anything else."""
    match = re.fullmatch(_SIZE, text)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    number, prefix, binary = match.groups()
    if binary and not prefix:
        raise ValueError(f"not a size: {text!r}")
    return int(float(number) * 1024 ** _SIZE_EXPONENT[prefix.lower()])
