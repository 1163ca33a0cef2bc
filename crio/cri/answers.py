"""Core values to CRI messages.

List answers are put together from one encoded message per object, kept as long as its record is the same, so a list of thousands costs
a join. Source: CRI v1 ``PodSandbox``, ``Container``, ``*Status``, ``Image``.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, TypeVar

from crio.core import config as core
from crio.core.lifecycle import ContainerState, SandboxState
from crio.core.records import Container, Sandbox
from crio.cri import api_pb2 as pb
from crio.host.store.options import FsUsage
from crio.ops.images import Described
from crio.ops.stop_container import signal_number

R = TypeVar("R", bound=Sandbox | Container)
MAX_ABOVE_RTMIN: Final = 15

CONTAINER_STATES: Mapping[ContainerState, pb.ContainerState] = {
    ContainerState.CREATED: pb.CONTAINER_CREATED,
    ContainerState.RUNNING: pb.CONTAINER_RUNNING,
    ContainerState.PAUSED: pb.CONTAINER_RUNNING,
    ContainerState.EXITED: pb.CONTAINER_EXITED,
    ContainerState.UNKNOWN: pb.CONTAINER_UNKNOWN,
    ContainerState.CREATING: pb.CONTAINER_UNKNOWN,
}


def sandbox_state(sandbox: Sandbox) -> pb.PodSandboxState:
    """READY until a stop begins."""
    return pb.SANDBOX_READY if sandbox.state is SandboxState.READY else pb.SANDBOX_NOTREADY


def _pod_metadata(given: core.Metadata) -> pb.PodSandboxMetadata:
    return pb.PodSandboxMetadata(name=given.name, uid=given.uid, namespace=given.namespace, attempt=given.attempt)


def sandbox_item(sandbox: Sandbox) -> pb.PodSandbox:
    """A sandbox in a list."""
    return pb.PodSandbox(
        id=sandbox.id,
        metadata=_pod_metadata(sandbox.config.metadata),
        state=sandbox_state(sandbox),
        created_at=sandbox.created_at_ns,
        labels=sandbox.config.labels,
        annotations=sandbox.config.annotations,
        runtime_handler=sandbox.handler,
    )


def _namespace_options(options: core.NamespaceOptions) -> pb.NamespaceOption:
    message = pb.NamespaceOption(network=options.network.name, pid=options.pid.name, ipc=options.ipc.name, target_id=options.target_id)
    if options.userns is not None:
        given = options.userns
        uids, gids = [_mapping(item) for item in given.uids], [_mapping(item) for item in given.gids]
        message.userns_options.CopyFrom(pb.UserNamespace(mode=given.mode.name, uids=uids, gids=gids))
    return message


def _mapping(item: core.IdMapping) -> pb.IDMapping:
    return pb.IDMapping(host_id=item.host_id, container_id=item.container_id, length=item.length)


def sandbox_status(sandbox: Sandbox) -> pb.PodSandboxStatus:
    """A sandbox in full."""
    status = pb.PodSandboxStatus(
        id=sandbox.id,
        metadata=_pod_metadata(sandbox.config.metadata),
        state=sandbox_state(sandbox),
        created_at=sandbox.created_at_ns,
        labels=sandbox.config.labels,
        annotations=sandbox.config.annotations,
        runtime_handler=sandbox.handler,
    )
    status.linux.namespaces.options.CopyFrom(_namespace_options(sandbox.config.security.namespaces))
    status.network.SetInParent()
    if sandbox.ips:
        status.network.ip = sandbox.ips[0]
        status.network.additional_ips.extend(pb.PodIP(ip=address) for address in sandbox.ips[1:])
    return status


def _image_spec(container: Container) -> pb.ImageSpec:
    given = container.config.image
    return pb.ImageSpec(
        image=container.image_name or given.image,
        annotations=given.annotations,
        user_specified_image=given.user_specified_image,
        runtime_handler=given.runtime_handler,
    )


def container_item(container: Container) -> pb.Container:
    """A container in a list."""
    given = container.config.metadata
    return pb.Container(
        id=container.id,
        pod_sandbox_id=container.sandbox_id,
        metadata=pb.ContainerMetadata(name=given.name, attempt=given.attempt),
        image=_image_spec(container),
        image_ref=container.image_ref,
        image_id=container.image_id,
        state=CONTAINER_STATES[container.state],
        created_at=container.created_at_ns,
        labels=container.config.labels,
        annotations=container.config.annotations,
    )


def _mount(mount: core.Mount) -> pb.Mount:
    message = pb.Mount(
        container_path=mount.container_path,
        host_path=mount.host_path,
        readonly=mount.readonly,
        recursive_read_only=mount.recursive_read_only,
        propagation=f"PROPAGATION_{mount.propagation.name}",
        selinux_relabel=mount.selinux_relabel,
        uidMappings=[_mapping(item) for item in mount.uid_mappings],
        gidMappings=[_mapping(item) for item in mount.gid_mappings],
        image_sub_path=mount.image_sub_path,
    )
    if mount.image is not None:
        message.image.image = mount.image.image
    return message


def _resources(limits: core.Resources) -> pb.LinuxContainerResources:
    return pb.LinuxContainerResources(
        cpu_period=limits.cpu_period_us,
        cpu_quota=limits.cpu_quota_us,
        cpu_shares=limits.cpu_shares,
        memory_limit_in_bytes=limits.memory_limit_bytes,
        memory_swap_limit_in_bytes=limits.memory_swap_limit_bytes,
        oom_score_adj=limits.oom_score_adj,
        cpuset_cpus=limits.cpuset_cpus,
        cpuset_mems=limits.cpuset_mems,
        hugepage_limits=[pb.HugepageLimit(page_size=item.page_size, limit=item.limit_bytes) for item in limits.hugepage_limits],
        unified=limits.unified,
    )


def _stop_signal(container: Container) -> str:
    """The CRI's name of the signal that a stop sends first."""
    number = signal_number(container.stop_signal)
    if signal.SIGRTMIN < number < signal.SIGRTMAX:
        above, below = number - signal.SIGRTMIN, signal.SIGRTMAX - number
        return f"SIGNAL_SIGRTMINPLUS{above}" if above <= MAX_ABOVE_RTMIN else f"SIGNAL_SIGRTMAXMINUS{below}"
    try:
        name = f"SIGNAL_{signal.Signals(number).name}"
    except ValueError:
        return "SIGNAL_RUNTIME_DEFAULT"
    return name if name in pb.DESCRIPTOR.enum_types_by_name["Signal"].values_by_name else "SIGNAL_RUNTIME_DEFAULT"


