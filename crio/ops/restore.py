"""Restore: a daemon starts and finds what an earlier one left.

The store's records with our metadata name the sandboxes and containers; ``state.json`` beside each says how far it was. What was still
being created is undone: its id was never given to anybody. Everything else is shown as it is, and what ended meanwhile is put on record
from its exit file. Running containers are not touched. A record that cannot be read is left alone and reported: nothing is wiped.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

from crio.core.errors import CriError
from crio.core.lifecycle import ALIVE, ContainerState, SandboxEvent, SandboxState, next_sandbox_state
from crio.core.naming import is_layer_name
from crio.core.records import Container, Sandbox
from crio.host import monitor, namespaces
from crio.ops import exits, network, remove_container, stop_pod
from crio.ops.context import Context
from crio.ops.metadata import is_ours

log = logging.getLogger(__name__)
Reader = Callable[[str], Sandbox | Container | None]


async def restore(ctx: Context, read: Reader) -> None:
    """Fill the table from disk. Sandboxes come first, so that every container finds its own."""
    sandboxes: list[Sandbox] = []
    containers: list[Container] = []
    unrecorded: list[str] = []
    for found in ctx.store.containers():
        mark = is_ours(found.metadata)
        if mark is None:
            continue
        try:
            record = read(found.id)
        except (ValueError, OSError) as error:
            log.error("the record of %s cannot be read and is left alone: %s", found.id, error)
            continue
        if record is None:
            unrecorded.append(found.id)
        elif isinstance(record, Sandbox):
            sandboxes.append(record)
        else:
            containers.append(record)
    # All are known before the first wait: exits that are reported from then on find their containers.
    for sandbox in sorted(sandboxes, key=lambda item: item.created_at_ns):
        ctx.table.sandboxes.load(sandbox)
    for container in sorted(containers, key=lambda item: item.created_at_ns):
        ctx.table.containers.load(container)
    for store_id in unrecorded:
        await _drop_unrecorded(ctx, store_id)
    await _restore_all(ctx)
    await _collect_garbage(ctx)
    log.info("restored %d sandboxes and %d containers", len(ctx.table.sandboxes.all()), len(ctx.table.containers.all()))


async def _restore_all(ctx: Context) -> None:
    """Each record for itself: one that cannot be restored is shown as something to remove, and stops nothing."""
    for sandbox in ctx.table.sandboxes.all():
        try:
            await _restore_sandbox(ctx, sandbox)
        except (CriError, OSError) as error:
            log.error("sandbox %s is not restored in full, remove it: %s", sandbox.id, error)
            ctx.table.sandboxes.load(dataclasses.replace(sandbox, state=SandboxState.NOTREADY))
    for container in ctx.table.containers.all():
        try:
            await _restore_container(ctx, container.id)
        except (CriError, OSError) as error:
            log.error("container %s is not restored in full, remove it: %s", container.id, error)
            ctx.table.containers.load(dataclasses.replace(container, state=ContainerState.UNKNOWN))


async def _collect_garbage(ctx: Context) -> None:
    """Remove what a daemon that died inside the store left there: layers of containers that never got a record, and data of nobody."""
    used = {record.layer for record in ctx.store.containers()}
    try:
        for layer in ctx.store.layers():
            if layer.id not in used and any(is_layer_name(name) for name in layer.names):
                log.info("removing layer %s (%s) of a container that never was", layer.id, layer.names[0])
                await ctx.blocking.run(ctx.store.delete_layer, layer.id)
        for path in await ctx.blocking.run(ctx.store.garbage_collect):
            log.info("removed %s, which no record of the store knows", path)
    except CriError as error:
        log.error("the store is not all cleaned up: %s", error)


async def _drop_unrecorded(ctx: Context, store_id: str) -> None:
    """A store container of ours without a record: its creation ended before it had anything else."""
    log.info("removing %s, whose creation never got beyond the store", store_id)
    try:
        await ctx.blocking.run(ctx.store.delete_container, store_id)
    except CriError as error:
        log.error("cannot remove the unfinished %s: %s", store_id, error)


async def _restore_sandbox(ctx: Context, sandbox: Sandbox) -> None:
    if sandbox.state is SandboxState.CREATING:
        await _undo_sandbox(ctx, sandbox)
        return
    if sandbox.state is SandboxState.READY and not _has_ground(sandbox):
        for event in (SandboxEvent.STOP, SandboxEvent.STOPPED):
            sandbox = dataclasses.replace(sandbox, state=next_sandbox_state(sandbox.id, sandbox.state, event))
        log.info("sandbox %s lost its namespaces or its infra process: it is no longer ready", sandbox.id)
        ctx.table.sandboxes.note(sandbox)
    if sandbox.infra_process is not None:
        if monitor.is_alive(sandbox.infra_process):
            ctx.exits.watch_monitor(sandbox.id, sandbox.infra_monitor)
        else:
            ctx.table.exited(sandbox.id).set()


def _has_ground(sandbox: Sandbox) -> bool:
    paths = sandbox.namespaces
    pinned = all(namespaces.is_pinned(path) for path in (paths.net, paths.ipc, paths.uts, paths.user) if path)
    return pinned and (sandbox.infra_process is None or monitor.is_alive(sandbox.infra_process))


async def _undo_sandbox(ctx: Context, sandbox: Sandbox) -> None:
    log.info("undoing sandbox %s (%s), which was still being created", sandbox.id, sandbox.name)
    try:
        if sandbox.network_up:
            await network.disconnect(ctx, sandbox)
    except CriError as error:
        log.warning("the network of sandbox %s is not down yet: %s", sandbox.id, error)
    await ctx.blocking.run(stop_pod.release, sandbox)
    await stop_pod.discard(ctx, sandbox)


def _waits_for_start(ctx: Context, container: Container) -> bool:
    try:
        return ctx.handlers.get(container.handler).runtime.waits_for_start(container.id)
    except CriError:
        # Its handler is configured no more; it runs all the same.
        return False


async def _restore_container(ctx: Context, container_id: str) -> None:
    container = ctx.table.containers.get(container_id)
    if container is None:
        return
    if container.state is ContainerState.CREATING:
        log.info("undoing container %s (%s), which was still being created", container.id, container.name)
        await remove_container.discard(ctx, container)
        return
    if container.state not in ALIVE:
        ctx.table.exited(container.id).set()
        return
    if monitor.is_alive(container.process):
        if container.state is ContainerState.RUNNING and _waits_for_start(ctx, container):
            log.info("container %s was about to be started: it is still only created", container.id)
            ctx.table.containers.note(dataclasses.replace(container, state=ContainerState.CREATED, started_at_ns=0))
        ctx.exits.watch_monitor(container.id, container.monitor)
    else:
        await exits.on_exit(ctx, container.id)
