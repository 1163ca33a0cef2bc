"""Goals of the monitor's benchmark: which side is good, absolute bounds, a figure beside another one, noise."""

from __future__ import annotations

import pytest

from test.bench.figures import Figures
from test.bench.monitor import goals

LINES = "80-byte lines in 64-KiB writes"
PSS = "PSS each, 1 containers"
BESIDE = "second burst, beside a stuck client"
ALONE = "second burst, nobody attached"

# Sentence: name, unit, our values, their values, what is said.
CASES = {
    "a rate has to be so many times theirs": (LINES, "MB/s", [500.0], [200.0], "yes"),
    "a rate that is lower is not enough": (LINES, "MB/s", [499.0], [200.0], "no"),
    "a cost has to be a fraction of theirs": (f"{LINES}: CPU", "s/GB", [2.0], [5.0], "yes"),
    "a cost that is higher is too much": (f"{LINES}: CPU", "s/GB", [2.1], [5.0], "no"),
    "a fraction of theirs may still be too much": (PSS, "MB", [0.11], [0.5], "no"),
    "the ratio counts below the bound too": (PSS, "MB", [0.09], [0.1], "no"),
    "both bounds are kept": (PSS, "MB", [0.09], [0.4], "yes"),
    "the median decides": (LINES, "MB/s", [100.0, 600.0, 600.0], [200.0, 200.0, 900.0], "yes"),
    "only the best tries are good enough": (LINES, "MB/s", [100.0, 100.0, 600.0], [90.0, 90.0, 200.0], "best tries only"),
    "the best of a cost is the lowest": ("start to report, crun", "ms", [7.0, 30.0, 30.0], [10.0, 30.0, 30.0], "best tries only"),
}


def figures(name: str, unit: str, values: list[float]) -> Figures:
    """One series."""
    found = Figures("some program")
    for value in values:
        found.add(name, value, unit)
    return found


@pytest.mark.parametrize("what", CASES)
def test_a_goal_is_judged(what: str) -> None:
    name, unit, ours, theirs, expected = CASES[what]
    assert goals.judge(name, figures(name, unit, ours), figures(name, unit, theirs)).reached == expected


@pytest.mark.parametrize(("beside", "expected"), [(1.1, "yes"), (1.2, "no")])
def test_a_stuck_client_is_judged_by_our_own_figure_without_one(beside: float, expected: str) -> None:
    ours = figures(ALONE, "ms", [1.0])
    ours.add(BESIDE, beside)
    theirs = figures(BESIDE, "ms", [8000.0])
    assert goals.judge(BESIDE, ours, theirs).reached == expected


def test_a_figure_without_a_goal_or_a_peer_has_no_verdict() -> None:
    ours = figures("echo", "ms", [1.0])
    assert goals.judge("echo", ours, figures("echo", "ms", [2.0])) == goals.Verdict("echo", 0.5, 0.5, "", "")
    assert goals.judge("echo", ours, None).ratio is None


def test_rows_have_both_programs_the_floor_and_the_goal() -> None:
    ours, theirs, floor = (figures(LINES, "MB/s", values) for values in ([500.0, 510.0], [200.0, 220.0], [700.0]))
    assert goals.rows(ours, theirs, floor) == [(LINES, "MB/s", "500", "510", "200", "220", "2.50", "2.32", "700", ">= 2.5", "yes")]
