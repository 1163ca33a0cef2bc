"""Restoring what an earlier daemon left: each record for itself."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from crio.core.errors import Internal
from crio.core.lifecycle import ContainerState, SandboxState
from crio.core.records import Container, Sandbox
from crio.host import monitor
from crio.ops.restore import restore
from test.unit.ops.fakes import Runtime, context
from test.unit.ops.samples import container, sandbox


def _store(records: list[Sandbox | Container], directory: str, **verbs: object) -> SimpleNamespace:
    metadata = '{"pod-name": "p", "pod-id": "i"}'
    found = [SimpleNamespace(id=record.id, metadata=metadata, layer="") for record in records]
    members: dict[str, object] = {
        "containers": lambda: found,
        "layers": lambda: (),
        "garbage_collect": lambda: (),
        "container_dir": lambda _: directory,
        "unmount": lambda _: None,
        "unmount_image": lambda _: None,
        "delete_container": lambda _: None,
    }
    return SimpleNamespace(**(members | verbs))


def _busy(_: str) -> None:
    raise Internal("store: delete container: Device or resource busy")


async def test_an_undo_that_fails_does_not_stop_the_daemon_from_starting(tmp_path: Path) -> None:
    records = [sandbox(1), container(1, ContainerState.CREATING), sandbox(2, SandboxState.CREATING), container(3, ContainerState.EXITED)]
    store = _store(records, str(tmp_path), delete_container=_busy)
    async with context(str(tmp_path), store=store) as ctx:
        await restore(ctx, {record.id: record for record in records}.get)
        assert ctx.table.containers.find(container(1).id).state is ContainerState.UNKNOWN
        assert ctx.table.sandboxes.find(sandbox(2).id).state is SandboxState.NOTREADY
        assert ctx.table.containers.find(container(3).id).state is ContainerState.EXITED


@pytest.mark.parametrize(("waits", "state"), [(True, ContainerState.CREATED), (False, ContainerState.RUNNING)])
async def test_a_start_that_never_reached_the_runtime_is_seen(tmp_path: Path, waits: bool, state: ContainerState) -> None:
    record = dataclasses.replace(container(1, ContainerState.RUNNING), process=monitor.process_ref(os.getpid()), started_at_ns=7)
    runtime = Runtime()
    runtime.waits_for_start = lambda _: waits
    handlers = SimpleNamespace(get=lambda _: SimpleNamespace(runtime=runtime))
    exits = SimpleNamespace(watch_monitor=lambda *_: None)
    async with context(str(tmp_path), store=_store([record], str(tmp_path)), handlers=handlers, exits=exits) as ctx:
        await restore(ctx, {record.id: record}.get)
        assert ctx.table.containers.find(record.id).state is state
