"""Answers as people read them (aligned tables and lines) or as programs do (JSON with the CRI's names)."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message

SHORT_ID: Final = 13
_STEPS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
Row = Sequence[str]


def table(headings: Row, rows: Iterable[Row]) -> str:
    """Columns of equal width, two blanks apart; the last one is not filled up."""
    lines = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """``name  value`` lines, aligned; pairs without a value are left out."""
    kept = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in kept), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in kept)


def age(created_at_ns: int, now_ns: int) -> str:
    """How long ago, in the largest unit that fits; empty when the time is unknown."""
    if created_at_ns <= 0:
        return ""
    seconds = max(0, (now_ns - created_at_ns) // 1_000_000_000)
    for size, name in _STEPS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "now"


def moment(at_ns: int) -> str:
    """A time as RFC 3339 in UTC; empty when it never was."""
    if at_ns <= 0:
        return ""
    return datetime.datetime.fromtimestamp(at_ns / 1e9, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def size(count_bytes: float) -> str:
    """A number of bytes with three digits at least."""
    for unit in _UNITS:
        if count_bytes < 1000 or unit == _UNITS[-1]:
            return f"{count_bytes:.0f} {unit}" if unit == "B" else f"{count_bytes:.{1 if count_bytes < 100 else 0}f} {unit}"
        count_bytes /= 1000
    raise AssertionError


def labels(values: Mapping[str, str]) -> str:
    """``key=value`` pairs, sorted."""
    return " ".join(f"{key}={value}" for key, value in sorted(values.items()))


def json_text(message: Message) -> str:
    """The message as JSON, every member present; values of ``info`` that are JSON themselves are shown as such."""
    document = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    info = document.get("info")
    if isinstance(info, dict):
        document["info"] = {key: _inner(value) for key, value in info.items()}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _inner(text: object) -> object:
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        return text


def say(text: str) -> None:
    """One answer on standard output; nothing for an empty text."""
    if text:
        sys.stdout.write(f"{text}\n")
