"""RunPodSandbox: from a configuration to a sandbox that containers can live in.

Order and ownership. The store's record comes first, because it gives the sandbox its directories; then our own record in state
CREATING, which names every resource that follows, so that a daemon that dies in the middle finds all of them again and undoes them
(nobody was told the id yet). Then, side by side, the namespaces with the network on the one hand and the pod's files on the other;
then the infra process where the pod needs one; at last the record becomes READY, and that write is the commit.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import secrets
import time
from dataclasses import dataclass

from crio.core.config import NamespaceMode, SandboxConfig
from crio.core.errors import AlreadyExists, InvalidArgument
from crio.core.lifecycle import SandboxEvent, SandboxState, next_sandbox_state
from crio.core.naming import infra_name, sandbox_name
from crio.core.podfiles import hosts_file, pod_hostname, resolv_conf
from crio.core.records import Sandbox
from crio.host import namespaces, podfs
from crio.host.files import refusal, write_or_refuse
from crio.host.runtime.handlers import Handler
from crio.host.store.options import ContainerCreate
from crio.ops import infra, network, specs, storage
from crio.ops.context import Context
from crio.ops.metadata import sandbox_metadata
from crio.ops.stages import name_object, stage
from crio.ops.undo import Undo


async def run_pod(ctx: Context, config: SandboxConfig, handler_name: str) -> str:
    """Create a sandbox and return its id; a repeated request gets the same id.

    Raises InvalidArgument (configuration, handler), AlreadyExists (another pod has the name), Unavailable (no network configuration),
    Internal (a plugin, the kernel or the runtime refuses); then nothing is left of the sandbox. Source: CRI RunPodSandbox.
    """
    name = sandbox_name(config.metadata)
    handler = ctx.handlers.get(handler_name)
    key = ("run pod", name)
    if ctx.flights.running(key):
        ctx.meter.on_retry(ctx.timeline.stage_of(name))
    sandbox_id = await ctx.flights.join(key, lambda: _carry(ctx, name, config, handler))
    made = ctx.table.sandboxes.get(sandbox_id)
    if made is not None and made.config.metadata != config.metadata:
        # An underscore within a part makes two pods' names the same.
        raise AlreadyExists(f"sandbox name {name!r} is taken by {sandbox_id}, whose metadata is {made.config.metadata}")
    return sandbox_id


async def _carry(ctx: Context, name: str, config: SandboxConfig, handler: Handler) -> str:
    existing = ctx.table.sandboxes.of_name(name)
    if existing is not None:
        return existing.id
    with ctx.timeline.operation("RunPodSandbox", name):
        return await _create(ctx, name, config, handler)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What is decided about a sandbox before anything is made."""

    sandbox: Sandbox
    store_name: str
    needs_infra: bool


def _draft(ctx: Context, name: str, config: SandboxConfig, handler: Handler) -> _Draft:
    options = config.security.namespaces
    host_network = options.network is NamespaceMode.NODE
    sandbox_id = secrets.token_hex(32)
    hostname = pod_hostname(config.hostname, sandbox_id, podfs.host_name(), host_network=host_network)
    needs_infra = options.pid is NamespaceMode.POD or not ctx.settings.runtime.drop_infra_ctr
    log_directory = config.log_directory or os.path.join(ctx.settings.root.log_dir, sandbox_id)
    privileged = config.security.privileged or NamespaceMode.NODE in (options.network, options.pid, options.ipc)
    sandbox = Sandbox(
        id=sandbox_id,
        name=name,
        config=config,
        state=SandboxState.CREATING,
        created_at_ns=time.time_ns(),
        handler=handler.name,
        cgroup_parent=ctx.cgroups.sandbox_parent(config.cgroup_parent),
        hostname=hostname,
        log_directory=log_directory,
        run_dir="",
        privileged=privileged,
        infra=needs_infra,
    )
    return _Draft(sandbox, infra_name(config.metadata), needs_infra)


def _planned_paths(ctx: Context, sandbox: Sandbox, run_dir: str) -> Sandbox:
    """The record with every path that the sandbox will use."""
    options = sandbox.config.security.namespaces
    shm = "/dev/shm" if options.ipc is NamespaceMode.NODE else os.path.join(run_dir, "shm")
    pins = namespaces.pin_paths(pin_request(ctx, sandbox))
    return dataclasses.replace(
        sandbox,
        run_dir=run_dir,
        namespaces=pins,
        shm_path=shm,
        resolv_path=os.path.join(run_dir, "resolv.conf"),
        hostname_path=os.path.join(run_dir, "hostname"),
        hosts_path="/etc/hosts" if options.network is NamespaceMode.NODE else os.path.join(run_dir, "hosts"),
        infra_cgroup=ctx.cgroups.container_path(sandbox.cgroup_parent, sandbox.id),
    )


