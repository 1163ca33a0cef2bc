"""Namespaces: whose they are, the infra process of a shared pid namespace, the host's where it is asked for."""

from __future__ import annotations

import json
import os
import pathlib
import signal

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.integration.cri.kit import Ctr, Pods, fails_with, processes_with, refused
from test.support.daemon import Daemon
from test.support.waiting import eventually

KINDS = ("net", "ipc", "uts", "pid", "mnt")


def options(**fields: str) -> dict[str, object]:
    """The part of a configuration with the namespace options."""
    return {"linux": {"security_context": {"namespace_options": fields}}}


def namespaces(container: Ctr) -> dict[str, str]:
    """The namespaces of a command in a container."""
    return {kind: container.says(f"readlink /proc/self/ns/{kind}") for kind in KINDS}


def own_namespaces() -> dict[str, str]:
    """Ours, which are the daemon's and so the host's for it."""
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS}


def test_containers_of_a_pod_share_network_ipc_and_name_but_not_processes(pods: Pods) -> None:
    pod = pods.run()
    one, two = namespaces(pod.start()), namespaces(pod.start())
    other, host = namespaces(pods.run().start()), own_namespaces()
    for kind in ("net", "ipc", "uts"):
        assert one[kind] == two[kind]
        assert len({one[kind], other[kind], host[kind]}) == 3
    for kind in ("pid", "mnt"):
        assert len({one[kind], two[kind], other[kind], host[kind]}) == 4


def test_a_shared_pid_namespace_shows_the_neighbours(pods: Pods) -> None:
    shared = options(pid="POD")
    pod = pods.run(**shared)
    one, two = pod.start(**shared), pod.start("sleep", "5151515", **shared)
    assert namespaces(one)["pid"] == namespaces(two)["pid"]
    assert "5151515" in one.says("ps -o args")
    assert "pause" in one.says("ps -o pid,args | grep '^ *1 '")


@pytest.mark.inside
def test_the_infra_process_runs_under_its_own_monitor_and_no_client_sees_it(pods: Pods, inside: Daemon) -> None:
    pod = pods.run(**options(pid="POD"))
    info = pods.cri.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id, verbose=True)).info["info"]
    pause = json.loads(info)["pid"]
    assert os.readlink(f"/proc/{pause}/exe").endswith("/pause")
    monitor = _parent(pause)
    assert pathlib.Path(f"/proc/{monitor}/comm").read_text().strip() == "conmon"
    assert _parent(monitor) == inside.pid
    assert pod.id not in {item.id for item in pods.cri.runtime.ListContainers(pb.ListContainersRequest()).containers}
    with refused(grpc.StatusCode.NOT_FOUND):
        pods.cri.runtime.ContainerStatus(pb.ContainerStatusRequest(container_id=pod.id))
    pods.cri.runtime.StopContainer(pb.StopContainerRequest(container_id=pod.id, timeout=0))
    pods.cri.runtime.RemoveContainer(pb.RemoveContainerRequest(container_id=pod.id))
    assert _parent(pause) == monitor
    assert pod.status().state == pb.SANDBOX_READY


def _parent(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.inside
def test_a_pod_that_loses_its_infra_process_is_no_longer_ready(pods: Pods) -> None:
    pod = pods.run(**options(pid="POD"))
    answer = pods.cri.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id, verbose=True))
    os.kill(json.loads(answer.info["info"])["pid"], signal.SIGKILL)
    eventually(lambda: pod.status().state == pb.SANDBOX_NOTREADY, 10, "the sandbox is not ready")
    pod.stop()
    pod.remove()


@pytest.mark.inside
def test_a_pod_without_shared_processes_has_no_infra_process(pods: Pods) -> None:
    pod = pods.run()
    answer = pods.cri.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id, verbose=True))
    assert "pid" not in json.loads(answer.info["info"])


def test_the_first_process_of_an_own_pid_namespace_is_the_command(pods: Pods) -> None:
    assert pods.run().start("sleep", "616161").says("cat /proc/1/cmdline | tr '\\0' ' '") == "sleep 616161"


def test_a_container_can_look_into_another_one_s_processes(pods: Pods) -> None:
    pod = pods.run()
    target = pod.start("sleep", "717171")
    debugger = pod.start(**options(pid="TARGET", target_id=target.id))
    assert namespaces(debugger)["pid"] == namespaces(target)["pid"]
    assert "717171" in debugger.says("ps -o args")


@pytest.mark.inside
def test_a_target_has_to_run(pods: Pods) -> None:
    pod = pods.run()
    ended = pod.start("true")
    ended.ended()
    with refused(grpc.StatusCode.FAILED_PRECONDITION, f"target container {ended.id} is not running"):
        pod.create(**options(pid="TARGET", target_id=ended.id))
    with refused(grpc.StatusCode.NOT_FOUND, "does not exist"):
        pod.create(**options(pid="TARGET", target_id="f" * 64))


def test_the_host_s_processes_ipc_and_network(pods: Pods) -> None:
    wanted = options(pid="NODE", ipc="NODE", network="NODE")
    pod = pods.run(**wanted)
    container, host = pod.start(**wanted), own_namespaces()
    found = namespaces(container)
    for kind in ("net", "ipc"):
        assert found[kind] == host[kind]
    assert found["pid"] == host["pid"]
    assert found["uts"] != host["uts"]
    shown = pod.status().linux.namespaces.options
    assert (shown.pid, shown.ipc, shown.network) == (pb.NODE, pb.NODE, pb.NODE)


def test_a_container_on_the_host_s_processes_is_stopped_with_its_children(pods: Pods) -> None:
    wanted = options(pid="NODE")
    container = pods.run(**wanted).start("sh", "-c", "sleep 818181 & sleep 818181", **wanted)
    eventually(lambda: "818181" in container.says("ps -o args"), 10, "the child runs")
    container.stop(0)
    eventually(lambda: not processes_with("sleep 818181"), 10, "the child is gone")


def test_a_pod_on_the_host_network_has_no_address_of_its_own(pods: Pods) -> None:
    wanted = options(network="NODE")
    pod = pods.run(**wanted)
    assert pod.status().network.ip == ""
    assert pod.start(**wanted).says("hostname") == os.uname().nodename


@pytest.mark.inside
def test_a_privileged_container_in_an_ordinary_sandbox_is_refused(pods: Pods) -> None:
    code, words = fails_with(lambda: pods.run().create(linux={"security_context": {"privileged": True}}))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "privileged" in words
