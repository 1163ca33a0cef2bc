"""Large layers over several connections: only when one is slower than its reader, and never at the cost of the pull."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from crio.core.image.errors import BadLayer
from crio.host.pull.engine import PullEngine
from crio.host.pull.options import Budgets, PullRequest
from crio.host.registry import ahead, download
from test.integration.pull.kit import Bench
from test.support.faulty_registry import Answer, FaultyRegistry, Hold, Seen
from test.support.smallimages import Layer, Pusher, SmallImage, digest_of, image_of, tar_of

KIB = 1024
RANGE = 128 * KIB
ARCHIVE = tar_of({"noise": os.urandom(2_000_000)})
LAYER = Layer(ARCHIVE, ARCHIVE, "application/vnd.oci.image.layer.v1.tar")
IMAGE: SmallImage = image_of((LAYER,))
BLOB = digest_of(LAYER.blob)
REPOSITORY = "ranges/image"
# Behind the bytes after which a connection is judged, before the first range.
SLOW_FROM = 150_000
Rule = Callable[[FaultyRegistry, Seen], Answer]


class Watched(ahead.Ahead):
    """Lets the registry know what the puller knows."""

    downloads: ClassVar[list[download.Download]] = []

    def __init__(self, group: asyncio.TaskGroup, budget: ahead.RangeBudget, fetch: ahead.Fetch, size_bytes: int) -> None:
        super().__init__(group, budget, fetch, size_bytes)
        self.downloads.append(fetch.__self__)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules on two megabytes instead of hundreds."""
    monkeypatch.setattr(ahead, "RANGE_BYTES", RANGE)
    monkeypatch.setattr(download, "RANGE_BYTES", RANGE)
    monkeypatch.setattr(download, "WORTHWHILE_BYTES", 1_000_000)
    monkeypatch.setattr(download, "PROBE_BYTES", 100_000)
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)


@pytest.fixture
def always_starved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is slower than its reader, whatever else the machine is doing."""
    monkeypatch.setattr(ahead, "STARVED_SHARE", -1.0)
    monkeypatch.setattr(download, "Ahead", Watched)
    Watched.downloads.clear()


@pytest.fixture
def place(bench: Bench, pusher: Pusher, proxy: FaultyRegistry) -> str:
    """The image in the real registry, its name at the proxy."""
    pusher.image(REPOSITORY, "1", IMAGE)
    bench.insecure(proxy.address)
    return f"{proxy.address}/{REPOSITORY}:1"


def _ranges(proxy: FaultyRegistry) -> list[str]:
    return [seen.headers["range"] for seen in proxy.asked(BLOB) if "range" in seen.headers]


def _slow(proxy: FaultyRegistry, answer: Answer) -> Answer:
    """The connection stands still until the puller has heard that there are ranges."""
    return replace(answer, hold=Hold(SLOW_FROM, lambda: len(answer.body) if any(one._diverted for one in Watched.downloads) else 0))


def _slow_once(proxy: FaultyRegistry, answer: Answer) -> Answer:
    """The connection stands still until ranges are asked for, and is a good one from then on."""
    return replace(answer, hold=Hold(SLOW_FROM, lambda: len(answer.body) if _ranges(proxy) else 0))


def _gives_ranges(proxy: FaultyRegistry, seen: Seen) -> Answer:
    answer = proxy.forward(seen)
    return answer if "range" in seen.headers else _slow(proxy, answer)


def _ignores_ranges(proxy: FaultyRegistry, seen: Seen) -> Answer:
    headers = {name: value for name, value in seen.headers.items() if name != "range"}
    answer = proxy.forward(replace(seen, headers=headers))
    return answer if "range" in seen.headers else _slow_once(proxy, answer)


def _refuses_ranges(proxy: FaultyRegistry, seen: Seen) -> Answer:
    return Answer(416) if "range" in seen.headers else _slow_once(proxy, proxy.forward(seen))


def _other_range(proxy: FaultyRegistry, seen: Seen) -> Answer:
    answer = proxy.forward(seen)
    if "range" in seen.headers:
        return replace(answer, headers=(("Content-Range", f"bytes 0-{RANGE - 1}/*"),))
    return _slow_once(proxy, answer)


def _cuts_the_second_range(proxy: FaultyRegistry, seen: Seen) -> Answer:
    answer = _gives_ranges(proxy, seen)
    # By its place and its end: the rest of the blob, which is asked for afterwards, begins there too.
    second = min((int(text.removeprefix("bytes=").split("-")[0]) for text in _ranges(proxy)), default=0) + RANGE
    wanted = f"bytes={second}-{second + RANGE - 1}"
    return replace(answer, cut_at=1000) if seen.headers.get("range") == wanted else answer


def _too_many_bytes(proxy: FaultyRegistry, seen: Seen) -> Answer:
    answer = proxy.forward(seen)
    # Only where an end is given: the rest of the blob, which is asked for afterwards, is right again.
    closed = re.search(r"-\d+$", seen.headers.get("range", "")) is not None
    if closed:
        return replace(answer, body=answer.body + b"x")
    return answer if "range" in seen.headers else _slow(proxy, answer)


@dataclass(frozen=True, slots=True)
class Case:
    """What the registry does, and how many ranges are asked for at least and at most."""

    rule: Rule
    least: int
    most: int


CASES = {
    "ranges are given": Case(_gives_ranges, 10, 16),
    "ranges are ignored": Case(_ignores_ranges, 1, 16),
    "ranges are refused": Case(_refuses_ranges, 1, 16),
    "another range is given": Case(_other_range, 1, 16),
    "one range is cut": Case(_cuts_the_second_range, 3, 8),
    "a range is too long": Case(_too_many_bytes, 2, 8),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("always_starved")
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
    assert case.least <= len(_ranges(proxy)) <= case.most
    assert result.bytes_fetched == len(LAYER.blob)
    bench.assert_nothing_staged()


async def test_a_fast_connection_is_left_alone(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    """The reader of the pipe is what holds things up."""
    proxy.change(BLOB, 0)
    await bench.pull(place)
    assert len(proxy.asked(BLOB)) == 1


@pytest.mark.usefixtures("always_starved")
async def test_without_budget_there_is_one_connection(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    bench.options = replace(bench.options, budgets=Budgets(connections=4))
    proxy.change(BLOB, 0)
    await bench.pull(place)
    assert len(proxy.asked(BLOB)) == 1


@pytest.mark.usefixtures("always_starved")
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


@pytest.mark.usefixtures("always_starved")
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
