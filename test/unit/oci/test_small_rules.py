"""Capabilities, cgroup paths, annotations, sysctls and runtime versions."""

from __future__ import annotations

from typing import Any

import pytest

from crio.core.capabilities import NAMES, CapabilitySet, privileged_set, resolve_capabilities
from crio.core.config import Capabilities, IdMapping, NamespaceMode, NamespaceOptions, UserNamespace
from crio.core.errors import InvalidArgument
from crio.core.oci.annotations import filter_annotations, lookup
from crio.core.oci.cgroups import CgroupPath, container_cgroup, monitor_cgroup, pod_cgroup
from crio.core.oci.features import RuntimeFeatures, parse_version, understand, version_numbers
from crio.core.oci.sysctls import parse_default_sysctls, pod_sysctls

ALL = frozenset(NAMES)
FEW = frozenset({"CAP_CHOWN", "CAP_KILL"})

CAPABILITIES: dict[str, tuple[Capabilities, frozenset[str], CapabilitySet]] = {
    "the defaults": (Capabilities(), ALL, CapabilitySet(("CAP_CHOWN", "CAP_KILL"))),
    "one more, in any spelling": (
        Capabilities(add=("cap_net_admin",)),
        ALL,
        CapabilitySet(("CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN")),
    ),
    "one less, and one that was not there": (Capabilities(drop=("KILL", "SYSLOG")), ALL, CapabilitySet(("CAP_CHOWN",))),
    "an unknown one less": (Capabilities(drop=("FLY",)), ALL, CapabilitySet(("CAP_CHOWN", "CAP_KILL"))),
    "all that the host has": (Capabilities(add=("all",)), FEW, CapabilitySet(("CAP_CHOWN", "CAP_KILL"))),
    "all but one": (Capabilities(add=("ALL",), drop=("KILL",)), FEW, CapabilitySet(("CAP_CHOWN",))),
    "none": (Capabilities(drop=("ALL",)), ALL, CapabilitySet(())),
    "none but one": (Capabilities(add=("KILL",), drop=("ALL",)), ALL, CapabilitySet(("CAP_KILL",))),
    "one that the host does not have": (
        Capabilities(add=("SYSLOG",)),
        FEW,
        CapabilitySet(("CAP_CHOWN", "CAP_KILL"), dropped=("CAP_SYSLOG",)),
    ),
    "an ambient one": (
        Capabilities(add_ambient=("KILL", "SYSLOG")),
        ALL,
        CapabilitySet(("CAP_CHOWN", "CAP_KILL"), ("CAP_KILL",), ("CAP_KILL",)),
    ),
}


@pytest.mark.parametrize("sentence", CAPABILITIES)
def test_capabilities(sentence: str) -> None:
    changes, bounding, expected = CAPABILITIES[sentence]
    assert resolve_capabilities(("CHOWN", "KILL"), changes, bounding) == expected


def test_inheritable_capabilities_are_an_option() -> None:
    found = resolve_capabilities(("KILL",), Capabilities(), ALL, inheritable=True)
    assert found.inheritable == ("CAP_KILL",)
    assert privileged_set(FEW, inheritable=True).inheritable == ("CAP_CHOWN", "CAP_KILL")
    assert privileged_set(FEW).inheritable == ()


PATHS: dict[str, tuple[str, bool, CgroupPath]] = {
    "the default parent": ("", False, CgroupPath("/crio/crio-x", "/crio/crio-x")),
    "the root": ("/", False, CgroupPath("/crio-x", "/crio-x")),
    "a relative parent": ("a//b/", False, CgroupPath("/a/b/crio-x", "/a/b/crio-x")),
    "the default slice": ("", True, CgroupPath("system.slice:crio:x", "/system.slice/crio-x.scope")),
    "a nested slice": (
        "/kubepods.slice/kubepods-burstable.slice",
        True,
        CgroupPath("kubepods-burstable.slice:crio:x", "/kubepods.slice/kubepods-burstable.slice/crio-x.scope"),
    ),
    "the root slice": ("-.slice", True, CgroupPath("-.slice:crio:x", "/crio-x.scope")),
}


@pytest.mark.parametrize("sentence", PATHS)
def test_cgroup_paths(sentence: str) -> None:
    parent, systemd, expected = PATHS[sentence]
    assert container_cgroup(parent, "x", systemd) == expected


