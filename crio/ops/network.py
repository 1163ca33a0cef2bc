"""A sandbox's network: CNI and host ports, up and down."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import Final

from crio.core.cni.bandwidth import bandwidth_of
from crio.core.cni.values import PodNetwork
from crio.core.errors import CriError
from crio.core.records import Sandbox
from crio.ops.context import Context

READY_TIMEOUT_S: Final = 5.0
log = logging.getLogger(__name__)


def pod_network(ctx: Context, sandbox: Sandbox) -> PodNetwork:
    """What the network code needs to know about a sandbox."""
    given = sandbox.config.metadata
    mapped = not ctx.settings.runtime.disable_hostport_mapping
    return PodNetwork(
        sandbox_id=sandbox.id,
        name=given.name,
        namespace=given.namespace,
        uid=given.uid,
        netns_path=sandbox.namespaces.net,
        cgroup_parent=sandbox.cgroup_parent,
        port_mappings=sandbox.config.port_mappings if mapped else (),
        bandwidth=bandwidth_of(sandbox.config.annotations),
        annotations=sandbox.config.annotations,
    )


async def connect(ctx: Context, sandbox: Sandbox) -> Sandbox:
    """Attach the sandbox to its network and open its host ports; returns the record with its addresses.

    A failure after the attachment is undone by the caller's ``disconnect``.
    """
    pod = pod_network(ctx, sandbox)
    began_s = time.monotonic()
    result = await ctx.cni.add(pod)
    ctx.meter.on_network("network_setup_pod", time.monotonic() - began_s)
    if pod.port_mappings and not result.ports_by_plugin:
        await ctx.hostports.add(sandbox.id, result.ips, pod.port_mappings)
    ctx.meter.on_network("network_setup_overall", time.monotonic() - began_s)
    return dataclasses.replace(sandbox, ips=result.ips, cni_result=result.raw.decode(), network_up=True)


async def disconnect(ctx: Context, sandbox: Sandbox) -> None:
    """Take the network down; may be repeated, and works without the namespace. The attachment goes even if a port stays."""
    try:
        if sandbox.config.port_mappings:
            await ctx.hostports.remove(sandbox.id)
    finally:
        await ctx.cni.delete(pod_network(ctx, sandbox))


async def clean_up(ctx: Context) -> None:
    """After a restart: take away what belongs to sandboxes that are no more."""
    alive = [sandbox for sandbox in ctx.table.sandboxes.all() if sandbox.network_up]
    try:
        await ctx.hostports.reconcile([sandbox.id for sandbox in alive])
        await ctx.cni.check_gc([pod_network(ctx, sandbox) for sandbox in alive])
    except CriError as error:
        log.warning("networks of earlier sandboxes are not all cleaned up: %s", error)
