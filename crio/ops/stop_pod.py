"""StopPodSandbox and RemovePodSandbox.

Stopping marks the record STOPPING first, so that no container can be put into the sandbox any more; then the network goes and the
containers end, side by side; then the infra process, the namespaces and /dev/shm. Each step may have happened before: a stop that was
cut short is simply done again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
from typing import Final

from crio.core.config import NamespaceMode
from crio.core.errors import CriError, FailedPrecondition, InvalidArgument, NotFound
from crio.core.lifecycle import ALIVE, SandboxEvent, SandboxState, next_sandbox_state
from crio.core.records import Sandbox
from crio.host import monitor, namespaces, podfs
from crio.ops import exits, network
from crio.ops.context import Context
from crio.ops.remove_container import remove_container
from crio.ops.stages import name_object, stage
from crio.ops.stop_container import STOPS, stop_container

DEFAULT_TIMEOUT_S: Final = 10.0
INFRA_WAIT_S: Final = 10.0
log = logging.getLogger(__name__)


async def stop_pod(ctx: Context, sandbox_id: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Stop a sandbox and everything in it; unknown ids are success. Source: CRI StopPodSandbox."""
    if not sandbox_id:
        raise InvalidArgument("pod_sandbox_id is empty: expected the id of a sandbox")
    sandbox = ctx.table.sandboxes.find_or_none(sandbox_id)
    if sandbox is None:
        return
    if ctx.flights.running(("stop pod", sandbox.id)):
        _hurry(ctx, sandbox.id, timeout_s)
    await ctx.flights.join(("stop pod", sandbox.id), lambda: _carry_stop(ctx, sandbox.id, timeout_s))


def _hurry(ctx: Context, sandbox_id: str, timeout_s: float) -> None:
    """A stop that is under way ends by the earlier deadline of those who wait for it."""
    deadline = asyncio.get_running_loop().time() + max(timeout_s, 0.0)
    for container in ctx.table.containers_of(sandbox_id):
        if STOPS.under_way(container.id):
            STOPS.begin(container.id, deadline)


async def remove_pod(ctx: Context, sandbox_id: str) -> None:
    """Remove a sandbox with all its containers, by force where they run; unknown ids are success. Source: CRI RemovePodSandbox."""
    if not sandbox_id:
        raise InvalidArgument("pod_sandbox_id is empty: expected the id of a sandbox")
    sandbox = ctx.table.sandboxes.find_or_none(sandbox_id)
    if sandbox is None:
        return
    await ctx.flights.join(("remove pod", sandbox.id), lambda: _carry_remove(ctx, sandbox.id))


async def _carry_stop(ctx: Context, sandbox_id: str, timeout_s: float) -> None:
    sandbox = ctx.table.sandboxes.get(sandbox_id)
    if sandbox is None:
        return
    with ctx.timeline.operation("StopPodSandbox", sandbox.name):
        name_object(sandbox.id)
        await _stop(ctx, sandbox, timeout_s)


async def _stop(ctx: Context, sandbox: Sandbox, timeout_s: float) -> None:
    async with ctx.table.lock(sandbox.id):
        sandbox = ctx.table.sandboxes.find(sandbox.id)
        if sandbox.state is SandboxState.CREATING:
            raise FailedPrecondition(f"cannot stop sandbox {sandbox.id}: it is still being created")
        state = next_sandbox_state(sandbox.id, sandbox.state, SandboxEvent.STOP)
        sandbox = ctx.table.sandboxes.note(dataclasses.replace(sandbox, state=state))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_disconnect(ctx, sandbox), name=f"network down {sandbox.id}")
            for container in ctx.table.containers_of(sandbox.id):
                if container.state in ALIVE:
                    group.create_task(stop_container(ctx, container.id, timeout_s), name=f"stop {container.id}")
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    with stage("sandbox teardown"):
        await _end_infra(ctx, sandbox)
        await ctx.blocking.run(release, sandbox)
    async with ctx.table.lock(sandbox.id):
        sandbox = ctx.table.sandboxes.find(sandbox.id)
        state = next_sandbox_state(sandbox.id, sandbox.state, SandboxEvent.STOPPED)
        ctx.table.sandboxes.note(dataclasses.replace(sandbox, state=state, network_up=False))


