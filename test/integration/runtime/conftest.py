"""Fixtures of the runtime ring: the host's facts, both runtimes, a workshop for containers."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crio.core.facts import HostFacts
from crio.core.oci.inputs import HandlerSettings
from crio.host import syscalls
from crio.host.cgroup.manager import CgroupManager
from crio.host.facts import read_facts
from crio.host.process import reap_orphans
from crio.host.runtime.handlers import HandlerConfig, Handlers, Surroundings, probe_handlers
from test.integration.runtime.bundles import Workshop, make_rootfs
from test.support import leaks
from test.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
HELPERS = ROOT / "libexec" / "crio"


@pytest.fixture(scope="session")
def host() -> HostFacts:
    """What this machine can do."""
    return read_facts()


@pytest.fixture(scope="session")
def helpers() -> Path:
    """The folder of our helper programs, built."""
    targets = [str(HELPERS / name) for name in ("runtime-hybrid", "exec-wait")]
    subprocess.run(["make", "-s", "-C", str(ROOT / "conmon"), f"OUT={ROOT}", *targets], check=True)
    return HELPERS


@pytest.fixture
def around(host: HostFacts, helpers: Path, tmp_path: Path) -> Surroundings:
    """What probing handlers needs to know."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Surroundings(host, str(helpers / "runtime-hybrid"), str(helpers / "exec-wait"), str(scratch))


@pytest.fixture
async def handlers(around: Surroundings, tmp_path: Path) -> Handlers:
    """runc and crun with state folders of their own."""
    configs = [
        HandlerConfig(name, root=str(tmp_path / f"run-{name}"), spec=HandlerSettings(name, container_min_memory_bytes=524288))
        for name in ("runc", "crun")
    ]
    return await probe_handlers(configs, "runc", around)


@pytest.fixture(params=["runc", "crun"])
async def workshop(request: pytest.FixtureRequest, handlers: Handlers, host: HostFacts, tmp_path: Path) -> AsyncIterator[Workshop]:
    """A place for containers of one runtime; everything is gone afterwards."""
    syscalls.set_child_subreaper()
    make_rootfs(tmp_path / "rootfs")
    cgroups = CgroupManager(host.cgroups, systemd=False)
    parent = f"/{leaks.CGROUP_PREFIX}{leaks.run_id()}-{secrets.token_hex(4)}"
    shop = Workshop(handlers.get(request.param), host, tmp_path, parent, cgroups)
    yield shop
    await shop.close()
    reap_orphans()
    eventually(lambda: cgroups.remove(parent) and not cgroups.exists(parent), 5, "the cgroup parent is gone")
