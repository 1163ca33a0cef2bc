"""The values that the network code takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crio.core.config import PortMapping
from crio.core.image.document import JsonValue

IF_NAME = "eth0"


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Limits of a pod's traffic in bits per second; 0 means no limit."""

    ingress_bps: int = 0
    egress_bps: int = 0


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """All that the network code knows about a pod. ``name``, ``namespace`` and ``uid`` are the pod's Kubernetes names."""

    sandbox_id: str
    name: str
    namespace: str
    uid: str
    netns_path: str
    cgroup_parent: str = ""
    port_mappings: tuple[PortMapping, ...] = ()
    bandwidth: Bandwidth | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CniInterface:
    """An interface of a result; ``sandbox_path`` is empty for one on the node."""

    name: str
    mac: str = ""
    sandbox_path: str = ""


@dataclass(frozen=True, slots=True)
class CniDns:
    """Name servers that a plugin proposes; the pod's own DNS settings go first."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CniResult:
    """What a pod got: its addresses without prefix length, in the plugin's order, and the plugin's own JSON.

    ``ports_by_plugin`` says that a plugin forwards the pod's host ports, so that nobody else must.
    """

    ips: tuple[str, ...]
    interfaces: tuple[CniInterface, ...] = ()
    dns: CniDns = field(default_factory=CniDns)
    raw: bytes = b""
    ports_by_plugin: bool = False


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """Whether pods can get a network. Source: CRI ``RuntimeCondition`` NetworkReady."""

    ready: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A pod's interface as the plugins are told about it; ``netns_path`` is empty when the namespace is gone."""

    sandbox_id: str
    netns_path: str
    cni_args: tuple[tuple[str, str], ...] = ()
    capability_args: Mapping[str, JsonValue] = field(default_factory=dict)
    if_name: str = IF_NAME
