"""The measurements, in rounds that alternate between the runtimes, so that a slow minute of the machine hits all of them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crio.cli.ctl.client import Client
from crio.cli.ctl.errors import CtlError
from crio.cri import api_pb2 as pb
from test.bench.target import CALL_TIMEOUT_S, Pod, Target, monitors, owner_of, pss_mb, rss_mb
from test.support.waiting import eventually

WARM_UP = 2
CONCURRENCY = 10
EXECS_PER_POD = 3
QUICK_CALLS = 200
LISTS = 50
RESTART_TIMEOUT_S = 60.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Start:
    """How a daemon is started, and the file that takes what it says."""

    command: Sequence[str]
    log: str = os.devnull


@dataclass(frozen=True, slots=True)
class Size:
    """How much work a run does."""

    pods: int = 30
    burst: int = 50
    restarts: int = 3


def quick_calls(targets: Sequence[Target]) -> None:
    """Version and Status."""
    for _ in range(QUICK_CALLS):
        for target in targets:
            target.timed("Version", pb.VersionRequest(), pb.VersionResponse)
            target.timed("Status", pb.StatusRequest(), pb.StatusResponse)


def lives(targets: Sequence[Target], count: int) -> None:
    """Pods one after the other: up, a few execs, down. The first ones are not counted."""
    for number in range(WARM_UP + count):
        for target in targets:
            if number < WARM_UP:
                series, target.figures.series = target.figures.series, {}
            pod = target.up(number)
            for _ in range(EXECS_PER_POD):
                target.exec_true(pod)
            target.down(pod)
            if number < WARM_UP:
                target.figures.series = series


def _crowd(target: Target, count: int) -> list[Pod]:
    """Pods at once, ten at a time; their single calls are not counted, the whole is."""
    series, target.figures.series = target.figures.series, {}
    began_s = time.perf_counter()
    try:
        with concurrent.futures.ThreadPoolExecutor(CONCURRENCY) as pool:
            pods = list(pool.map(target.up, range(1000, 1000 + count)))
    finally:
        target.figures.series = series
    target.figures.add(f"{count} pods up, {CONCURRENCY} at a time", (time.perf_counter() - began_s) * 1000)
    return pods


def _dissolve(target: Target, pods: Sequence[Pod]) -> None:
    series, target.figures.series = target.figures.series, {}
    began_s = time.perf_counter()
    try:
        with concurrent.futures.ThreadPoolExecutor(CONCURRENCY) as pool:
            list(pool.map(target.down, pods))
    finally:
        target.figures.series = series
    target.figures.add(f"{len(pods)} pods down, {CONCURRENCY} at a time", (time.perf_counter() - began_s) * 1000)


def lists(targets: Sequence[Target], count: int) -> None:
    """The lists while ``count`` pods run."""
    for _ in range(LISTS):
        for target in targets:
            label = f"ListPodSandbox, {count} pods"
            found = target.timed("ListPodSandbox", pb.ListPodSandboxRequest(), pb.ListPodSandboxResponse, label)
            assert len(found.items) >= count
            label = f"ListContainers, {count} pods"
            listed = target.timed("ListContainers", pb.ListContainersRequest(), pb.ListContainersResponse, label)
            assert len(listed.containers) >= count


def memory(target: Target, pods: Sequence[Pod]) -> None:
    """The daemon's memory now, and what the monitors of each pod cost together."""
    target.figures.add(f"daemon RSS, {len(pods)} pods", rss_mb(owner_of(target.client.path)), "MB")
    for pod in pods:
        found = monitors((pod.id, pod.container_id))
        target.figures.add("monitors' PSS per pod", sum(map(pss_mb, found)), "MB")


def _first(endpoint: str, ready: Callable[[Client], bool], what: str) -> float:
    """When an endpoint first gave the wanted answer, on the clock of perf_counter."""

    def asked() -> float:
        if not os.path.exists(endpoint):
            return 0.0
        try:
            with Client(endpoint, CALL_TIMEOUT_S) as client:
                return time.perf_counter() if ready(client) else 0.0
        except CtlError:
            return 0.0

    return eventually(asked, RESTART_TIMEOUT_S, what)


def _answers(client: Client) -> bool:
    client.call("Version", pb.VersionRequest(), pb.VersionResponse)
    return True


def restart(target: Target, start: Start, count: int) -> None:
    """Kill the daemon, start it, and note when it first answers and first lists everything."""
    path = target.client.path
    target.client.close()
    pid = owner_of(path)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not _runs(pid), RESTART_TIMEOUT_S, f"process {pid} ends")
    began_s = time.perf_counter()
    with open(start.log, "ab") as log:
        process = subprocess.Popen(start.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
    # It is found again through its socket; the object would only complain that nobody waited.
    process.returncode = 0
    first = _first(path, _answers, "the daemon answers Version")
    target.figures.add("start to first Version", (first - began_s) * 1000)

    def complete(client: Client) -> bool:
        listed = client.call("ListContainers", pb.ListContainersRequest(), pb.ListContainersResponse).containers
        return sum(item.state == pb.CONTAINER_RUNNING for item in listed) >= count

    full = _first(path, complete, f"the daemon lists {count} running containers")
    target.figures.add(f"start to first full list, {count} pods", (full - began_s) * 1000)
    target.figures.add("daemon RSS after a start", rss_mb(owner_of(path)), "MB")
    target.client = Client(path, CALL_TIMEOUT_S)


def _runs(pid: int) -> bool:
    """Whether a process does anything still; a child of ours is collected."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def measure(targets: Sequence[Target], size: Size, restarts: Mapping[str, Start], say: Say) -> None:
    """Everything. ``restarts`` says how the daemon of a socket is started, where that is known."""
    for target in targets:
        target.prepare()
    for target in targets:
        target.figures.add("daemon RSS, idle", rss_mb(owner_of(target.client.path)), "MB")
    say("Version, Status")
    quick_calls(targets)
    say(f"{size.pods} pods one after the other")
    lives(targets, size.pods)
    say(f"{size.burst} pods, {CONCURRENCY} at a time")
    crowds = [_crowd(target, size.burst) for target in targets]
    say("lists, memory")
    lists(targets, size.burst)
    for target, pods in zip(targets, crowds, strict=True):
        memory(target, pods)
    for number in range(size.restarts):
        for target in targets:
            if target.client.path in restarts:
                say(f"restart {number + 1} of {target.figures.runtime}")
                restart(target, restarts[target.client.path], size.burst)
    say(f"{size.burst} pods down")
    for target, pods in zip(targets, crowds, strict=True):
        _dissolve(target, pods)
