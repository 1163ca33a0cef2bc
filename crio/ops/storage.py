"""The store's container of a sandbox or container, made even where an earlier attempt could not be taken back.

An undo may fail as well: the store's disk is read-only for a while, a mount is busy. The record that it leaves has the name, and a client
repeats its request until it succeeds. So whoever finds the name taken by something of ours that no record of the table knows, and that
nobody makes now (a name is made by one operation at a time), removes it and goes on.
"""

from __future__ import annotations

import logging

from crio.core.errors import AlreadyExists
from crio.host.store.options import ContainerCreate
from crio.ops.context import Context
from crio.ops.metadata import is_ours

log = logging.getLogger(__name__)


async def make_container(ctx: Context, create: ContainerCreate) -> None:
    """Make a container in the store; raises AlreadyExists when somebody who is alive, or another program, has its name."""
    try:
        await ctx.blocking.run(ctx.store.create_container, create)
    except AlreadyExists as error:
        if not await ctx.blocking.run(_drop_leftovers, ctx, create):
            raise
        log.warning("%s: it was left by an attempt that could not be undone, and is removed now", error)
        await ctx.blocking.run(ctx.store.create_container, create)


def _drop_leftovers(ctx: Context, create: ContainerCreate) -> bool:
    """Whether something that had a name of ``create`` was removed."""
    dropped = False
    for name in create.names:
        record = ctx.store.container(name)
        if record is not None and is_ours(record.metadata) is not None and not _is_known(ctx, record.id):
            ctx.store.unmount(record.id)
            ctx.store.delete_container(record.id)
            dropped = True
    used = {record.layer for record in ctx.store.containers()}
    for layer in ctx.store.layers():
        if layer.id not in used and f"{create.names[0]}-layer" in layer.names:
            ctx.store.delete_layer(layer.id)
            dropped = True
    return dropped


def _is_known(ctx: Context, record_id: str) -> bool:
    return ctx.table.sandboxes.get(record_id) is not None or ctx.table.containers.get(record_id) is not None
