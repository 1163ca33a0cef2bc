"""What is wrong, or only worth knowing, about a configuration: one sentence with file, line and the nearest valid name."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

UNKNOWN_KEY: Final = "unknown key"


class Severity(enum.Enum):
    """How much a finding weighs: an error keeps the daemon from starting, a note is shown on request."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found, about the key at ``path``; ``file`` and ``line`` are filled in by who read the file.

    ``problem`` is what is the matter ("unknown key"), ``value`` the offending text, ``expected`` completes the sentence
    "expected …", ``nearest`` is a valid name that was probably meant.
    """

    severity: Severity
    path: tuple[str, ...]
    problem: str
    value: str | None = None
    expected: str = ""
    nearest: str = ""
    file: str = ""
    line: int = 0

    @property
    def key(self) -> str:
        """The path as TOML writes it."""
        return ".".join(self.path)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        about = f"{self.key}: " if self.path else ""
        value = "" if self.value is None else f' "{self.value}"'
        expected = f", expected {self.expected}" if self.expected else ""
        nearest = f' (did you mean "{self.nearest}"?)' if self.nearest else ""
        return f"{place}{about}{self.problem}{value}{expected}{nearest}"


def edit_distance(one: str, other: str) -> int:
    """How many insertions, deletions, substitutions and swaps of neighbours turn ``one`` into ``other``."""
    before_last: list[int] = []
    last = list(range(len(other) + 1))
    for row, char in enumerate(one, start=1):
        current = [row]
        for column, other_char in enumerate(other, start=1):
            cost = min(last[column] + 1, current[-1] + 1, last[column - 1] + (char != other_char))
            if row > 1 and column > 1 and char == other[column - 2] and one[row - 2] == other_char:
                cost = min(cost, before_last[column - 2] + 1)
            current.append(cost)
        before_last, last = last, current
    return last[-1]


def nearest_name(name: str, candidates: Iterable[str]) -> str:
    """The candidate closest to ``name``, or "" if none is near enough to be a slip of the hand."""
    limit = max(2, len(name) // 3)
    folded = name.lower().replace("-", "_")
    ranked = sorted((edit_distance(folded, one.lower().replace("-", "_")), one) for one in candidates)
    return ranked[0][1] if ranked and ranked[0][0] <= limit else ""
