"""CreateContainer: from a configuration to a container that waits for its start.

Order and ownership. The store's record and layer come first, then our record in state CREATING, then the mount, the specification,
and at last the monitor, which has the runtime create the container. The write of state CREATED is the commit; what a daemon that dies
before it leaves behind is found by the CREATING record and undone at the next start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import time

from crio.core.config import ContainerConfig
from crio.core.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from crio.core.lifecycle import ContainerEvent, ContainerState, SandboxState, next_container_state
from crio.core.naming import container_name
from crio.core.records import Container, Sandbox
from crio.host import monitor, sources
from crio.host.files import refusal
from crio.host.runtime.handlers import Handler
from crio.host.store.options import ContainerCreate
from crio.ops import images, specs, storage, volumes
from crio.ops.context import Context
from crio.ops.metadata import container_metadata
from crio.ops.stages import name_object, stage
from crio.ops.undo import Undo


async def create_container(ctx: Context, sandbox_id: str, config: ContainerConfig) -> str:
    """Create a container in a sandbox and return its id; a repeated request gets the same id.

    Raises NotFound (sandbox, image), FailedPrecondition (sandbox not ready), InvalidArgument (configuration), AlreadyExists (the name
    is another pod's), Internal (kernel or runtime). Source: CRI CreateContainer.
    """
    sandbox = ctx.table.sandboxes.find(sandbox_id)
    name = container_name(config.metadata, sandbox.config.metadata)
    key = ("create container", name)
    if ctx.flights.running(key):
        ctx.meter.on_retry(ctx.timeline.stage_of(name))
    container_id = await ctx.flights.join(key, lambda: _carry(ctx, sandbox.id, name, config))
    made = ctx.table.containers.get(container_id)
    if made is not None and (made.sandbox_id, made.config.metadata) != (sandbox.id, config.metadata):
        raise AlreadyExists(f"container name {name!r} is taken by {made.id} in sandbox {made.sandbox_id}")
    return container_id


async def _carry(ctx: Context, sandbox_id: str, name: str, config: ContainerConfig) -> str:
    existing = ctx.table.containers.of_name(name)
    if existing is not None:
        return existing.id
    with ctx.timeline.operation("CreateContainer", name):
        sandbox = ready_sandbox(ctx, sandbox_id)
        return await _create(ctx, sandbox, name, config)


def ready_sandbox(ctx: Context, sandbox_id: str) -> Sandbox:
    """The sandbox, if containers may be put into it; raises NotFound or FailedPrecondition."""
    sandbox = ctx.table.sandboxes.find(sandbox_id)
    if sandbox.state is not SandboxState.READY:
        raise FailedPrecondition(f"cannot create a container in sandbox {sandbox.id}: it is {sandbox.state.value}, not ready")
    return sandbox


async def _create(ctx: Context, sandbox: Sandbox, name: str, config: ContainerConfig) -> str:
    with stage("container creating"):
        handler = ctx.handlers.get(sandbox.handler)
        image = images.require(ctx, config.image.image)
        asked = config.image.user_specified_image or config.image.image
        await ctx.pulls.check_policy(image.record, asked, sandbox.config.metadata.namespace)
        container = _draft(ctx, sandbox, name, config, image)
        name_object(container.id)
    async with Undo() as undo:
        with stage("container storage creation"):
            create = ContainerCreate(container.id, (name,), image.record.id, container_metadata(container, sandbox))
            undo.push("the store container", lambda: ctx.blocking.run(ctx.store.delete_container, container.id))
            await storage.make_container(ctx, create)
            container = dataclasses.replace(container, bundle=ctx.store.run_dir(container.id))
            container = ctx.table.containers.put(container)
            undo.push("the record", lambda: ctx.table.drop_container(container.id))
        with stage("container storage start"):
            undo.push("the mount", lambda: ctx.blocking.run(ctx.store.unmount, container.id))
            mountpoint = await ctx.blocking.run(ctx.store.mount, container.id, sandbox.namespaces.user)
            container = dataclasses.replace(container, mountpoint=mountpoint)
        with stage("container spec configuration"):
            taken = sources.Taken()
            undo.push("directories made for mounts", lambda: _remove_empty(taken.directories))
            undo.push("image volumes", lambda: ctx.blocking.run(volumes.release, ctx, taken.images))
            container = await ctx.blocking.run(specs.write_container_spec, ctx, sandbox, container, image, handler, taken)
            container = ctx.table.containers.put(container)
            undo.push("the log file", lambda: _remove_empty_log(container.log_path))
            _prepare_log(container.log_path)
        with stage("container runtime creation"):
            undo.push("the monitor's traces", lambda: forget_monitor(ctx, container.id, container.cgroup_path))
            undo.push("the runtime's container", lambda: handler.runtime.delete(container.id, force=True))
            monitored = await monitor.create(monitor_request(ctx, container, handler))
        async with ctx.table.lock(sandbox.id):
            _check_still_ready(ctx, sandbox.id, container)
            state = next_container_state(container.id, container.state, ContainerEvent.CREATED)
            ctx.table.containers.put(dataclasses.replace(container, state=state, process=monitored.process, monitor=monitored.monitor))
            undo.commit()
    ctx.exits.watch_monitor(container.id, monitored.monitor)
    return container.id


def _check_still_ready(ctx: Context, sandbox_id: str, container: Container) -> None:
    """A stop that came while the container was being made wins: it did not see this container."""
    sandbox = ctx.table.sandboxes.get(sandbox_id)
    if sandbox is None or sandbox.state is not SandboxState.READY:
        raise FailedPrecondition(f"sandbox {sandbox_id} was stopped while container {container.name} was being created")


def _draft(ctx: Context, sandbox: Sandbox, name: str, config: ContainerConfig, image: images.Found) -> Container:
    container_id = secrets.token_hex(32)
    log_path = os.path.join(sandbox.log_directory, config.log_path or f"{container_id}.log")
    return Container(
        id=container_id,
        name=name,
        sandbox_id=sandbox.id,
        config=config,
        state=ContainerState.CREATING,
        created_at_ns=time.time_ns(),
        image_id=image.record.id,
        image_ref=image.reference,
        image_name=image.name,
        log_path=log_path,
        bundle="",
        handler=sandbox.handler,
        cgroup_path=ctx.cgroups.container_path(sandbox.cgroup_parent, container_id),
        stop_signal=config.stop_signal or image.config.stop_signal or "TERM",
    )


def _prepare_log(path: str) -> None:
    """The log's directory is there and no dangling link stands where the log goes."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        if os.path.islink(path) and not os.path.exists(path):
            os.unlink(path)
    except OSError as error:
        raise refusal(error, f"log path {path!r} cannot be used", InvalidArgument) from error


def _remove_empty_log(path: str) -> None:
    with contextlib.suppress(OSError):
        if os.path.getsize(path) == 0:
            os.unlink(path)


def _remove_empty(directories: list[str]) -> None:
    for directory in reversed(directories):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def forget_monitor(ctx: Context, container_id: str, cgroup_path: str) -> None:
    """Remove what a monitor and the runtime may have left outside the container's directories, cgroups included."""
    runtime = ctx.settings.runtime
    monitor.forget(container_id, runtime.container_exits_dir, runtime.container_attach_socket_dir)
    for path in (cgroup_path, ctx.cgroups.monitor_path(cgroup_path)):
        ctx.cgroups.remove(path)


def monitor_request(ctx: Context, container: Container, handler: Handler) -> monitor.MonitorRequest:
    """What conmon is told for a workload container."""
    runtime = ctx.settings.runtime
    logs = (container.log_path, "journald:") if runtime.log_to_journald else (container.log_path,)
    return monitor.MonitorRequest(
        monitor=handler.monitor_path or ctx.programs.monitor,
        container_id=container.id,
        name=container.name,
        bundle=container.bundle,
        persist_dir=ctx.store.container_dir(container.id),
        exits_dir=runtime.container_exits_dir,
        socket_dir=runtime.container_attach_socket_dir,
        runtime=handler.runtime.path,
        runtime_args=handler.runtime.global_args,
        log_specs=logs,
        log_level=str(runtime.log_level),
        log_size_max=runtime.log_size_max,
        terminal=container.config.tty,
        stdin=container.config.stdin,
        stdin_once=container.config.stdin_once,
        systemd_cgroup=ctx.cgroups.systemd,
        no_pivot=runtime.no_pivot,
        no_sync_log=handler.no_sync_log,
        syslog=True,
        env=dict(entry.partition("=")[::2] for entry in handler.monitor_env),
        timeout_s=handler.create_timeout_s,
        cgroup_procs=_monitor_cgroup(ctx, container, handler),
    )


def _monitor_cgroup(ctx: Context, container: Container, handler: Handler) -> tuple[str, ...]:
    """Where the monitor is to live: in the pod's cgroup when the handler says so, else where the daemon is."""
    if handler.config.monitor_cgroup != "pod" or ctx.cgroups.systemd:
        return ()
    path = ctx.cgroups.monitor_path(container.cgroup_path)
    ctx.cgroups.create(path)
    return tuple(f"{mount}{path}/cgroup.procs" for mount in ctx.cgroups.mounts())
