"""Requests that several tables use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crio.core.config import (
    IdMapping,
    Mount,
    NamespaceMode,
    NamespaceOptions,
    UserNamespace,
)
from crio.core.oci.container import build_container_spec
from crio.core.oci.inputs import (
    ContainerSpecRequest,
    HandlerSettings,
    NamespaceJoins,
    ResolvedMount,
    SELinuxLabels,
)
from crio.core.seccomp.profile import SeccompProfile
from test.unit.oci.requests import ALL, V2, config, request, security

NODE = NamespaceMode.NODE
HOST_NET = NamespaceOptions(network=NODE, pid=NamespaceMode.CONTAINER)
HOST_IPC = NamespaceOptions(ipc=NODE, pid=NamespaceMode.CONTAINER)
HOST_PID = NamespaceOptions(pid=NODE)
RANGE = (IdMapping(100000, 0, 65536),)
USERNS = NamespaceOptions(pid=NamespaceMode.CONTAINER, userns=UserNamespace(NamespaceMode.POD, RANGE, RANGE))
JOINS = NamespaceJoins("/n/net", "/n/ipc", "/n/uts", "/n/user", "/p/pid", "/t/pid")
LABELS = SELinuxLabels("system_u:system_r:container_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2")
PRIVILEGED = security(privileged=True)
LOW_HOST = replace(V2, capabilities=ALL - {"CAP_SYS_RESOURCE", "CAP_SYS_TIME"}, rlimit_hard={"RLIMIT_NOFILE": 20000})
SIMPLE = SeccompProfile("SCMP_ACT_ALLOW")


def privileged(**changes: Any) -> ContainerSpecRequest:
    return request(config(PRIVILEGED), sandbox_privileged=True, **changes)


def with_security(**changes: Any) -> ContainerSpecRequest:
    return request(config(security(**changes)))


def with_mount(mount: Mount, **changes: Any) -> ContainerSpecRequest:
    runtime = changes.pop("runtime", None)
    made = request(config(mounts=(mount,)), mounts=(ResolvedMount(mount, mount.host_path, **changes),))
    return replace(made, runtime=runtime) if runtime else made


def allowed(annotations: dict[str, str], *names: str, **changes: Any) -> ContainerSpecRequest:
    return request(config(annotations=annotations), handler=HandlerSettings("h", names), **changes)


def env(made: ContainerSpecRequest) -> dict[str, str]:
    entries = build_container_spec(made).document["process"]["env"]  # type: ignore[index,call-overload]
    return dict(entry.split("=", 1) for entry in entries)  # type: ignore[union-attr]
