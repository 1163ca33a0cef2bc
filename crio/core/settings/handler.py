"""``[crio.runtime.runtimes.NAME]``: one runtime handler. Source: crio-interfaces §2.5, §6.3."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crio.core.settings.rules import ABSOLUTE_PATH_OR_EMPTY
from crio.core.settings.schema import map_setting, setting

DEFAULT_RUNTIME: Final = "crun"
MIN_CREATE_TIMEOUT_S: Final = 30
DEFAULT_MIN_MEMORY_BYTES: Final = 12 * 1024 * 1024
CRUN_MIN_MEMORY_BYTES: Final = 500 * 1024
MONITOR_PATH_VARIABLE: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class RuntimeType(enum.StrEnum):
    """How the daemon talks to a runtime."""

    OCI = "oci"
    VM = "vm"
    POD = "pod"

    @classmethod
    def _missing_(cls, value: object) -> RuntimeType | None:
        """The empty string means oci."""
        return cls.OCI if value == "" else None


class MonitorExecCgroup(enum.StrEnum):
    """Where exec probes run."""

    MONITOR = ""
    CONTAINER = "container"


class ExecCpuAffinity(enum.StrEnum):
    """Which CPUs an exec starts on."""

    UNSET = ""
    FIRST = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeHandler:
    """One runtime that pods can ask for by name."""

    runtime_path: str = setting("", "Program of the runtime; empty searches PATH for the handler's name.")
    runtime_type: RuntimeType = setting(RuntimeType.OCI, "How the daemon talks to it: oci, vm (a containerd shim) or pod (conmon-rs).")
    runtime_root: str = setting("", "Directory where the runtime keeps its state.")
    inherit_default_runtime: bool = setting(False, "Take path, type, configuration and root from the default runtime.")
    runtime_config_path: str = setting("", "Configuration file for a runtime of type vm.")
    runtime_pull_image: bool = setting(False, "Let a runtime of type vm pull the images in its guest.")
    container_min_memory: str = setting(
        "", "Smallest memory limit that a container may have; empty means 500KiB for crun and 12MiB for others."
    )
    container_create_timeout: int = setting(240, "Seconds that the creation of a container may take; less than 30 means 30.")
    privileged_without_host_devices: bool = setting(False, "Keep the host's devices away from privileged containers.")
    allowed_annotations: tuple[str, ...] = setting(
        (), "Annotations that have an effect with this handler.", deprecated="use allowed_annotations of a workload"
    )
    default_annotations: Mapping[str, str] = map_setting("Annotations that a pod has unless it sets them itself.")
    platform_runtime_paths: Mapping[str, str] = map_setting(
        "Programs of the runtime for images of other platforms, by os/arch.", ABSOLUTE_PATH_OR_EMPTY
    )
    monitor_path: str = setting("", "Program of the monitor; empty searches PATH for conmon.", rule=ABSOLUTE_PATH_OR_EMPTY)
    monitor_cgroup: str = setting(
        "",
        "Cgroup of the monitor: pod, or with the systemd manager a slice; empty means system.slice there.",
    )
    monitor_exec_cgroup: MonitorExecCgroup = setting(
        MonitorExecCgroup.MONITOR,
        "Cgroup of exec probes when infra_ctr_cpuset is set: container, or empty for the monitor's.",
    )
    monitor_env: tuple[str, ...] = setting((), "Environment of the monitor and of the runtime, each NAME=VALUE.")
    no_sync_log: bool = setting(False, "Do not flush the log to disk when a container ends; oci only.")
    stream_websockets: bool = setting(False, "Let the monitor serve exec, attach and port-forward over WebSocket; pod only.")
    exec_cpu_affinity: ExecCpuAffinity = setting(
        ExecCpuAffinity.UNSET, "First CPU of an exec: first for the lowest one of the container, or empty."
    )
    seccomp_profile: str = setting("", "Default seccomp profile of containers with this handler.")


BUILT_IN_HANDLERS: Final[Mapping[str, RuntimeHandler]] = {
    DEFAULT_RUNTIME: RuntimeHandler(
        allowed_annotations=("io.containers.trace-syscall", "devices.crio.io"),
        monitor_env=(MONITOR_PATH_VARIABLE,),
    )
}
