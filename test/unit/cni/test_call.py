"""What a plugin is given."""

from __future__ import annotations

import json

import pytest

from crio.core.cni import call
from crio.core.cni.call import Command
from crio.core.cni.config import parse_list
from crio.core.cni.errors import BadPodNetwork
from crio.core.cni.values import Attachment, Bandwidth, PodNetwork
from crio.core.config import PortMapping, Protocol

NETWORK = parse_list(
    json.dumps(
        {
            "name": "net",
            "cniVersion": "1.0.0",
            "plugins": [
                {"type": "bridge", "bridge": "br9", "prevResult": {"stale": True}},
                {"type": "portmap", "capabilities": {"portMappings": True, "bandwidth": False}},
            ],
        }
    ).encode(),
    "test",
)
POD = PodNetwork("abc123", "web", "default", "uid-1", "/run/netns/x")


def test_the_environment_is_the_inherited_one_with_only_our_own_protocol_variables() -> None:
    inherited = {"PATH": "/bin", "CNI_IFNAME": "stale", "CNI_EXTRA": "stale"}
    env = call.plugin_env(Command.ADD, ("/a", "/b"), inherited, call.attachment_of(POD))
    assert env == {
        "PATH": "/bin",
        "CNI_COMMAND": "ADD",
        "CNI_PATH": "/a:/b",
        "CNI_CONTAINERID": "abc123",
        "CNI_NETNS": "/run/netns/x",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=abc123;K8S_POD_UID=uid-1",
    }


def test_status_has_no_attachment_in_its_environment() -> None:
    assert call.plugin_env(Command.STATUS, ("/a",), {}) == {"CNI_COMMAND": "STATUS", "CNI_PATH": "/a"}


def test_the_input_has_name_version_and_the_plugins_own_keys() -> None:
    document = json.loads(call.plugin_input(NETWORK, NETWORK.plugins[0]))
    assert document == {"type": "bridge", "bridge": "br9", "name": "net", "cniVersion": "1.0.0"}


def test_the_input_has_previous_result_and_only_declared_capabilities() -> None:
    args = {"portMappings": [1], "bandwidth": {}, "cgroupPath": "/x"}
    document = json.loads(call.plugin_input(NETWORK, NETWORK.plugins[1], prev_result={"ips": []}, capability_args=args))
    assert document == {
        "type": "portmap",
        "name": "net",
        "cniVersion": "1.0.0",
        "prevResult": {"ips": []},
        "runtimeConfig": {"portMappings": [1]},
    }


def test_the_input_of_a_collection_lists_what_is_valid() -> None:
    document = json.loads(call.plugin_input(NETWORK, NETWORK.plugins[0], valid_attachments=[Attachment("abc", "")]))
    assert document["cni.dev/valid-attachments"] == [{"containerID": "abc", "ifname": "eth0"}]


CAPABILITIES = {
    "a pod that wants nothing": (POD, {}),
    "host ports": (
        PodNetwork(
            "a", "n", "ns", "u", "/x",
            port_mappings=(
                PortMapping(Protocol.UDP, 53, 5353, "127.0.0.1"),
                PortMapping(Protocol.TCP, 80, 0),
                PortMapping(Protocol.TCP, 80, 8080),
            ),
        ),
        {
            "portMappings": [
                {"hostPort": 5353, "containerPort": 53, "protocol": "udp", "hostIP": "127.0.0.1"},
                {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            ]
        },
    ),
    "bandwidth one way": (
        PodNetwork("a", "n", "ns", "u", "/x", bandwidth=Bandwidth(ingress_bps=1000)),
        {"bandwidth": {"ingressRate": 1000, "ingressBurst": 4294967295}},
    ),
    "bandwidth the other way": (
        PodNetwork("a", "n", "ns", "u", "/x", bandwidth=Bandwidth(egress_bps=2000)),
        {"bandwidth": {"egressRate": 2000, "egressBurst": 4294967295}},
    ),
    "bandwidth without a limit": (PodNetwork("a", "n", "ns", "u", "/x", bandwidth=Bandwidth()), {}),
    "cgroup and annotations": (
        PodNetwork("a", "n", "ns", "u", "/x", cgroup_parent="/kubepods/x", annotations={"k": "v"}),
        {"cgroupPath": "/kubepods/x", "io.kubernetes.cri.pod-annotations": {"k": "v"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CAPABILITIES)
def test_capability_arguments(case: str) -> None:
    pod, expected = CAPABILITIES[case]
    assert call.capability_args(pod) == expected


INJECTIONS = {
    "a second argument in the name": (PodNetwork("a", "x;K8S_POD_UID=0", "ns", "u", "/x"), "K8S_POD_NAME"),
    "a sign in the namespace": (PodNetwork("a", "x", "a=b", "u", "/x"), "K8S_POD_NAMESPACE"),
    "a null byte in the uid": (PodNetwork("a", "x", "ns", "u\0", "/x"), "K8S_POD_UID"),
    "a path as the id": (PodNetwork("../a", "x", "ns", "u", "/x"), "sandbox id"),
    "an id that is too long": (PodNetwork("a" * 65, "x", "ns", "u", "/x"), "sandbox id"),
    "no id": (PodNetwork("", "x", "ns", "u", "/x"), "sandbox id"),
}


@pytest.mark.parametrize("case", INJECTIONS)
def test_values_that_would_be_read_as_something_else_are_refused(case: str) -> None:
    pod, field = INJECTIONS[case]
    with pytest.raises(BadPodNetwork) as caught:
        call.attachment_of(pod)
    assert str(caught.value).startswith(f"{field}: expected ")
