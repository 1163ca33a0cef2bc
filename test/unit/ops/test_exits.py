"""The end of a container: on record whatever else fails, and nothing of it runs on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from crio.core.config import NamespaceMode, NamespaceOptions, Security
from crio.core.errors import Internal
from crio.core.lifecycle import ContainerState
from crio.core.records import Container
from crio.ops.exits import on_exit
from test.unit.ops.fakes import Cgroups, context
from test.unit.ops.samples import container


def _busy(_: str) -> None:
    raise Internal("store: unmount: Device or resource busy")


async def test_an_end_is_on_record_although_the_root_cannot_be_unmounted(tmp_path: Path) -> None:
    (tmp_path / "exit").write_text("3")
    store = SimpleNamespace(container_dir=lambda _: str(tmp_path), unmount=_busy)
    async with context(str(tmp_path), store=store) as ctx:
        ctx.table.containers.put(container(1))
        await on_exit(ctx, container(1).id)
        ended = ctx.table.containers.find(container(1).id)
        assert (ended.state, ended.exit_code) == (ContainerState.EXITED, 3)


def _with_pid_mode(mode: NamespaceMode) -> Container:
    base = container(1)
    security = Security(namespaces=NamespaceOptions(pid=mode))
    return dataclasses.replace(base, config=dataclasses.replace(base.config, security=security), cgroup_path="/pod/crio-x")


@pytest.mark.parametrize("mode", NamespaceMode)
async def test_what_is_left_in_a_shared_pid_namespace_ends_with_the_container(tmp_path: Path, mode: NamespaceMode) -> None:
    (tmp_path / "exit").write_text("0")
    cgroups = Cgroups()
    async with context(str(tmp_path), cgroups=cgroups) as ctx:
        ctx.table.containers.put(_with_pid_mode(mode))
        await on_exit(ctx, container(1).id)
    assert cgroups.killed == ([] if mode is NamespaceMode.CONTAINER else ["/pod/crio-x"])