def test_other_cgroup_paths() -> None:
    assert monitor_cgroup("/pods/a", "x") == "/pods/a/crio-conmon-x"
    assert pod_cgroup("/pods/a", systemd=False) == "/pods/a"
    assert pod_cgroup("a-b.slice", systemd=True) == "/a.slice/a-b.slice"


@pytest.mark.parametrize(
    ("parent", "systemd"),
    [
        ("a.slice", False),
        ("/a/../../b", False),
        ("/a\0", False),
        ("/pods", True),
        ("a--b.slice", True),
        ("a/..", True),
        ("x y.slice", True),
    ],
)
def test_parents_that_are_refused(parent: str, systemd: bool) -> None:
    with pytest.raises(InvalidArgument):
        container_cgroup(parent, "x", systemd)


FILTERS: dict[str, tuple[dict[str, str], tuple[str, ...], set[str]]] = {
    "unknown ones pass": ({"a": "1", "bundles.example": "1"}, (), {"a", "bundles.example"}),
    "known ones do not": (
        {"umask.crio.io": "1", "bundle": "1", "run.oci.handler": "1", "org.systemd.property.X": "1"},
        (),
        set(),
    ),
    "allowed ones do": ({"umask.crio.io": "1"}, ("umask.crio.io",), {"umask.crio.io"}),
    "with a container": (
        {"umask.crio.io/c": "1", "umask.crio.io.c": "1"},
        ("umask.crio.io",),
        {"umask.crio.io/c", "umask.crio.io.c"},
    ),
    "what looks like an allowed one is not": ({"umask.crio.io2": "1", "umask.crio.iox/c": "1"}, ("umask.crio.io",), set()),
    "a shorter allowed name allows nothing": ({"umask.crio.io": "1"}, ("umask", "u", ""), set()),
    "allowed by a family": ({"run.oci.handler": "1", "org.systemd.property.X": "1"}, ("run.oci.",), {"run.oci.handler"}),
}


@pytest.mark.parametrize("sentence", FILTERS)
def test_annotations_are_filtered(sentence: str) -> None:
    annotations, allowed, left = FILTERS[sentence]
    assert set(filter_annotations(annotations, allowed)) == left


def test_annotations_are_looked_up() -> None:
    older = "io.kubernetes.cri-o.umask"
    assert lookup({"umask.crio.io": "new", older: "old"}, "umask.crio.io") == "new"
    assert lookup({older: "old"}, "umask.crio.io") == "old"
    assert lookup({"umask.crio.io": "pod", "umask.crio.io/c": "ctr"}, "umask.crio.io", "c") == "ctr"
    assert lookup({"umask.crio.io": "pod", older + ".c": "ctr"}, "umask.crio.io", "c") == "ctr"
    assert lookup({"umask.crio.io": "pod"}, "umask.crio.io", "c") == "pod"
    assert lookup({}, "cpu-quota.crio.io") == ""


