"""Containers: create, start, status, lists, remove."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.images.catalog import BUSYBOX, WEB
from test.integration.cri.kit import Pods, fails_with, refused

UNKNOWN = "f" * 64
BIG_MEMORY_BYTES = 64 << 20
EAT_MEMORY = "exec tail -c 300m /dev/zero"


def test_a_container_goes_from_created_over_running_to_exited(pods: Pods) -> None:
    before = time.time_ns()
    container = pods.run().create()
    created = container.status()
    assert created.state == pb.CONTAINER_CREATED
    assert before <= created.created_at <= time.time_ns()
    assert (created.started_at, created.finished_at, created.exit_code, created.reason) == (0, 0, 0, "")
    container.start()
    running = container.status()
    assert running.state == pb.CONTAINER_RUNNING
    assert created.created_at == running.created_at <= running.started_at <= time.time_ns()
    assert running.finished_at == 0
    container.listening().stop()
    ended = container.status()
    assert ended.state == pb.CONTAINER_EXITED
    assert running.started_at == ended.started_at < ended.finished_at <= time.time_ns()
    assert (ended.exit_code, ended.reason) == (0, "Completed")


ENDS = {
    "exit 0": (0, "Completed"),
    "exit 3": (3, "Error"),
    "exit 255": (255, "Error"),
    "kill -KILL $$": (137, "Error"),
    "kill -ABRT $$": (134, "Error"),
}


def test_the_exit_code_is_the_process_s_own(pods: Pods) -> None:
    pod = pods.run()
    # The shell that dies is not the first process: that one is protected from signals of its own namespace.
    containers = {script: pod.start("sh", "-c", f"sh -c '{script}'; exit $?") for script in ENDS}
    for script, container in containers.items():
        status = container.ended()
        assert (status.exit_code, status.reason) == ENDS[script], script
        assert status.started_at <= status.finished_at


def test_a_container_beyond_its_memory_is_killed_and_says_so(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", EAT_MEMORY, linux={"resources": {"memory_limit_in_bytes": BIG_MEMORY_BYTES}})
    status = container.ended()
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


def test_the_status_says_what_was_asked_for_and_what_became_of_it(pods: Pods) -> None:
    source = str(pods.folder.parent / "source")
    os.makedirs(source)
    container = pods.run().create(
        labels={"tier": "web"},
        annotations={"note": "text"},
        mounts=[{"container_path": "/data", "host_path": source, "readonly": True}],
        linux={
            "resources": {"cpu_shares": 200, "cpu_quota": 50_000, "cpu_period": 100_000, "memory_limit_in_bytes": BIG_MEMORY_BYTES},
            "security_context": {"run_as_user": {"value": 33}, "run_as_group": {"value": 44}, "supplemental_groups": [55]},
        },
    )
    status = container.status()
    assert status.metadata == container.config.metadata
    assert (dict(status.labels), dict(status.annotations)) == ({"tier": "web"}, {"note": "text"})
    assert status.image.image == BUSYBOX
    assert status.image_ref.startswith("registry.k8s.io/e2e-test-images/busybox@sha256:")
    assert len(status.image_id.removeprefix("sha256:")) == 64
    assert status.log_path == str(container.log_path)
    (mount,) = status.mounts
    assert (mount.container_path, mount.host_path, mount.readonly) == ("/data", source, True)
    limits = status.resources.linux
    assert (limits.cpu_shares, limits.cpu_quota, limits.cpu_period) == (200, 50_000, 100_000)
    assert limits.memory_limit_in_bytes == BIG_MEMORY_BYTES
    user = status.user.linux
    assert (user.uid, user.gid) == (33, 44)
    assert {44, 55} <= set(user.supplemental_groups)


SIGNALS = {"of the request": ("SIGNAL_SIGUSR1", BUSYBOX, pb.SIGNAL_SIGUSR1), "of nobody": ("", BUSYBOX, pb.SIGNAL_SIGTERM)}


@pytest.mark.parametrize("case", SIGNALS)
@pytest.mark.inside
def test_the_stop_signal_is_that(pods: Pods, case: str) -> None:
    wanted, image, shown = SIGNALS[case]
    fields = {"stop_signal": wanted} if wanted else {}
    assert pods.run().create(image={"image": image}, **fields).status().stop_signal == shown


@pytest.mark.inside
def test_the_verbose_status_has_the_pid_and_the_specification(pods: Pods) -> None:
    container = pods.run().start()
    info = json.loads(container.info())
    assert set(info) >= {"sandboxID", "pid", "runtimeSpec", "privileged"}
    assert info["sandboxID"] == container.pod.id
    assert os.readlink(f"/proc/{info['pid']}/exe").startswith("/")
    assert info["runtimeSpec"]["process"]["args"][0] == "sh"
    container.stop()
    assert json.loads(container.info())["pid"] == 0


@pytest.mark.inside
def test_the_same_request_gets_the_same_container(pods: Pods) -> None:
    pod = pods.run()
    container = pod.create()
    assert pod.create_as(container.config).id == container.id
    container.start()
    assert pod.create_as(container.config).id == container.id
    assert container.status().state == pb.CONTAINER_RUNNING


@pytest.mark.inside
def test_twins_at_the_same_moment_get_the_same_container(pods: Pods) -> None:
    pod = pods.run()
    config = pod.container_config()
    barrier = threading.Barrier(6)

    def ask(_: int) -> str:
        barrier.wait(10)
        return pod.create_as(config).id

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(6)))) == 1


@pytest.mark.inside
def test_a_create_that_ran_out_of_time_is_joined_by_its_retry(pods: Pods) -> None:
    pod = pods.run()
    config = pod.container_config()
    request = pb.CreateContainerRequest(pod_sandbox_id=pod.id, config=config, sandbox_config=pod.config)
    code, _ = fails_with(lambda: pod.cri.runtime.CreateContainer(request, 0.01))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    retry = pod.create_as(config)
    listed = pod.cri.runtime.ListContainers(pb.ListContainersRequest(filter=pb.ContainerFilter(pod_sandbox_id=pod.id)))
    assert [item.id for item in listed.containers] == [retry.id]


def test_the_same_name_with_another_attempt_is_another_container(pods: Pods) -> None:
    pod = pods.run()
    first = pod.create()
    again = pod.create(metadata={"name": first.config.metadata.name, "attempt": 1})
    assert first.id != again.id
    assert again.status().metadata.attempt == 1


def test_a_container_is_started_once(pods: Pods) -> None:
    container = pods.run().start()
    fails_with(container.start)
    assert container.status().state == pb.CONTAINER_RUNNING
    container.stop()
    fails_with(container.start)


@pytest.mark.inside
def test_a_second_start_says_why_not(pods: Pods) -> None:
    container = pods.run().start()
    with refused(grpc.StatusCode.FAILED_PRECONDITION, f"cannot start container {container.id}: it is running"):
        container.start()
    container.stop()
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "it is exited"):
        container.start()


def test_starts_at_the_same_moment_start_it_once(pods: Pods) -> None:
    container = pods.run().create("sh", "-c", "echo up; sleep 1000")
    barrier = threading.Barrier(4)

    def ask(_: int) -> bool:
        barrier.wait(10)
        try:
            container.start()
        except grpc.RpcError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert any(pool.map(ask, range(4)))
    container.printed("up")
    assert container.lines() == ["up"]


def test_lists_are_filtered(pods: Pods) -> None:
    one, two = pods.run(), pods.run()
    created, running = one.create(labels={"a": "1"}), one.start(labels={"a": "2"})
    ended = two.start("true", labels={"a": "1"})
    ended.ended()

    def found(**wanted: object) -> set[str]:
        listed = pods.cri.runtime.ListContainers(pb.ListContainersRequest(filter=pb.ContainerFilter(**wanted)))  # type: ignore[arg-type]
        return {item.id for item in listed.containers} & {created.id, running.id, ended.id}

    assert found() == {created.id, running.id, ended.id}
    assert found(id=created.id) == {created.id}
    assert found(id=created.id[:20]) == {created.id}
    assert found(pod_sandbox_id=one.id) == {created.id, running.id}
    assert found(pod_sandbox_id=two.id[:20]) == {ended.id}
    assert found(label_selector={"a": "1"}) == {created.id, ended.id}
    states = {pb.CONTAINER_CREATED: created, pb.CONTAINER_RUNNING: running, pb.CONTAINER_EXITED: ended}
    for state, container in states.items():
        assert found(state=pb.ContainerStateValue(state=state)) == {container.id}
    assert found(id=created.id, pod_sandbox_id=two.id) == set()
    assert found(id=UNKNOWN) == set()
    assert found(pod_sandbox_id=UNKNOWN) == set()


def test_an_item_of_the_list_is_the_short_form_of_the_status(pods: Pods) -> None:
    container = pods.run().start(labels={"a": "b"}, annotations={"c": "d"})
    wanted = pb.ContainerFilter(id=container.id)
    (item,) = pods.cri.runtime.ListContainers(pb.ListContainersRequest(filter=wanted)).containers
    status = container.status()
    assert (item.id, item.metadata, item.state, item.created_at) == (status.id, status.metadata, status.state, status.created_at)
    assert (item.labels, item.annotations, item.image_ref) == (status.labels, status.annotations, status.image_ref)
    assert item.pod_sandbox_id == container.pod.id


def test_removal_takes_a_created_a_running_and_an_ended_container(pods: Pods) -> None:
    pod = pods.run()
    ended = pod.start("true")
    ended.ended()
    for container in (pod.create(), pod.start(), ended):
        container.remove()
        container.remove()
        with refused(grpc.StatusCode.NOT_FOUND):
            container.status()


@pytest.mark.inside
def test_a_removed_name_can_be_used_again(pods: Pods) -> None:
    pod = pods.run()
    first = pod.start()
    first.remove()
    second = pod.create_as(first.config)
    assert second.id != first.id


def test_verbs_on_an_unknown_container(pods: Pods) -> None:
    runtime = pods.cri.runtime
    runtime.StopContainer(pb.StopContainerRequest(container_id=UNKNOWN, timeout=1))
    runtime.RemoveContainer(pb.RemoveContainerRequest(container_id=UNKNOWN))
    with refused(grpc.StatusCode.NOT_FOUND):
        runtime.ContainerStatus(pb.ContainerStatusRequest(container_id=UNKNOWN))
    with refused(grpc.StatusCode.NOT_FOUND):
        runtime.StartContainer(pb.StartContainerRequest(container_id=UNKNOWN))
    with refused(grpc.StatusCode.NOT_FOUND):
        runtime.ExecSync(pb.ExecSyncRequest(container_id=UNKNOWN, cmd=["true"], timeout=5))


@pytest.mark.inside
def test_the_image_s_own_command_and_user_serve_where_none_is_given(pods: Pods) -> None:
    container = pods.run().start(image={"image": WEB}, command=[])
    assert container.status().user.linux.uid == 33
    info = json.loads(container.info())["runtimeSpec"]["process"]
    assert info["args"] == ["/usr/local/bin/web-start"]
    assert info["cwd"] == "/www"
