"""Stopping: the grace is kept, may be shortened, and ends with a kill."""

from __future__ import annotations

import gzip
import pathlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from crio.cri import api_pb2 as pb
from test.integration.cri.kit import STUBBORN, Ctr, Pods, processes_with
from test.support.registry import RunningRegistry
from test.support.smallimages import ImageWish, Layer, Pusher, image_of
from test.support.tarbytes import SYMLINK, Member, archive
from test.support.waiting import eventually

HANDLED = "trap 'echo got {0}; exit 7' {0}; echo ready; while :; do sleep 1000 & wait $!; done"


def timed_stop(container: Ctr, timeout_s: int) -> float:
    """Stop it; the result is how many seconds that took."""
    begun_s = time.monotonic()
    container.stop(timeout_s)
    return time.monotonic() - begun_s


def stubborn(pods: Pods) -> Ctr:
    """A running container that takes no notice of TERM."""
    container = pods.run().start(*STUBBORN)
    container.printed("ready")
    return container


def test_a_process_that_handles_term_ends_by_itself(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", HANDLED.format("TERM"))
    container.printed("ready")
    assert timed_stop(container, 20) < 5
    assert container.status().exit_code == 7
    assert container.lines() == ["ready", "got TERM"]


def test_a_process_that_ignores_term_is_killed_after_its_grace(pods: Pods) -> None:
    container = stubborn(pods)
    took_s = timed_stop(container, 2)
    assert 2 <= took_s < 6
    status = container.status()
    assert (status.exit_code, status.reason) == (137, "Error")


def test_without_a_grace_it_is_killed_at_once(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", HANDLED.format("TERM"))
    container.printed("ready")
    assert timed_stop(container, 0) < 3
    assert container.status().exit_code == 137
    assert container.lines() == ["ready"]


def test_a_second_stop_with_less_grace_shortens_the_first(pods: Pods) -> None:
    container = stubborn(pods)
    begun = threading.Event()

    def patient() -> float:
        begun.set()
        return timed_stop(container, 60)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(patient)
        begun.wait(5)
        assert timed_stop(container, 1) < 6
        assert first.result(10) < 10
    assert container.status().exit_code == 137


@pytest.mark.inside
def test_a_second_stop_with_more_grace_does_not_lengthen_the_first(pods: Pods) -> None:
    container = stubborn(pods)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(timed_stop, container, 2)
        timed_stop(container, 60)
        assert first.result(10) < 8


def test_a_stop_goes_on_after_its_client_gave_up(pods: Pods) -> None:
    container = stubborn(pods)
    with pytest.raises(Exception, match=r"(?i)deadline"):
        pods.cri.runtime.StopContainer(pb.StopContainerRequest(container_id=container.id, timeout=1), 0.3)
    eventually(lambda: container.status().state == pb.CONTAINER_EXITED, 10, "the container ends all the same")


def test_the_stop_signal_of_the_request_is_sent(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", HANDLED.format("USR1"), stop_signal="SIGNAL_SIGUSR1")
    container.printed("ready")
    container.stop(10)
    assert container.status().exit_code == 7


@pytest.mark.inside
def test_the_stop_signal_of_the_image_is_sent_and_shown(pods: Pods, registry: RunningRegistry) -> None:
    members = [Member("bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), mode=0o755)]
    members += [Member(f"bin/{name}", kind=SYMLINK, link="busybox") for name in ("sh", "sleep")]
    data = archive(*members)
    wish = ImageWish(config={"config": {"StopSignal": "SIGUSR2", "Env": ["PATH=/bin"]}})
    Pusher(registry.address).image("stop/signal", "1", image_of([Layer(gzip.compress(data, 1, mtime=0), data)], wish))
    reference = f"{registry.address}/stop/signal:1"
    pods.cri.pull(reference)
    container = pods.run().start("sh", "-c", HANDLED.format("USR2"), image={"image": reference})
    container.printed("ready")
    assert container.status().stop_signal == pb.SIGNAL_SIGUSR2
    container.stop(10)
    assert container.status().exit_code == 7
    container.remove()
    pods.cri.image.RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=reference)))


def test_stops_of_created_and_ended_containers_succeed(pods: Pods) -> None:
    pod = pods.run()
    created, ended = pod.create(), pod.start("true")
    ended.ended()
    for container in (created, ended):
        container.stop(1)
        container.stop(1)
        assert container.status().state == pb.CONTAINER_EXITED
    assert ended.status().exit_code == 0


def test_children_of_a_killed_container_are_gone_with_it(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", "sleep 7654321 & sleep 7654321 & echo ready; wait")
    container.printed("ready")
    container.stop(0)
    eventually(lambda: not processes_with("7654321"), 5, "the children are gone")
