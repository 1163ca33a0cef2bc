"""One private podman for each runtime, and a clean one for every test."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from test.conmon.podman.engine import Engine, tools
from test.support import leaks


@pytest.fixture(scope="session", params=["runc", "crun", "podman5"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Podman with an image, for all tests of one generation and runtime. Podman wants a short path."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="p-"))
    made = Engine(folder, tools(request.param), f"/{leaks.CGROUP_PREFIX}podman-{request.param}-{leaks.run_id()}")
    made.prepare()
    yield made
    made.close()


@pytest.fixture
def podman(engine: Engine) -> Iterator[Engine]:
    """Podman without containers."""
    yield engine
    engine.clean()
