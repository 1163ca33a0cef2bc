"""The infra process of a sandbox: pause under its own conmon.

It exists only for a pod that shares its pid namespace, or where ``drop_infra_ctr`` is off. It uses the sandbox's own store container
and id, so clients never see it as a container.
"""

from __future__ import annotations

import dataclasses
import os

from crio.core.config import ContainerConfig, ImageSpec, Metadata
from crio.core.errors import NotFound
from crio.core.lifecycle import ContainerState
from crio.core.records import Container, Sandbox
from crio.core.storage.records import ImageRecord
from crio.host import monitor
from crio.host.pull.options import PullRequest
from crio.host.runtime.handlers import Handler
from crio.ops import images, specs
from crio.ops.context import Context
from crio.ops.create_container import forget_monitor, monitor_request
from crio.ops.stages import stage
from crio.ops.undo import Undo


async def pause_image(ctx: Context) -> ImageRecord:
    """The pause image, pulled when it is not in the store."""
    name = ctx.settings.image.pause_image
    try:
        return images.require(ctx, name).record
    except NotFound:
        await ctx.pulls.pull(PullRequest(name, None))
        return images.require(ctx, name).record


async def start(ctx: Context, sandbox: Sandbox, image: ImageRecord, handler: Handler, undo: Undo) -> Sandbox:
    """Create and start the infra process; returns the record that names it."""
    with stage("sandbox storage start"):
        undo.push("the mount", lambda: ctx.blocking.run(ctx.store.unmount, sandbox.id))
        mountpoint = await ctx.blocking.run(ctx.store.mount, sandbox.id, sandbox.namespaces.user)
    with stage("sandbox spec configuration"):
        await ctx.blocking.run(specs.write_infra_spec, ctx, sandbox, image, handler, mountpoint)
    with stage("sandbox container runtime creation"):
        undo.push("the monitor's traces", lambda: forget_monitor(ctx, sandbox.id, sandbox.infra_cgroup))
        undo.push("the infra container", lambda: handler.runtime.delete(sandbox.id, force=True))
        monitored = await monitor.create(monitor_request(ctx, as_container(ctx, sandbox), handler))
        sandbox = dataclasses.replace(sandbox, infra_process=monitored.process, infra_monitor=monitored.monitor, pause_image=image.id)
        ctx.table.sandboxes.put(sandbox)
        await handler.runtime.start(sandbox.id)
    ctx.exits.watch_monitor(sandbox.id, monitored.monitor)
    return sandbox


def as_container(ctx: Context, sandbox: Sandbox) -> Container:
    """The infra process in the shape of a container record, for the code that handles both."""
    pause = ctx.settings.image.pause_image
    return Container(
        id=sandbox.id,
        name=f"k8s_POD_{sandbox.name.removeprefix('k8s_')}",
        sandbox_id=sandbox.id,
        config=ContainerConfig(Metadata("POD"), ImageSpec(pause)),
        state=ContainerState.CREATING,
        created_at_ns=sandbox.created_at_ns,
        image_id=sandbox.pause_image,
        image_ref="",
        image_name=pause,
        log_path=os.path.join(sandbox.run_dir, f"{sandbox.id}.log"),
        bundle=sandbox.run_dir,
        handler=sandbox.handler,
        cgroup_path=sandbox.infra_cgroup,
    )
