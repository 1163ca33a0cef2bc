"""A context of fakes: what an operation touches answers, everything else is missing and fails loudly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import cast

from crio.host.blocking import Blocking
from crio.ops.context import Context
from crio.ops.flights import Flights
from crio.ops.meter import Unmetered
from crio.ops.stages import Timeline
from crio.ops.table import Table
from test.unit.ops.samples import Memory


class Runtime:
    """An OCI runtime that remembers its verbs; ``hooks`` maps a verb to what happens (or is raised) then."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.hooks: dict[str, Callable[[], object]] = {}

    def __getattr__(self, verb: str) -> Callable[..., object]:
        async def call(container_id: str, *args: object, **options: object) -> None:
            self.calls.append(" ".join([verb, *(name for name, on in options.items() if on is True)]))
            result = self.hooks[verb]() if verb in self.hooks else None
            if asyncio.iscoroutine(result):
                await result

        return call


class Cgroups:
    """Remembers what is killed and removed."""

    def __init__(self) -> None:
        self.killed: list[str] = []
        self.removed: list[str] = []

    def kill(self, path: str) -> None:
        """Note it."""
        self.killed.append(path)

    def remove(self, path: str) -> bool:
        """Note it."""
        self.removed.append(path)
        return True

    def monitor_path(self, path: str) -> str:
        """Beside the container's."""
        return f"{path}-conmon"


@contextlib.asynccontextmanager
async def context(directory: str, **ports: object) -> AsyncIterator[Context]:
    """A context whose store keeps its directories below ``directory``; ``ports`` replace or add members."""
    runtime = Runtime()
    blocking = Blocking(1)
    store = SimpleNamespace(
        container_dir=lambda _: directory, unmount=lambda _: None, delete_container=lambda _: None, unmount_image=lambda _: None
    )
    settings = SimpleNamespace(
        runtime=SimpleNamespace(container_exits_dir=directory, container_attach_socket_dir=directory),
    )
    async with asyncio.TaskGroup() as group:
        members: dict[str, object] = {
            "settings": settings,
            "store": store,
            "table": Table(Memory()),
            "flights": Flights(group),
            "timeline": Timeline(),
            "blocking": blocking,
            "handlers": SimpleNamespace(get=lambda _: SimpleNamespace(runtime=runtime)),
            "cgroups": Cgroups(),
            "runtime": runtime,
            "meter": Unmetered(),
        }
        try:
            yield cast(Context, SimpleNamespace(**(members | ports)))
        finally:
            blocking.close()
