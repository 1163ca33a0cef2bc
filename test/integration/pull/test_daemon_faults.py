"""What a registry or a disk can do to a pull, seen from the CRI: the status, what is left, and that the next pull succeeds.

Left are complete layers, for the next pull, where the failure passes; else nothing.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import pytest

from test.integration.pull.ring import StoreFiles, blobs_of, fresh_image, proxy_in_thread, pull, remove
from test.support.daemon import Options, running
from test.support.faulty_registry import Answer, FaultyRegistry
from test.support.registry import RunningRegistry
from test.support.smallimages import Layer, Pusher, SmallImage, image_of, layer_of

STALL = "1s"
REPOSITORY = "faults/ring"
UNKNOWN = grpc.StatusCode.UNKNOWN
Fault = Callable[[FaultyRegistry, str], None]


@dataclass(frozen=True, slots=True)
class Ring:
    """A daemon behind a proxy."""

    socket: str
    proxy: FaultyRegistry
    pusher: Pusher
    files: StoreFiles

    def put(self, mark: str, image: SmallImage) -> str:
        """The image in the real registry; the reference at the proxy."""
        self.pusher.image(REPOSITORY, mark, image)
        self.proxy.rules.clear()
        self.proxy.seen.clear()
        return f"{self.proxy.address}/{REPOSITORY}:{mark}"

    def succeed(self, reference: str) -> None:
        """With the fault gone the pull succeeds and fetches what is not there; afterwards the store is empty again."""
        self.proxy.rules.clear()
        self.proxy.seen.clear()
        complete = self.files.complete_blobs()
        ended = pull(self.socket, reference)
        assert ended.code is None, ended
        assert [blob for blob in complete if self.proxy.asked(blob)] == [], "a complete layer was fetched again"
        self.files.assert_clean()
        remove(self.socket, reference)
        self.files.assert_empty()


@pytest.fixture(scope="module")
def ring(real_registry: RunningRegistry) -> Iterator[Ring]:
    """One daemon for the faults that it survives."""
    with proxy_in_thread(real_registry.address) as proxy:
        insecure = f'[[registry]]\nlocation = "{proxy.address}"\ninsecure = true\n'
        tables = {"crio.image": {"pull_progress_timeout": STALL}}
        with running(Options(registries_conf=insecure, tables=tables)) as daemon:
            yield Ring(daemon.socket, proxy, Pusher(real_registry.address), StoreFiles(daemon.layout.root / "store"))


def _last_blob(**changes: object) -> Fault:
    return lambda proxy, blob: proxy.change(blob, 0, **changes)


def _status(path: str, status: int, code: str = "") -> Fault:
    body = json.dumps({"errors": [{"code": code, "message": "said so"}]}).encode() if code else b""
    return lambda proxy, blob: proxy.on(path or blob, Answer(status, (("Retry-After", "0"),), body), 0)


def _other_bytes(proxy: FaultyRegistry, blob: str) -> None:
    def flip(answer: Answer) -> Answer:
        return Answer(answer.status, answer.headers, answer.body[:-30] + bytes(30))

    proxy.on(blob, lambda request: flip(proxy.forward(request)), 0)


@dataclass(frozen=True, slots=True)
class Case:
    """A fault for the whole of one pull, what the kubelet hears, and whether it passes by itself."""

    fault: Fault
    code: grpc.StatusCode
    says: str
    passes: bool = False


CASES = {
    "manifest: 401": Case(_status("/manifests/", 401, "UNAUTHORIZED"), grpc.StatusCode.UNAUTHENTICATED, "unauthorized"),
    "manifest: 403": Case(_status("/manifests/", 403, "DENIED"), grpc.StatusCode.PERMISSION_DENIED, "denied"),
    "manifest: 404": Case(_status("/manifests/", 404, "MANIFEST_UNKNOWN"), grpc.StatusCode.NOT_FOUND, "MANIFEST_UNKNOWN"),
    "manifest: 429": Case(_status("/manifests/", 429), UNKNOWN, "too many requests"),
    "manifest: 500": Case(_status("/manifests/", 500), UNKNOWN, "RegistryUnavailable: .*500"),
    "manifest: 503": Case(_status("/manifests/", 503), UNKNOWN, "RegistryUnavailable: .*503"),
    "layer: 401": Case(_status("", 401, "UNAUTHORIZED"), grpc.StatusCode.UNAUTHENTICATED, "unauthorized", passes=True),
    "layer: 403": Case(_status("", 403, "DENIED"), grpc.StatusCode.PERMISSION_DENIED, "denied", passes=True),
    "layer: 404": Case(_status("", 404, "BLOB_UNKNOWN"), grpc.StatusCode.NOT_FOUND, "BLOB_UNKNOWN"),
    "layer: 429": Case(_status("", 429), UNKNOWN, "too many requests", passes=True),
    "layer: 500": Case(_status("", 500), UNKNOWN, "RegistryUnavailable: .*500", passes=True),
    "layer: 503": Case(_status("", 503), UNKNOWN, "RegistryUnavailable: .*503", passes=True),
    "layer: cut again and again": Case(_last_blob(cut_at=100), UNKNOWN, "RegistryUnavailable", passes=True),
    "layer: announced too long": Case(_last_blob(length=10_000_000), UNKNOWN, "announces 10000000 bytes"),
    "layer: announced too short": Case(_last_blob(length=10), UNKNOWN, "(announces 10 bytes|is no HTTP).{0,300}$"),
    "layer: other bytes": Case(_other_bytes, UNKNOWN, "digest"),
    "layer: hangs": Case(_last_blob(hang_at=100), grpc.StatusCode.DEADLINE_EXCEEDED, "no byte", passes=True),
    "layer: hangs before the first byte": Case(_last_blob(hang_at=0), grpc.StatusCode.DEADLINE_EXCEEDED, "no byte", passes=True),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_told_and_leaves_nothing_that_is_no_use(ring: Ring, name: str) -> None:
    case, mark = CASES[name], f"f{list(CASES).index(name)}"
    image = fresh_image(mark)
    reference = ring.put(mark, image)
    case.fault(ring.proxy, blobs_of(image)[-1])
    ended = pull(ring.socket, reference)
    assert ended.code is case.code, ended
    assert re.search(case.says, ended.words), ended
    if case.passes:
        ring.files.assert_clean()
        assert ring.files.images() == {}
        assert ring.files.complete_blobs() <= {*blobs_of(image)[:-1]}
    else:
        ring.files.assert_empty()
    ring.succeed(reference)


@pytest.mark.parametrize("tenth", range(11))
def test_a_cut_at_any_tenth_goes_on_from_there(ring: Ring, tenth: int) -> None:
    image = fresh_image(f"cut{tenth}")
    reference = ring.put(f"cut{tenth}", image)
    layer = image.layers[-1].blob
    cut_at = len(layer) * tenth // 10
    ring.proxy.change(blobs_of(image)[-1], cut_at=cut_at)
    ended = pull(ring.socket, reference)
    assert ended.code is None, ended
    first, *more = ring.proxy.asked(blobs_of(image)[-1])
    assert "range" not in first.headers
    # Nothing is missing after the last byte, and nothing was there to be continued before the first.
    expected = [] if tenth == 10 else [f"bytes={cut_at}-"] if cut_at else [None]
    assert [request.headers.get("range") for request in more] == expected
    ring.succeed(reference)


def test_a_trickle_is_no_stall(ring: Ring) -> None:
    """The whole takes longer than the stall rule allows between two bytes."""
    image = fresh_image("trickle", 2)
    reference = ring.put("trickle", image)
    ring.proxy.change(blobs_of(image)[-1], trickle=6, pause_s=0.3)
    ended = pull(ring.socket, reference)
    assert ended.code is None, ended
    ring.succeed(reference)


def test_layers_may_come_from_another_host(ring: Ring, real_registry: RunningRegistry) -> None:
    image = fresh_image("elsewhere")
    reference = ring.put("elsewhere", image)
    with proxy_in_thread(real_registry.address) as other:
        for blob in blobs_of(image):
            place = f"http://{other.address}/v2/{REPOSITORY}/blobs/{blob}"
            ring.proxy.on(blob, Answer(307, (("Location", place),)), 0)
        ended = pull(ring.socket, reference)
        assert ended.code is None, ended
        assert sorted(seen.path.rpartition("/")[2] for seen in other.seen) == sorted(blobs_of(image))
        assert [seen for seen in other.seen if "authorization" in seen.headers] == []
    ring.succeed(reference)


def test_a_client_that_gives_up_does_not_end_the_pull(ring: Ring) -> None:
    image = fresh_image("gone")
    reference = ring.put("gone", image)
    for blob in blobs_of(image):
        ring.proxy.change(blob, 0, trickle=4, pause_s=0.1)
    assert pull(ring.socket, reference, timeout_s=0.15).code is grpc.StatusCode.DEADLINE_EXCEEDED
    ended = pull(ring.socket, reference)
    assert ended.code is None, ended
    assert [len(ring.proxy.asked(blob)) for blob in blobs_of(image)] == [1] * len(image.layers)
    ring.succeed(reference)


def test_images_that_share_layers_fetch_each_once(ring: Ring) -> None:
    """Eight at the same time, with three layers in common."""
    shared = fresh_image("shared", 3).layers
    images = [image_of((*shared, layer_of({f"own{number}": os.urandom(50_000)}))) for number in range(8)]
    references = [ring.put(f"share{number}", image) for number, image in enumerate(images)]
    with ThreadPoolExecutor(len(references)) as pool:
        ended = list(pool.map(lambda reference: pull(ring.socket, reference), references))
    assert [one.code for one in ended] == [None] * len(ended)
    fetched = [seen.path for seen in ring.proxy.seen if any(blob in seen.path for image in images for blob in blobs_of(image))]
    assert len(fetched) == len(set(fetched)) == 3 + len(images)
    ring.files.assert_clean()
    for reference in references:
        remove(ring.socket, reference)
    ring.files.assert_empty()


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Twelve megabytes of ext4."""
    image, point = tmp_path / "disk", tmp_path / "full"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(12 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True)
    yield point
    subprocess.run(["umount", str(point)], check=True)


