"""RemoveContainer: stop it if it runs, and leave nothing of it."""

from __future__ import annotations

import logging

from crio.core.errors import CriError, NotFound
from crio.core.lifecycle import ALIVE, ContainerState
from crio.core.records import Container
from crio.host import monitor
from crio.ops import volumes
from crio.ops.context import Context
from crio.ops.stages import name_object, stage
from crio.ops.stop_container import stop_container

log = logging.getLogger(__name__)


async def remove_container(ctx: Context, container_id: str, timeout_s: float = 0.0) -> None:
    """Remove a container, by force when it runs; unknown ones are success. Source: CRI RemoveContainer."""
    container = ctx.table.containers.find_or_none(container_id)
    if container is None:
        return
    await ctx.flights.join(("remove container", container.id), lambda: _carry(ctx, container.id, timeout_s))


async def _carry(ctx: Context, container_id: str, timeout_s: float) -> None:
    container = ctx.table.containers.get(container_id)
    if container is None:
        return
    with ctx.timeline.operation("RemoveContainer", container.name):
        name_object(container.id)
        if container.state in ALIVE:
            await stop_container(ctx, container.id, timeout_s)
        async with ctx.table.lock(container.id):
            await discard(ctx, container)


async def discard(ctx: Context, container: Container) -> None:
    """Delete what the runtime, the monitor and the store hold of a container that has ended (or was never finished)."""
    with stage("container runtime delete"):
        force = container.state in (ContainerState.CREATING, ContainerState.UNKNOWN)
        try:
            await ctx.handlers.get(container.handler).runtime.delete(container.id, force=force)
        except NotFound:
            pass
        except CriError as error:
            log.warning("the runtime cannot delete container %s: %s", container.id, error)
    with stage("container storage delete"):
        runtime = ctx.settings.runtime
        monitor.forget(container.id, runtime.container_exits_dir, runtime.container_attach_socket_dir)
        for path in (container.cgroup_path, ctx.cgroups.monitor_path(container.cgroup_path)):
            ctx.cgroups.remove(path)
        await ctx.blocking.run(_delete_storage, ctx, container)
        ctx.table.drop_container(container.id)
        ctx.meter.on_removed(container.name)


def _delete_storage(ctx: Context, container: Container) -> None:
    ctx.store.unmount(container.id)
    ctx.store.delete_container(container.id)
    volumes.release(ctx, container.image_volumes)
