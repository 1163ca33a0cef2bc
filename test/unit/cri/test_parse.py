"""Requests at the edge: what is understood, and every refusal with the words that the client reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import pytest
from google.protobuf.json_format import ParseDict

from crio.core import config as core
from crio.core.errors import InvalidArgument
from crio.cri import api_pb2 as pb
from crio.cri import parse

Document = Mapping[str, object]
METADATA = {"name": "shop", "uid": "u1", "namespace": "examples", "attempt": 2}


def sandbox(**fields: object) -> core.SandboxConfig:
    """A parsed sandbox configuration that differs in these fields."""
    return parse.sandbox_config(ParseDict({"metadata": METADATA, **fields}, pb.PodSandboxConfig()))


def container(**fields: object) -> core.ContainerConfig:
    """A parsed container configuration that differs in these fields."""
    given = {"metadata": {"name": "web"}, "image": {"image": "busybox"}, **fields}
    return parse.container_config(ParseDict(given, pb.ContainerConfig()))


def _pod_security(**fields: object) -> Document:
    return {"linux": {"security_context": fields}}


def _mount(**fields: object) -> Document:
    return {"mounts": [{"container_path": "/data", "host_path": "/srv", **fields}]}


def _with_env_bytes() -> core.ContainerConfig:
    message = pb.ContainerConfig(metadata=pb.ContainerMetadata(name="web"), image=pb.ImageSpec(image="busybox"))
    message.envs.add(key="RAW", value=b"\xff")
    return parse.container_config(message)


def _with_number(path: str, number: int) -> core.SandboxConfig:
    """A sandbox whose enum field has a number that the contract does not know; JSON cannot say that."""
    message = ParseDict({"metadata": METADATA, "port_mappings": [{"container_port": 1}]}, pb.PodSandboxConfig())
    *steps, last = path.split(".")
    target = message
    for step in steps:
        target = getattr(target, step) if step != "0" else target[0]
    setattr(target, last, number)
    return parse.sandbox_config(message)


def _with_container_number(path: str, number: int) -> core.ContainerConfig:
    message = ParseDict(
        {"metadata": {"name": "web"}, "image": {"image": "busybox"}, **_mount()},
        pb.ContainerConfig(),
    )
    *steps, last = path.split(".")
    target = message
    for step in steps:
        target = getattr(target, step) if step != "0" else target[0]
    setattr(target, last, number)
    return parse.container_config(message)


SANDBOX_REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "no metadata": (lambda: parse.sandbox_config(pb.PodSandboxConfig()), "config.metadata is missing"),
    "an empty name": (lambda: sandbox(metadata={"uid": "u", "namespace": "n"}), "config.metadata.name is empty"),
    "no namespace": (lambda: sandbox(metadata={"name": "a", "uid": "u"}), "config.metadata.namespace and config.metadata.uid"),
    "no uid": (lambda: sandbox(metadata={"name": "a", "namespace": "n"}), "config.metadata.namespace and config.metadata.uid"),
    "a relative log directory": (lambda: sandbox(log_directory="logs/here"), "config.log_directory 'logs/here' is not absolute"),
    "a NUL in the log directory": (lambda: sandbox(log_directory="/a\0b"), "config.log_directory '/a\\x00b' has a NUL"),
    "a NUL in the hostname": (lambda: sandbox(hostname="a\0b"), "config.hostname 'a\\x00b' has a NUL"),
    "a label beyond 4096 bytes": (lambda: sandbox(labels={"k": "v" * 4096}), "config.labels['k']: key and value have more than 4096"),
    "a label of letters with two bytes": (lambda: sandbox(labels={"k": "é" * 2100}), "config.labels['k']: key and value have more"),
    "a port beyond 65535": (
        lambda: sandbox(port_mappings=[{"container_port": 80, "host_port": 65536}]),
        "config.port_mappings[0].host_port 65536 is not a port: expected 0 to 65535",
    ),
    "a negative port": (
        lambda: sandbox(port_mappings=[{"container_port": 80}, {"container_port": -1}]),
        "config.port_mappings[1].container_port -1 is not a port",
    ),
    "an unknown protocol": (lambda: _with_number("port_mappings.0.protocol", 9), "port_mappings[0].protocol 9 is unknown"),
    "an unknown pid mode": (
        lambda: _with_number("linux.security_context.namespace_options.pid", 7),
        "namespace_options.pid 7 is not a namespace mode: expected 0 (POD) to 3 (TARGET)",
    ),
    "a network mode that cannot be": (
        lambda: sandbox(**_pod_security(namespace_options={"network": "CONTAINER"})),
        "namespace_options.network CONTAINER is not supported: expected POD or NODE",
    ),
    "an ipc mode that cannot be": (
        lambda: sandbox(**_pod_security(namespace_options={"ipc": "TARGET"})),
        "namespace_options.ipc TARGET is not supported: expected POD or NODE",
    ),
    "a user namespace mode that cannot be": (
        lambda: sandbox(**_pod_security(namespace_options={"userns_options": {"mode": "CONTAINER"}})),
        "userns_options.mode CONTAINER is not supported: expected POD or NODE",
    ),
    "a user namespace without mappings": (
        lambda: sandbox(**_pod_security(namespace_options={"userns_options": {"mode": "POD"}})),
        "userns_options with mode POD needs at least one mapping in uids and in gids",
    ),
    "the host's users with mappings": (
        lambda: sandbox(**_pod_security(namespace_options={"userns_options": {"mode": "NODE", "uids": [{"length": 1}]}})),
        "userns_options with mode NODE cannot have mappings",
    ),
    "a user beyond 32 bits": (
        lambda: sandbox(**_pod_security(run_as_user={"value": 1 << 32})),
        "run_as_user 4294967296 is out of range: expected 0 to 4294967295",
    ),
    "a negative group": (
        lambda: sandbox(**_pod_security(run_as_group={"value": -1})),
        "run_as_group -1 is out of range",
    ),
    "a supplemental group out of range": (
        lambda: sandbox(**_pod_security(supplemental_groups=[5, -3])),
        "supplemental_groups[1] -3 is out of range",
    ),
    "an unknown policy of groups": (
        lambda: _with_number("linux.security_context.supplemental_groups_policy", 4),
        "supplemental_groups_policy 4 is unknown: expected 0 or 1",
    ),
    "an unknown kind of seccomp profile": (
        lambda: _with_number("linux.security_context.seccomp.profile_type", 5),
        "seccomp.profile_type 5 is unknown: expected 0 to 2",
    ),
    "a Localhost profile without a name": (
        lambda: sandbox(**_pod_security(seccomp={"profile_type": "Localhost"})),
        "seccomp.localhost_ref is empty",
    ),
}

CONTAINER_REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "no name": (lambda: container(metadata={}), "config.metadata.name is missing"),
    "no image": (lambda: container(image={}), "config.image.image is missing"),
    "a NUL in the image": (lambda: container(image={"image": "a\0b"}), "image.image 'a\\x00b' has a NUL"),
    "a NUL in the command": (lambda: container(command=["a\0"]), "config.command 'a\\x00' has a NUL"),
    "a NUL in an argument": (lambda: container(args=["a\0"]), "config.args 'a\\x00' has a NUL"),
    "a relative working directory": (lambda: container(working_dir="srv"), "config.working_dir 'srv' is not absolute"),
    "a variable without a name": (lambda: container(envs=[{"key": "", "value": ""}]), "config.envs[0].key '' is not a variable name"),
    "a variable with = in its name": (lambda: container(envs=[{"key": "A=B"}]), "config.envs[0].key 'A=B' is not a variable name"),
    "a variable that is not UTF-8": (_with_env_bytes, "config.envs[0].value of 'RAW' is not UTF-8"),
    "an absolute log path": (lambda: container(log_path="/var/log/x"), "config.log_path '/var/log/x' leaves the log directory"),
    "a log path upwards": (lambda: container(log_path="a/../../x"), "config.log_path 'a/../../x' leaves the log directory"),
    "a NUL in the log path": (lambda: container(log_path="a\0"), "config.log_path 'a\\x00' has a NUL"),
    "a mount without a target": (lambda: container(**_mount(container_path="")), "config.mounts[0].container_path is empty"),
    "a mount without a source": (lambda: container(**_mount(host_path="")), "config.mounts[0].host_path is empty"),
    "a mount of a relative source": (lambda: container(**_mount(host_path="srv")), "config.mounts[0].host_path 'srv' is not absolute"),
    "an unknown propagation": (lambda: _with_container_number("mounts.0.propagation", 3), "mounts[0].propagation 3 is unknown"),
    "a group without a user": (
        lambda: container(**_pod_security(run_as_group={"value": 5})),
        "run_as_group 5 is set without run_as_user or run_as_username",
    ),
    "an unknown stop signal": (lambda: _with_container_number("stop_signal", 99), "config.stop_signal 99 is unknown"),
    "a label beyond 4096 bytes": (lambda: container(labels={"k" * 4000: "v" * 100}), "config.labels['kkkk"),
}


@pytest.mark.parametrize("case", SANDBOX_REFUSALS)
def test_a_sandbox_is_refused_for(case: str) -> None:
    make, words = SANDBOX_REFUSALS[case]
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert words in caught.value.message


@pytest.mark.parametrize("case", CONTAINER_REFUSALS)
def test_a_container_is_refused_for(case: str) -> None:
    make, words = CONTAINER_REFUSALS[case]
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert words in caught.value.message


def test_the_labels_of_kubernetes_are_added_where_they_are_missing() -> None:
    assert dict(sandbox(labels={"app": "shop", "io.kubernetes.pod.name": "mine"}).labels) == {
        "app": "shop",
        "io.kubernetes.pod.name": "mine",
        "io.kubernetes.pod.namespace": "examples",
        "io.kubernetes.pod.uid": "u1",
    }


def test_a_whole_sandbox_is_understood() -> None:
    config = sandbox(
        hostname="front",
        log_directory="/var/log/pods/x",
        dns_config={"servers": ["192.0.2.1"], "searches": ["a.invalid"], "options": ["ndots:2"]},
        port_mappings=[{"protocol": "UDP", "container_port": 53, "host_port": 5353, "host_ip": "127.0.0.1"}],
        linux={
            "cgroup_parent": "/kubepods/x",
            "sysctls": {"net.ipv4.ip_forward": "1"},
            "security_context": {"namespace_options": {"network": "NODE", "pid": "CONTAINER"}, "run_as_user": {"value": 7}},
            "resources": {"cpu_shares": 10},
        },
    )
    assert config.metadata == core.Metadata("shop", 2, "u1", "examples")
    assert config.dns == core.DnsConfig(("192.0.2.1",), ("a.invalid",), ("ndots:2",))
    assert config.port_mappings == (core.PortMapping(core.Protocol.UDP, 53, 5353, "127.0.0.1"),)
    assert config.security.namespaces.network is core.NamespaceMode.NODE
    assert config.security.namespaces.pid is core.NamespaceMode.CONTAINER
    assert config.security.run_as_user == 7
    assert config.resources == dataclasses.replace(core.Resources(), cpu_shares=10)
    assert config.overhead is None
    assert dict(config.sysctls) == {"net.ipv4.ip_forward": "1"}


def test_a_whole_container_is_understood() -> None:
    config = container(
        command=["sh"],
        args=["-c", "true"],
        envs=[{"key": "A", "value": "YiA9IGM="}],
        log_path="web/0.log",
        tty=True,
        stop_signal="SIGNAL_SIGUSR1",
        **_mount(propagation="PROPAGATION_BIDIRECTIONAL", readonly=True),
        linux={
            "resources": {"memory_limit_in_bytes": 1 << 20, "hugepage_limits": [{"page_size": "2MB", "limit": 0}]},
            "security_context": {
                "capabilities": {"add_capabilities": ["NET_ADMIN"], "drop_capabilities": ["ALL"]},
                "run_as_username": "www-data",
                "run_as_group": {"value": 5},
                "no_new_privs": True,
                "masked_paths": ["/proc/x"],
                "seccomp": {"profile_type": "Unconfined"},
            },
        },
    )
    assert config.envs == (("A", "b = c"),)
    assert config.stop_signal == "USR1"
    assert config.mounts[0].propagation is core.Propagation.BIDIRECTIONAL
    assert config.security.run_as_username == "www-data"
    assert config.security.capabilities == core.Capabilities(("NET_ADMIN",), ("ALL",), ())
    assert config.security.seccomp == core.SecurityProfile(core.ProfileType.UNCONFINED)
    assert config.resources.hugepage_limits == (core.HugepageLimit("2MB", 0),)


def test_annotations_may_be_as_long_as_kubernetes_lets_them_be() -> None:
    text = "v" * (256 << 10)
    assert sandbox(annotations={"last-applied": text}).annotations["last-applied"] == text
    assert container(annotations={"last-applied": text}).annotations["last-applied"] == text


PROFILE_PATHS = {
    "runtime/default": core.SecurityProfile(core.ProfileType.RUNTIME_DEFAULT),
    "docker/default": core.SecurityProfile(core.ProfileType.RUNTIME_DEFAULT),
    "unconfined": core.SecurityProfile(core.ProfileType.UNCONFINED),
    "localhost//etc/p.json": core.SecurityProfile(core.ProfileType.LOCALHOST, "/etc/p.json"),
    "": None,
}


@pytest.mark.parametrize("path", PROFILE_PATHS)
def test_the_profile_string_of_old_clients_means(path: str) -> None:
    assert container(**_pod_security(seccomp_profile_path=path)).security.seccomp == PROFILE_PATHS[path]


SIGNALS = {
    "SIGNAL_RUNTIME_DEFAULT": "",
    "SIGNAL_SIGTERM": "TERM",
    "SIGNAL_SIGRTMIN": "RTMIN",
    "SIGNAL_SIGRTMINPLUS3": "37",
    "SIGNAL_SIGRTMAXMINUS2": "62",
    "SIGNAL_SIGRTMAX": "RTMAX",
}


@pytest.mark.parametrize("name", SIGNALS)
def test_the_stop_signal_becomes(name: str) -> None:
    assert container(stop_signal=name).stop_signal == SIGNALS[name]


def test_every_signal_of_the_contract_has_a_name() -> None:
    for value in pb.DESCRIPTOR.enum_types_by_name["Signal"].values:
        message = pb.ContainerConfig(metadata=pb.ContainerMetadata(name="web"), image=pb.ImageSpec(image="i"))
        message.stop_signal = value.number
        assert parse.container_config(message).stop_signal or value.number == 0
