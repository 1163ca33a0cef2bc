"""What the pull tests stand on: one real registry, a proxy in front of it, a fresh store, an engine."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest

from test.integration.pull.kit import Bench, open_bench
from test.support.faulty_registry import FaultyRegistry, faulty
from test.support.registry import RunningRegistry, running
from test.support.smallimages import Pusher


@pytest.fixture(scope="session")
def real_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A real registry without authentication; tests use repositories of their own in it."""
    with running(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def pusher(real_registry: RunningRegistry) -> Pusher:
    """Uploads into the real registry."""
    return Pusher(real_registry.address)


@pytest.fixture
async def proxy(real_registry: RunningRegistry) -> AsyncIterator[FaultyRegistry]:
    """A proxy that can be told to break."""
    async with faulty(real_registry.address) as registry:
        yield registry


@pytest.fixture
def bench(real_registry: RunningRegistry) -> Iterator[Bench]:
    """A fresh store and what is needed to pull into it; its path is short, since podman refuses long ones."""
    with tempfile.TemporaryDirectory(prefix="crio-") as folder, open_bench(pathlib.Path(folder), real_registry.address) as opened:
        yield opened
