"""A CRI endpoint under measurement: its calls with the time each took, its processes and their memory."""

from __future__ import annotations

import os
import pathlib
import socket
import struct
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from crio.cli.ctl.client import Client
from crio.cri import api_pb2 as pb
from test.bench.figures import Figures

Answer = TypeVar("Answer", bound=Message)
CALL_TIMEOUT_S = 240.0
SLEEP = ("sleep", "1000000")
KIB_PER_MB = 1000 / 1.024


@dataclass(frozen=True, slots=True)
class Work:
    """What the pods of a run are made of."""

    image: str
    cgroup_parent: str
    log_folder: str
    handler: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that runs, with its one container."""

    id: str
    container_id: str


class Target:
    """One endpoint."""

    def __init__(self, endpoint: str, work: Work) -> None:
        self.work = work
        self.client = Client(endpoint, CALL_TIMEOUT_S)
        version = self.client.call("Version", pb.VersionRequest(), pb.VersionResponse)
        self.figures = Figures(f"{version.runtime_name} {version.runtime_version}")
        self.mark = uuid.uuid4().hex[:8]

    def close(self) -> None:
        """End the connection."""
        self.client.close()

    def timed(self, name: str, request: Message, answer: type[Answer], label: str = "") -> Answer:
        """One call, its time noted in milliseconds under its name."""
        began_s = time.perf_counter()
        result = self.client.call(name, request, answer)
        self.figures.add(label or name, (time.perf_counter() - began_s) * 1000)
        return result

    def prepare(self) -> None:
        """Pull the image, so that no pod waits for it."""
        self.client.call("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image=self.work.image)), pb.PullImageResponse)

    def pod_config(self, number: int) -> pb.PodSandboxConfig:
        """A pod that no other one is named like."""
        name = f"bench-{self.mark}-{number}"
        config = pb.PodSandboxConfig(hostname=name[:63], log_directory=os.path.join(self.work.log_folder, name))
        config.metadata.CopyFrom(pb.PodSandboxMetadata(name=name, uid=str(uuid.uuid4()), namespace="bench"))
        config.linux.cgroup_parent = self.work.cgroup_parent
        config.linux.security_context.namespace_options.pid = pb.CONTAINER
        return config

    def up(self, number: int) -> Pod:
        """Run a pod with a container that sleeps; notes the time of each call and of all three."""
        config = self.pod_config(number)
        began_s = time.perf_counter()
        run = pb.RunPodSandboxRequest(config=config, runtime_handler=self.work.handler)
        pod_id = self.timed("RunPodSandbox", run, pb.RunPodSandboxResponse).pod_sandbox_id
        container = pb.ContainerConfig(image=pb.ImageSpec(image=self.work.image), command=SLEEP, log_path="sleep.log")
        container.metadata.name = "sleep"
        container.linux.security_context.namespace_options.pid = pb.CONTAINER
        create = pb.CreateContainerRequest(pod_sandbox_id=pod_id, config=container, sandbox_config=config)
        container_id = self.timed("CreateContainer", create, pb.CreateContainerResponse).container_id
        self.timed("StartContainer", pb.StartContainerRequest(container_id=container_id), pb.StartContainerResponse)
        self.figures.add("pod up", (time.perf_counter() - began_s) * 1000)
        return Pod(pod_id, container_id)

    def exec_true(self, pod: Pod) -> None:
        """Run ``true`` in the container."""
        request = pb.ExecSyncRequest(container_id=pod.container_id, cmd=["true"], timeout=30)
        answer = self.timed("ExecSync", request, pb.ExecSyncResponse, "ExecSync true")
        assert answer.exit_code == 0, answer

    def down(self, pod: Pod) -> None:
        """Stop and remove a pod; notes the time of each call and of all four."""
        began_s = time.perf_counter()
        self.timed("StopContainer", pb.StopContainerRequest(container_id=pod.container_id, timeout=0), pb.StopContainerResponse)
        self.timed("RemoveContainer", pb.RemoveContainerRequest(container_id=pod.container_id), pb.RemoveContainerResponse)
        self.timed("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod.id), pb.StopPodSandboxResponse)
        self.timed("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod.id), pb.RemovePodSandboxResponse)
        self.figures.add("pod down", (time.perf_counter() - began_s) * 1000)

    def sweep(self) -> None:
        """Remove what a broken run left of its pods."""
        answer = self.client.call("ListPodSandbox", pb.ListPodSandboxRequest(), pb.ListPodSandboxResponse)
        for item in answer.items:
            if item.metadata.name.startswith(f"bench-{self.mark}-"):
                self.client.call("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=item.id), pb.StopPodSandboxResponse)
                self.client.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=item.id), pb.RemovePodSandboxResponse)


def owner_of(socket_path: str) -> int:
    """The process that listens on a socket. Source: unix(7), SO_PEERCRED."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.connect(socket_path)
        pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        return int(pid)


def _kib(path: pathlib.Path, member: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(f"{member}:"):
            return int(line.split()[1])
    raise ValueError(f"{path}: no member {member}")


def rss_mb(pid: int) -> float:
    """Resident memory of a process in MB (10^6 bytes)."""
    return _kib(pathlib.Path(f"/proc/{pid}/status"), "VmRSS") / KIB_PER_MB


def monitors(ids: Iterable[str]) -> list[int]:
    """Processes outside the containers that name one of these pods or containers in their arguments."""
    wanted = [item.encode() for item in ids]
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                command = pathlib.Path("/proc", name, "cmdline").read_bytes()
            except OSError:
                continue
            if any(item in command for item in wanted):
                found.append(int(name))
    return found


def pss_mb(pid: int) -> float:
    """Proportional memory of a process in MB; 0 when it is gone."""
    try:
        return _kib(pathlib.Path(f"/proc/{pid}/smaps_rollup"), "Pss") / KIB_PER_MB
    except OSError:
        return 0.0