def pin_request(ctx: Context, sandbox: Sandbox) -> namespaces.PinRequest:
    """Which namespaces a sandbox gets of its own."""
    options = sandbox.config.security.namespaces
    userns = options.userns if options.userns and options.userns.mode is NamespaceMode.POD else None
    return namespaces.PinRequest(
        pinns=ctx.programs.pinns,
        directory=ctx.settings.runtime.namespaces_dir,
        name=sandbox.id,
        net=options.network is not NamespaceMode.NODE,
        ipc=options.ipc is not NamespaceMode.NODE,
        hostname=sandbox.hostname,
        sysctls=specs.sandbox_sysctls(ctx, sandbox),
        uid_mappings=userns.uids if userns else (),
        gid_mappings=userns.gids if userns else (),
    )


async def _create(ctx: Context, name: str, config: SandboxConfig, handler: Handler) -> str:
    with stage("sandbox creating"):
        draft = _draft(ctx, name, config, handler)
        sandbox = draft.sandbox
        name_object(sandbox.id)
        specs.check_sandbox(ctx, sandbox)
    if sandbox.config.security.namespaces.network is not NamespaceMode.NODE:
        with stage("sandbox network ready"):
            await ctx.cni.wait_ready(network.READY_TIMEOUT_S)
    async with Undo() as undo:
        image = await infra.pause_image(ctx) if draft.needs_infra else None
        with stage("sandbox storage creation"):
            metadata = sandbox_metadata(sandbox, draft.store_name, ctx.settings.image.pause_image, image.id if image else "")
            create = ContainerCreate(sandbox.id, (draft.store_name, name), image.id if image else "", metadata)
            undo.push("the store container", lambda: ctx.blocking.run(ctx.store.delete_container, sandbox.id))
            await storage.make_container(ctx, create)
            run_dir = ctx.store.run_dir(sandbox.id)
            sandbox = ctx.table.sandboxes.put(_planned_paths(ctx, sandbox, run_dir))
            undo.push("the record", lambda: ctx.table.drop_sandbox(draft.sandbox.id))
        sandbox = await _furnish(ctx, sandbox, undo)
        if image is not None:
            sandbox = await infra.start(ctx, sandbox, image, handler, undo)
        else:
            with stage("sandbox spec configuration"):
                undo.push("the cgroup", lambda: ctx.cgroups.remove(sandbox.infra_cgroup))
                ctx.cgroups.create(sandbox.infra_cgroup)
                await ctx.blocking.run(specs.save_sandbox_record, ctx, sandbox, handler)
        ready = next_sandbox_state(sandbox.id, sandbox.state, SandboxEvent.CREATED)
        ctx.table.sandboxes.put(dataclasses.replace(sandbox, state=ready))
        undo.commit()
    return sandbox.id


async def _furnish(ctx: Context, sandbox: Sandbox, undo: Undo) -> Sandbox:
    """Namespaces, network and files; returns the record with its addresses."""
    undo.push("the namespaces", lambda: namespaces.unpin(sandbox.namespaces))
    undo.push("/dev/shm", lambda: podfs.unmount_shm(_own_shm(sandbox)))
    if not sandbox.config.log_directory:
        undo.push("the log directory", lambda: podfs.remove_empty(sandbox.log_directory))
    try:
        async with asyncio.TaskGroup() as group:
            connected = group.create_task(_connect(ctx, sandbox, undo), name=f"network {sandbox.id}")
            group.create_task(_make_files(ctx, sandbox), name=f"files {sandbox.id}")
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    connected_sandbox = connected.result()
    if sandbox.config.security.namespaces.network is not NamespaceMode.NODE:
        text = hosts_file(sandbox.hostname, connected_sandbox.ips)
        write_or_refuse(sandbox.hosts_path, text.encode(), "the hosts file of the sandbox", 0o644)
    return connected_sandbox


def _own_shm(sandbox: Sandbox) -> str:
    return "" if sandbox.shm_path == "/dev/shm" else sandbox.shm_path


async def _connect(ctx: Context, sandbox: Sandbox, undo: Undo) -> Sandbox:
    with stage("sandbox namespace creation"):
        await namespaces.pin(pin_request(ctx, sandbox))
    if not sandbox.namespaces.net:
        return sandbox
    with stage("sandbox network creation"):
        undo.push("the network", lambda: network.disconnect(ctx, sandbox))
        sandbox = ctx.table.sandboxes.put(dataclasses.replace(sandbox, network_up=True))
        return await network.connect(ctx, sandbox)


async def _make_files(ctx: Context, sandbox: Sandbox) -> None:
    config = sandbox.config
    resolv = resolv_conf(config.dns) if config.dns is not None else podfs.host_resolv_conf()
    texts = podfs.PodTexts(resolv, f"{sandbox.hostname}\n", hosts_file(sandbox.hostname, ()))

    def make() -> None:
        podfs.write_pod_files(sandbox.run_dir, texts)
        if _own_shm(sandbox):
            podfs.mount_shm(sandbox.shm_path, specs.shm_size(ctx, sandbox))
        os.makedirs(sandbox.log_directory, mode=0o755, exist_ok=True)

    with stage("sandbox shm creation"):
        try:
            await ctx.blocking.run(make)
        except OSError as error:
            raise refusal(error, f"cannot make the files of the sandbox at {error.filename!r}", InvalidArgument) from error
