"""A sandbox's network: CNI and host ports, up and down."""

from __future__ import annotations

import dataclasses
from typing import Final

from crio.core.cni.values import PodNetwork
from crio.core.records import Sandbox
from crio.ops.context import Context

READY_TIMEOUT_S: Final = 5.0


def pod_network(sandbox: Sandbox) -> PodNetwork:
    """What the network code needs to know about a sandbox."""
    given = sandbox.config.metadata
    return PodNetwork(
        sandbox_id=sandbox.id,
        name=given.name,
        namespace=given.namespace,
        uid=given.uid,
        netns_path=sandbox.namespaces.net,
        cgroup_parent=sandbox.cgroup_parent,
        port_mappings=sandbox.config.port_mappings,
        annotations=sandbox.config.annotations,
    )


async def connect(ctx: Context, sandbox: Sandbox) -> Sandbox:
    """Attach the sandbox to its network and open its host ports; returns the record with its addresses."""
    result = await ctx.cni.add(pod_network(sandbox))
    mappings = sandbox.config.port_mappings
    if mappings and not result.ports_by_plugin and not ctx.settings.runtime.disable_hostport_mapping:
        await ctx.hostports.add(sandbox.id, result.ips, mappings)
    return dataclasses.replace(sandbox, ips=result.ips, cni_result=result.raw.decode(), network_up=True)


async def disconnect(ctx: Context, sandbox: Sandbox) -> None:
    """Take the network down; may be repeated, and works without the namespace."""
    if sandbox.config.port_mappings:
        await ctx.hostports.remove(sandbox.id)
    await ctx.cni.delete(pod_network(sandbox))
