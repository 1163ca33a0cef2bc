"""Starting a container: what a refusal leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from crio.core.errors import DeadlineExceeded
from crio.core.lifecycle import ContainerState
from crio.ops.start_container import start_container
from test.unit.ops.fakes import context
from test.unit.ops.samples import container


def _overstays() -> None:
    raise DeadlineExceeded("runc did not end within 60 s and was killed")


async def test_a_start_that_overstays_is_an_exit_and_nothing_runs_afterwards(tmp_path: Path) -> None:
    async with context(str(tmp_path)) as ctx:
        made = ctx.table.containers.put(container(1, ContainerState.CREATED))
        ctx.runtime.hooks["start"] = _overstays  # type: ignore[attr-defined]
        with pytest.raises(DeadlineExceeded):
            await start_container(ctx, made.id)
        left = ctx.table.containers.find(made.id)
        assert (left.state, left.exit_code, left.message) == (
            ContainerState.EXITED,
            128,
            "runc did not end within 60 s and was killed",
        )
        assert ctx.table.exited(made.id).is_set()
        assert ctx.runtime.calls == ["start", "delete force"]  # type: ignore[attr-defined]
