"""Percentiles by nearest rank, tables with ratios, JSON with every value."""

from __future__ import annotations

import json

import pytest

from test.bench.figures import Figures, as_json, percentile, rows, table

RANKS = {
    "one value is every percentile": ([5.0], 0.9, 5.0),
    "the median of an odd number": ([3.0, 1.0, 2.0], 0.5, 2.0),
    "the median of an even number is the lower one": ([4.0, 1.0, 2.0, 3.0], 0.5, 2.0),
    "p90 of ten is the ninth": ([float(number) for number in range(10, 0, -1)], 0.9, 9.0),
    "the whole is the largest": ([1.0, 9.0, 3.0], 1.0, 9.0),
}


@pytest.mark.parametrize("what", RANKS)
def test_percentile(what: str) -> None:
    values, share, expected = RANKS[what]
    assert percentile(values, share) == expected


def two() -> tuple[Figures, Figures]:
    """Two runtimes of which one did something that the other did not."""
    ours, other = Figures("ours 1"), Figures("other 2")
    for value in (10.0, 20.0, 30.0):
        ours.add("pod up", value)
        other.add("pod up", value * 2)
    ours.add("only here", 0.0561, "MB")
    return ours, other


def test_a_row_has_the_ratio_of_the_medians() -> None:
    ours, other = two()
    assert rows(ours, other) == [
        ("pod up", "ms", "20.0", "30.0", "30.0", "40.0", "60.0", "60.0", "0.50"),
        ("only here", "MB", "0.056", "0.056", "0.056", "-", "-", "-", "-"),
    ]


def test_a_table_names_its_runtimes_and_has_straight_columns() -> None:
    lines = table(*two()).splitlines()
    assert "ours 1" in lines[0] and "other 2" in lines[0]
    assert len({len(line) for line in lines[1:]}) == 1


def test_json_has_every_value() -> None:
    document = json.loads(as_json(two(), {"cpus": 2}))
    assert document["facts"] == {"cpus": 2}
    assert document["runtimes"]["other 2"]["pod up"]["values"] == [20.0, 40.0, 60.0]
    assert document["runtimes"]["ours 1"]["pod up"]["p90"] == 30.0
