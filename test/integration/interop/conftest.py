"""One registry, and for each generation of the tools: a store with our puller for one test, a daemon for one file."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from crio.host import syscalls
from test.images.catalog import PAUSE
from test.integration.cri import cgroups
from test.integration.cri.kit import Pods, processes_with
from test.integration.interop.kit import Generation, Peer, Side, Together, generation, make_peer
from test.integration.pull.kit import open_bench
from test.support import daemon as daemons
from test.support import leaks
from test.support.cri import Cri
from test.support.registry import RunningRegistry, running
from test.support.waiting import eventually

GENERATIONS = ("old", "new")


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind(leak_scope: leaks.Scope) -> Iterator[None]:
    """The leak check of the suite, but once per file: the tools take the mount of a daemon's store away and the daemon
    puts it there again, so that between two tests of one daemon mounts come and go."""
    with leaks.checked(leak_scope):
        yield


@pytest.fixture(scope="session")
def store_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A real registry that has the pause image; tests use repositories of their own in it."""
    with running(tmp_path_factory.mktemp("interop-registry")) as started:
        started.push(PAUSE)
        yield started


@pytest.fixture(scope="module", params=GENERATIONS)
def tools(request: pytest.FixtureRequest) -> Generation:
    """The generation of the tools."""
    return generation(request.param)


@pytest.fixture(scope="module", params=("old", "debian13", "new"))
def every_tools(request: pytest.FixtureRequest) -> Generation:
    """The same with the generation between, for what matters most."""
    return generation(request.param)


def new_side(used: Generation, registry: str) -> Iterator[Side]:
    """An empty store, with our puller and the tools on it."""
    with tempfile.TemporaryDirectory(prefix="s") as name:
        folder = pathlib.Path(name)
        with open_bench(folder, registry) as bench:
            peer = make_peer(used, folder, registry, str(folder / "root"), str(folder / "run"))
            yield Side(bench, peer, registry)
        detach_below(name)


def detach_below(folder: str) -> None:
    """Take away every mount that a test or a tool left below a folder, once no process works there: podman run returns
    before the program that podman's monitor calls to clean up has ended."""
    eventually(lambda: processes_with(f"{folder}/") == [], 20, f"the tools have ended with {folder}")
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    for point in sorted((line.split()[4] for line in lines), key=len, reverse=True):
        if point.startswith(f"{folder}/"):
            syscalls.umount(point, syscalls.MNT_DETACH)


@pytest.fixture
def side(tools: Generation, store_registry: RunningRegistry) -> Iterator[Side]:
    """An empty store for one test."""
    yield from new_side(tools, store_registry.address)


@pytest.fixture
def every_side(every_tools: Generation, store_registry: RunningRegistry) -> Iterator[Side]:
    """The same for each of three generations."""
    yield from new_side(every_tools, store_registry.address)


@pytest.fixture
def elsewhere(tools: Generation, store_registry: RunningRegistry) -> Iterator[Peer]:
    """The tools on a store of their own. Its path is short: the oldest podman refuses a long one."""
    with tempfile.TemporaryDirectory(prefix="e") as name:
        yield make_peer(tools, pathlib.Path(name), store_registry.address)
        detach_below(name)


@pytest.fixture(scope="module")
def together(tools: Generation, store_registry: RunningRegistry) -> Iterator[Together]:
    """One daemon and the tools on its store."""
    yield from new_together(tools, store_registry)


@pytest.fixture
def own_together(tools: Generation, store_registry: RunningRegistry) -> Iterator[Together]:
    """The same for one test alone, that harms the store or the daemon."""
    yield from new_together(tools, store_registry)


def new_together(used: Generation, registry: RunningRegistry, tables: daemons.Tables | None = None) -> Iterator[Together]:
    """A daemon for as long as it is needed, configured with ``tables`` on top."""
    options = daemons.Options(registries_conf=registry.registries_conf(), tables=tables or {})
    with tempfile.TemporaryDirectory(prefix="t") as name, daemons.running(options) as daemon, Cri(daemon.socket) as cri:
        parent = daemon.layout.cgroup_parent
        cgroups.make_parent(parent)
        folder, store = pathlib.Path(name), daemon.layout.root
        pods = Pods(cri, folder / "logs", parent)
        try:
            peer = make_peer(used, folder, registry.address, f"{store}/store", f"{store}/run/store")
            yield Together(daemon, cri, peer, registry.address, pods)
            pods.close()
            peer.check("--quick")
            eventually(lambda: processes_with(f"{name}/home") == [], 20, "the tools have ended")
        finally:
            pods.close()
            cgroups.remove_parent(parent)
