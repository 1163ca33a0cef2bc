"""Documents of sandboxes, and the records that a restart reads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from crio.core.config import (
    IdMapping,
    NamespaceMode,
    NamespaceOptions,
    PortMapping,
    ProfileType,
    Protocol,
    Resources,
    Security,
    SecurityProfile,
    UserNamespace,
)
from crio.core.oci.inputs import BindFiles, ImageRuntimeConfig, NamespaceJoins, SandboxSpecRequest, SELinuxLabels, SpecSettings
from crio.core.oci.records import is_privileged, namespace_options
from crio.core.oci.sandbox import build_sandbox_spec
from test.unit.oci.requests import ALL, OWN_PID, V1, V2, at, mount_at, pod_request, sandbox

NODE = NamespaceMode.NODE
RANGE = (IdMapping(100000, 0, 65536),)
DEFAULT = SecurityProfile(ProfileType.RUNTIME_DEFAULT)

# sentence: (request, member, what it is)
MEMBERS: dict[str, tuple[SandboxSpecRequest, str, Any]] = {
    "pause is run": (pod_request(), "process.args", ("/pause",)),
    "the image's own command": (
        pod_request(pause_command=(), image=ImageRuntimeConfig(("e",), ("c",))),
        "process.args",
        ("e", "c"),
    ),
    "it is the last to be killed for memory": (pod_request(), "process.oomScoreAdj", -998),
    "as far as this host can say so": (
        pod_request(host=replace(V2, capabilities=ALL - {"CAP_SYS_RESOURCE"})),
        "process.oomScoreAdj",
        0,
    ),
    "its root is read-only": (pod_request(), "root.readonly", True),
    "it gets no new privileges": (pod_request(), "process.noNewPrivileges", True),
    "it has the least share of the CPU": (
        pod_request(settings=SpecSettings(infra_ctr_cpuset="0-1")),
        "linux.resources.cpu",
        {"shares": 2, "cpus": "0-1"},
    ),
    "device rules need their controller": (
        pod_request(host=replace(V1, cgroups=replace(V1.cgroups, v1={"cpu": "/c"}))),
        "linux.resources.devices",
        None,
    ),
    "it makes the pod's pid namespace": (
        pod_request(sandbox(NamespaceOptions()), host=V1, joins=NamespaceJoins("/n", "/i", "/u")),
        "linux.namespaces",
        [
            {"type": "mount"},
            {"type": "uts", "path": "/u"},
            {"type": "network", "path": "/n"},
            {"type": "ipc", "path": "/i"},
            {"type": "pid"},
        ],
    ),
    "it shares what the pod shares with the host": (
        pod_request(sandbox(NamespaceOptions(NODE, NODE, NODE)), host=V1),
        "linux.namespaces",
        [{"type": "mount"}, {"type": "uts"}],
    ),
    "ranges of the pod's user namespace": (
        pod_request(sandbox(NamespaceOptions(userns=UserNamespace(NamespaceMode.POD, RANGE, RANGE)))),
        "linux.gidMappings",
        [{"containerID": 0, "hostID": 100000, "size": 65536}],
    ),
    "no filter unless asked for": (pod_request(), "linux.seccomp", None),
    "the default filter": (
        pod_request(sandbox(security=Security(namespaces=OWN_PID, seccomp=DEFAULT))),
        "linux.seccomp.defaultAction",
        "SCMP_ACT_ERRNO",
    ),
    "labels": (pod_request(labels=SELinuxLabels("p:p:p:p", "m")), "process.selinuxLabel", "p:p:p:p"),
    "the mount label": (pod_request(labels=SELinuxLabels("p", "m")), "linux.mountLabel", "m"),
    "AppArmor": (pod_request(host=replace(V2, apparmor=True)), "process.apparmorProfile", "crio-default"),
}


@pytest.mark.parametrize("sentence", MEMBERS)
def test_member(sentence: str) -> None:
    made, path, expected = MEMBERS[sentence]
    assert at(build_sandbox_spec(made).document, path) == expected


def test_files_are_bound_read_only() -> None:
    found = mount_at(build_sandbox_spec(pod_request(files=BindFiles(resolv_conf="/r"))).document, "/etc/resolv.conf")
    assert found["source"] == "/r" and "ro" in found["options"]


def test_records() -> None:
    pod = sandbox(
        labels={"l": "1"},
        annotations={"a": "2", "umask.crio.io": "0"},
        cgroup_parent="/pods/x",
        port_mappings=(PortMapping(Protocol.UDP, 53, 5353, "1.2.3.4"),),
        overhead=Resources(cpu_shares=5, unified={"a.b": "c"}),
        resources=Resources(memory_limit_bytes=7),
    )
    made = pod_request(pod, records={"CNIResult": "{}"}, files=BindFiles(shm="/shm", hostname="/hn"))
    annotations: dict[str, Any] = build_sandbox_spec(made).document["annotations"]  # type: ignore[assignment]
    own = {key.removeprefix("io.kubernetes.cri-o."): value for key, value in annotations.items()}
    assert json.loads(own["Metadata"]) == {"name": "pod", "attempt": 1, "uid": "uid", "namespace": "ns"}
    assert own["ContainerType"] == "sandbox" and own["CNIResult"] == "{}" and own["CgroupParent"] == "/pods/x"
    assert own["ShmPath"] == "/shm" and own["HostnamePath"] == "/hn" and own["HostName"] == "host"
    assert own["KubeName"] == "pod" and own["Namespace"] == "ns" and own["HostNetwork"] == "false"
    assert json.loads(own["PortMappings"]) == [{"protocol": 1, "container_port": 53, "host_port": 5353, "host_ip": "1.2.3.4"}]
    assert json.loads(annotations["pod-linux-overhead.crio.io"]) == {"cpu_shares": 5, "unified": {"a.b": "c"}}
    assert json.loads(annotations["pod-linux-resources.crio.io"]) == {"memory_limit_in_bytes": 7}
    assert annotations["spoofed.crio.io"] == "true" and annotations["a"] == "2" and "umask.crio.io" not in annotations


def test_a_sandbox_with_a_process_is_not_spoofed() -> None:
    annotations: dict[str, Any] = build_sandbox_spec(pod_request(infra=True)).document["annotations"]  # type: ignore[assignment]
    assert "spoofed.crio.io" not in annotations


PRIVILEGED = {
    "an ordinary pod": (sandbox(), False),
    "asked for": (sandbox(security=Security(privileged=True)), True),
    "the host's network": (sandbox(NamespaceOptions(network=NODE)), True),
    "the host's processes": (sandbox(NamespaceOptions(pid=NODE)), True),
    "the host's ipc": (sandbox(NamespaceOptions(ipc=NODE)), True),
}


@pytest.mark.parametrize("sentence", PRIVILEGED)
def test_privileged(sentence: str) -> None:
    pod, expected = PRIVILEGED[sentence]
    assert is_privileged(pod) is expected


def test_namespace_options_have_the_names_of_the_contract() -> None:
    options = NamespaceOptions(NODE, NamespaceMode.TARGET, NODE, "id", UserNamespace(NamespaceMode.POD, RANGE, RANGE))
    one = {"host_id": 100000, "container_id": 0, "length": 65536}
    assert namespace_options(options) == {
        "network": 2,
        "pid": 3,
        "ipc": 2,
        "target_id": "id",
        "userns_options": {"mode": 0, "uids": [one], "gids": [one]},
    }
    assert namespace_options(NamespaceOptions()) == {}
