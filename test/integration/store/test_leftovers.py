"""What an undo could not take back is in nobody's way, and what belongs to somebody stays."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crio.core.errors import AlreadyExists
from crio.host.store import ContainerCreate, Store
from crio.ops.context import Context
from crio.ops.storage import make_container
from test.integration.store.kit import Tools
from test.unit.ops.fakes import context
from test.unit.ops.samples import container

NAME = "k8s_web_pod1_examples_uid1_0"
OURS = '{"pod-name": "pod1", "pod-id": "0123"}'


def create(metadata: str = OURS) -> ContainerCreate:
    """A container with the same name each time and a new id."""
    return ContainerCreate(os.urandom(32).hex(), (NAME,), "", metadata)


def losing_the_record(ctx: Context, tools: Tools) -> None:
    """The layer is there, the record of its container is not."""
    ctx.store.create_container(create())
    Path(tools.root, "overlay-containers/volatile-containers.json").write_text("[]")


def losing_the_layer(ctx: Context, tools: Tools) -> None:
    """The record is there, its layer is not."""
    ctx.store.create_container(create())
    Path(tools.root, "overlay-layers/volatile-layers.json").write_text("[]")


def losing_nothing(ctx: Context, tools: Tools) -> None:
    """Both are there, the layer is mounted, and the table does not know them."""
    ctx.store.mount(ctx.store.create_container(create()).id)


def of_another_program(ctx: Context, tools: Tools) -> None:
    """The name is podman's."""
    ctx.store.create_container(create("{}"))


def of_the_living(ctx: Context, tools: Tools) -> None:
    """The table knows who has the name."""
    record = ctx.store.create_container(create())
    ctx.table.containers.load(dataclasses.replace(container(1), id=record.id))


@pytest.mark.parametrize("before", [losing_the_record, losing_the_layer, losing_nothing])
async def test_a_leftover_gives_its_name_back(store: Store, tools: Tools, tmp_path: Path, before: Callable[[Context, Tools], None]) -> None:
    async with context(str(tmp_path), store=store) as ctx:
        before(ctx, tools)
        wanted = create()
        await make_container(ctx, wanted)
    assert [record.id for record in store.containers()] == [wanted.id]
    assert [layer.names for layer in store.layers()] == [(f"{NAME}-layer",)]


@pytest.mark.parametrize("before", [of_another_program, of_the_living])
async def test_a_name_of_somebody_is_refused(store: Store, tools: Tools, tmp_path: Path, before: Callable[[Context, Tools], None]) -> None:
    async with context(str(tmp_path), store=store) as ctx:
        before(ctx, tools)
        (owner,) = store.containers()
        with pytest.raises(AlreadyExists, match=f"'{NAME}' is in use by container {owner.id}"):
            await make_container(ctx, create())
    assert store.containers() == (owner,)
