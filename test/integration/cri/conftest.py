"""What the CRI ring shares: one runtime under test, warmed up, and the pods of each test."""

from __future__ import annotations

import pathlib
import tempfile
import unittest
from collections.abc import Iterator

import pytest

from test.images.catalog import BUSYBOX, PAUSE, WEB
from test.integration.cri import cgroups
from test.integration.cri.kit import Pods
from test.support import leaks
from test.support.cri import Cri
from test.support.daemon import Daemon

INSIDE = "inside: looks into the files and processes of our own daemon; not for another runtime behind --cri-endpoint"


def pytest_configure(config: pytest.Config) -> None:
    """The ring's own marker."""
    config.addinivalue_line("markers", INSIDE)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Against another runtime, tests that look inside ours say so and are passed over."""
    endpoint = item.config.getoption("--cri-endpoint")
    if endpoint and item.get_closest_marker("inside") is not None:
        raise unittest.SkipTest(f"looks inside our own daemon; the endpoint is {endpoint}")


@pytest.fixture(scope="session")
def cgroup_parent() -> Iterator[str]:
    """The cgroup of every pod of the ring."""
    name = f"/{leaks.CGROUP_PREFIX}ring-{pathlib.Path(tempfile.gettempdir()).name}"
    cgroups.make_parent(name)
    yield name
    cgroups.remove_parent(name)


@pytest.fixture(scope="session")
def warm(cri: Cri, cgroup_parent: str) -> Cri:
    """The runtime with the ring's images, after its first pod: what lasts as long as a runtime (the bridge) is there now."""
    for reference in (BUSYBOX, PAUSE, WEB):
        cri.pull(reference)
    with tempfile.TemporaryDirectory() as folder:
        pods = Pods(cri, pathlib.Path(folder), cgroup_parent)
        ports = [{"container_port": 80, "host_port": 18079}]
        try:
            pods.run(port_mappings=ports).start().stop()
        finally:
            pods.close()
    return cri


@pytest.fixture
def pods(warm: Cri, cgroup_parent: str, tmp_path: pathlib.Path) -> Iterator[Pods]:
    """Pods for one test."""
    kit = Pods(warm, tmp_path / "logs", cgroup_parent)
    yield kit
    kit.close()


@pytest.fixture
def inside(warm: Cri, daemon: Daemon) -> Daemon:
    """Our own daemon, for tests marked ``inside``."""
    return daemon