def test_a_full_disk_is_told_and_leaves_nothing(small_disk: pathlib.Path, real_registry: RunningRegistry) -> None:
    pusher = Pusher(real_registry.address)
    insecure = f'[[registry]]\nlocation = "{real_registry.address}"\ninsecure = true\n'
    archive_only = layer_of({"zeros": bytes(30 << 20)})
    big = image_of((layer_of({"a": b"small"}), Layer(archive_only.blob, archive_only.archive)))
    small = fresh_image("fits", 2)
    for tag, image in (("big", big), ("small", small)):
        pusher.image("faults/full", tag, image)
    tables = {"crio": {"root": str(small_disk / "store")}}
    with running(Options(registries_conf=insecure, tables=tables)) as daemon:
        files = StoreFiles(small_disk / "store")
        for _ in range(3):
            ended = pull(daemon.socket, f"{real_registry.address}/faults/full:big")
            assert ended.code is grpc.StatusCode.RESOURCE_EXHAUSTED, ended
            assert re.search("No space left|more than the allowed", ended.words), ended
            files.assert_empty()
        ended = pull(daemon.socket, f"{real_registry.address}/faults/full:small")
        assert ended.code is None, ended
        files.assert_clean()
        remove(daemon.socket, f"{real_registry.address}/faults/full:small")
        files.assert_empty()
