"""What the daemon knows of each sandbox and container: one immutable record each, replaced as a whole.

Operations read a record, work, and put a new one in its place; lists and status calls read whatever is there and never wait.
The records are written to disk with ``crio.core.codec`` and are all that a restarted daemon needs beside the kernel's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crio.core.config import EMPTY, ContainerConfig, SandboxConfig
from crio.core.lifecycle import ContainerState, SandboxState


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """A process that outlives the daemon: the start time (clock ticks since boot) tells a recycled pid apart."""

    pid: int
    start_time: int


@dataclass(frozen=True, slots=True)
class NamespacePaths:
    """Pins of the sandbox's namespaces; empty means the host's."""

    net: str = ""
    ipc: str = ""
    uts: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod sandbox. Paths are absolute; times are nanoseconds since the epoch."""

    id: str
    name: str
    config: SandboxConfig
    state: SandboxState
    created_at_ns: int
    handler: str
    cgroup_parent: str
    hostname: str
    log_directory: str
    run_dir: str
    namespaces: NamespacePaths = NamespacePaths()
    shm_path: str = ""
    resolv_path: str = ""
    hostname_path: str = ""
    hosts_path: str = ""
    ips: tuple[str, ...] = ()
    cni_result: str = ""
    network_up: bool = False
    privileged: bool = False
    infra: bool = False
    infra_process: ProcessRef | None = None
    infra_monitor: ProcessRef | None = None
    pause_image: str = ""
    infra_cgroup: str = ""


@dataclass(frozen=True, slots=True)
class ContainerUser:
    """The identity of the first process. Source: CRI ``LinuxContainerUser``."""

    uid: int = 0
    gid: int = 0
    supplemental_groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """A container. Times are nanoseconds since the epoch, 0 while they have not come."""

    id: str
    name: str
    sandbox_id: str
    config: ContainerConfig
    state: ContainerState
    created_at_ns: int
    image_id: str
    image_ref: str
    image_name: str
    log_path: str
    bundle: str
    handler: str = ""
    cgroup_path: str = ""
    mountpoint: str = ""
    started_at_ns: int = 0
    finished_at_ns: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    message: str = ""
    stop_signal: str = "TERM"
    user: ContainerUser = ContainerUser()
    process: ProcessRef | None = None
    monitor: ProcessRef | None = None
    annotations: Mapping[str, str] = EMPTY
    image_volumes: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """One word for the end of the container. Source: CRI ``ContainerStatus.reason`` as the kubelet reads it."""
        if self.state is not ContainerState.EXITED:
            return ""
        if self.oom_killed:
            return "OOMKilled"
        return "Completed" if self.exit_code == 0 else "Error"
