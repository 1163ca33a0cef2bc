"""What operations tell the meter, and when."""

from __future__ import annotations

import asyncio
import pathlib
from types import SimpleNamespace

from crio.core.lifecycle import ContainerState
from crio.host.pull.progress import PullEnd
from crio.ops import exits, network
from crio.ops.context import Context
from crio.ops.create_container import create_container
from crio.ops.meter import Meter, Unmetered
from crio.ops.remove_container import remove_container
from crio.ops.run_pod import run_pod
from crio.ops.stages import stage
from test.unit.ops.fakes import context
from test.unit.ops.samples import container, sandbox


class Told:
    """A meter that remembers what it is told, without times."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def on_call(self, method: str, seconds: float, failed: bool) -> None:
        """Note it."""
        self.events.append(("call", method))

    def on_network(self, step: str, seconds: float) -> None:
        """Note it."""
        assert seconds >= 0
        self.events.append(("network", step))

    def on_pull(self, end: PullEnd) -> None:
        """Note it."""
        self.events.append(("pull", end.progress.reference))

    def on_retry(self, stage: str) -> None:
        """Note it."""
        self.events.append(("retry", stage))

    def on_oom(self, container_name: str) -> None:
        """Note it."""
        self.events.append(("oom", container_name))

    def on_monitor_lost(self, container_name: str) -> None:
        """Note it."""
        self.events.append(("monitor lost", container_name))

    def on_removed(self, container_name: str) -> None:
        """Note it."""
        self.events.append(("removed", container_name))


def test_both_are_meters() -> None:
    meters: list[Meter] = [Unmetered(), Told()]
    assert len(meters) == 2


async def test_a_container_killed_for_memory_is_told_of_once(tmp_path: pathlib.Path) -> None:
    told = Told()
    async with context(str(tmp_path), meter=told) as ctx:
        for number in (1, 2):
            ctx.table.containers.put(container(number, ContainerState.RUNNING))
        await exits.on_exit(ctx, container(1).id)
        assert told.events == []
        (tmp_path / "oom").write_text("")
        await exits.on_exit(ctx, container(2).id)
        await exits.on_exit(ctx, container(2).id)
        assert told.events == [("oom", container(2).name)]


async def test_a_removed_container_is_told_of(tmp_path: pathlib.Path) -> None:
    told = Told()
    async with context(str(tmp_path), meter=told) as ctx:
        ctx.table.containers.put(container(1, ContainerState.EXITED))
        await remove_container(ctx, container(1).id)
        assert told.events == [("removed", container(1).name)]


async def test_a_network_is_told_of_by_step(tmp_path: pathlib.Path) -> None:
    told = Told()

    class Cni:
        """A network that works at once."""

        async def add(self, _: object) -> SimpleNamespace:
            """One address."""
            return SimpleNamespace(ips=("10.0.0.2",), raw=b"{}", ports_by_plugin=False)

    settings = SimpleNamespace(runtime=SimpleNamespace(disable_hostport_mapping=False))
    async with context(str(tmp_path), meter=told, cni=Cni(), settings=settings) as ctx:
        await network.connect(ctx, sandbox(1))
    assert told.events == [("network", "network_setup_pod"), ("network", "network_setup_overall")]


async def stands(ctx: Context, verb: str, name: str, stage_reached: asyncio.Event, go_on: asyncio.Event) -> str:
    """An operation that waits in its stage."""
    with ctx.timeline.operation(verb, name), stage(f"{verb} at work"):
        stage_reached.set()
        await go_on.wait()
    return sandbox(1).id if verb == "RunPodSandbox" else container(1).id


async def test_a_repeated_request_is_told_of_with_the_stage_of_the_first(tmp_path: pathlib.Path) -> None:
    told, pod = Told(), sandbox(1)
    async with context(str(tmp_path), meter=told) as ctx, asyncio.TaskGroup() as group:
        ctx.table.sandboxes.put(pod)
        ctx.table.containers.put(container(1))
        go_on = asyncio.Event()
        for verb, key in (("RunPodSandbox", ("run pod", pod.name)), ("CreateContainer", ("create container", container(1).name))):
            reached = asyncio.Event()
            group.create_task(ctx.flights.join(key, lambda v=verb, k=key, r=reached: stands(ctx, v, k[1], r, go_on)))
            await reached.wait()
        retries = [group.create_task(run_pod(ctx, pod.config, "")), group.create_task(create_container(ctx, pod.id, container(1).config))]
        # Both come as far as the operation that they join.
        await asyncio.sleep(0)
        go_on.set()
    assert [retry.result() for retry in retries] == [pod.id, container(1).id]
    assert told.events == [("retry", "RunPodSandbox at work"), ("retry", "CreateContainer at work")]
    assert ctx.timeline.stage_of(pod.name) == "unknown"
