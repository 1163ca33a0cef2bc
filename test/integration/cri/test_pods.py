"""Sandboxes: run, status, lists, stop, remove; every verb may be said twice."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from crio.cri import api_pb2 as pb
from crio.cri.image_service import ImageService
from crio.cri.runtime_service import RuntimeService
from test.integration.cri.kit import Ctr, Pod, Pods, fails_with, refused
from test.support.cri import Service
from test.support.waiting import eventually

UNKNOWN = "f" * 64


def test_version_and_status_say_who_is_there_and_that_it_is_ready(pods: Pods) -> None:
    version = pods.cri.runtime.Version(pb.VersionRequest())
    assert (version.version, version.runtime_api_version) == ("0.1.0", "v1")
    status = pods.cri.runtime.Status(pb.StatusRequest(verbose=True))
    assert {item.type: item.status for item in status.status.conditions} == {"RuntimeReady": True, "NetworkReady": True}
    assert status.info["config"]


@pytest.mark.inside
def test_status_names_every_handler_and_the_default_one(pods: Pods) -> None:
    status = pods.cri.runtime.Status(pb.StatusRequest())
    assert {handler.name for handler in status.runtime_handlers} == {"", "crun", "runc"}
    assert status.features.supplemental_groups_policy


def test_runtime_config_names_the_cgroup_driver(pods: Pods) -> None:
    driver = pods.cri.runtime.RuntimeConfig(pb.RuntimeConfigRequest()).linux.cgroup_driver
    assert driver in (pb.SYSTEMD, pb.CGROUPFS)


FIRST = {
    "RuntimeService": "Version Status RuntimeConfig RunPodSandbox StopPodSandbox RemovePodSandbox PodSandboxStatus ListPodSandbox "
    "CreateContainer StartContainer StopContainer RemoveContainer ContainerStatus ListContainers ExecSync ReopenContainerLog",
    "ImageService": "PullImage ImageStatus ListImages RemoveImage ImageFsInfo",
}
SERVED = {"RuntimeService": RuntimeService, "ImageService": ImageService}


def code_of(service: Service, method: MethodDescriptor) -> grpc.StatusCode:
    """How an empty request ends."""
    try:
        answer = getattr(service, method.name)(message_factory.GetMessageClass(method.input_type)(), timeout_s=5)
        if method.server_streaming:
            next(answer, None)
            answer.cancel()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.inside
@pytest.mark.parametrize("name", FIRST)
def test_methods_are_served_and_those_that_are_not_there_yet_say_so(pods: Pods, name: str) -> None:
    service = pods.cri.runtime if name == "RuntimeService" else pods.cri.image
    codes = {method.name: code_of(service, method) for method in pb.DESCRIPTOR.services_by_name[name].methods}
    served = {method for method, code in codes.items() if code is not grpc.StatusCode.UNIMPLEMENTED}
    assert served == {method for method in codes if hasattr(SERVED[name], method)}
    assert set(FIRST[name].split()) <= served
    assert set(codes.values()) <= {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}


def test_the_status_of_a_sandbox_says_what_was_asked_for(pods: Pods) -> None:
    before = time.time_ns()
    pod = pods.run(labels={"app": "shop"}, annotations={"note": "text with spaces"})
    status = pod.status()
    assert status.id == pod.id
    assert len(pod.id) == 64
    assert status.state == pb.SANDBOX_READY
    assert before <= status.created_at <= time.time_ns()
    assert status.metadata == pod.config.metadata
    assert status.labels["app"] == "shop"
    assert status.annotations["note"] == "text with spaces"
    assert status.network.ip.count(".") == 3
    options = status.linux.namespaces.options
    assert (options.network, options.pid, options.ipc) == (pb.POD, pb.CONTAINER, pb.POD)


@pytest.mark.inside
def test_the_labels_of_kubernetes_are_added(pods: Pods) -> None:
    pod = pods.run()
    given = pod.config.metadata
    assert dict(pod.status().labels) == {
        "ring": pods.mark,
        "io.kubernetes.pod.name": given.name,
        "io.kubernetes.pod.namespace": given.namespace,
        "io.kubernetes.pod.uid": given.uid,
    }


@pytest.mark.inside
def test_the_same_request_gets_the_same_sandbox(pods: Pods) -> None:
    pod = pods.run()
    assert pods.run_as(pod.config).id == pod.id
    pod.stop()
    assert pods.run_as(pod.config).id == pod.id
    assert len(pods.listed()) == 1


@pytest.mark.inside
def test_twins_at_the_same_moment_get_the_same_sandbox(pods: Pods) -> None:
    config = pods.config()
    barrier = threading.Barrier(6)

    def ask(_: int) -> str:
        barrier.wait(10)
        return pods.run_as(config).id

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(6)))) == 1
    assert len(pods.listed()) == 1


@pytest.mark.inside
def test_a_request_that_ran_out_of_time_is_joined_by_its_retry(pods: Pods) -> None:
    config = pods.config()
    code, _ = fails_with(lambda: pods.run_as(config, timeout_s=0.01))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    retry = pods.run_as(config)
    assert [pod.id for pod in pods.listed()] == [retry.id]


@pytest.mark.inside
def test_a_sandbox_is_made_although_its_client_gave_up(pods: Pods) -> None:
    config = pods.config()
    fails_with(lambda: pods.run_as(config, timeout_s=0.01))
    (pod,) = eventually(pods.listed, 20, "the sandbox is there")
    assert pods.run_as(config).id == pod.id


def test_lists_are_filtered_by_id_prefix_state_and_labels(pods: Pods) -> None:
    first, second = pods.run(labels={"app": "one"}), pods.run(labels={"app": "two"})
    second.stop()

    def found(**wanted: object) -> set[str]:
        return {pod.id for pod in pods.listed(**wanted)}

    assert found() == {first.id, second.id}
    assert found(id=first.id) == {first.id}
    assert found(id=first.id[:20]) == {first.id}
    assert found(state={"state": "SANDBOX_READY"}) == {first.id}
    assert found(state={"state": "SANDBOX_NOTREADY"}) == {second.id}
    assert found(label_selector={"app": "two"}) == {second.id}
    assert found(label_selector={"app": "three"}) == set()
    assert found(id=first.id, state={"state": "SANDBOX_NOTREADY"}) == set()
    assert found(id=UNKNOWN) == set()


def test_an_item_of_the_list_is_the_short_form_of_the_status(pods: Pods) -> None:
    pod = pods.run(annotations={"note": "n"})
    (item,), status = pods.listed(), pod.status()
    assert (item.id, item.metadata, item.state) == (status.id, status.metadata, status.state)
    assert (item.created_at, item.labels, item.annotations) == (status.created_at, status.labels, status.annotations)


def test_a_stop_ends_the_containers_and_may_be_repeated(pods: Pods) -> None:
    pod = pods.run()
    container = pod.start()
    pod.stop()
    pod.stop()
    assert pod.status().state == pb.SANDBOX_NOTREADY
    assert container.status().state == pb.CONTAINER_EXITED


def test_a_stopped_sandbox_takes_no_container(pods: Pods) -> None:
    pod = pods.run()
    pod.stop()
    with pytest.raises(grpc.RpcError):
        pod.create()


@pytest.mark.inside
def test_a_stopped_sandbox_says_why_it_takes_no_container(pods: Pods) -> None:
    pod = pods.run()
    pod.stop()
    with refused(grpc.StatusCode.FAILED_PRECONDITION, pod.id, "it is stopped, not ready"):
        pod.create()


def test_a_removal_takes_running_containers_along_and_may_be_repeated(pods: Pods) -> None:
    pod = pods.run()
    container = pod.start()
    pod.stop()
    pod.remove()
    pod.remove()
    assert pods.listed() == []
    with refused(grpc.StatusCode.NOT_FOUND):
        pod.status()
    with refused(grpc.StatusCode.NOT_FOUND):
        container.status()


@pytest.mark.inside
def test_a_removal_without_a_stop_stops_first(pods: Pods) -> None:
    pod = pods.run()
    pod.start()
    pod.remove()
    assert pods.listed() == []


def test_stop_and_remove_of_an_unknown_sandbox_succeed(pods: Pods) -> None:
    pods.cri.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=UNKNOWN))
    pods.cri.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=UNKNOWN))


SANDBOX_VERBS: dict[str, Callable[[Pod, str], object]] = {
    "PodSandboxStatus": lambda pod, wanted: pod.cri.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=wanted)),
    "StopPodSandbox": lambda pod, wanted: pod.cri.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=wanted)),
    "RemovePodSandbox": lambda pod, wanted: pod.cri.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=wanted)),
    "CreateContainer": lambda pod, wanted: dataclasses.replace(pod, id=wanted).create(),
}
CONTAINER_VERBS: dict[str, Callable[[Pod, str], object]] = {
    "ContainerStatus": lambda pod, wanted: Ctr(pod, wanted, pb.ContainerConfig()).status(),
    "StartContainer": lambda pod, wanted: Ctr(pod, wanted, pb.ContainerConfig()).start(),
    "StopContainer": lambda pod, wanted: Ctr(pod, wanted, pb.ContainerConfig()).stop(0),
    "RemoveContainer": lambda pod, wanted: Ctr(pod, wanted, pb.ContainerConfig()).remove(),
    "ExecSync": lambda pod, wanted: Ctr(pod, wanted, pb.ContainerConfig()).exec("true"),
    "ReopenContainerLog": lambda pod, wanted: pod.cri.runtime.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id=wanted)),
}
IDEMPOTENT = {"StopPodSandbox", "RemovePodSandbox", "StopContainer", "RemoveContainer"}


def shared_letter(ids: list[str]) -> str:
    """A first letter that two ids have: among seventeen there is one."""
    letters = [one[0] for one in ids]
    return next(letter for letter in letters if letters.count(letter) > 1)


@pytest.mark.inside
def test_ids_may_be_short_but_not_ambiguous_or_empty(pods: Pods) -> None:
    pod = pods.run()
    every = [pod, *(pods.run() for _ in range(16))]
    containers = [pod.create() for _ in range(17)]
    short = pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id[:16])
    assert pods.cri.runtime.PodSandboxStatus(short).status.id == pod.id
    assert Ctr(pod, containers[0].id[:16], containers[0].config).status().id == containers[0].id
    for verbs, ids in ((SANDBOX_VERBS, [one.id for one in every]), (CONTAINER_VERBS, [one.id for one in containers])):
        twice = shared_letter(ids)
        for verb, call in verbs.items():
            with refused(grpc.StatusCode.NOT_FOUND, f"'{twice}' is ambiguous"):
                call(pod, twice)
            with refused(grpc.StatusCode.INVALID_ARGUMENT, "is empty"):
                call(pod, "")
            if verb in IDEMPOTENT:
                call(pod, UNKNOWN)
                continue
            with refused(grpc.StatusCode.NOT_FOUND, f"'{UNKNOWN}' does not exist"):
                call(pod, UNKNOWN)
    assert pods.listed(id=shared_letter([one.id for one in every])) == []
    assert {one.state for one in pods.listed()} == {pb.SANDBOX_READY}
    assert {one.id for one in pods.containers_of(pod.id)} == {one.id for one in containers}


@pytest.mark.parametrize("handler", ["runc", "crun"])
@pytest.mark.inside
def test_a_pod_lives_with_the_handler(pods: Pods, handler: str) -> None:
    pod = pods.run(handler)
    assert pod.status().runtime_handler == handler
    container = pod.start()
    assert container.says("echo hello") == "hello"
    container.stop()
    assert container.status().exit_code == 0
    container.remove()
