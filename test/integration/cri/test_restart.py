"""The daemon dies and comes back: everything is there, what runs was not touched, what ended meanwhile is known."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.images.catalog import BUSYBOX_OCI, LAYERED
from test.integration.cri.kit import STUBBORN, Ctr, Pods, fails_with, refused
from test.integration.cri.own import Own, owned
from test.integration.cri.test_status_api import get
from test.support.registry import RunningRegistry
from test.support.waiting import eventually

pytestmark = pytest.mark.inside
AT_ONCE_S = 5.0
SHARED = {"linux": {"security_context": {"namespace_options": {"pid": "POD"}}}}


@pytest.fixture
def own(registry: RunningRegistry, tmp_path: pathlib.Path) -> Iterator[Own]:
    """A daemon to be killed."""
    with owned(registry, tmp_path) as one:
        yield one


def pid_of(container: Ctr) -> int:
    """The host's pid of a container's first process."""
    return int(json.loads(container.info())["pid"])


def has_program(pid: int) -> bool:
    """Whether the process runs; a zombie has no program any more."""
    try:
        return bool(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def seen(container: Ctr, pods: Pods) -> Ctr:
    """The same container over a new connection."""
    container.pod.pods = pods
    return container


def test_everything_is_there_again_and_what_runs_was_not_touched(own: Own) -> None:
    with own.pods() as pods:
        ordinary, shared = pods.run(labels={"kind": "ordinary"}), pods.run(**SHARED)
        stopped = pods.run()
        stopped.stop()
        running, created, ended = ordinary.start(), ordinary.create(), ordinary.start("sh", "-c", "exit 3")
        neighbour = shared.start(**SHARED)
        ended.ended()
        before = {one.id: one.status() for one in (running, created, ended, neighbour)}
        sandboxes = {pod.id: pod.status() for pod in (ordinary, shared, stopped)}
        pids = {one.id: pid_of(one) for one in (running, neighbour)}
    own.daemon.restart(crash=True)
    with own.pods() as pods:
        for one in (running, created, ended, neighbour):
            assert seen(one, pods).status() == before[one.id]
        for pod in (ordinary, shared, stopped):
            pod.pods = pods
            assert pod.status() == sandboxes[pod.id]
        assert {one.id: pid_of(one) for one in (running, neighbour)} == pids
        assert running.says("echo alive") == neighbour.says("echo alive") == "alive"
        created.start()
        assert created.status().state == pb.CONTAINER_RUNNING
        assert ordinary.create().id not in before
        seen(running, pods).listening().stop(5)
        assert running.status().exit_code == 0
        for pod in (ordinary, shared, stopped):
            pod.stop()
            pod.remove()


def test_what_ended_meanwhile_is_known_with_its_code_and_time(own: Own) -> None:
    with own.pods() as pods:
        pod = pods.run()
        scripts = {0: "exit 0", 3: "exit 3", 137: "kill -KILL $$"}
        wait = "while [ ! -e /gate/open ]; do sleep 0.02; done; "
        gate = pathlib.Path(own.folder, "gate")
        gate.mkdir()
        mounts = [{"container_path": "/gate", "host_path": str(gate)}]
        ends = {code: pod.start("sh", "-c", f"{wait}sh -c '{script}'; exit $?", mounts=mounts) for code, script in scripts.items()}
        oom = pod.start(
            "sh", "-c", f"{wait}exec tail -c 300m /dev/zero", mounts=mounts, linux={"resources": {"memory_limit_in_bytes": 32 << 20}}
        )
        pids = [pid_of(one) for one in (*ends.values(), oom)]
    own.daemon.kill()
    opened_ns = time.time_ns()
    (gate / "open").touch()
    for pid in pids:
        eventually(lambda pid=pid: not has_program(pid), 20, f"process {pid} ends")
    exits = own.root / "run/exits"
    # A monitor's temporary file has a longer name: only a whole id is an exit that is on record.
    eventually(lambda: sum(len(name) == 64 for name in os.listdir(exits)) == len(pids), 20, "every monitor has written its exit file")
    ended_ns = time.time_ns()
    own.daemon.start()
    with own.pods() as pods:
        for code, one in ends.items():
            status = seen(one, pods).status()
            assert (status.state, status.exit_code) == (pb.CONTAINER_EXITED, code)
            assert status.reason == ("Completed" if code == 0 else "Error")
            assert opened_ns <= status.finished_at <= ended_ns
        status = seen(oom, pods).status()
        assert (status.exit_code, status.reason) == (137, "OOMKilled")
        assert os.listdir(exits) == []


def test_pods_can_be_stopped_and_removed_at_once(own: Own) -> None:
    """A peer waits for its deadline here, for every pod: it asks whether the pid is gone, and the orphan is reaped late."""
    before = own.traces()
    with own.pods() as pods:
        found = [pods.run() for _ in range(4)]
        for pod in found:
            pod.start("sleep", "1000")
            pod.start()
    own.daemon.restart(crash=True)
    with own.pods() as pods:
        for pod in found:
            pod.pods = pods
            for item in pods.containers_of(pod.id):
                begun_s = time.monotonic()
                pods.cri.runtime.StopContainer(pb.StopContainerRequest(container_id=item.id, timeout=0))
                assert time.monotonic() - begun_s < AT_ONCE_S
            begun_s = time.monotonic()
            pod.stop()
            pod.remove()
            assert time.monotonic() - begun_s < AT_ONCE_S
    assert own.left(before) == []


def test_a_grace_period_is_kept_after_a_crash_too(own: Own) -> None:
    with own.pods() as pods:
        container = pods.run().start(*STUBBORN)
        container.printed("ready")
    own.daemon.restart(crash=True)
    with own.pods() as pods:
        begun_s = time.monotonic()
        seen(container, pods).stop(1)
        assert 1 <= time.monotonic() - begun_s < AT_ONCE_S
        assert container.status().exit_code == 137


def test_logs_go_on_while_the_daemon_is_dead_and_can_be_rotated_after_it(own: Own) -> None:
    with own.pods() as pods:
        container = pods.run().start("sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done")
        container.printed("1")
    own.daemon.kill()
    last = container.lines()[-1]
    container.printed(str(int(last) + 10))
    own.daemon.start()
    with own.pods() as pods:
        container.log_path.rename(container.log_path.with_suffix(".1"))
        seen(container, pods).cri.runtime.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id=container.id))
        eventually(container.lines, 10, "the new file has lines")


def test_a_daemon_that_is_told_to_end_leaves_the_containers_running(own: Own) -> None:
    with own.pods() as pods:
        container = pods.run().start()
        pid = pid_of(container)
    assert own.daemon.stop() == 0
    assert not own.daemon.layout.socket.exists()
    assert has_program(pid)
    own.daemon.start()
    with own.pods() as pods:
        assert pid_of(seen(container, pods)) == pid
        assert container.says("echo alive") == "alive"


def test_a_container_whose_monitor_died_with_the_daemon_is_still_known(own: Own) -> None:
    with own.pods() as pods:
        container, other = pods.run().start(), pods.run().start()
        state = own.root / "store/overlay-containers" / container.id / "userdata/state.json"
        monitor = json.loads(state.read_text())["containerMonitorProcess"]["pid"]
        pid = pid_of(container)
    own.daemon.kill()
    os.kill(monitor, signal.SIGKILL)
    own.daemon.start()
    with own.pods() as pods:
        assert seen(container, pods).status().state == pb.CONTAINER_RUNNING
        assert container.says("echo alive") == "alive"
        os.kill(pid, signal.SIGKILL)
        status = container.ended()
        assert (status.exit_code, status.reason) == (255, "Error")
        assert "exit status is lost" in status.message
        assert seen(other, pods).status().state == pb.CONTAINER_RUNNING


def test_a_pull_that_was_cut_by_a_crash_can_be_done_again(own: Own) -> None:
    with own.pods() as pods, ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(fails_with, lambda: pods.cri.pull(LAYERED))
        eventually(lambda: "PullImage" in _timeline(own), 10, "the pull has begun")
        own.daemon.kill()
        assert pulling.result(30)[0] in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    own.daemon.start()
    with own.pods() as pods:
        assert len(pods.cri.pull(LAYERED)) == 64
        pods.cri.pull(BUSYBOX_OCI)
        assert pods.run().once("ls /data/file-2", image={"image": LAYERED}) == ["/data/file-2"]


def _timeline(own: Own) -> str:
    return get(own.daemon.socket, "/timeline").body.decode()


def test_the_socket_of_a_dead_daemon_is_taken_over_and_one_of_a_living_is_not(own: Own) -> None:
    own.daemon.kill()
    assert own.daemon.layout.socket.exists()
    own.daemon.start()
    with own.pods() as pods, refused(grpc.StatusCode.NOT_FOUND):
        pods.cri.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id="f" * 64))
