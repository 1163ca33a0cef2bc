"""A registry that breaks: each failure has its sentence, and leaves nothing in the store but complete layers, if it is one that passes.

What becomes of those is in ``test_left_layers``.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from crio.core.errors import CriError, DeadlineExceeded
from crio.core.image.auth import Credentials
from crio.core.image.errors import (
    BadDocument,
    BadLayer,
    DigestMismatch,
    ManifestUnknown,
    NotAnImage,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnavailable,
)
from crio.host.registry import download
from test.integration.pull.kit import Bench
from test.support.faulty_registry import Answer, FaultyRegistry, faulty
from test.support.registry import RunningRegistry, free_port
from test.support.smallimages import (
    OCI_INDEX,
    OCI_MANIFEST,
    ImageWish,
    Layer,
    Pusher,
    digest_of,
    image_of,
    index_of,
    layer_of,
)

SMALL = layer_of({"a": b"small"})
BIG = layer_of({"noise": os.urandom(3 * 1024 * 1024)})
IMAGE = image_of((SMALL, BIG))
BIG_PATH = digest_of(BIG.blob)
REPOSITORY = "faults/image"

Fault = Callable[[FaultyRegistry], None]


@pytest.fixture
def place(bench: Bench, pusher: Pusher, proxy: FaultyRegistry) -> str:
    """The image in the real registry, its name at the proxy."""
    pusher.image(REPOSITORY, "1", IMAGE)
    bench.insecure(proxy.address)
    return f"{proxy.address}/{REPOSITORY}:1"


@dataclass(frozen=True, slots=True)
class Case:
    """What goes wrong, and what the caller hears."""

    fault: Fault
    error: type[CriError]
    says: str


def _status(pattern: str, status: int, body: bytes = b"", times: int = 0) -> Fault:
    return lambda proxy: proxy.on(pattern, Answer(status, body=body), times)


def _error_body(code: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": "in its own words"}]}).encode()


def _changed(pattern: str, **changes: object) -> Fault:
    return lambda proxy: proxy.change(pattern, 0, **changes)


CASES = {
    "unknown tag": Case(_status("/manifests/", 404, _error_body("MANIFEST_UNKNOWN")), ManifestUnknown, "MANIFEST_UNKNOWN: in its own"),
    "wrong credentials": Case(_status("/manifests/", 401, _error_body("UNAUTHORIZED")), RegistryUnauthorized, "unauthorized"),
    "no permission": Case(_status("/manifests/", 403, _error_body("DENIED")), RegistryDenied, "denied"),
    "registry fails": Case(_status("/manifests/", 500), RegistryUnavailable, "^RegistryUnavailable: .*status 500"),
    "registry overloaded": Case(_status("/blobs/", 503), RegistryUnavailable, "status 503"),
    "blob is missing": Case(_status(BIG_PATH, 404, _error_body("BLOB_UNKNOWN")), ManifestUnknown, "BLOB_UNKNOWN"),
    "manifest is no JSON": Case(_changed("/manifests/", body=b"<html>"), BadDocument, "not valid JSON"),
    "manifest is too big": Case(_changed("/manifests/", body=b" " * (4 * 1024 * 1024 + 1)), BadDocument, "limit"),
    "configuration is another": Case(_changed(digest_of(IMAGE.config), body=b" " * len(IMAGE.config)), DigestMismatch, "digest"),
    "configuration is too long": Case(_changed(digest_of(IMAGE.config), body=IMAGE.config + b" "), BadDocument, "limit"),
    "layer has other bytes": Case(_changed(BIG_PATH, body=BIG.blob[:-20] + b"x" * 20), CriError, "digest|archive|crc|check"),
    "layer is announced too short": Case(_changed(BIG_PATH, body=BIG.blob[:-1]), DigestMismatch, "announces .* expected"),
    "layer is announced too long": Case(_changed(BIG_PATH, body=BIG.blob + b"x"), DigestMismatch, "announces .* expected"),
    "layer is always cut early": Case(_changed(BIG_PATH, cut_at=1000), RegistryUnavailable, "early|lost|closed|resume"),
    "redirects in a circle": Case(
        lambda proxy: proxy.on("/blobs/", Answer(307, (("Location", "/v2/blobs/round"),)), 0), CriError, "more than 10 redirects"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_fault_has_its_sentence_and_leaves_nothing_that_is_no_use(
    bench: Bench, proxy: FaultyRegistry, place: str, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)
    case.fault(proxy)
    with pytest.raises(case.error, match=f"(?s){case.says}") as caught:
        await bench.pull(place)
    if caught.value.passing:
        bench.assert_complete_only(IMAGE)
    else:
        bench.assert_empty()


async def test_a_cut_layer_is_resumed_where_it_broke(
    bench: Bench, proxy: FaultyRegistry, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)
    proxy.change(BIG_PATH, cut_at=1_500_000)
    result = await bench.pull(place)
    first, second = proxy.asked(BIG_PATH)
    assert ("range" in first.headers, second.headers["range"]) == (False, "bytes=1500000-")
    assert result.bytes_fetched == len(SMALL.blob) + len(BIG.blob)


@pytest.mark.parametrize("tenth", range(1, 10))
async def test_a_cut_at_any_tenth_is_survived(
    bench: Bench, proxy: FaultyRegistry, place: str, monkeypatch: pytest.MonkeyPatch, tenth: int
) -> None:
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)
    proxy.change(BIG_PATH, cut_at=len(BIG.blob) * tenth // 10)
    result = await bench.pull(place)
    assert result.image_id == IMAGE.image_id


async def test_two_cuts_far_apart_are_survived(bench: Bench, proxy: FaultyRegistry, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)
    proxy.change(BIG_PATH, cut_at=1_000_000)
    proxy.change(BIG_PATH, cut_at=1_100_000)
    await bench.pull(place)
    assert len(proxy.asked(BIG_PATH)) == 3


async def test_two_cuts_near_each_other_end_the_pull(
    bench: Bench, proxy: FaultyRegistry, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)
    proxy.change(BIG_PATH, cut_at=1_000_000)
    proxy.change(BIG_PATH, cut_at=300_000)
    with pytest.raises(RegistryUnavailable, match="ended early"):
        await bench.pull(place)
    bench.assert_complete_only(IMAGE)


async def test_a_registry_that_ignores_ranges_cannot_resume(
    bench: Bench, proxy: FaultyRegistry, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)
    proxy.change(BIG_PATH, cut_at=1_500_000)
    proxy.on(BIG_PATH, Answer(200, body=BIG.blob))
    with pytest.raises(CriError, match="cannot resume"):
        await bench.pull(place)
    bench.assert_complete_only(IMAGE)


async def test_a_resume_at_another_byte_is_refused(
    bench: Bench, proxy: FaultyRegistry, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RESUME_PAUSE_S", 0.01)
    proxy.change(BIG_PATH, cut_at=1_500_000)
    wrong = (("Content-Range", f"bytes 1499999-{len(BIG.blob) - 1}/{len(BIG.blob)}"),)
    proxy.on(BIG_PATH, Answer(206, wrong, BIG.blob[1_499_999:]))
    with pytest.raises(CriError, match="resumed at another byte"):
        await bench.pull(place)
    bench.assert_complete_only(IMAGE)


async def test_no_byte_for_the_stall_time_ends_the_pull(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    bench.stall_after(0.3)
    proxy.change(BIG_PATH, hang_at=100_000)
    with pytest.raises(DeadlineExceeded, match="no byte"):
        await bench.pull(place)
    bench.assert_complete_only(IMAGE)


BUSY = {
    "seconds": (("Retry-After", "0"),),
    "a date in the past": (("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"),),
}


@pytest.mark.parametrize("headers", BUSY.values(), ids=BUSY)
async def test_a_busy_registry_is_asked_again(
    bench: Bench, proxy: FaultyRegistry, place: str, headers: tuple[tuple[str, str], ...]
) -> None:
    proxy.on("/manifests/", Answer(429, headers), times=4)
    await bench.pull(place)
    assert len(proxy.asked("/manifests/")) == 5


async def test_a_registry_that_stays_busy_is_given_up(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    proxy.on("/manifests/", Answer(429, BUSY["seconds"]), times=0)
    with pytest.raises(RegistryUnavailable, match="too many requests"):
        await bench.pull(place)
    assert len(proxy.asked("/manifests/")) == 5


async def test_nobody_there_is_said_at_once(bench: Bench) -> None:
    address = f"127.0.0.1:{free_port()}"
    bench.insecure(address)
    began = time.monotonic()
    with pytest.raises(RegistryUnavailable, match=f"^RegistryUnavailable: registry '{re.escape(address)}'.*refused"):
        await bench.pull(f"{address}/some/image")
    assert time.monotonic() - began < 5


async def test_a_plain_registry_is_not_spoken_to_unless_marked_insecure(
    bench: Bench, real_registry: RunningRegistry, proxy: FaultyRegistry, place: str
) -> None:
    bench.registries("")
    with pytest.raises(CriError, match=r"TLS|cannot be reached"):
        await bench.pull(place)
    assert proxy.seen == []


WRONG_IMAGES = {
    "wrong diff id": (
        image_of((SMALL,), ImageWish(config={"rootfs": {"type": "layers", "diff_ids": [digest_of(b"other")]}})),
        "expected sha256:d9298a10",
    ),
    "fewer diff ids than layers": (
        image_of((SMALL,), ImageWish(config={"rootfs": {"type": "layers", "diff_ids": []}})),
        "1 layers, but the configuration has 0 diff_ids",
    ),
    "not gzip": (image_of((Layer(b"rubbish" * 200, b"rubbish" * 200),)), "archive|header|tar"),
    "encrypted": (
        image_of((Layer(SMALL.blob, SMALL.archive, SMALL.media_type + "+encrypted"),)),
        "encrypted",
    ),
    "a layer that is no archive": (
        image_of((Layer(SMALL.blob, SMALL.archive, "application/wasm"),)),
        "application/wasm",
    ),
}


@pytest.mark.parametrize(("image", "says"), WRONG_IMAGES.values(), ids=WRONG_IMAGES)
async def test_an_image_that_contradicts_itself_is_refused(
    bench: Bench, pusher: Pusher, real_registry: RunningRegistry, image: object, says: str
) -> None:
    pusher.image("faults/wrong", "1", image)  # type: ignore[arg-type]
    with pytest.raises(CriError, match=says):
        await bench.pull(f"{real_registry.address}/faults/wrong:1")
    bench.assert_empty()


async def test_a_manifest_of_two_kinds_is_ambiguous(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    both = json.dumps({**json.loads(IMAGE.manifest), "manifests": []}).encode()
    proxy.change("/manifests/", 0, body=both)
    with pytest.raises(BadDocument, match="manifests: ambiguous"):
        await bench.pull(place)
    bench.assert_empty()


async def test_another_manifest_than_the_digest_names_is_refused(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    other = image_of((SMALL,))
    proxy.change("/manifests/", 0, body=other.manifest)
    with pytest.raises(DigestMismatch, match=f"expected {IMAGE.digest}"):
        await bench.pull(f"{proxy.address}/{REPOSITORY}@{IMAGE.digest}")
    bench.assert_empty()


async def test_an_index_inside_of_an_index_is_refused(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    inner = index_of([(IMAGE, None)])
    outer = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{"mediaType": OCI_INDEX, "digest": digest_of(inner), "size": len(inner)}],
        }
    ).encode()
    index = (("Content-Type", OCI_INDEX),)
    proxy.on("/manifests/1", Answer(200, index, outer))
    proxy.on(digest_of(inner), Answer(200, index, inner))
    with pytest.raises(BadDocument, match="index inside of an index"):
        await bench.pull(place)


async def test_an_artifact_is_not_an_image(bench: Bench, proxy: FaultyRegistry, place: str) -> None:
    artifact = json.loads(IMAGE.manifest)
    artifact["config"]["mediaType"] = "application/vnd.example.thing"
    proxy.on("/manifests/", Answer(200, (("Content-Type", OCI_MANIFEST),), json.dumps(artifact).encode()))
    with pytest.raises(NotAnImage, match=r"vnd\.example\.thing"):
        await bench.pull(place)
    bench.assert_empty()


async def test_a_failed_pull_takes_back_its_layers_but_not_those_of_others(
    bench: Bench, pusher: Pusher, proxy: FaultyRegistry, place: str
) -> None:
    pusher.image(REPOSITORY, "base", image_of((SMALL,)))
    base = await bench.pull(f"{proxy.address}/{REPOSITORY}:base")
    middle = layer_of({"m": b"middle"})
    pusher.image(REPOSITORY, "more", image_of((SMALL, middle, BIG)))
    proxy.change(BIG_PATH, 0, body=BIG.blob[:-1])
    with pytest.raises(DigestMismatch):
        await bench.pull(f"{proxy.address}/{REPOSITORY}:more")
    assert [image.id for image in bench.store.images()] == [base.image_id]
    assert len(bench.store.layers()) == 1
    bench.assert_nothing_staged()


@pytest.mark.parametrize("status", [200, 404], ids=["there", "gone"])
async def test_a_foreign_layer_comes_from_its_own_address_without_credentials_and_else_from_the_registry(
    bench: Bench, pusher: Pusher, proxy: FaultyRegistry, real_registry: RunningRegistry, status: int
) -> None:
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    image = image_of((Layer(BIG.blob, BIG.archive, kind),))
    for blob in (BIG.blob, image.config):
        pusher.blob("faults/foreign", blob)
    async with faulty(real_registry.address) as elsewhere:
        elsewhere.on("/layer", Answer(status, body=BIG.blob), 0)
        document = json.loads(image.manifest)
        document["layers"][0]["urls"] = ["ftp://x/y", f"http://{elsewhere.address}/layer"]
        proxy.on("/manifests/", Answer(200, (("Content-Type", OCI_MANIFEST),), json.dumps(document).encode()))
        bench.insecure(proxy.address)
        await bench.pull(f"{proxy.address}/faults/foreign:1", Credentials("alice", "secret"))
        assert ["authorization" in seen.headers for seen in elsewhere.seen] == [False]
        assert len(proxy.asked(BIG_PATH)) == (0 if status == 200 else 1)


async def test_schema_one_gets_a_configuration_of_our_making(bench: Bench, pusher: Pusher, proxy: FaultyRegistry) -> None:
    for layer in (SMALL, BIG):
        pusher.blob(REPOSITORY, layer.blob)
    ids = [f"{number:064x}" for number in (1, 2, 3)]
    history = [
        {
            "id": ids[2],
            "parent": ids[1],
            "created": "2015-01-03T00:00:00Z",
            "os": "linux",
            "architecture": "amd64",
            "config": {"Cmd": ["/x"]},
        },
        {"id": ids[1], "parent": ids[0], "throwaway": True, "created": "2015-01-02T00:00:00Z"},
        {"id": ids[0], "created": "2015-01-01T00:00:00Z"},
    ]
    manifest = {
        "schemaVersion": 1,
        "name": REPOSITORY,
        "tag": "old",
        "fsLayers": [{"blobSum": digest_of(blob)} for blob in (BIG.blob, b"never fetched", SMALL.blob)],
        "history": [{"v1Compatibility": json.dumps(entry)} for entry in history],
    }
    kind = (("Content-Type", "application/vnd.docker.distribution.manifest.v1+json"),)
    proxy.on("/manifests/", Answer(200, kind, json.dumps(manifest).encode()), 0)
    bench.insecure(proxy.address)
    result = await bench.pull(f"{proxy.address}/{REPOSITORY}:old")
    config = json.loads(bench.store.image_config(result.image_id))
    assert config["rootfs"]["diff_ids"] == [digest_of(SMALL.archive), digest_of(BIG.archive)]
    assert config["config"] == {"Cmd": ["/x"]}
    again = await bench.pull(f"{proxy.address}/{REPOSITORY}:old")
    assert again.image_id == result.image_id
    bench.assert_nothing_staged()


async def test_hostile_layer_is_refused(bench: Bench, pusher: Pusher, real_registry: RunningRegistry) -> None:
    twice = layer_of({"a": b"1"})
    header = twice.archive[:1024]
    archive = header + twice.archive
    pusher.image("faults/hostile", "1", image_of((Layer(archive, archive),)))
    with pytest.raises(BadLayer):
        await bench.pull(f"{real_registry.address}/faults/hostile:1")
    bench.assert_empty()
