"""Limits: what the request says is what the kernel has."""

from __future__ import annotations

import pathlib

import pytest

from test.integration.cri import cgroups
from test.integration.cri.kit import Ctr, Pods
from test.support.leaks import CGROUPS

LEGACY = (CGROUPS / "memory").is_dir()
MEMORY_BYTES = 96 << 20


def limited(pods: Pods, handler: str = "", **resources: object) -> Ctr:
    """A running container with these limits."""
    return pods.run(handler).start(linux={"resources": resources})


def path_of(container: Ctr) -> str:
    """The cgroup of a container below each hierarchy."""
    return f"{container.pod.pods.cgroup_parent}/crio-{container.id}"


@pytest.mark.parametrize("handler", ["runc", "crun"])
@pytest.mark.inside
def test_every_limit_is_in_the_kernel(pods: Pods, handler: str) -> None:
    container = limited(
        pods,
        handler,
        cpu_shares=512,
        cpu_quota=30_000,
        cpu_period=60_000,
        memory_limit_in_bytes=MEMORY_BYTES,
        cpuset_cpus="0",
        cpuset_mems="0",
    )
    path = path_of(container)
    assert cgroups.value("memory", path, "memory.limit_in_bytes", "memory.max") == str(MEMORY_BYTES)
    if LEGACY:
        assert cgroups.value("cpu", path, "cpu.shares", "") == "512"
        assert cgroups.value("cpu", path, "cpu.cfs_quota_us", "") == "30000"
        assert cgroups.value("cpu", path, "cpu.cfs_period_us", "") == "60000"
    else:
        assert cgroups.value("cpu", path, "", "cpu.max") == "30000 60000"
    assert cgroups.value("cpuset", path, "cpuset.cpus", "cpuset.cpus") == "0"
    assert cgroups.value("cpuset", path, "cpuset.mems", "cpuset.mems") == "0"


@pytest.mark.inside
def test_limits_of_a_controller_that_is_not_mounted_are_left_out(pods: Pods) -> None:
    """The kubelet sends a limit of 0 for every size of huge pages, whether the kernel can keep it or not."""
    container = limited(pods, hugepage_limits=[{"page_size": "2MB", "limit": 0}, {"page_size": "1GB", "limit": 0}])
    assert container.says("echo up") == "up"


@pytest.mark.inside
def test_an_exec_is_counted_in_the_container_s_cgroup(pods: Pods) -> None:
    container = limited(pods, memory_limit_in_bytes=MEMORY_BYTES)
    container.says("sleep 929292 >/dev/null 2>&1 &")
    (outside,) = (path for path in pathlib.Path("/proc").glob("[0-9]*") if _sleeps(path, "929292"))
    assert f"{path_of(container)}\n" in (outside / "cgroup").read_text()


def _sleeps(process: pathlib.Path, number: str) -> bool:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", number.encode()]
    except OSError:
        return False


@pytest.mark.inside
def test_the_cgroup_of_a_removed_container_is_gone(pods: Pods) -> None:
    container = limited(pods)
    name = f"crio-{container.id}"
    assert list(CGROUPS.glob(f"**/{name}"))
    container.remove()
    assert not list(CGROUPS.glob(f"**/{name}"))
