"""TOML files: find them, read them bounded, parse them, and tell in which line of which file something stands."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from typing import Final

from crio.core.settings.findings import Finding, Severity
from crio.core.settings.schema import Path

MAX_FILE_BYTES: Final = 4 * 1024 * 1024


@dataclasses.dataclass(slots=True)
class Document:
    """One file that was parsed; the text is kept for the line numbers of messages, which are found when first asked for."""

    path: str
    text: str
    content: dict[str, object]
    _lines: Mapping[Path, int] | None = None

    def line_of(self, path: Path) -> int:
        """The line of the key at ``path``, or of the innermost table around it; 0 if there is none."""
        from crio.core.settings.toml_lines import line_of, lines_of

        if self._lines is None:
            self._lines = lines_of(self.text)
        return line_of(self._lines, path)


def read_document(path: str) -> Document | Finding | None:
    """Parse one file. None if it does not exist; a finding, with the line if possible, if it cannot be read or parsed."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            return _unusable(path, f"larger than {MAX_FILE_BYTES} bytes")
        text = data.decode().replace("\r\n", "\n")
        return Document(path, text, tomllib.loads(text))
    except FileNotFoundError:
        return None
    except OSError as error:
        return _unusable(path, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        return _unusable(path, "not UTF-8", data.count(b"\n", 0, error.start) + 1)
    except tomllib.TOMLDecodeError as error:
        place = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", str(error), re.DOTALL)
        if place is None:
            return _unusable(path, f"not TOML: {error}", text.count("\n") + 1)
        return _unusable(path, f"not TOML: {place[1]} (column {place[3]})", int(place[2]))


def files_below(directory: str) -> Iterator[str]:
    """Every regular file below ``directory`` in lexical order of each level; links are followed to files only.

    A missing directory has none. Raises OSError if one cannot be listed.
    """
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for name in names:
        path = os.path.join(directory, name)
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode):
                yield from files_below(path)
            elif stat.S_ISREG(os.stat(path).st_mode):
                yield path
        except FileNotFoundError:
            continue


def _unusable(path: str, problem: str, line: int = 0) -> Finding:
    return Finding(severity=Severity.ERROR, path=(), problem=problem, file=path, line=line)
