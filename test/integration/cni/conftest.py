"""Fixtures of the network tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from crio.host.cni.manager import CniManager
from test.integration.cni.node import Node, Scripted

Running = Callable[..., AbstractAsyncContextManager[CniManager]]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node with empty directories; everything of it is gone afterwards."""
    root = tmp_path / "node"
    root.mkdir()
    made = Node(root)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def plugin(node: Node) -> Scripted:
    """A plugin that can be told to break."""
    return Scripted(node.root / "plugins")


@pytest.fixture
def running(node: Node) -> Running:
    """Starts a manager on the node and stops it: ``async with running() as manager``."""

    @asynccontextmanager
    async def start(**changes: float | str) -> AsyncIterator[CniManager]:
        manager = CniManager(node.options(**changes), node.runner)
        await manager.start()
        try:
            yield manager
        finally:
            await manager.stop()

    return start
