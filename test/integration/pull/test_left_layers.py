"""What a failed pull leaves: complete layers for the next one if the failure passes, nothing if the image is bad, and nothing for ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace

import pytest

from crio.core.errors import CriError
from crio.host.pull.leftlayers import KEEP_S
from crio.host.pull.options import PullRequest
from crio.host.registry import download
from crio.host.store.options import LayerCommit
from test.integration.pull.kit import UNPACK, Bench
from test.integration.store.kit import make_tools, unpack, write_tar_split
from test.support.faulty_registry import Answer, FaultyRegistry, Seen
from test.support.smallimages import Layer, Pusher, digest_of, image_of, layer_of
from test.support.waiting import eventually

SMALL = tuple(layer_of({f"l{number}": f"small {number}".encode() * 100}) for number in range(3))
LAST = layer_of({"noise": os.urandom(400_000)})
IMAGE = image_of((*SMALL, LAST))
LAST_PATH = digest_of(LAST.blob)
REPOSITORY = "left/image"
OTHERS_S = 10.0
STALL_S = 2.0
BUSY = (("Retry-After", "0"),)

Change = Callable[[Answer], Answer]


def _blobs(layers: Iterable[Layer]) -> list[str]:
    return [digest_of(layer.blob) for layer in layers]


@pytest.fixture
def place(bench: Bench, pusher: Pusher, proxy: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> str:
    """The image in the real registry, its name at the proxy; nobody waits long before a cut transfer goes on."""
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)
    pusher.image(REPOSITORY, "1", IMAGE)
    bench.insecure(proxy.address)
    return f"{proxy.address}/{REPOSITORY}:1"


def _when_the_others_are_in(bench: Bench, proxy: FaultyRegistry, change: Change, layers: int = len(SMALL)) -> None:
    """The last layer is answered, wrongly, once all below it are in the store."""

    def answer(request: Seen) -> Answer:
        eventually(lambda: len(bench.store.layers()) == layers, OTHERS_S, "the other layers are committed")
        return change(proxy.forward(request))

    proxy.on(LAST_PATH, answer, 0)


def _status(status: int) -> Change:
    return lambda _: Answer(status, BUSY)


def _in_the_store(bench: Bench) -> set[str]:
    return {str(layer.compressed_digest) for layer in bench.store.layers()}


async def _fails(bench: Bench, proxy: FaultyRegistry, place: str, change: Change) -> CriError:
    """A pull that fails with the last layer; the proxy is well again afterwards and has seen nothing."""
    _when_the_others_are_in(bench, proxy, change)
    with pytest.raises(CriError) as caught:
        await bench.pull(place)
    proxy.rules.clear()
    proxy.seen.clear()
    return caught.value


def _cut(answer: Answer) -> Answer:
    return replace(answer, cut_at=1000)


def _hangs(answer: Answer) -> Answer:
    return replace(answer, hang_at=100)


def _other_bytes(answer: Answer) -> Answer:
    return replace(answer, body=answer.body[:-30] + bytes(30))


PASSING = {
    "cut for good": _cut,
    "503": _status(503),
    "429 until it is given up": _status(429),
    "credentials that ran out": _status(401),
    "an address that ran out": _status(403),
    "no byte for the stall time": _hangs,
}


@pytest.mark.parametrize("change", PASSING.values(), ids=PASSING)
async def test_what_was_complete_is_not_fetched_twice(bench: Bench, proxy: FaultyRegistry, place: str, change: Change) -> None:
    # Long enough for the other layers to be committed in the meantime.
    bench.stall_after(STALL_S if change is _hangs else OTHERS_S)
    error = await _fails(bench, proxy, place, change)
    assert error.passing, error
    bench.assert_complete_only(IMAGE)
    assert _in_the_store(bench) == {*_blobs(SMALL)}
    result = await bench.pull(place)
    assert [len(proxy.asked(blob)) for blob in _blobs(IMAGE.layers)] == [0, 0, 0, 1]
    assert (result.image_id, result.layers_reused) == (IMAGE.image_id, 3)
    assert bench.record == {}
    bench.store.delete_image(result.image_id)
    bench.assert_empty()


LASTING = {
    "other bytes": _other_bytes,
    "another length": lambda answer: replace(answer, body=answer.body + b"x"),
    "gone from the registry": _status(404),
}


@pytest.mark.parametrize("change", LASTING.values(), ids=LASTING)
async def test_of_a_bad_image_nothing_stays(bench: Bench, proxy: FaultyRegistry, place: str, change: Change) -> None:
    error = await _fails(bench, proxy, place, change)
    assert not error.passing, error
    bench.assert_empty()
    assert bench.record == {}


async def test_what_an_earlier_try_left_goes_with_a_bad_image(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    await _fails(bench, proxy, place, _cut)
    assert len(bench.store.layers()) == len(SMALL)
    await _fails(bench, proxy, place, _other_bytes)
    bench.assert_empty()


async def test_two_kills_of_an_unpacker_pass(bench: Bench, proxy: FaultyRegistry, place: str, tmp_path: pathlib.Path) -> None:
    fragile = tmp_path / "unpack"
    fragile.write_text(f'#!/bin/sh\ncase "$*" in *{LAST_PATH}*) head -c 1 >/dev/null; kill -9 $$;; esac\nexec {UNPACK} "$@"\n')
    fragile.chmod(0o755)
    bench.options = replace(bench.options, unpack_program=str(fragile))
    error = await _fails(bench, proxy, place, lambda answer: answer)
    assert "killed by signal 9" in str(error)
    assert _in_the_store(bench) == {*_blobs(SMALL)}
    bench.options = replace(bench.options, unpack_program=UNPACK)
    await bench.pull(place)
    assert [len(proxy.asked(blob)) for blob in _blobs(IMAGE.layers)] == [0, 0, 0, 1]


@contextlib.asynccontextmanager
async def _held_up(
    bench: Bench, proxy: FaultyRegistry, place: str, layers: int = len(SMALL)
) -> AsyncIterator[tuple[asyncio.Task[object], threading.Event]]:
    """A pull that waits for its last layer until the event is set."""
    go_on = threading.Event()

    def wait(answer: Answer) -> Answer:
        go_on.wait(OTHERS_S)
        return answer

    _when_the_others_are_in(bench, proxy, wait, layers)
    try:
        async with bench.engine() as engine, asyncio.TaskGroup() as group:
            task = group.create_task(engine.pull(PullRequest(place)), name="held up")
            await asyncio.to_thread(eventually, lambda: proxy.asked(LAST_PATH), OTHERS_S, "the last layer is asked for")
            await asyncio.to_thread(eventually, lambda: len(bench.store.layers()) == layers, OTHERS_S, "the others are committed")
            yield task, go_on
    finally:
        go_on.set()


async def test_a_pull_that_its_last_asker_gives_up_passes(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    async with _held_up(bench, proxy, place) as (task, _):
        task.cancel()
    bench.assert_complete_only(IMAGE)
    assert _in_the_store(bench) == {*_blobs(SMALL)}
    proxy.rules.clear()
    proxy.seen.clear()
    await bench.pull(place)
    assert [len(proxy.asked(blob)) for blob in _blobs(IMAGE.layers)] == [0, 0, 0, 1]


async def test_what_nobody_fetches_again_goes_when_its_time_is_over(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    await _fails(bench, proxy, place, _cut)
    await bench.pass_time(KEEP_S - 60)
    assert len(bench.store.layers()) == len(SMALL)
    await bench.pass_time(61)
    bench.assert_empty()
    assert bench.record == {}


async def test_the_time_is_watched_without_a_pull(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    bench.begin_anew(keep_s=0.2)
    async with asyncio.TaskGroup() as group:
        tending = group.create_task(bench.left.tend(), name="tending")
        await _fails(bench, proxy, place, _cut)
        await asyncio.to_thread(eventually, lambda: bench.store.layers() == () and bench.record == {}, 10, "the layers are removed")
        tending.cancel()
    bench.assert_empty()


async def test_a_running_pull_keeps_what_an_earlier_one_left(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    await _fails(bench, proxy, place, _cut)
    async with _held_up(bench, proxy, place) as (_, go_on):
        await bench.pass_time(2 * KEEP_S)
        assert len(bench.store.layers()) == len(SMALL)
        go_on.set()
    assert [len(proxy.asked(blob)) for blob in _blobs(IMAGE.layers)] == [0, 0, 0, 1]
    assert [image.id for image in bench.store.images()] == [IMAGE.image_id]


async def test_a_running_pull_keeps_what_another_with_a_bad_image_committed(
    bench: Bench, pusher: Pusher, proxy: FaultyRegistry, place: str
) -> None:
    bad = layer_of({"bad": os.urandom(1000)})
    pusher.image(REPOSITORY, "bad", image_of((*SMALL, bad)))
    async with _held_up(bench, proxy, place) as (_, go_on):
        proxy.change(digest_of(bad.blob), 0, body=b"x" * len(bad.blob))
        with pytest.raises(CriError):
            await bench.pull(f"{proxy.address}/{REPOSITORY}:bad")
        assert len(bench.store.layers()) == len(SMALL)
        go_on.set()
    assert [len(proxy.asked(blob)) for blob in _blobs(IMAGE.layers)] == [1, 1, 1, 1]
    assert bench.record == {}


async def test_a_daemon_that_starts_gives_the_kubelet_time(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    """What an earlier daemon held is as good as left; what it had left goes when that time is over."""
    async with _held_up(bench, proxy, place) as (task, _):
        bench.later_ns += 3600 * 10**9
        assert {layer.id for layer in bench.store.layers()} < bench.record.keys()
        bench.begin_anew()
        await bench.left.collect()
        await bench.pass_time(KEEP_S - 60)
        assert len(bench.store.layers()) == len(SMALL)
        bench.begin_anew()
        await bench.pass_time(61)
        assert bench.store.layers() == ()
        task.cancel()
    bench.assert_empty()


async def test_a_record_that_cannot_be_read_makes_no_layer_ours(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    await _fails(bench, proxy, place, _cut)
    folder = bench.folder / "root" / "crio-pulls"
    (folder / "left-layers.json").write_text("{")
    (folder / "left-layers.json.tmp-1").write_text("of a daemon that died")
    bench.begin_anew()
    await bench.pass_time(2 * KEEP_S)
    assert len(bench.store.layers()) == len(SMALL)
    await bench.pull(place)
    assert os.listdir(folder) == []


def _by_another_program(bench: Bench, layer: Layer) -> str:
    """A layer without an image, as podman leaves it between its layers and its image."""
    staged = bench.store.stage_layer(None)
    unpack(layer.archive, staged.diff_path)
    write_tar_split(layer.archive, staged.tar_split_path)
    return bench.store.commit_layer(staged, LayerCommit(None, digest_of(layer.archive), len(layer.archive)))


@pytest.mark.parametrize("change", [_cut, _other_bytes], ids=["passing", "lasting"])
async def test_a_layer_of_another_program_is_never_taken(bench: Bench, proxy: FaultyRegistry, place: str, change: Change) -> None:
    theirs = _by_another_program(bench, SMALL[0])
    await _fails(bench, proxy, place, change)
    await bench.pass_time(2 * KEEP_S)
    assert [layer.id for layer in bench.store.layers()] == [theirs]
    assert bench.record == {}


async def test_a_layer_that_another_program_was_quicker_to_commit_is_never_taken(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    committed: list[str] = []

    def quicker(request: Seen) -> Answer:
        if not committed:
            committed.append(_by_another_program(bench, SMALL[0]))
        return proxy.forward(request)

    proxy.on(digest_of(SMALL[0].blob), quicker, 0)
    await _fails(bench, proxy, place, _other_bytes)
    assert [layer.id for layer in bench.store.layers()] == committed


async def test_an_image_below_can_be_removed_and_leaves_nothing(bench: Bench, pusher: Pusher, proxy: FaultyRegistry, place: str) -> None:
    """Its layers have to wait for what lies on them, and are nobody's when that goes."""
    pusher.image(REPOSITORY, "base", image_of(SMALL[:2]))
    base = await bench.pull(f"{proxy.address}/{REPOSITORY}:base")
    await _fails(bench, proxy, place, _cut)
    bench.store.delete_image(base.image_id)
    bench.assert_complete_only(IMAGE)
    assert len(bench.store.layers()) == len(SMALL)
    await bench.pass_time(KEEP_S + 1)
    bench.assert_empty()


