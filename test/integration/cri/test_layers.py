"""Registries and layers that lie: the pull fails with its reason, and the store has nothing of it."""

from __future__ import annotations

import asyncio
import gzip
import pathlib
from collections.abc import Iterator

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.integration.cri.kit import Pods, refused
from test.integration.cri.own import Own, owned
from test.support.cri import Cri
from test.support.daemon import Daemon
from test.support.faulty_registry import faulty
from test.support.registry import RunningRegistry
from test.support.smallimages import Layer, Pusher, digest_of, image_of, layer_of
from test.support.tarbytes import CHARACTER, SYMLINK, Member, archive
from test.support.waiting import eventually

pytestmark = pytest.mark.inside


@pytest.fixture
def store(inside: Daemon, tmp_path: pathlib.Path) -> Iterator[Own]:
    """Our daemon; images and layers are after the test what they were before."""
    own = Own(inside, tmp_path)
    before = _layers(own)
    yield own
    eventually(lambda: _layers(own) == before, 10, f"no layer is left: {_layers(own) ^ before}")


def _layers(own: Own) -> frozenset[str]:
    home = own.root / "store/overlay"
    return frozenset(path.name for path in home.iterdir() if len(path.name) == 64)


def raw_layer(*members: Member) -> Layer:
    """A layer with these members as they are."""
    data = archive(*members)
    return Layer(gzip.compress(data, 1, mtime=0), data)


HOSTILE = {
    "a member above the root": ((Member("../../escape", b"x"),), "../../escape"),
    "a member above the root on its way": ((Member("a/../../../escape", b"x"),), "above the root"),
    "an absolute member above the root": ((Member("/../escape", b"x"),), "above the root"),
    "a member through a link to the host": ((Member("l", kind=SYMLINK, link="/tmp"), Member("l/escape", b"x")), "'l/escape'"),
    "a truncated archive": ((Member("a", b"x" * 100, size=100_000),), "'a'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_layer_is_refused_with(warm: Cri, registry: RunningRegistry, store: Own, case: str) -> None:
    members, words = HOSTILE[case]
    Pusher(registry.address).image("hostile/layer", "1", image_of([layer_of({"first": b"ok"}), raw_layer(*members)]))
    with refused(grpc.StatusCode.UNKNOWN, "layer sha256:", words):
        warm.pull(f"{registry.address}/hostile/layer:1")
    assert not pathlib.Path("/tmp/escape").exists()
    assert not (store.root / "escape").exists()


def test_absolute_members_stay_inside_and_devices_are_of_no_use(pods: Pods, registry: RunningRegistry) -> None:
    """What other runtimes accept is accepted: the names count from the root of the image, and the kernel keeps the device shut."""
    members = (Member("/tmp-escape", b"inside\n"), Member("/dev-mem", kind=CHARACTER, major=1, minor=1, mode=0o666))
    reference = f"{registry.address}/odd/layer:1"
    busybox = Member("bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), mode=0o755)
    Pusher(registry.address).image("odd/layer", "1", image_of([raw_layer(busybox, *members)]))
    pods.cri.pull(reference)
    assert not pathlib.Path("/tmp-escape").exists()
    container = pods.run().start("/bin/busybox", "sh", "-c", "busybox cat /tmp-escape; busybox cat /dev-mem", image={"image": reference})
    status = container.ended()
    assert container.lines() == ["inside"]
    assert status.exit_code != 0
    assert "not permitted" in "".join(container.lines("stderr"))
    container.remove()
    pods.cri.image.RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=reference)))


FAULTS = {
    "a blob of other bytes than its digest": ({"body": gzip.compress(b"other bytes" * 100)}, "sha256:"),
    "a blob that ends too early": ({"cut_at": 50}, "RegistryUnavailable: connection ended early"),
}


@pytest.fixture
def own(registry: RunningRegistry, tmp_path: pathlib.Path) -> Iterator[Own]:
    """A daemon for this test alone."""
    with owned(registry, tmp_path) as one:
        yield one


@pytest.mark.parametrize("case", FAULTS)
async def test_a_pull_fails_for(registry: RunningRegistry, own: Own, case: str) -> None:
    changes, words = FAULTS[case]
    layer = layer_of({"file": b"content" * 1000})
    Pusher(registry.address).image("faulty/layer", "1", image_of([layer]))
    async with faulty(registry.address) as proxy:
        proxy.change(f"/blobs/{digest_of(layer.blob)}", times=0, **changes)
        conf = own.root / "registries.conf"
        conf.write_text(f'[[registry]]\nlocation = "{proxy.address}"\ninsecure = true\n')
        await asyncio.to_thread(_pull_fails, own, f"{proxy.address}/faulty/layer:1", words)


def _pull_fails(own: Own, reference: str, words: str) -> None:
    own.daemon.restart()
    before = _layers(own)
    with own.pods() as pods:
        with pytest.raises(grpc.RpcError) as caught:
            pods.cri.pull(reference)
        assert caught.value.code() is grpc.StatusCode.UNKNOWN
        assert words in caught.value.details()
    eventually(lambda: _layers(own) == before, 10, f"no layer is left: {_layers(own) ^ before}")