def release(sandbox: Sandbox) -> None:
    """Give back the namespaces and /dev/shm of a sandbox; may be repeated."""
    namespaces.unpin(sandbox.namespaces)
    if sandbox.config.security.namespaces.ipc is not NamespaceMode.NODE:
        podfs.unmount_shm(sandbox.shm_path)


async def _disconnect(ctx: Context, sandbox: Sandbox) -> None:
    if not sandbox.network_up:
        return
    with stage("sandbox network teardown"):
        try:
            await network.disconnect(ctx, sandbox)
        except CriError as error:
            # The network code keeps the detachment as a debt and pays it later; the pod's end does not wait for a broken plugin.
            log.warning("the network of sandbox %s is not down yet: %s", sandbox.id, error)


async def _end_infra(ctx: Context, sandbox: Sandbox) -> None:
    if sandbox.infra_process is None:
        return
    exited = ctx.table.exited(sandbox.id)
    if monitor.kill(sandbox.infra_process, signal.SIGKILL):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INFRA_WAIT_S):
                await exited.wait()
    await exits.check(ctx, sandbox.id)


async def _carry_remove(ctx: Context, sandbox_id: str) -> None:
    sandbox = ctx.table.sandboxes.get(sandbox_id)
    if sandbox is None:
        return
    if sandbox.state is SandboxState.CREATING:
        raise FailedPrecondition(f"cannot remove sandbox {sandbox.id}: it is still being created")
    if sandbox.state is not SandboxState.NOTREADY or sandbox.network_up or sandbox.infra_process is not None:
        await stop_pod(ctx, sandbox_id, 0.0)
    with ctx.timeline.operation("RemovePodSandbox", sandbox.name):
        name_object(sandbox.id)
        for container in ctx.table.containers_of(sandbox_id):
            # One that is still being created sees the stop and takes itself back; it must not be removed under its own feet.
            await ctx.flights.settle(("create container", container.name))
        try:
            async with asyncio.TaskGroup() as group:
                for container in ctx.table.containers_of(sandbox_id):
                    group.create_task(remove_container(ctx, container.id), name=f"remove {container.id}")
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        await discard(ctx, sandbox)


async def discard(ctx: Context, sandbox: Sandbox) -> None:
    """Delete what the runtime, the cgroups and the store hold of a stopped (or never finished) sandbox."""
    if sandbox.infra_process is not None or (sandbox.infra and sandbox.state is SandboxState.CREATING):
        with stage("sandbox runtime delete"):
            try:
                await ctx.handlers.get(sandbox.handler).runtime.delete(sandbox.id, force=True)
            except NotFound:
                pass
            except CriError as error:
                log.warning("the runtime cannot delete the infra container of sandbox %s: %s", sandbox.id, error)
    with stage("sandbox storage delete"):
        for path in (sandbox.infra_cgroup, ctx.cgroups.monitor_path(sandbox.infra_cgroup)):
            ctx.cgroups.remove(path)
        await ctx.blocking.run(_delete_storage, ctx, sandbox.id)
        if not sandbox.config.log_directory:
            # The daemon made it because the client named none; nobody else would take it away.
            podfs.remove_empty(sandbox.log_directory)
        runtime = ctx.settings.runtime
        monitor.forget(sandbox.id, runtime.container_exits_dir, runtime.container_attach_socket_dir)
        ctx.table.drop_sandbox(sandbox.id)


def _delete_storage(ctx: Context, sandbox_id: str) -> None:
    ctx.store.unmount(sandbox_id)
    ctx.store.delete_container(sandbox_id)
