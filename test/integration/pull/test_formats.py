"""Images of every format from a real registry into the store, as other tools would see them."""

from __future__ import annotations

import asyncio
import json
import subprocess

import pytest

from crio.core.image.errors import NoMatchingPlatform
from crio.host.pull.engine import PullEngine
from crio.host.pull.options import PullRequest
from crio.host.pull.progress import LayerState, PullProgress, PullState
from test.integration.pull.kit import Bench
from test.support.faulty_registry import FaultyRegistry, faulty
from test.support.registry import RunningRegistry
from test.support.smallimages import DOCKER_LIST, OCI_INDEX, ImageWish, Pusher, image_of, index_of, layer_of
from test.support.waiting import eventually_async

LAYERS = (layer_of({"bin/a": b"one"}), layer_of({"etc/b": b"two" * 50_000}))


@pytest.mark.parametrize("docker", [False, True], ids=["OCI", "Docker schema 2"])
async def test_a_single_manifest_becomes_an_image(bench: Bench, pusher: Pusher, real_registry: RunningRegistry, docker: bool) -> None:
    image = image_of(LAYERS, ImageWish(docker=docker))
    digest = pusher.image(f"formats/single{docker}".lower(), "1", image)
    name = f"{real_registry.address}/formats/single{docker}:1".lower()

    result = await bench.pull(name)

    assert (result.image_id, result.name) == (image.image_id, name)
    assert result.repo_digest == f"{name.rpartition(':')[0]}@{digest}"
    assert result.bytes_fetched == sum(len(layer.blob) for layer in LAYERS)
    assert bench.store.image_config(result.image_id) == image.config
    assert bench.store.image_manifest(result.image_id) == image.manifest
    bench.assert_nothing_staged()


@pytest.mark.parametrize("docker", [False, True], ids=["OCI index", "Docker list"])
async def test_the_entry_for_this_machine_is_chosen_and_the_index_kept(
    bench: Bench, pusher: Pusher, real_registry: RunningRegistry, docker: bool
) -> None:
    ours = image_of(LAYERS, ImageWish(docker=docker))
    theirs = image_of(LAYERS[:1], ImageWish(docker=docker, architecture="arm64"))
    repository = f"formats/list{docker}".lower()
    for image in (ours, theirs):
        pusher.image(repository, image.digest, image)
    body = index_of([(theirs, {"os": "linux", "architecture": "arm64"}), (ours, {"os": "linux", "architecture": "amd64"})], docker)
    digest = pusher.manifest(repository, "1", body, DOCKER_LIST if docker else OCI_INDEX)

    result = await bench.pull(f"{real_registry.address}/{repository}:1")

    assert result.image_id == ours.image_id
    record = bench.store.image(result.image_id)
    assert record is not None
    assert {f"manifest-{digest}", f"manifest-{ours.digest}", "manifest"} <= set(record.big_data_names)
    assert record.digest == digest
    assert bench.store.image_manifest(result.image_id) == ours.manifest


async def test_an_index_without_our_platform_names_what_was_wanted(bench: Bench, pusher: Pusher, real_registry: RunningRegistry) -> None:
    theirs = image_of(LAYERS[:1], ImageWish(architecture="arm64"))
    pusher.image("formats/foreign", theirs.digest, theirs)
    pusher.manifest("formats/foreign", "1", index_of([(theirs, {"os": "linux", "architecture": "arm64"})]), OCI_INDEX)
    with pytest.raises(NoMatchingPlatform, match=r"'amd64'.*'linux'.*linux/arm64"):
        await bench.pull(f"{real_registry.address}/formats/foreign:1")
    bench.assert_empty()


async def test_a_digest_is_stored_as_the_name_and_drops_the_tag(bench: Bench, pusher: Pusher, real_registry: RunningRegistry) -> None:
    image = image_of(LAYERS)
    digest = pusher.image("formats/bydigest", "1", image)
    repository = f"{real_registry.address}/formats/bydigest"
    result = await bench.pull(f"{repository}:1@{digest}")
    record = bench.store.image(result.image_id)
    assert record is not None
    assert record.names == (f"{repository}@{digest}",)


