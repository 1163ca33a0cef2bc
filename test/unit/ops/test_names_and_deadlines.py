"""Names of pods and containers that only look the same; and stops that are asked for again with less patience."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path

import pytest

from crio.core import config as core
from crio.core.errors import AlreadyExists
from crio.core.naming import sandbox_name
from crio.host import monitor
from crio.ops.create_container import create_container, forget_monitor
from crio.ops.run_pod import run_pod
from crio.ops.stop_container import STOPS
from crio.ops.stop_pod import stop_pod
from test.support.waiting import eventually_async
from test.unit.ops.fakes import Cgroups, context
from test.unit.ops.samples import container, sandbox


async def test_a_retry_gets_the_same_pod_and_a_pod_of_another_namespace_never(tmp_path: Path) -> None:
    one, other = core.Metadata("a_b", 0, "u", "c"), core.Metadata("a", 0, "u", "b_c")
    assert sandbox_name(one) == sandbox_name(other)
    async with context(str(tmp_path)) as ctx:
        made = dataclasses.replace(sandbox(1), name=sandbox_name(one), config=core.SandboxConfig(one))
        ctx.table.sandboxes.put(made)
        assert await run_pod(ctx, core.SandboxConfig(one), "runc") == made.id
        with pytest.raises(AlreadyExists, match="is taken by"):
            await run_pod(ctx, core.SandboxConfig(other), "runc")


async def test_a_container_is_never_found_in_another_pod(tmp_path: Path) -> None:
    async with context(str(tmp_path)) as ctx:
        one, other = (dataclasses.replace(sandbox(number), config=sandbox(1).config) for number in (1, 2))
        for record in (one, other):
            ctx.table.sandboxes.put(record)
        made = ctx.table.containers.put(container(1))
        assert await create_container(ctx, one.id, made.config) == made.id
        with pytest.raises(AlreadyExists, match=f"in sandbox {one.id}"):
            await create_container(ctx, other.id, made.config)


async def _under_way(container_id: str) -> bool:
    return STOPS.under_way(container_id)


async def test_a_second_stop_of_a_pod_brings_the_end_of_the_grace_forward(tmp_path: Path) -> None:
    async with context(str(tmp_path)) as ctx, asyncio.TaskGroup() as group:
        ctx.table.sandboxes.put(sandbox(1))
        # The test's own process stands for the container; its signal is one that nobody minds.
        process = monitor.process_ref(os.getpid())
        running = ctx.table.containers.put(dataclasses.replace(container(1), process=process, stop_signal="URG"))
        first = group.create_task(stop_pod(ctx, sandbox(1).id, 60.0))
        await eventually_async(lambda: _under_way(running.id), 5, "the stop is under way")
        patience = STOPS.begin(running.id, float("inf"))
        second = group.create_task(stop_pod(ctx, sandbox(1).id, 20.0))
        for _ in range(3):
            await asyncio.sleep(0)
        assert patience.deadline <= asyncio.get_running_loop().time() + 20.0
        ctx.table.containers.put(dataclasses.replace(running, process=None))
        ctx.table.exited(running.id).set()
        await asyncio.wait([first, second])


async def test_a_failed_creation_leaves_nothing_of_its_monitor(tmp_path: Path) -> None:
    cgroups = Cgroups()
    async with context(str(tmp_path), cgroups=cgroups) as ctx:
        (tmp_path / container(1).id).symlink_to("bundle")
        forget_monitor(ctx, container(1).id, "/pod/crio-x")
    assert os.listdir(tmp_path) == []
    assert cgroups.removed == ["/pod/crio-x", "/pod/crio-x-conmon"]