def container_status(container: Container) -> pb.ContainerStatus:
    """A container in full."""
    given = container.config.metadata
    status = pb.ContainerStatus(
        id=container.id,
        metadata=pb.ContainerMetadata(name=given.name, attempt=given.attempt),
        state=CONTAINER_STATES[container.state],
        created_at=container.created_at_ns,
        started_at=container.started_at_ns,
        finished_at=container.finished_at_ns,
        exit_code=container.exit_code,
        image=_image_spec(container),
        image_ref=container.image_ref,
        image_id=container.image_id,
        reason=container.reason,
        message=container.message,
        labels=container.config.labels,
        annotations=container.config.annotations,
        mounts=[_mount(mount) for mount in container.config.mounts],
        log_path=container.log_path,
        stop_signal=_stop_signal(container),
    )
    status.resources.linux.CopyFrom(_resources(container.config.resources))
    user = container.user
    status.user.linux.uid, status.user.linux.gid = user.uid, user.gid
    status.user.linux.supplemental_groups.extend(user.supplemental_groups)
    return status


def image(described: Described) -> pb.Image:
    """An image."""
    message = pb.Image(
        id=described.id,
        repo_tags=described.repo_tags,
        repo_digests=described.repo_digests,
        size=described.size_bytes,
        username=described.username,
        pinned=described.pinned,
    )
    if described.uid is not None:
        message.uid.value = described.uid
    message.spec.annotations.update(described.annotations)
    return message


def file_system(usage: FsUsage, at_ns: int) -> pb.FilesystemUsage:
    """The use of a file system."""
    message = pb.FilesystemUsage(timestamp=at_ns)
    message.fs_id.mountpoint = usage.path
    message.used_bytes.value = usage.used_bytes
    message.inodes_used.value = usage.used_inodes
    return message


def matches(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    """Whether all the selector's labels are there."""
    return all(labels.get(key) == value for key, value in selector.items())


class EncodedList(Generic[R]):
    """Encoded list items by object id, each valid as long as the record is the very same one.

    ``tag`` is the field number of the repeated items in the answer. Source: protobuf encoding, length-delimited fields.
    """

    def __init__(self, tag: int, encode: Callable[[R], bytes]) -> None:
        self._prefix = bytes([tag << 3 | 2])
        self._encode = encode
        self._kept: dict[str, tuple[R, bytes]] = {}

    def __len__(self) -> int:
        """How many items are kept."""
        return len(self._kept)

    def answer(self, records: Iterable[R], known: int) -> bytes:
        """The encoded answer; ``known`` is how many objects there are, so that those that are gone do not pile up here."""
        parts: list[bytes] = []
        fresh: dict[str, tuple[R, bytes]] = {}
        for record in records:
            kept = self._kept.get(record.id)
            if kept is None or kept[0] is not record:
                body = self._encode(record)
                kept = (record, self._prefix + _varint(len(body)) + body)
            fresh[record.id] = kept
            parts.append(kept[1])
        # A client may never ask for the whole list: what is kept is bounded by twice the objects all the same.
        self._kept = fresh if len(self._kept) > 2 * known else self._kept | fresh
        return b"".join(parts)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
