"""Layers that pulls hold and leave: what the record says after a pull, and after a start."""

from __future__ import annotations

import orjson
import pytest

from crio.core.codec import decode, encode
from crio.core.storage.leftlayers import LeftLayer, LeftRecord, PullOutcome, after_pull, found_at_start

NOW, KEEP = 1_000_000, 900
MADE = 5

ENDS = {
    "an image has it: nothing is on record": (PullOutcome.DONE, None),
    "the failure passes: it stays for a time": (PullOutcome.PASSING, LeftLayer(MADE, NOW + KEEP)),
    "the failure lasts: it goes at once": (PullOutcome.LASTING, LeftLayer(MADE, NOW)),
}


@pytest.mark.parametrize("sentence", ENDS)
def test_after_a_pull(sentence: str) -> None:
    end, expected = ENDS[sentence]
    assert after_pull(LeftLayer(MADE), end, NOW, KEEP) == expected


STARTS = {
    "a held layer is left": (0, NOW + KEEP),
    "a left one keeps its time": (NOW + 3, NOW + 3),
    "a time that is over stays over": (1, 1),
    "a clock that went back makes none stay longer": (NOW * 1000, NOW + KEEP),
}


@pytest.mark.parametrize("sentence", STARTS)
def test_after_a_start(sentence: str) -> None:
    before_ns, after_ns = STARTS[sentence]
    assert found_at_start({"a": LeftLayer(MADE, before_ns)}, NOW, KEEP) == {"a": LeftLayer(MADE, after_ns)}


def test_the_record_survives_the_disk() -> None:
    record = LeftRecord({"a": LeftLayer(MADE), "b": LeftLayer(MADE, NOW)})
    assert decode(LeftRecord, orjson.loads(orjson.dumps(encode(record)))) == record
