"""Bad requests: a clear sentence with the right code, and nothing left behind."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.integration.cri.kit import Pods, refused
from test.integration.cri.own import Own
from test.support.daemon import Daemon
from test.support.registry import RunningRegistry, free_port
from test.support.waiting import eventually

pytestmark = pytest.mark.inside
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def unchanged(inside: Daemon, tmp_path: pathlib.Path) -> Iterator[None]:
    """The store, the namespaces, the cgroups and all other traces of pods are after the test what they were before."""
    own = Own(inside, tmp_path)
    before = own.traces()
    yield
    eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")


PODS = {
    "no name": ({"metadata": {"name": ""}}, "", "config.metadata.name is empty"),
    "no uid": ({"metadata": {"uid": ""}}, "", "config.metadata.uid must not be empty"),
    "an unknown handler": ({}, "no-such-handler", "runtime handler 'no-such-handler' is unknown: expected one of crun, runc"),
    "a name with a control character": ({"metadata": {"name": "a\nb"}}, "", "metadata.name 'a\\nb' is not a name"),
    "a name with a slash": ({"metadata": {"name": "a/../../b"}}, "", "metadata.name 'a/../../b' is not a name"),
    "a uid with a slash": ({"metadata": {"uid": "../x"}}, "", "metadata.uid '../x' is not a name"),
    "a name of 300 letters": ({"metadata": {"name": "n" * 300}}, "", "at most 253"),
    "a relative log directory": ({"log_directory": "logs/here"}, "", "config.log_directory 'logs/here' is not absolute"),
    "a huge label": ({"labels": {"k": "v" * 5000}}, "", "config.labels['k']"),
    "a cgroup parent upwards": ({"linux": {"cgroup_parent": "/a/../../b"}}, "", "/a/../../b"),
    "a slice without systemd": ({"linux": {"cgroup_parent": "x.slice"}}, "", "x.slice"),
    "a host port beyond 65535": ({"port_mappings": [{"container_port": 1, "host_port": 70000}]}, "", "host_port 70000 is not a port"),
}


@pytest.mark.parametrize("case", PODS)
def test_a_pod_is_refused_for(pods: Pods, unchanged: None, case: str) -> None:
    fields, handler, words = PODS[case]
    with refused(INVALID, words):
        pods.run(handler, **fields)
    assert pods.listed() == []


def test_an_invalid_number_of_an_enum_is_refused(pods: Pods, unchanged: None) -> None:
    config = pods.config()
    config.linux.security_context.namespace_options.network = 9  # type: ignore[assignment]
    with refused(INVALID, "namespace_options.network 9 is not a namespace mode"):
        pods.run_as(config)


def test_empty_requests_are_refused(pods: Pods) -> None:
    runtime = pods.cri.runtime
    with refused(INVALID, "config is missing"):
        runtime.RunPodSandbox(pb.RunPodSandboxRequest())
    with refused(INVALID, "config is missing"):
        runtime.CreateContainer(pb.CreateContainerRequest())
    with refused(INVALID, "sandbox_config.metadata is missing"):
        runtime.CreateContainer(pb.CreateContainerRequest(pod_sandbox_id="f" * 64, config=pb.ContainerConfig()))
    for call, request in (
        (runtime.PodSandboxStatus, pb.PodSandboxStatusRequest()),
        (runtime.ContainerStatus, pb.ContainerStatusRequest()),
        (runtime.StartContainer, pb.StartContainerRequest()),
        (runtime.StopContainer, pb.StopContainerRequest()),
        (runtime.RemoveContainer, pb.RemoveContainerRequest()),
        (runtime.ExecSync, pb.ExecSyncRequest(cmd=["true"])),
        (runtime.ReopenContainerLog, pb.ReopenContainerLogRequest()),
    ):
        with refused(INVALID, "is empty: expected an id or a unique prefix"):
            call(request)


CONTAINERS = {
    "no image": ({"image": {"image": ""}}, INVALID, "config.image.image is missing"),
    "no name": ({"metadata": {"name": ""}}, INVALID, "config.metadata.name is missing"),
    "a huge label": ({"labels": {"k": "v" * 5000}}, INVALID, "config.labels['k']"),
    "an image that is not there": (
        {"image": {"image": "registry.k8s.io/crio-test/never:1"}},
        grpc.StatusCode.NOT_FOUND,
        "image 'registry.k8s.io/crio-test/never:1' is not in the store: pull it first",
    ),
    "an impossible reference": ({"image": {"image": "UPPER/Case"}}, INVALID, "UPPER/Case"),
    "a name with a control character": ({"metadata": {"name": "a\x07"}}, INVALID, "config.metadata.name 'a\\x07' is not a name"),
    "an absolute log path": ({"log_path": "/etc/passwd"}, INVALID, "config.log_path '/etc/passwd' leaves the log directory"),
    "a log path upwards": ({"log_path": "../../x.log"}, INVALID, "config.log_path '../../x.log' leaves the log directory"),
    "a relative working folder": ({"working_dir": "tmp"}, INVALID, "config.working_dir 'tmp' is not absolute"),
    "a working folder upwards": ({"working_dir": "/a/../../b"}, INVALID, "working_dir '/a/../../b'"),
    "a relative host path": ({"mounts": [{"container_path": "/a", "host_path": "b"}]}, INVALID, "config.mounts[0].host_path 'b'"),
    "a source below a file": (
        {"mounts": [{"container_path": "/a", "host_path": "/etc/passwd/below"}]},
        INVALID,
        "config.mounts[0].host_path '/etc/passwd/below' does not exist and cannot be made: Not a directory",
    ),
    "a device that is none": ({"devices": [{"host_path": "/etc/passwd"}]}, INVALID, "config.devices[0].host_path '/etc/passwd'"),
    "a device that is not there": ({"devices": [{"host_path": "/dev/never"}]}, INVALID, "config.devices[0].host_path '/dev/never'"),
    "an unknown capability": (
        {"linux": {"security_context": {"capabilities": {"add_capabilities": ["CAP_NONSENSE"]}}}},
        INVALID,
        "NONSENSE",
    ),
    "an unknown user name": ({"linux": {"security_context": {"run_as_username": "nobody-here"}}}, INVALID, "nobody-here"),
    "too little memory": ({"linux": {"resources": {"memory_limit_in_bytes": 1000}}}, INVALID, "1000"),
    "a swap limit below the memory": (
        {"linux": {"resources": {"memory_limit_in_bytes": 64 << 20, "memory_swap_limit_in_bytes": 32 << 20}}},
        INVALID,
        "swap",
    ),
    "a seccomp profile that is not there": (
        {"linux": {"security_context": {"seccomp": {"profile_type": "Localhost", "localhost_ref": "/no/such.json"}}}},
        INVALID,
        "seccomp profile '/no/such.json' cannot be read",
    ),
    "a seccomp profile by a relative name": (
        {"linux": {"security_context": {"seccomp": {"profile_type": "Localhost", "localhost_ref": "such.json"}}}},
        INVALID,
        "seccomp profile 'such.json' is not absolute",
    ),
}


@pytest.mark.parametrize("case", CONTAINERS)
def test_a_container_is_refused_for(pods: Pods, inside: Daemon, tmp_path: pathlib.Path, case: str) -> None:
    fields, code, words = CONTAINERS[case]
    pod = pods.run()
    own = Own(inside, tmp_path)
    before = own.traces()
    with refused(code, words):
        pod.create(**fields)
    assert pods.containers_of(pod.id) == []
    eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")


def test_a_container_of_an_unknown_sandbox_is_refused(pods: Pods) -> None:
    pod = pods.run()
    pod.id = "f" * 64
    with refused(grpc.StatusCode.NOT_FOUND, "sandbox 'ffff"):
        pod.create()


def test_a_container_name_of_another_sandbox_is_refused(pods: Pods) -> None:
    first = pods.run()
    container = first.create()
    config = pods.config()
    config.CopyFrom(first.config)
    config.metadata.attempt = 1
    second = pods.run_as(config)
    assert second.id != first.id
    with refused(grpc.StatusCode.ALREADY_EXISTS, f"is taken by {container.id} in sandbox {first.id}"):
        second.create_as(container.config)


@pytest.mark.parametrize("handler", ["runc", "crun"])
def test_a_command_that_does_not_exist_says_so_and_leaves_nothing(pods: Pods, inside: Daemon, tmp_path: pathlib.Path, handler: str) -> None:
    """runc finds out at the start, crun at the creation; both must name the command."""
    pod = pods.run(handler)
    own = Own(inside, tmp_path)
    before = own.traces()
    with refused(grpc.StatusCode.INTERNAL, "/no/such/command"):
        pod.create("/no/such/command").start()
    for item in pods.containers_of(pod.id):
        request = pb.ContainerStatusRequest(container_id=item.id)
        status = pods.cri.runtime.ContainerStatus(request).status
        assert (status.state, status.exit_code, status.reason) == (pb.CONTAINER_EXITED, 128, "Error")
        assert "/no/such/command" in status.message
        assert status.finished_at >= status.started_at > 0
        pods.cri.runtime.RemoveContainer(pb.RemoveContainerRequest(container_id=item.id))
    eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")


PULLS = {
    "an impossible reference": ("UPPER/Case", INVALID, "UPPER/Case"),
    "a reference with a space": ("registry.k8s.io/a b", INVALID, "a b"),
    "a reference with a control character": ("registry.k8s.io/a\x1b[31m", INVALID, "\\x1b"),
    "an impossible digest": ("registry.k8s.io/a@sha256:xyz", INVALID, "sha256:xyz"),
    "a name that no registry has": ("{address}/crio-test/never:1", grpc.StatusCode.NOT_FOUND, "crio-test/never"),
    "a digest that no registry has": (
        f"{{address}}/crio-test/busybox@sha256:{'0' * 64}",
        grpc.StatusCode.NOT_FOUND,
        "sha256:0000",
    ),
}


@pytest.mark.parametrize("case", PULLS)
def test_a_pull_is_refused_for(pods: Pods, registry: RunningRegistry, unchanged: None, case: str) -> None:
    reference, code, words = PULLS[case]
    with refused(code, words):
        pods.cri.pull(reference.replace("{address}", registry.address))


def test_a_registry_that_does_not_answer_is_unavailable(pods: Pods, unchanged: None) -> None:
    address = f"127.0.0.1:{free_port()}"
    # The kubelet knows this error by its first word, under the code of an ordinary error.
    with refused(grpc.StatusCode.UNKNOWN, "RegistryUnavailable: ", address, "connection refused"):
        pods.cri.pull(f"{address}/any/image:1")


def test_a_message_beyond_the_limit_is_refused(pods: Pods, unchanged: None) -> None:
    config = pods.config(annotations={f"k{number}": "v" * (1 << 20) for number in range(81)})
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
        pods.run_as(config)
    assert pods.listed() == []
