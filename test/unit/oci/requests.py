"""A plain request that the tables of this folder change one member at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crio.core.capabilities import NAMES
from crio.core.config import (
    ContainerConfig,
    ImageSpec,
    Metadata,
    NamespaceMode,
    NamespaceOptions,
    SandboxConfig,
    Security,
)
from crio.core.facts import CgroupFacts, CgroupMode, HostFacts
from crio.core.oci.features import RuntimeFeatures
from crio.core.oci.inputs import ContainerSpecRequest, Identity, ImageRuntimeConfig, SandboxSpecRequest
from crio.core.user import ResolvedUser

ALL = frozenset(NAMES)
OWN_PID = NamespaceOptions(pid=NamespaceMode.CONTAINER)
V2 = HostFacts(capabilities=ALL)
V1 = HostFacts(
    capabilities=ALL,
    cgroups=CgroupFacts(
        CgroupMode.HYBRID,
        {name: f"/sys/fs/cgroup/{name}" for name in ("cpu", "cpuset", "memory", "pids", "devices", "name=systemd")},
        "/sys/fs/cgroup/unified",
        frozenset({"hugetlb"}),
    ),
)
METADATA = Metadata("ctr", 2)
POD = Metadata("pod", 1, "uid", "ns")
CAPABLE = RuntimeFeatures(oci_version="1.2.0", idmapped_mounts=True, recursive_readonly=True)


def config(security: Security | None = None, **changes: Any) -> ContainerConfig:
    """A container that sleeps."""
    base = ContainerConfig(METADATA, ImageSpec("image"), command=("sleep",), security=security or Security(namespaces=OWN_PID))
    return replace(base, **changes)


def security(**changes: Any) -> Security:
    """A security context with a pid namespace of its own."""
    return replace(Security(namespaces=OWN_PID), **changes)


def sandbox(options: NamespaceOptions = OWN_PID, **changes: Any) -> SandboxConfig:
    """A pod."""
    return replace(SandboxConfig(POD, security=Security(namespaces=options)), **changes)


def request(container: ContainerConfig | None = None, **changes: Any) -> ContainerSpecRequest:
    """A request with everything ordinary."""
    base = ContainerSpecRequest(
        config=container or config(),
        sandbox=sandbox(),
        image=ImageRuntimeConfig(),
        identity=Identity("c" * 64, "k8s_ctr", "s" * 64, "k8s_pod", 1_500_000_000_000_000_001, "i" * 64, "name", log_path="/l"),
        user=ResolvedUser(),
        host=V2,
        runtime=CAPABLE,
        rootfs="/rootfs",
        cgroups_path="/crio/crio-c",
    )
    return replace(base, **changes)


def pod_request(pod: SandboxConfig | None = None, **changes: Any) -> SandboxSpecRequest:
    """A request for a sandbox's own document."""
    base = SandboxSpecRequest(
        config=pod or sandbox(),
        identity=Identity("s" * 64, "k8s_POD_pod", "s" * 64, "k8s_pod", 1),
        host=V2,
        runtime=CAPABLE,
        rootfs="/rootfs",
        cgroups_path="/crio/crio-s",
        hostname="host",
    )
    return replace(base, **changes)


def at(document: Any, path: str) -> Any:
    """The member at ``a.b.c``; None when a part of the way is missing."""
    for key in path.split("."):
        if not isinstance(document, dict) or key not in document:
            return None
        document = document[key]
    return document


def mount_at(document: Any, destination: str) -> Any:
    """The mount at a destination, None when there is none."""
    return next((mount for mount in document["mounts"] if mount["destination"] == destination), None)
