"""In which line of a TOML text a key stands.

The parser of the standard library keeps no positions. This scan is only run when there is something to report, on a
text that the parser has accepted, so it needs to tell keys, values and comments apart, and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_KEY_PART: Final = r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[A-Za-z0-9_-]+'
_KEY: Final = rf"(?:{_KEY_PART})(?:[ \t]*\.[ \t]*(?:{_KEY_PART}))*"
_BLANK: Final = r"[ \t\r\n]*(?:#[^\n]*(?:\n|$)[ \t\r\n]*)*"
# Strings come first, so that brackets, hashes and line ends inside of them are not seen; the long quotes before the short.
_VALUE_TOKEN: Final = r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[{]|[\]}]|\n|[^"\'#\[\]{}\n]+'


def lines_of(text: str) -> Mapping[tuple[str, ...], int]:
    """The line, counted from 1, of every header and every key; keys inside of inline tables are left out."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    position = 0
    while (position := _skip(_BLANK, text, position)) < len(text):
        line = text.count("\n", 0, position) + 1
        if text[position] == "[":
            start = _skip(r"\[\[?[ \t]*", text, position)
            end = _skip(_KEY, text, start)
            table = _parts(text[start:end])
            lines.setdefault(table, line)
            position = _skip(r"[^\n]*", text, end)
        else:
            end = _skip(_KEY, text, position)
            lines[(*table, *_parts(text[position:end]))] = line
            position = _end_of_value(text, end)
    return lines


def line_of(lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> int:
    """The line of the key at ``path``, or of the innermost table around it that has one; 0 if there is none."""
    return next((lines[path[:size]] for size in range(len(path), 0, -1) if path[:size] in lines), 0)


def _skip(pattern: str, text: str, position: int) -> int:
    match = re.compile(pattern, re.DOTALL).match(text, position)
    assert match is not None and (match.end() > position or pattern == _BLANK or pattern == r"[^\n]*")
    return match.end()


def _parts(key: str) -> tuple[str, ...]:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_KEY_PART, key))


def _end_of_value(text: str, position: int) -> int:
    depth = 0
    for token in re.compile(_VALUE_TOKEN, re.DOTALL).finditer(text, position):
        if token[0] == "\n" and depth == 0:
            return token.end()
        depth += (token[0] in "[{") - (token[0] in "]}")
    return len(text)
