"""Numbers of many tries, and how they are shown: a table with p50, p90 and the worst, and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MILLISECONDS = "ms"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(slots=True)
class Series:
    """The tries of one thing on one runtime, in the order they were made."""

    unit: str
    values: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """p50, p90, max and how many."""
        return {
            "p50": round(percentile(self.values, 0.5), 4),
            "p90": round(percentile(self.values, 0.9), 4),
            "max": round(max(self.values), 4),
            "count": len(self.values),
        }


@dataclass(slots=True)
class Figures:
    """Everything that was measured on one runtime, by name, in the order of the first try."""

    runtime: str
    series: dict[str, Series] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str = MILLISECONDS) -> None:
        """One more try."""
        self.series.setdefault(name, Series(unit)).values.append(value)


def cell(value: float, unit: str) -> str:
    """A figure with some three digits."""
    return (
        f"{value:.3f}"
        if unit == "MB" and value < 1
        else f"{value:.2f}"
        if value < 10
        else f"{value:.1f}"
        if value < 100
        else f"{value:.0f}"
    )


def rows(ours: Figures, other: Figures | None) -> list[tuple[str, ...]]:
    """The table as cells; with another runtime its columns and the ratio of the medians."""
    found = []
    for name, series in ours.series.items():
        summary = series.summary()
        row = (name, series.unit, *(cell(summary[key], series.unit) for key in ("p50", "p90", "max")))
        if other is not None:
            theirs = other.series.get(name)
            if theirs is None:
                row += ("-", "-", "-", "-")
            else:
                known = theirs.summary()
                ratio = f"{summary['p50'] / known['p50']:.2f}" if known["p50"] else "-"
                row += (*(cell(known[key], series.unit) for key in ("p50", "p90", "max")), ratio)
        found.append(row)
    return found


def table(ours: Figures, other: Figures | None) -> str:
    """The table as text."""
    head: tuple[str, ...] = ("", "unit", "p50", "p90", "max")
    top: tuple[str, ...] = ("", "", ours.runtime, "", "")
    if other is not None:
        head += ("p50", "p90", "max", "ratio")
        top += (other.runtime, "", "", "")
    body = rows(ours, other)
    starts = [sum(_widths(head, body)[:column]) + 2 * column for column in range(len(head))]
    titles = ""
    for column, words in enumerate(top):
        if words:
            titles = titles.ljust(starts[column]) + words
    return "\n".join([titles, aligned(head, body)])


def _widths(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[column]) for row in (head, *body)) for column in range(len(head))]


def aligned(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Cells as text in straight columns, the first one to the left, the others to the right."""
    widths = _widths(head, body)
    lines = []
    for row in (head, *body):
        cells = [row[0].ljust(widths[0]), *(words.rjust(width) for words, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_json(figures: Sequence[Figures], facts: Mapping[str, object]) -> str:
    """All figures with their raw values, for other programs."""
    runtimes = {
        item.runtime: {
            name: {"unit": series.unit, **series.summary(), "values": [round(value, 4) for value in series.values]}
            for name, series in item.series.items()
        }
        for item in figures
    }
    return json.dumps({"facts": dict(facts), "runtimes": runtimes}, indent=1) + "\n"
