"""The two lanes of a whole run: no failure of either is lost, and no test is in none of them."""

from __future__ import annotations

import pytest

from test.lanes import LANES, verdict
from test.unit.house.tree import files

CODES = {
    "both pass": ([0, 0], 0),
    "the first fails": ([1, 0], 1),
    "the second fails": ([0, 1], 1),
    "one is killed": ([0, -9], -9),
    "one cannot start": ([4, 5], 4),
    "only one has a test": ([5, 0], 0),
    "there is no test": ([5, 5], 5),
}


@pytest.mark.parametrize("case", CODES)
def test_the_verdict(case: str) -> None:
    codes, expected = CODES[case]
    assert verdict(codes) == expected


def test_every_test_is_in_a_lane() -> None:
    tops = tuple(f"{word}/" for lane in LANES for word in lane)
    tests = [path for path in files() if path.startswith("test/") and path.rsplit("/", 1)[-1].startswith("test_")]
    assert [path for path in tests if not path.startswith(tops)] == []