NODE = NamespaceMode.NODE
POD = NamespaceOptions()
SYSCTLS: dict[str, tuple[dict[str, str], NamespaceOptions, dict[str, str], int]] = {
    "network and ipc parameters of an ordinary pod": (
        {
            "net.ipv4.ip_forward": "1",
            "kernel.shmmax": "5",
            "kernel.msgmax": "6",
            "kernel.sem": "1 2 3 4",
            "fs.mqueue.msg_max": "9",
        },
        POD,
        {
            "net.ipv4.ip_forward": "1",
            "kernel.shmmax": "5",
            "kernel.msgmax": "6",
            "kernel.sem": "1 2 3 4",
            "fs.mqueue.msg_max": "9",
        },
        0,
    ),
    "network parameters with the host's network": ({"net.core.somaxconn": "1"}, NamespaceOptions(network=NODE), {}, 1),
    "ipc parameters with the host's ipc": ({"kernel.shmmax": "1"}, NamespaceOptions(ipc=NODE), {}, 1),
    "parameters of the whole host": ({"kernel.core_pattern": "|/x", "vm.swappiness": "1", "kernel.semx": "1"}, POD, {}, 3),
    "slashes": (
        {"net/ipv4/conf/eth0.1/mtu": "1", "net.ipv4.conf.eth0/1.mtu": "2", "kernel/core_pattern": "x"},
        POD,
        {"net.ipv4.conf.eth0/1.mtu": "2"},
        1,
    ),
    "a plus sign is only a plus sign": (
        {"net.ipv4.ip_forward": "1+kernel.core_pattern=|/x"},
        POD,
        {"net.ipv4.ip_forward": "1+kernel.core_pattern=|/x"},
        0,
    ),
    "the ping range ends with the pod's groups": (
        {"net.ipv4.ping_group_range": "0 2147483647"},
        NamespaceOptions(userns=UserNamespace(NamespaceMode.POD, (), (IdMapping(9, 0, 65536),))),
        {"net.ipv4.ping_group_range": "0 65535"},
        0,
    ),
    "a ping range of another form stays": (
        {"net.ipv4.ping_group_range": "all"},
        NamespaceOptions(userns=UserNamespace(NamespaceMode.POD)),
        {"net.ipv4.ping_group_range": "all"},
        0,
    ),
    "the ping range of a pod without a user namespace stays": (
        {"net.ipv4.ping_group_range": "0 2147483647"},
        NamespaceOptions(userns=UserNamespace()),
        {"net.ipv4.ping_group_range": "0 2147483647"},
        0,
    ),
}


@pytest.mark.parametrize("sentence", SYSCTLS)
def test_sysctls(sentence: str) -> None:
    wanted, namespaces, values, warnings = SYSCTLS[sentence]
    found = pod_sysctls({}, wanted, namespaces)
    assert dict(found.values) == values
    assert len(found.warnings) == warnings


def test_the_request_wins_over_default_sysctls() -> None:
    found = pod_sysctls({"net.a.b": "1", "net.a.c": "1"}, {"net.a.b": "2"}, POD)
    assert dict(found.values) == {"net.a.b": "2", "net.a.c": "1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net", "1"),
        ("net..x", "1"),
        ("net/../kernel/core_pattern", "1"),
        ("", "1"),
        ("net.x\nkernel.y", "1"),
        ("net.x", "1\n2"),
        ("net.x=1", "2"),
    ],
)
def test_sysctls_that_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match="sysctl"):
        pod_sysctls({}, {name: value}, POD)


def test_default_sysctls() -> None:
    assert parse_default_sysctls(["a.b=1", "", "c.d=e=f"]) == {"a.b": "1", "c.d": "e=f"}
    for entry in ("a.b", "a.b =1", "a.b= 1", "=1"):
        with pytest.raises(InvalidArgument, match="default_sysctls"):
            parse_default_sysctls([entry])


RUNC = "runc version 1.1.5+ds1\ncommit: x\nspec: 1.0.2-dev\n"
CRUN = "crun version 1.8.1\ncommit: x\nspec: 1.0.0\n"
RUNTIMES: dict[str, tuple[str, Any, RuntimeFeatures]] = {
    "an old crun": (CRUN, None, RuntimeFeatures("crun", "1.8.1", hybrid_cgroups=False)),
    "an old runc": (
        RUNC,
        {"ociVersionMax": "1.0.2-dev", "mountOptions": ["ro", "rro"]},
        RuntimeFeatures("runc", "1.1.5", recursive_readonly=True),
    ),
    "a new one": (
        "runc version 1.3.6\n",
        {"ociVersionMax": "1.2.1", "linux": {"mountExtensions": {"idmap": {"enabled": True}}}},
        RuntimeFeatures("runc", "1.3.6", "1.2.0", idmapped_mounts=True, exec_affinity=True),
    ),
    "one that says little": ("nonsense", {"ociVersionMax": 5, "linux": [], "mountOptions": "rro"}, RuntimeFeatures("", "")),
}


@pytest.mark.parametrize("sentence", RUNTIMES)
def test_runtime_features(sentence: str) -> None:
    version, features, expected = RUNTIMES[sentence]
    assert understand(version, features) == expected


def test_versions() -> None:
    assert parse_version(CRUN) == ("crun", "1.8.1", "1.0.0")
    assert version_numbers("1.2.0-rc.1") == (1, 2, 0)
    assert version_numbers("dev") == ()
