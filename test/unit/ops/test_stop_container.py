"""Stopping a container: signals by any name, and a start that fails meanwhile."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from crio.core.errors import Internal
from crio.core.lifecycle import ContainerState
from crio.ops.start_container import start_container
from crio.ops.stop_container import signal_number, stop_container
from test.unit.ops.fakes import context
from test.unit.ops.samples import container

SIGNALS = {
    "TERM": signal.SIGTERM,
    "sigint": signal.SIGINT,
    "9": signal.SIGKILL,
    "RTMIN": signal.SIGRTMIN,
    "SIGRTMIN+3": signal.SIGRTMIN + 3,
    "RTMAX-1": signal.SIGRTMAX - 1,
    # Names of hostile images: none of them may end in a number that the kernel refuses, or in no number.
    "RTMIN+99": signal.SIGTERM,
    "RTMAX-80": signal.SIGTERM,
    "RTMIN+²": signal.SIGTERM,
    "²": signal.SIGTERM,
    "0": signal.SIGTERM,
    "65": signal.SIGTERM,
    "9" * 5000: signal.SIGTERM,
    "_BLOCK": signal.SIGTERM,
    "": signal.SIGTERM,
}


@pytest.mark.parametrize("name", SIGNALS, ids=lambda name: name[:12])
def test_every_name_gives_a_signal_of_the_kernel(name: str) -> None:
    assert signal_number(name) == SIGNALS[name]


async def test_a_stop_during_a_start_that_fails_is_over_at_once(tmp_path: Path) -> None:
    async with context(str(tmp_path)) as ctx, asyncio.TaskGroup() as group:
        made = ctx.table.containers.put(container(1, ContainerState.CREATED))
        refuse = asyncio.Event()

        async def refused() -> None:
            await refuse.wait()
            raise Internal("exec format error")

        ctx.runtime.hooks["start"] = refused  # type: ignore[attr-defined]
        start = group.create_task(_outcome(ctx, made.id))
        await asyncio.sleep(0)
        stop = group.create_task(stop_container(ctx, made.id, 30.0))
        for _ in range(5):
            await asyncio.sleep(0)
        refuse.set()
        async with asyncio.timeout(5):
            await stop
        assert (await start) == "exec format error"


async def _outcome(ctx: object, container_id: str) -> str:
    with pytest.raises(Internal) as caught:
        await start_container(ctx, container_id)  # type: ignore[arg-type]
    return str(caught.value)
