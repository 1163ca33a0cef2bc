"""Our records in a document's annotations: what a restarted daemon and tools beside it read.

Names and forms are those of the field; they are listed by ``spec/crio-interfaces`` §5.5 of the project's facts.
"""

from __future__ import annotations

from collections.abc import Mapping

from crio.core.config import NamespaceOptions, PortMapping, Resources, SandboxConfig
from crio.core.oci.annotations import (
    GRACE_PERIOD,
    MANAGER,
    STOP_SIGNAL,
    flat_annotations,
    metadata_json,
    record,
    timestamp,
    to_json,
)
from crio.core.oci.document import Document, JsonValue, without_empty
from crio.core.oci.inputs import BindFiles, ContainerSpecRequest, Identity, ResolvedMount, SandboxSpecRequest

_MANAGER_KEY = "io.container.manager"


def container_annotations(request: ContainerSpecRequest, allowed: Mapping[str, str], seccomp: str) -> dict[str, str]:
    """All annotations of a container; ``allowed`` are the client's that passed the filter."""
    config, identity = request.config, request.identity
    ips = {f"IP.{number}": ip for number, ip in enumerate(identity.ips)}
    own = record(
        {
            **_common(identity, request.files, request.rootfs, seccomp),
            "Annotations": to_json(dict(config.annotations)),
            "Labels": to_json(dict(config.labels)),
            "Metadata": metadata_json(config.metadata),
            "ContainerType": "container",
            "ImageRef": identity.image_ref,
            "ImageRepoDigests": ",".join(identity.repo_digests),
            **ips,
            "Stdin": _flag(config.stdin),
            "StdinOnce": _flag(config.stdin_once),
            "TTY": _flag(config.tty),
            "Volumes": to_json([_volume(mount) for mount in request.mounts]),
        }
    )
    own[_MANAGER_KEY] = MANAGER
    if identity.platform_runtime_path:
        own["platform-runtime-path.crio.io"] = identity.platform_runtime_path
    stop_signal = config.stop_signal or request.image.stop_signal
    if stop_signal:
        own[STOP_SIGNAL] = stop_signal
    if request.settings.systemd_cgroup:
        own |= _systemd_properties(request.sandbox.annotations, config.annotations)
    return {**flat_annotations(config.labels, allowed), **own}


def sandbox_annotations(request: SandboxSpecRequest, allowed: Mapping[str, str], seccomp: str) -> dict[str, str]:
    """All annotations of a sandbox's own document; ``records`` of the request are among ours."""
    config, identity = request.config, request.identity
    own = record(
        {
            **_common(identity, request.files, request.rootfs, seccomp),
            "Annotations": to_json(dict(config.annotations)),
            "Labels": to_json(dict(config.labels)),
            "Metadata": metadata_json(config.metadata),
            "ContainerType": "sandbox",
            "CgroupParent": config.cgroup_parent,
            "ContainerName": identity.name,
            "HostName": request.hostname,
            "HostNetwork": _flag(config.security.namespaces.network.name == "NODE"),
            "HostnamePath": request.files.hostname,
            "KubeName": config.metadata.name,
            "Namespace": config.metadata.namespace,
            "NamespaceOptions": to_json(namespace_options(config.security.namespaces)),
            "PortMappings": to_json([_port(mapping) for mapping in config.port_mappings]),
            "PrivilegedRuntime": _flag(is_privileged(config)),
            "RuntimeHandler": request.handler.name,
            "ShmPath": request.files.shm,
            **request.records,
        }
    )
    own[_MANAGER_KEY] = MANAGER
    if not request.infra:
        own["spoofed.crio.io"] = "true"
    for key, resources in (("pod-linux-overhead.crio.io", config.overhead), ("pod-linux-resources.crio.io", config.resources)):
        if resources is not None:
            own[key] = to_json(resources_json(resources))
    return {**flat_annotations(config.labels, allowed), **own}


def is_privileged(config: SandboxConfig) -> bool:
    """Whether a sandbox counts as privileged: asked for, or sharing a namespace with the host."""
    namespaces = config.security.namespaces
    shared = "NODE" in (namespaces.network.name, namespaces.pid.name, namespaces.ipc.name)
    return config.security.privileged or shared


def namespace_options(options: NamespaceOptions) -> Document:
    """The modes as JSON with the CRI's field names; members that are zero are left out."""
    members: Document = {
        "network": options.network.value,
        "pid": options.pid.value,
        "ipc": options.ipc.value,
        "target_id": options.target_id,
    }
    if options.userns is not None:
        members["userns_options"] = {
            "mode": options.userns.mode.value,
            "uids": [{"host_id": i.host_id, "container_id": i.container_id, "length": i.length} for i in options.userns.uids],
            "gids": [{"host_id": i.host_id, "container_id": i.container_id, "length": i.length} for i in options.userns.gids],
        }
    return {key: value for key, value in members.items() if value}


def resources_json(resources: Resources) -> Document:
    """Limits as JSON with the CRI's field names; members that are not set are left out."""
    members: dict[str, JsonValue] = {
        "cpu_period": resources.cpu_period_us,
        "cpu_quota": resources.cpu_quota_us,
        "cpu_shares": resources.cpu_shares,
        "memory_limit_in_bytes": resources.memory_limit_bytes,
        "memory_swap_limit_in_bytes": resources.memory_swap_limit_bytes,
        "oom_score_adj": resources.oom_score_adj,
        "cpuset_cpus": resources.cpuset_cpus,
        "cpuset_mems": resources.cpuset_mems,
        "hugepage_limits": [{"page_size": item.page_size, "limit": item.limit_bytes} for item in resources.hugepage_limits],
        "unified": dict(resources.unified),
    }
    return {key: value for key, value in without_empty(members).items() if value}


def _common(identity: Identity, files: BindFiles, rootfs: str, seccomp: str) -> dict[str, str]:
    return {
        "ContainerID": identity.container_id,
        "Created": timestamp(identity.created_at_ns),
        "Image": identity.image_id,
        "ImageName": identity.image_name,
        "LogPath": identity.log_path,
        "MountPoint": rootfs,
        "Name": identity.name,
        "SandboxID": identity.sandbox_id,
        "SandboxName": identity.sandbox_name,
        "ResolvPath": files.resolv_conf,
        "SeccompProfilePath": seccomp,
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _volume(resolved: ResolvedMount) -> Document:
    mount = resolved.mount
    members: Document = {
        "container_path": mount.container_path,
        "host_path": mount.host_path,
        "readonly": mount.readonly,
        "recursive_read_only": mount.recursive_read_only,
        "propagation": mount.propagation.value,
        "selinux_relabel": mount.selinux_relabel,
    }
    if mount.image is not None:
        members["image"] = {"image": mount.image.image}
    return members


def _port(mapping: PortMapping) -> Document:
    return {
        "protocol": mapping.protocol.value,
        "container_port": mapping.container_port,
        "host_port": mapping.host_port,
        "host_ip": mapping.host_ip,
    }


def _systemd_properties(*layers: Mapping[str, str]) -> dict[str, str]:
    """How systemd stops the scope: after our service, with the pod's grace period."""
    properties = {"org.systemd.property.DefaultDependencies": "true", "org.systemd.property.After": "['crio.service']"}
    for layer in layers:
        seconds = layer.get(GRACE_PERIOD, "")
        if seconds.isascii() and seconds.isdigit():
            properties["org.systemd.property.TimeoutStopUSec"] = f"uint64 {int(seconds) * 1_000_000}"
    return properties