async def test_an_image_below_stays_whole(bench: Bench, pusher: Pusher, proxy: FaultyRegistry, place: str) -> None:
    pusher.image(REPOSITORY, "base", image_of(SMALL[:2]))
    base = await bench.pull(f"{proxy.address}/{REPOSITORY}:base")
    await _fails(bench, proxy, place, _cut)
    await bench.pass_time(KEEP_S + 1)
    assert _in_the_store(bench) == {*_blobs(SMALL[:2])}
    assert [image.id for image in bench.store.images()] == [base.image_id]
    assert bench.record == {}


async def test_podman_sees_no_image_and_can_use_what_is_left(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    await _fails(bench, proxy, place, _cut)
    tools = replace(make_tools(str(bench.folder)), root=str(bench.folder / "root"), runroot=str(bench.folder / "run"))
    assert tools.podman("images", "--all", "--quiet") == ""
    await asyncio.to_thread(tools.podman, "pull", "--quiet", "--tls-verify=false", place)
    assert [len(proxy.asked(blob)) for blob in _blobs(IMAGE.layers)] == [0, 0, 0, 1]
    assert tools.podman("images", "--quiet", "--no-trunc") == f"sha256:{IMAGE.image_id}\n"
    await bench.pass_time(KEEP_S + 1)
    assert len(bench.store.layers()) == len(IMAGE.layers)
    assert bench.store.check(quick=False) == ()