async def test_layers_that_are_there_are_not_fetched_again(bench: Bench, pusher: Pusher, real_registry: RunningRegistry) -> None:
    pusher.image("formats/base", "1", image_of(LAYERS))
    more = layer_of({"opt/c": b"three"})
    pusher.image("formats/base", "2", image_of((*LAYERS, more)))
    await bench.pull(f"{real_registry.address}/formats/base:1")
    result = await bench.pull(f"{real_registry.address}/formats/base:2")
    assert (result.layers_reused, result.bytes_fetched) == (2, len(more.blob))
    again = await bench.pull(f"{real_registry.address}/formats/base:2")
    assert (again.layers_reused, again.bytes_fetched) == (3, 0)


async def test_an_image_without_layers_is_an_image(bench: Bench, pusher: Pusher, real_registry: RunningRegistry) -> None:
    image = image_of(())
    pusher.image("formats/empty", "1", image)
    result = await bench.pull(f"{real_registry.address}/formats/empty:1")
    assert result.image_id == image.image_id


async def test_progress_is_told_and_ends(bench: Bench, pusher: Pusher, real_registry: RunningRegistry) -> None:
    pusher.image("formats/progress", "1", image_of(LAYERS))
    told: list[PullProgress] = []
    async with bench.engine() as engine:
        await engine.pull(PullRequest(f"{real_registry.address}/formats/progress:1"), told.append)
        assert engine.active() == ()
    assert told[-1].state is PullState.DONE
    assert told[-1].fetched_bytes == told[-1].total_bytes == sum(len(layer.blob) for layer in LAYERS)
    assert {layer.state for layer in told[-1].layers} == {LayerState.COMMITTED}


async def test_podman_and_skopeo_see_what_was_pulled(bench: Bench, pusher: Pusher, real_registry: RunningRegistry) -> None:
    image = image_of(LAYERS)
    pusher.image("formats/shared", "1", image)
    name = f"{real_registry.address}/formats/shared:1"
    await bench.pull(name)
    where = [f"--root={bench.folder}/root", f"--runroot={bench.folder}/run"]
    seen = await asyncio.to_thread(_output, "podman", *where, "images", "--format", "json")
    assert [(one["Id"], one["Names"]) for one in json.loads(seen)] == [(image.image_id, [name])]
    place = f"containers-storage:[overlay@{bench.folder}/root+{bench.folder}/run]{name}"
    assert await asyncio.to_thread(_output, "skopeo", "inspect", "--raw", place) == image.manifest


def _output(*argv: str) -> bytes:
    return subprocess.run(argv, capture_output=True, check=True).stdout


async def _together(engine: PullEngine, requests: list[PullRequest]) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(engine.pull(request)) for request in requests]
    return [task.result().image_id for task in tasks]


async def test_a_second_asker_goes_on_when_the_first_is_cancelled(bench: Bench, pusher: Pusher, real_registry: RunningRegistry) -> None:
    image = image_of(LAYERS)
    pusher.image("formats/takeover", "1", image)
    async with faulty(real_registry.address) as proxy:
        bench.insecure(proxy.address)
        proxy.change("/blobs/", hang_at=0)
        request = PullRequest(f"{proxy.address}/formats/takeover:1")
        told: list[PullProgress] = []
        async with bench.engine() as engine, asyncio.TaskGroup() as group:
            first = group.create_task(engine.pull(request))
            second = group.create_task(engine.pull(request, told.append))
            await eventually_async(lambda: _seen(proxy, "/blobs/"), 10.0, "the first asker waits for a blob")
            first.cancel()
        assert second.result().image_id == image.image_id
        assert told[-1].state is PullState.DONE
    bench.assert_nothing_staged()


async def _seen(proxy: FaultyRegistry, pattern: str) -> bool:
    return bool(proxy.asked(pattern))


async def test_equal_requests_share_one_pull_and_others_share_layers(bench: Bench, pusher: Pusher, real_registry: RunningRegistry) -> None:
    one, two = image_of(LAYERS), image_of((*LAYERS, layer_of({"z": b"z"})))
    pusher.image("formats/flight", "1", one)
    pusher.image("formats/flight", "2", two)
    async with faulty(real_registry.address) as proxy:
        bench.insecure(proxy.address)
        base = f"{proxy.address}/formats/flight"
        async with bench.engine() as engine:
            got = await _together(engine, [PullRequest(f"{base}:{tag}") for tag in "1122"])
        assert got == [one.image_id, one.image_id, two.image_id, two.image_id]
        for layer in LAYERS:
            digest = layer.descriptor()["digest"]
            assert len(proxy.asked(str(digest))) == 1
