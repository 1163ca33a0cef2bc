"""Pods and containers for a test in a few words, through the CRI alone, and all of them gone after it.

Everything goes to the endpoint under test with configurations written as the JSON that clients write. Names are unique to the test,
so tests can share a runtime with others.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib
import signal
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from crio.cri import api_pb2 as pb
from test.images.catalog import BUSYBOX
from test.support.cri import Cri
from test.support.waiting import eventually

EXIT_TIMEOUT_S = 30.0
SLEEP = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done")
STUBBORN = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
Document = Mapping[str, Any]
_numbers = itertools.count(1)


def merged(base: Document, more: Document) -> dict[str, Any]:
    """``base`` with ``more`` laid over it, tables within tables."""
    out = dict(base)
    for key, value in more.items():
        out[key] = merged(out[key], value) if isinstance(value, Mapping) and isinstance(out.get(key), Mapping) else value
    return out


@contextlib.contextmanager
def refused(code: grpc.StatusCode, *words: str) -> Any:
    """The call in the block fails with this code and a sentence that has these words."""
    with pytest.raises(grpc.RpcError) as caught:
        yield caught
    error = caught.value
    assert (error.code(), [word for word in words if word not in error.details()]) == (code, []), error.details()


@dataclass(slots=True)
class Ctr:
    """A container of a test."""

    pod: Pod
    id: str
    config: pb.ContainerConfig

    @property
    def cri(self) -> Cri:
        """The client."""
        return self.pod.cri

    def start(self) -> Ctr:
        """Start it; returns itself."""
        self.cri.runtime.StartContainer(pb.StartContainerRequest(container_id=self.id))
        return self

    def stop(self, timeout_s: int = 10) -> None:
        """Stop it."""
        self.cri.runtime.StopContainer(pb.StopContainerRequest(container_id=self.id, timeout=timeout_s))

    def remove(self) -> None:
        """Remove it."""
        self.cri.runtime.RemoveContainer(pb.RemoveContainerRequest(container_id=self.id))

    def status(self) -> pb.ContainerStatus:
        """Its status."""
        return self.cri.runtime.ContainerStatus(pb.ContainerStatusRequest(container_id=self.id)).status

    def info(self) -> str:
        """The JSON of its verbose status."""
        answer = self.cri.runtime.ContainerStatus(pb.ContainerStatusRequest(container_id=self.id, verbose=True))
        return str(answer.info["info"])

    def listening(self) -> Ctr:
        """Wait until its process handles TERM: the first one of a namespace is not given a signal that it has no handler for."""
        path = pathlib.Path("/proc", str(json.loads(self.info())["pid"]), "status")

        def look() -> int:
            caught = next(line.split()[1] for line in path.read_text().splitlines() if line.startswith("SigCgt:"))
            return int(caught, 16) & 1 << (signal.SIGTERM - 1)

        eventually(look, EXIT_TIMEOUT_S, f"container {self.id} handles TERM")
        return self

    def ended(self) -> pb.ContainerStatus:
        """Its status once it has ended."""

        def look() -> pb.ContainerStatus | None:
            status = self.status()
            return status if status.state == pb.CONTAINER_EXITED else None

        found = eventually(look, EXIT_TIMEOUT_S, f"container {self.id} ends")
        assert found is not None
        return found

    def exec(self, *command: str, timeout_s: int = 30) -> pb.ExecSyncResponse:
        """Run a command in it."""
        return self.cri.runtime.ExecSync(pb.ExecSyncRequest(container_id=self.id, cmd=command, timeout=timeout_s))

    def says(self, script: str) -> str:
        """What a shell script prints in it; the script must succeed."""
        answer = self.exec("sh", "-c", script)
        assert answer.exit_code == 0, (script, answer.stdout, answer.stderr)
        return str(answer.stdout.decode().strip())

    @property
    def log_path(self) -> pathlib.Path:
        """Its log file."""
        return pathlib.Path(self.pod.config.log_directory, self.config.log_path)

    def lines(self, stream: str = "stdout") -> list[str]:
        """The texts of its log's lines of one stream, parts joined."""
        text = ""
        for line in self.log_path.read_bytes().decode().split("\n")[:-1]:
            _, name, mark, part = line.split(" ", 3)
            if name == stream:
                text += part + ("\n" if mark == "F" else "")
        return text.removesuffix("\n").split("\n") if text else []

    def printed(self, text: str) -> None:
        """Wait until the log has this line."""
        eventually(lambda: self.log_path.exists() and text in self.lines(), EXIT_TIMEOUT_S, f"{self.log_path} has the line {text!r}")


