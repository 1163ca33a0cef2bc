"""Reading mount tables and sysfs names, the table for people, and the words of runtimes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from crio.core.errors import FailedPrecondition, Internal, InvalidArgument, NotFound
from crio.core.facts import CgroupFacts, CgroupMode, HostFacts
from crio.core.oci.features import RuntimeFeatures
from crio.host.cgroup.manager import CgroupManager, _inherit_cpuset
from crio.host.facts import hugepage_sizes, kernel_version, probe_host, read_cgroups
from crio.host.runtime.command import RuntimeCommand, error_text, to_error
from crio.host.runtime.tree import ProcessFacts, members

V2_TABLE = "30 1 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n31 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
HYBRID_TABLE = """24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:23 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct
26 24 0:24 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
27 24 0:25 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw
28 24 0:26 / /elsewhere rw - cgroup cgroup rw,cpu
29 24 0:27 / /elsewhere2 rw - cgroup2 cgroup2 rw
"""


def test_a_host_of_version_2() -> None:
    found = read_cgroups(V2_TABLE)
    assert found.mode is CgroupMode.V2 and found.v2_mount == "/sys/fs/cgroup" and found.v1 == {} and found.unified


def test_a_host_of_both_versions() -> None:
    found = read_cgroups(HYBRID_TABLE)
    assert found.mode is CgroupMode.HYBRID and found.v2_mount == "/sys/fs/cgroup/uni fied"
    assert found.v1 == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "name=systemd": "/sys/fs/cgroup/systemd",
    }
    assert found.has("cpu") and not found.has("hugetlb") and not found.swap_limit


def test_a_host_of_version_1() -> None:
    found = read_cgroups("".join(line + "\n" for line in HYBRID_TABLE.splitlines() if "cgroup2" not in line))
    assert found.mode is CgroupMode.V1 and found.v2_mount == "" and found.v2_controllers == frozenset()


def test_versions_and_page_sizes() -> None:
    assert kernel_version("6.18.44-fc") == (6, 18) and kernel_version("odd") == (0, 0)
    names = ("hugepages-1048576kB", "hugepages-2048kB", "hugepages-64kB", "other")
    assert hugepage_sizes(names) == ("64KB", "2MB", "1GB")


async def test_this_host_has_facts() -> None:
    found = await probe_host()
    assert found.pidfd and found.openat2 and found.rlimit_hard["RLIMIT_NOFILE"] > 0
    assert found.kernel_version >= (5, 4) and found.capabilities


@pytest.mark.parametrize("rich", [True, False])
def test_the_table_has_a_row_for_each_fact(rich: bool) -> None:
    facts = HostFacts(capabilities=frozenset({"CAP_SYS_RESOURCE"}), criu_path="/criu", selinux=True, apparmor=True)
    if not rich:
        nothing = CgroupFacts(CgroupMode.V1, {"cpu": "/c"}, "", frozenset(), swap_limit=False)
        facts = HostFacts(
            cgroups=nothing, seccomp=False, idmapped_mounts=False, pidfd=False, openat2=False, systemd=False, hugepage_sizes=()
        )
    rows = facts.table()
    assert len({name for name, _, _ in rows}) == len(rows) == 16
    assert all(found for _, found, _ in rows)
    assert dict((name, found) for name, found, _ in rows)["cgroup manager"] == ("systemd" if rich else "cgroupfs")


TEXTS: dict[str, tuple[str, bytes, type[Exception], str]] = {
    "runc does not know it": ("kill", b'{"level":"error","msg":"container does not exist"}\n', NotFound, "not known"),
    "crun does not know it": (
        "kill",
        b'{"msg":"error opening file `/run/crun/abc/status`: No such file or directory","level":"error"}\n',
        NotFound,
        "not known",
    ),
    "a missing program is not a missing container": (
        "start",
        b'{"msg":"/run/crun/abc/exec.fifo: No such file or directory","level":"error"}',
        Internal,
        "exec.fifo",
    ),
    "it has ended": ("pause", b'{"msg":"container not running","level":"error"}', FailedPrecondition, "does not run"),
    "plain words": ("start", b"something broke\n\n", Internal, "something broke"),
    "warnings are not the reason": (
        "start",
        b'{"level":"error","msg":"the reason"}\n{"level":"warning","msg":"by the way"}\n',
        Internal,
        "the reason",
    ),
    "no words at all": ("start", b"", Internal, "gave no reason"),
    "JSON of another kind": ("start", b'[]\n{"level":"error"}', Internal, "gave no reason"),
}


@pytest.mark.parametrize("sentence", TEXTS)
def test_words_of_runtimes(sentence: str) -> None:
    verb, stderr, kind, words = TEXTS[sentence]
    error = to_error(verb, "abc", error_text(stderr))
    assert type(error) is kind and words in str(error)


def test_command_lines() -> None:
    command = RuntimeCommand("h", "/bin/wrap", "/run/x", RuntimeFeatures(), True, ("--hybrid=/c:/bin/crun",))
    assert command.argv("state", "id") == (
        ["/bin/wrap", "--hybrid=/c:/bin/crun", "--root", "/run/x", "--systemd-cgroup", "--log-format", "json", "state", "id"]
    )
    assert command.monitor_args() == ("--hybrid=/c:/bin/crun", "--root=/run/x")


def test_what_belongs_to_a_process() -> None:
    table = {
        facts.pid: facts
        for facts in (
            ProcessFacts(10, "S", 1, 10, 0),
            ProcessFacts(11, "S", 10, 10, 0),
            ProcessFacts(12, "S", 1, 10, 0),  # its parent ended, its session is the same
            ProcessFacts(13, "S", 12, 13, 0),  # a session of its own, its parent belongs
            ProcessFacts(14, "Z", 10, 10, 0),
            ProcessFacts(20, "S", 1, 20, 0),
        )
    }
    assert members(10, table) == {10, 11, 12, 13}
    assert members(99, table) == set()


class TestCgroupFolders:
    def manager(self, tmp_path: Path, systemd: bool = False) -> CgroupManager:
        v1 = {name: str(tmp_path / name) for name in ("cpu", "cpuset")}
        for mount in v1.values():
            os.mkdir(mount)
        facts = CgroupFacts(CgroupMode.V1, v1, "")
        return CgroupManager(facts, systemd)

    def test_folders_are_made_and_removed_in_every_hierarchy(self, tmp_path: Path) -> None:
        manager = self.manager(tmp_path)
        manager.create("/pod/crio-x")
        manager.create("/pod/crio-x")
        assert (tmp_path / "cpu/pod/crio-x").is_dir() and (tmp_path / "cpuset/pod/crio-x").is_dir()
        assert manager.exists("/pod/crio-x")
        assert manager.remove("/pod/crio-x") and not manager.exists("/pod/crio-x")
        assert manager.remove("/pod/crio-x")
        assert (tmp_path / "cpu/pod").is_dir()

    def test_the_root_is_never_removed(self, tmp_path: Path) -> None:
        manager = self.manager(tmp_path)
        assert not manager.remove("/") and not manager.remove("")
        assert (tmp_path / "cpu").is_dir()

    def test_what_is_in_use_stays(self, tmp_path: Path) -> None:
        manager = self.manager(tmp_path)
        manager.create("/pod/crio-x")
        (tmp_path / "cpu/pod/crio-x/file").write_text("")
        assert not manager.remove("/pod/crio-x")

    def test_processes_are_found_below(self, tmp_path: Path) -> None:
        manager = self.manager(tmp_path)
        manager.create("/pod/crio-x/container")
        (tmp_path / "cpu/pod/crio-x/container/cgroup.procs").write_text("5\n7\n")
        (tmp_path / "cpuset/pod/crio-x/cgroup.procs").write_text("0\n6\n")
        assert manager.processes("/pod/crio-x") == (5, 6, 7)

    def test_a_new_cpuset_takes_what_its_parent_has(self, tmp_path: Path) -> None:
        (tmp_path / "parent").mkdir()
        (tmp_path / "parent/cpuset.cpus").write_text("0-1\n")
        child = tmp_path / "parent/child"
        child.mkdir()
        (child / "cpuset.cpus").write_text("\n")
        _inherit_cpuset(str(tmp_path / "parent"), str(child))
        assert (child / "cpuset.cpus").read_text() == "0-1"

    def test_version_2_turns_controllers_on_for_children(self, tmp_path: Path) -> None:
        (tmp_path / "cgroup.controllers").write_text("cpu memory misc\n")
        (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
        manager = CgroupManager(CgroupFacts(v2_mount=str(tmp_path)), systemd=False)
        manager.create("/pod")
        assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
        assert manager.mounts() == (str(tmp_path),) and manager.folder("/pod", "cpu") == f"{tmp_path}/pod"

    def test_parents(self, tmp_path: Path) -> None:
        plain = self.manager(tmp_path)
        assert plain.name == "cgroupfs" and plain.sandbox_parent("") == "/crio" and plain.sandbox_parent("/a") == "/a"
        assert plain.spec_path("/a", "x") == plain.container_path("/a", "x") == "/a/crio-x" and plain.pod_path("/a") == "/a"
        systemd = CgroupManager(CgroupFacts(), systemd=True)
        assert systemd.name == "systemd" and systemd.sandbox_parent("") == "system.slice"
        assert systemd.sandbox_parent("a.slice") == "a.slice"
        assert systemd.spec_path("a.slice", "x") == "a.slice:crio:x"
        for manager, parent in ((plain, "a.slice"), (systemd, "/a")):
            with pytest.raises(InvalidArgument):
                manager.sandbox_parent(parent)


def test_limits_that_may_be_raised() -> None:
    assert not HostFacts().may_raise_limits
    assert replace(HostFacts(), capabilities=frozenset({"CAP_SYS_RESOURCE"})).may_raise_limits
