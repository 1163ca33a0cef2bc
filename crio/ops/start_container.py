"""StartContainer: let the created container run."""

from __future__ import annotations

import contextlib
import dataclasses
import time

from crio.core.errors import CriError
from crio.core.lifecycle import ContainerEvent, ContainerState, next_container_state
from crio.core.records import Container
from crio.ops.context import Context
from crio.ops.stages import name_object, stage


async def start_container(ctx: Context, container_id: str) -> None:
    """Start a container. Raises NotFound, FailedPrecondition (not in state created), Internal (the runtime refuses).

    After a refusal the container is exited and its status says why. Source: CRI StartContainer.
    """
    container = ctx.table.containers.find(container_id)
    await ctx.flights.join(("start container", container.id), lambda: _carry(ctx, container.id))


async def _carry(ctx: Context, container_id: str) -> None:
    async with ctx.table.lock(container_id):
        container = ctx.table.containers.find(container_id)
        running = next_container_state(container.id, container.state, ContainerEvent.START)
        with ctx.timeline.operation("StartContainer", container.name):
            name_object(container.id)
            await _start(ctx, container, running)


async def _start(ctx: Context, container: Container, running: ContainerState) -> None:
    handler = ctx.handlers.get(container.handler)
    # The start is on record before it happens: a daemon that dies in between finds a container that may run.
    started = dataclasses.replace(container, state=running, started_at_ns=time.time_ns())
    ctx.table.containers.put(started)
    try:
        with stage("container runtime start"):
            await handler.runtime.start(container.id)
    except CriError as error:
        now = time.time_ns()
        failed = dataclasses.replace(
            started,
            state=ContainerState.EXITED,
            started_at_ns=container.created_at_ns,
            finished_at_ns=now,
            exit_code=128,
            message=error.message,
        )
        ctx.table.containers.note(failed)
        ctx.table.exited(container.id).set()
        # A start that overstayed may still come true, and crun removes nothing that it has only created.
        with contextlib.suppress(CriError):
            await handler.runtime.delete(container.id, force=True)
        raise
