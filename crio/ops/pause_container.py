"""Pausing and resuming a container, for people at the status API."""

from __future__ import annotations

import dataclasses

from crio.core.lifecycle import ContainerEvent, next_container_state
from crio.ops.context import Context


async def pause_container(ctx: Context, container_id: str) -> None:
    """Freeze a running container; raises NotFound, FailedPrecondition."""
    await _change(ctx, container_id, ContainerEvent.PAUSE)


async def resume_container(ctx: Context, container_id: str) -> None:
    """Let a paused container run; raises NotFound, FailedPrecondition."""
    await _change(ctx, container_id, ContainerEvent.RESUME)


async def _change(ctx: Context, container_id: str, event: ContainerEvent) -> None:
    container = ctx.table.containers.find(container_id)
    async with ctx.table.lock(container.id):
        container = ctx.table.containers.find(container.id)
        state = next_container_state(container.id, container.state, event)
        runtime = ctx.handlers.get(container.handler).runtime
        await (runtime.pause if event is ContainerEvent.PAUSE else runtime.resume)(container.id)
        ctx.table.containers.put(dataclasses.replace(container, state=state))
