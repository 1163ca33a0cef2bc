"""What a plugin is given: its environment, the object on its standard input, and the arguments made from a pod.

Source: CNI specification, sections 2 (protocol), 3 (execution of a chain) and CONVENTIONS.md (capability arguments).
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from crio.core.cni.config import NetworkConfig, PluginConfig
from crio.core.cni.errors import BadPodNetwork
from crio.core.cni.values import Attachment, Bandwidth, PodNetwork
from crio.core.config import PortMapping
from crio.core.hostport.mapping import protocol_word, wanted
from crio.core.image.document import JsonValue

PORT_MAPPINGS = "portMappings"
# The bandwidth plugin wants a bucket; this one never limits a burst and is the largest that fits its 32 bits.
_BURST_BITS = 2**32 - 1
_CONTAINER_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", re.ASCII)
_ARGS_FORBIDDEN = re.compile(r"[;=\x00-\x1f\x7f]")


class Command(enum.Enum):
    """The verbs of the protocol."""

    ADD = "ADD"
    DEL = "DEL"
    GC = "GC"
    STATUS = "STATUS"


def cni_args(pod: PodNetwork) -> tuple[tuple[str, str], ...]:
    """The pod's names as CNI_ARGS pairs.

    :raises BadPodNetwork: a value with ``;``, ``=`` or a control character would be read as other arguments
    """
    pairs = (
        ("IgnoreUnknown", "1"),
        ("K8S_POD_NAMESPACE", pod.namespace),
        ("K8S_POD_NAME", pod.name),
        ("K8S_POD_INFRA_CONTAINER_ID", pod.sandbox_id),
        ("K8S_POD_UID", pod.uid),
    )
    for key, value in pairs:
        if _ARGS_FORBIDDEN.search(value) is not None:
            rule = "text without ';', '=' and control characters, because it goes into CNI_ARGS"
            raise BadPodNetwork(f"{key}: expected {rule}, got {value!r}")
    return pairs


def check_sandbox_id(sandbox_id: str) -> None:
    """Raises BadPodNetwork when the id is none that the protocol allows (it also becomes part of a file name)."""
    if len(sandbox_id) > 64 or _CONTAINER_ID.fullmatch(sandbox_id) is None:
        raise BadPodNetwork(f"sandbox id: expected at most 64 letters, digits, '_', '.' and '-', got {sandbox_id!r}")


def capability_args(pod: PodNetwork) -> dict[str, JsonValue]:
    """The arguments that the pod has for plugins which declare the capability; those it has nothing for are absent."""
    found: dict[str, JsonValue] = {}
    ports = wanted(pod.port_mappings)
    if ports:
        found[PORT_MAPPINGS] = [_port_object(port) for port in ports]
    if pod.bandwidth is not None and pod.bandwidth != Bandwidth():
        found["bandwidth"] = _bandwidth_object(pod.bandwidth)
    if pod.cgroup_parent:
        found["cgroupPath"] = pod.cgroup_parent
    if pod.annotations:
        found["io.kubernetes.cri.pod-annotations"] = dict(pod.annotations)
    return found


def _port_object(port: PortMapping) -> JsonValue:
    found: dict[str, JsonValue] = {
        "hostPort": port.host_port,
        "containerPort": port.container_port,
        "protocol": protocol_word(port.protocol),
    }
    if port.host_ip:
        found["hostIP"] = port.host_ip
    return found


def _bandwidth_object(bandwidth: Bandwidth) -> JsonValue:
    found: dict[str, JsonValue] = {}
    if bandwidth.ingress_bps:
        found.update(ingressRate=bandwidth.ingress_bps, ingressBurst=_BURST_BITS)
    if bandwidth.egress_bps:
        found.update(egressRate=bandwidth.egress_bps, egressBurst=_BURST_BITS)
    return found


def attachment_of(pod: PodNetwork) -> Attachment:
    """The attachment that a new pod gets. :raises BadPodNetwork, InvalidArgument: a value that cannot be passed on"""
    check_sandbox_id(pod.sandbox_id)
    return Attachment(pod.sandbox_id, pod.netns_path, cni_args(pod), capability_args(pod))


def plugin_env(
    command: Command, plugin_dirs: Sequence[str], inherited: Mapping[str, str], attachment: Attachment | None = None
) -> dict[str, str]:
    """The plugin's whole environment: what it inherits, and the protocol's own variables, none of which is inherited."""
    env = {key: value for key, value in inherited.items() if not key.startswith("CNI_")}
    env["CNI_COMMAND"] = command.value
    env["CNI_PATH"] = ":".join(plugin_dirs)
    if attachment is not None:
        env["CNI_CONTAINERID"] = attachment.sandbox_id
        env["CNI_NETNS"] = attachment.netns_path
        env["CNI_IFNAME"] = attachment.if_name
        env["CNI_ARGS"] = ";".join(f"{key}={value}" for key, value in attachment.cni_args)
    return env


def plugin_input(
    network: NetworkConfig,
    plugin: PluginConfig,
    *,
    prev_result: JsonValue = None,
    capability_args: Mapping[str, JsonValue] | None = None,
    valid_attachments: Iterable[Attachment] | None = None,
) -> bytes:
    """The object on the plugin's standard input: its own keys, the network's name and version, and what this call adds."""
    document = {key: value for key, value in plugin.values.items() if key not in ("capabilities", "prevResult")}
    document["name"] = network.name
    document["cniVersion"] = network.cni_version
    given = {key: value for key, value in (capability_args or {}).items() if key in plugin.capabilities}
    if given:
        document["runtimeConfig"] = given
    if prev_result is not None:
        document["prevResult"] = prev_result
    if valid_attachments is not None:
        pairs: list[JsonValue] = [{"containerID": valid.sandbox_id, "ifname": valid.if_name} for valid in valid_attachments]
        document["cni.dev/valid-attachments"] = pairs
    return json.dumps(document).encode()