@dataclass(slots=True)
class Pod:
    """A sandbox of a test."""

    pods: Pods
    id: str
    config: pb.PodSandboxConfig
    handler: str = ""

    @property
    def cri(self) -> Cri:
        """The client."""
        return self.pods.cri

    def stop(self) -> None:
        """Stop it."""
        self.cri.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=self.id))

    def remove(self) -> None:
        """Remove it."""
        self.cri.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=self.id))

    def status(self) -> pb.PodSandboxStatus:
        """Its status."""
        return self.cri.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=self.id)).status

    @property
    def ip(self) -> str:
        """Its first address."""
        return str(self.status().network.ip)

    def container_config(self, *command: str, **fields: Any) -> pb.ContainerConfig:
        """A container configuration: busybox, in its own pid namespace, with these fields laid over."""
        name = f"c{next(_numbers)}"
        base: Document = {
            "metadata": {"name": name},
            "image": {"image": BUSYBOX},
            "command": list(command or SLEEP),
            "log_path": f"{name}.log",
            "linux": {"security_context": {"namespace_options": {"pid": "CONTAINER"}}},
        }
        return ParseDict(merged(base, fields), pb.ContainerConfig())

    def create_as(self, config: pb.ContainerConfig) -> Ctr:
        """Create a container with this very configuration."""
        request = pb.CreateContainerRequest(pod_sandbox_id=self.id, config=config, sandbox_config=self.config)
        return Ctr(self, self.cri.runtime.CreateContainer(request).container_id, config)

    def create(self, *command: str, **fields: Any) -> Ctr:
        """Create a container."""
        return self.create_as(self.container_config(*command, **fields))

    def start(self, *command: str, **fields: Any) -> Ctr:
        """Create and start a container."""
        return self.create(*command, **fields).start()

    def once(self, script: str, **fields: Any) -> list[str]:
        """The lines that a shell script prints as a container of its own; it must succeed."""
        container = self.start("sh", "-c", script, **fields)
        status = container.ended()
        assert status.exit_code == 0, (status.message, container.log_path.read_text())
        return container.lines()


@dataclass(slots=True)
class Pods:
    """Makes pods, and takes them away at the end."""

    cri: Cri
    folder: pathlib.Path
    cgroup_parent: str
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def config(self, **fields: Any) -> pb.PodSandboxConfig:
        """A sandbox configuration: private namespaces, no infra process, with these fields laid over."""
        name = f"p{next(_numbers)}"
        base: Document = {
            "metadata": {"name": name, "uid": f"{self.mark}-{name}", "namespace": "ring"},
            "log_directory": str(self.folder / name),
            "labels": {"ring": self.mark},
            "linux": {"cgroup_parent": self.cgroup_parent, "security_context": {"namespace_options": {"pid": "CONTAINER"}}},
        }
        return ParseDict(merged(base, fields), pb.PodSandboxConfig())

    def run_as(self, config: pb.PodSandboxConfig, handler: str = "", timeout_s: float | None = None) -> Pod:
        """Run a sandbox with this very configuration."""
        request = pb.RunPodSandboxRequest(config=config, runtime_handler=handler)
        return Pod(self, self.cri.runtime.RunPodSandbox(request, timeout_s).pod_sandbox_id, config, handler)

    def run(self, handler: str = "", **fields: Any) -> Pod:
        """Run a sandbox."""
        return self.run_as(self.config(**fields), handler)

    def listed(self, **wanted: Any) -> list[pb.PodSandbox]:
        """The sandboxes of this test that a filter fits."""
        chosen = merged({"label_selector": {"ring": self.mark}}, wanted)
        request = pb.ListPodSandboxRequest(filter=ParseDict(chosen, pb.PodSandboxFilter()))
        return list(self.cri.runtime.ListPodSandbox(request).items)

    def containers_of(self, pod_id: str) -> list[pb.Container]:
        """The containers of a sandbox."""
        wanted = pb.ContainerFilter(pod_sandbox_id=pod_id)
        return list(self.cri.runtime.ListContainers(pb.ListContainersRequest(filter=wanted)).containers)

    def close(self) -> None:
        """Stop and remove every sandbox of this test, its containers at once."""
        self._remove(self.listed())

    def close_all(self) -> None:
        """The same for every sandbox of the runtime."""
        self._remove(list(self.cri.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items))

    def _remove(self, listed: list[pb.PodSandbox]) -> None:
        for pod in listed:
            for container in self.containers_of(pod.id):
                self.cri.runtime.StopContainer(pb.StopContainerRequest(container_id=container.id, timeout=0))
            self.cri.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod.id))
            self.cri.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod.id))


def fails_with(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """The code and the sentence of a call that has to fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def processes_with(words: str) -> list[str]:
    """The command lines on the host that have these words in them."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if words in line:
                found.append(line)
    return found
