"""The daemon's log: lines in the form that its users' tools read.

Text lines are ``time="…" level=info msg="…"``, JSON lines have the same members. A filter drops every line whose message does not match.
"""

from __future__ import annotations

import datetime
import logging
import os
import re
import sys
from typing import Final

import orjson

LEVELS: Final = {
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": 5,
}
_NAMES: Final = {logging.CRITICAL: "fatal", logging.ERROR: "error", logging.WARNING: "warning", logging.INFO: "info", 5: "trace"}


def _members(record: logging.LogRecord) -> dict[str, str]:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC).astimezone()
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + logging.Formatter().formatException(record.exc_info)
    members = {"time": moment.isoformat(), "level": _NAMES.get(record.levelno, "debug"), "msg": message}
    if record.levelno <= logging.DEBUG:
        members["file"] = f"{record.module}.py:{record.lineno}"
    return members


class TextFormatter(logging.Formatter):
    """``key=value`` words; a value with anything but plain letters is quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without its end."""
        words = []
        for key, value in _members(record).items():
            quoted = key in ("time", "msg") or re.fullmatch(r"[A-Za-z0-9_./:-]+", value) is None
            words.append(f"{key}={orjson.dumps(value).decode() if quoted else value}")
        return " ".join(words)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without its end."""
        return orjson.dumps(_members(record)).decode()


def set_up(level: str, *, json_lines: bool = False, path: str = "", message_filter: str = "") -> None:
    """Send all logging to ``path``, or to stderr. Raises OSError, re.error."""
    stream = sys.stderr
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_SYNC | os.O_CLOEXEC, 0o666)
        stream = os.fdopen(fd, "a", encoding="utf-8")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if json_lines else TextFormatter())
    logging.getLogger().handlers[:] = [handler]
    adjust(level, message_filter)


def adjust(level: str, message_filter: str) -> None:
    """Change what is logged, not where."""
    root = logging.getLogger()
    root.setLevel(LEVELS[level])
    for handler in root.handlers:
        handler.filters[:] = [_Matching(message_filter)] if message_filter else []


class _Matching(logging.Filter):
    """Lets lines pass whose message matches."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = re.compile(pattern)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        return self._pattern.search(record.getMessage()) is not None
