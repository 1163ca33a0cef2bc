"""The daemon is killed while it makes something: after its start nothing of that is left, and the same request succeeds.

The moments come from a seeded generator and are spread over the whole of an operation, so that over the rounds every stage is hit.
A request whose operation was finished just before the kill finds its object again: that is no leftover.
"""

from __future__ import annotations

import functools
import pathlib
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.integration.cri.kit import Pod, Pods
from test.integration.cri.own import Own, owned
from test.support.daemon import Options
from test.support.registry import RunningRegistry
from test.support.waiting import eventually

pytestmark = pytest.mark.inside
ROUNDS = 10
LONGEST_S = 0.12
SETTLE_S = 10.0
POD = {"network": {}, "infra": {"linux": {"security_context": {"namespace_options": {"pid": "POD"}}}}}
PORTS = [{"container_port": 80, "host_port": 18078}]


@pytest.fixture
def own(registry: RunningRegistry, tmp_path: pathlib.Path) -> Iterator[Own]:
    """A daemon to be killed, with the bridge of its first pod."""
    with owned(registry, tmp_path) as one:
        with one.pods() as pods:
            pods.run(port_mappings=PORTS).start()
            pods.close()
        yield one


def killed_during(own: Own, work: Callable[[Pods], object], delay_s: float) -> None:
    """Begin a request, kill the daemon after the delay, wait for the request's end, start the daemon."""

    def ask() -> None:
        with own.pods() as pods:
            try:
                work(pods)
            except grpc.RpcError:
                return

    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(ask)
        threading.Event().wait(delay_s)
        own.daemon.kill()
        request.result(60)
    own.daemon.start()


def _create(pod: Pod, config: pb.ContainerConfig, pods: Pods) -> None:
    pod.pods = pods
    pod.create_as(config).start()


def _remove(pod: Pod, pods: Pods) -> None:
    pod.pods = pods
    pod.remove()


def undone(own: Own) -> int:
    """How many half-made things the starts of the daemon have found."""
    log = own.daemon.log(1 << 30)
    return log.count("which was still being created") + log.count("never got beyond the store")


def settled(own: Own, before: dict[str, set[str]], moment: str) -> None:
    """Nothing is left beyond what was there before."""
    left: list[str] = []

    def clean() -> bool:
        left[:] = own.left(before)
        return not left

    try:
        eventually(clean, SETTLE_S, "nothing is left")
    except AssertionError:
        raise AssertionError(f"left behind by a daemon killed {moment}:\n  " + "\n  ".join(left)) from None


@pytest.mark.parametrize("kind", POD)
def test_a_half_made_pod_is_gone_and_can_be_run_again(own: Own, kind: str) -> None:
    chance = random.Random(f"pod {kind}")
    before = own.traces()
    for number in range(ROUNDS):
        delay_s = chance.uniform(0, LONGEST_S)
        with own.pods() as pods:
            config = pods.config(port_mappings=PORTS, **POD[kind])
        handler = ("runc", "crun")[number % 2]
        killed_during(own, functools.partial(Pods.run_as, config=config, handler=handler), delay_s)
        with own.pods() as pods:
            pods.mark = config.labels["ring"]
            finished = pods.listed()
            moment = f"{delay_s * 1000:.0f} ms into round {number}"
            if not finished:
                settled(own, before, moment)
            pod = pods.run_as(config, handler)
            assert finished in ([], pods.listed())
            assert pod.once("echo alive") == ["alive"]
            pod.remove()
        settled(own, before, f"{moment}, after the removal")
    assert undone(own) > 0


def test_a_half_made_container_is_gone_and_can_be_created_again(own: Own) -> None:
    chance = random.Random("container")
    with own.pods() as pods:
        pod = pods.run()
    before = own.traces()
    for number in range(ROUNDS):
        delay_s = chance.uniform(0, LONGEST_S)
        config = pod.container_config("sleep", "1000")
        killed_during(own, functools.partial(_create, pod, config), delay_s)
        with own.pods() as pods:
            pod.pods = pods
            moment = f"{delay_s * 1000:.0f} ms into round {number}"
            finished = pods.containers_of(pod.id)
            if not finished:
                settled(own, before, moment)
            container = pod.create_as(config)
            assert [item.id for item in finished] in ([], [container.id])
            assert len(pods.containers_of(pod.id)) == 1
            container.remove()
        settled(own, before, f"{moment}, after the removal")
    assert undone(own) > 0


def test_a_half_done_removal_is_finished_by_its_retry(own: Own) -> None:
    chance = random.Random("removal")
    before = own.traces()
    for number in range(ROUNDS):
        with own.pods() as pods:
            pod = pods.run(("runc", "crun")[number % 2], port_mappings=PORTS)
            pod.start()
        delay_s = chance.uniform(0, LONGEST_S)
        killed_during(own, functools.partial(_remove, pod), delay_s)
        with own.pods() as pods:
            pod.pods = pods
            pod.stop()
            pod.remove()
        settled(own, before, f"{delay_s * 1000:.0f} ms into round {number}")


def test_three_crashes_in_a_row_leave_nothing(registry: RunningRegistry, tmp_path: pathlib.Path) -> None:
    """Each start is killed as soon as it answers, while the one before has left a half-made pod."""
    with owned(registry, tmp_path, Options(runtime="runc")) as own:
        with own.pods() as pods:
            pods.run(port_mappings=PORTS).start()
            pods.close()
        before = own.traces()
        for _ in range(3):
            with own.pods() as pods:
                config = pods.config()
            killed_during(own, functools.partial(Pods.run_as, config=config), 0.03)
            own.daemon.restart(crash=True)
            with own.pods() as pods:
                pods.close_all()
        settled(own, before, "three times")
