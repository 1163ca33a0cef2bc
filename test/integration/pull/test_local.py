"""Images in files, written by skopeo, into the store."""

from __future__ import annotations

import asyncio
import gzip
import pathlib
import subprocess

import pytest

from crio.core.errors import CriError
from crio.core.image.errors import BadReference, SignatureValidationFailed
from test.integration.pull.kit import ACCEPT_ALL, Bench
from test.support.registry import RunningRegistry
from test.support.smallimages import ImageWish, Pusher, image_of, layer_of

LAYERS = (layer_of({"a": b"one"}), layer_of({"b/c": b"two" * 9000}))
# skopeo writes another configuration when it converts between the formats: each target gets its own.
IMAGES = {docker: image_of(LAYERS, ImageWish(docker=docker)) for docker in (False, True)}


@pytest.fixture
def source(pusher: Pusher, real_registry: RunningRegistry) -> str:
    """The image in a registry, for skopeo to copy from."""
    pusher.image("local/image", "docker", IMAGES[True])
    pusher.image("local/image", "oci", IMAGES[False])
    return f"docker://{real_registry.address}/local/image:docker"


async def _skopeo(source: str, target: str) -> None:
    argv = ["skopeo", "copy", "-q", "--src-tls-verify=false", "--insecure-policy", source, target]
    await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True)


TARGETS = ("dir:{}/x", "oci:{}/x:v1", "oci:{}/x", "oci-archive:{}/x:v1", "docker-archive:{}/x:example.test/local:2")


@pytest.mark.parametrize("target", TARGETS)
async def test_what_skopeo_writes_can_be_loaded(bench: Bench, source: str, tmp_path: pathlib.Path, target: str) -> None:
    reference = target.format(tmp_path)
    docker = not target.startswith("oci")
    await _skopeo(source if docker else source.removesuffix("docker") + "oci", reference)
    async with bench.engine() as engine:
        result = await engine.load(reference, "example.test/given:3")
    assert result.image_id == IMAGES[docker].image_id
    record = bench.store.image(result.image_id)
    assert record is not None
    assert record.names == ("example.test/given:3",)
    bench.assert_nothing_staged()


async def test_a_docker_archive_brings_its_own_names_and_may_be_compressed(bench: Bench, source: str, tmp_path: pathlib.Path) -> None:
    await _skopeo(source, f"docker-archive:{tmp_path}/x.tar:example.test/local:2")
    packed = tmp_path / "x.tar.gz"
    packed.write_bytes(gzip.compress((tmp_path / "x.tar").read_bytes()))
    async with bench.engine() as engine:
        result = await engine.load(f"docker-archive:{packed}")
    assert result.name == "example.test/local:2"


async def test_the_policy_of_the_transport_and_path_decides(bench: Bench, source: str, tmp_path: pathlib.Path) -> None:
    await _skopeo(source, f"dir:{tmp_path}/x")
    bench.policy({**ACCEPT_ALL, "transports": {"dir": {str(tmp_path): [{"type": "reject"}]}}})
    async with bench.engine() as engine:
        with pytest.raises(SignatureValidationFailed):
            await engine.load(f"dir:{tmp_path}/x", "example.test/x:1")
    bench.assert_empty()


@pytest.mark.parametrize("reference", ["dir:/nowhere", "oci:/nowhere:x", "docker-archive:/nowhere", "oci-archive:/dev/null"])
async def test_what_is_not_there_is_said(bench: Bench, reference: str) -> None:
    async with bench.engine() as engine:
        with pytest.raises(CriError, match=r"/nowhere|/dev/null"):
            await engine.load(reference)


async def test_another_transport_is_refused(bench: Bench) -> None:
    async with bench.engine() as engine:
        with pytest.raises(BadReference, match="expected one of oci"):
            await engine.load("docker://example.test/x")
