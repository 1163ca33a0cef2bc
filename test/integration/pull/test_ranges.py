"""Large layers over several connections: only when one is slower than its reader, and never at the cost of the pull."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from crio.core.image.errors import BadLayer
from crio.host.pull.engine import PullEngine
from crio.host.pull.options import Budgets, PullRequest
from crio.host.registry import ahead, download
from test.integration.pull.kit import Bench
from test.support.faulty_registry import Answer, FaultyRegistry, Seen
from test.support.smallimages import Layer, Pusher, SmallImage, digest_of, image_of, tar_of

KIB = 1024
RANGE = 128 * KIB
ARCHIVE = tar_of({"noise": os.urandom(2_000_000)})
LAYER = Layer(ARCHIVE, ARCHIVE, "application/vnd.oci.image.layer.v1.tar")
IMAGE: SmallImage = image_of((LAYER,))
BLOB = digest_of(LAYER.blob)
REPOSITORY = "ranges/image"
Rule = Callable[[FaultyRegistry, Seen], Answer]


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules on two megabytes instead of hundreds."""
    monkeypatch.setattr(ahead, "RANGE_BYTES", RANGE)
    monkeypatch.setattr(download, "RANGE_BYTES", RANGE)
    monkeypatch.setattr(download, "WORTHWHILE_BYTES", 1_000_000)
    monkeypatch.setattr(download, "PROBE_BYTES", 100_000)
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)


@pytest.fixture
def place(bench: Bench, pusher: Pusher, proxy: FaultyRegistry) -> str:
    """The image in the real registry, its name at the proxy."""
    pusher.image(REPOSITORY, "1", IMAGE)
    bench.insecure(proxy.address)
    return f"{proxy.address}/{REPOSITORY}:1"


def _ranges(proxy: FaultyRegistry) -> list[str]:
    return [seen.headers["range"] for seen in proxy.asked(BLOB) if "range" in seen.headers]


def _slow(answer: Answer) -> Answer:
    return replace(answer, trickle=40, pause_s=0.02)


def _gives_ranges(proxy: FaultyRegistry, seen: Seen) -> Answer:
    answer = proxy.forward(seen)
    return answer if "range" in seen.headers else _slow(answer)


def _ignores_ranges(proxy: FaultyRegistry, seen: Seen) -> Answer:
    headers = {name: value for name, value in seen.headers.items() if name != "range"}
    return _slow(proxy.forward(replace(seen, headers=headers)))


def _refuses_ranges(proxy: FaultyRegistry, seen: Seen) -> Answer:
    return Answer(416) if "range" in seen.headers else _slow(proxy.forward(seen))


def _other_range(proxy: FaultyRegistry, seen: Seen) -> Answer:
    answer = proxy.forward(seen)
    return replace(answer, headers=(("Content-Range", f"bytes 0-{RANGE - 1}/*"),)) if "range" in seen.headers else _slow(answer)


def _cuts_the_second_range(proxy: FaultyRegistry, seen: Seen) -> Answer:
    answer = _gives_ranges(proxy, seen)
    return replace(answer, cut_at=1000) if "range" in seen.headers and len(_ranges(proxy)) == 2 else answer


def _too_many_bytes(proxy: FaultyRegistry, seen: Seen) -> Answer:
    answer = proxy.forward(seen)
    # Only where an end is given: the rest of the blob, which is asked for afterwards, is right again.
    closed = re.search(r"-\d+$", seen.headers.get("range", "")) is not None
    return replace(answer, body=answer.body + b"x") if closed else _slow(answer)


@dataclass(frozen=True, slots=True)
class Case:
    """What the registry does, and whether ranges end up in the layer."""

    rule: Rule
    used: bool


CASES = {
    "ranges are given": Case(_gives_ranges, True),
    "ranges are ignored": Case(_ignores_ranges, False),
    "ranges are refused": Case(_refuses_ranges, False),
    "another range is given": Case(_other_range, False),
    "one range is cut": Case(_cuts_the_second_range, True),
    "a range is too long": Case(_too_many_bytes, False),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_slow_connection_gets_help_that_may_fail(bench: Bench, proxy: FaultyRegistry, place: str, name: str) -> None:
    case = CASES[name]
    proxy.on(BLOB, lambda seen: case.rule(proxy, seen), 0)
    engine = PullEngine(bench.store, bench.options, bench.left)
    budget = engine._bench.ranges
    budget.free = 4
    try:
        result = await engine.pull(PullRequest(place))
    finally:
        engine.close()
    assert result.image_id == IMAGE.image_id
    assert budget.free == 4
    assert 1 <= len(_ranges(proxy)) <= 20
    if case.used:
        assert result.bytes_fetched == len(LAYER.blob)
        assert len(_ranges(proxy)) >= 10
    bench.assert_nothing_staged()


async def test_a_fast_connection_is_left_alone(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    """The reader of the pipe is what holds things up."""
    proxy.change(BLOB, 0)
    await bench.pull(place)
    assert len(proxy.asked(BLOB)) == 1


async def test_without_budget_there_is_one_connection(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    bench.options = replace(bench.options, budgets=Budgets(connections=4))
    proxy.on(BLOB, lambda seen: _gives_ranges(proxy, seen), 0)
    await bench.pull(place)
    assert len(proxy.asked(BLOB)) == 1


async def test_a_refused_archive_among_ranges_ends_the_pull(bench: Bench, pusher: Pusher, proxy: FaultyRegistry) -> None:
    broken = ARCHIVE[:1_200_000] + bytes(2048) + os.urandom(800_000)
    archive = ARCHIVE[:600] + ARCHIVE[:600] + broken
    layer = Layer(archive, archive, LAYER.media_type)
    pusher.image(REPOSITORY, "broken", image_of((layer,)))
    bench.insecure(proxy.address)
    proxy.on(digest_of(archive), lambda seen: _gives_ranges(proxy, seen), 0)
    engine = PullEngine(bench.store, bench.options, bench.left)
    before = engine._bench.ranges.free
    try:
        with pytest.raises(BadLayer):
            await engine.pull(PullRequest(f"{proxy.address}/{REPOSITORY}:broken"))
    finally:
        engine.close()
    assert (engine._bench.ranges.free, engine._bench.ranges.streams) == (before, 0)
    bench.assert_empty()


async def test_a_failed_pull_gives_its_part_of_the_budget_back(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    def hangs(seen: Seen) -> Answer:
        answer = _gives_ranges(proxy, seen)
        return replace(answer, hang_at=10) if "range" in seen.headers and len(_ranges(proxy)) > 2 else answer

    bench.stall_after(0.3)
    proxy.on(BLOB, hangs, 0)
    engine = PullEngine(bench.store, bench.options, bench.left)
    before = engine._bench.ranges.free
    try:
        with pytest.raises(Exception, match=r"no byte|too long"):
            await engine.pull(PullRequest(place))
    finally:
        engine.close()
    assert engine._bench.ranges.free == before > 0
    bench.assert_empty()
