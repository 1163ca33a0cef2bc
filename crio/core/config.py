"""What a client asks for: pod sandbox and container configurations as frozen values.

These mirror the CRI messages field by field (names are the CRI's) but hold only parsed values: enums instead of numbers,
tuples instead of repeated fields, None where a message may be absent. ``crio.cri.parse`` makes them; nothing inward sees a
protobuf message. Source: CRI v1 ``PodSandboxConfig`` and ``ContainerConfig``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


class _Empty(Mapping[str, str]):
    """The empty mapping, hashable, so that it can be a dataclass's default (a mapping proxy cannot before Python 3.12)."""

    __slots__ = ()

    def __getitem__(self, key: str) -> str:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0


EMPTY: Mapping[str, str] = _Empty()


class NamespaceMode(enum.Enum):
    """Whose namespace is used. Source: CRI ``NamespaceMode``."""

    POD = 0
    CONTAINER = 1
    NODE = 2
    TARGET = 3


class Propagation(enum.Enum):
    """Mount propagation of a bind mount. Source: CRI ``MountPropagation``."""

    PRIVATE = 0
    HOST_TO_CONTAINER = 1
    BIDIRECTIONAL = 2


class ProfileType(enum.Enum):
    """Kind of a seccomp or AppArmor profile. Source: CRI ``SecurityProfile.ProfileType``."""

    RUNTIME_DEFAULT = 0
    UNCONFINED = 1
    LOCALHOST = 2


class GroupsPolicy(enum.Enum):
    """How supplemental groups combine with the image's. Source: CRI ``SupplementalGroupsPolicy``."""

    MERGE = 0
    STRICT = 1


class Protocol(enum.Enum):
    """Transport of a port mapping. Source: CRI ``Protocol``."""

    TCP = 0
    UDP = 1
    SCTP = 2


@dataclass(frozen=True, slots=True)
class IdMapping:
    """One range of a user namespace. Source: CRI ``IDMapping``."""

    host_id: int
    container_id: int
    length: int


@dataclass(frozen=True, slots=True)
class UserNamespace:
    """The user namespace of a pod; mode NODE means none. Source: CRI ``UserNamespace``."""

    mode: NamespaceMode = NamespaceMode.NODE
    uids: tuple[IdMapping, ...] = ()
    gids: tuple[IdMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class NamespaceOptions:
    """Namespace choices of a pod or container. Source: CRI ``NamespaceOption``."""

    network: NamespaceMode = NamespaceMode.POD
    pid: NamespaceMode = NamespaceMode.POD
    ipc: NamespaceMode = NamespaceMode.POD
    target_id: str = ""
    userns: UserNamespace | None = None


@dataclass(frozen=True, slots=True)
class SecurityProfile:
    """A seccomp or AppArmor choice. Source: CRI ``SecurityProfile``."""

    type: ProfileType
    localhost_ref: str = ""


@dataclass(frozen=True, slots=True)
class SELinuxOptions:
    """Label parts; empty ones are the policy's defaults. Source: CRI ``SELinuxOption``."""

    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Changes to the default set, names without ``CAP_``. Source: CRI ``Capability``."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    add_ambient: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Security:
    """Security context of a sandbox or container. Source: CRI ``LinuxSandbox/LinuxContainerSecurityContext``."""

    namespaces: NamespaceOptions = NamespaceOptions()
    selinux: SELinuxOptions | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_username: str = ""
    readonly_rootfs: bool = False
    supplemental_groups: tuple[int, ...] = ()
    groups_policy: GroupsPolicy = GroupsPolicy.MERGE
    privileged: bool = False
    capabilities: Capabilities = Capabilities()
    no_new_privs: bool = False
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    seccomp: SecurityProfile | None = None
    apparmor: SecurityProfile | None = None


@dataclass(frozen=True, slots=True)
class HugepageLimit:
    """``page_size`` as the kernel writes it (``2MB``), limit in bytes. Source: CRI ``HugepageLimit``."""

    page_size: str
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits in the units of CRI ``LinuxContainerResources``; 0 means not set."""

    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpu_shares: int = 0
    memory_limit_bytes: int = 0
    memory_swap_limit_bytes: int = 0
    oom_score_adj: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    unified: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """Contents of resolv.conf. Source: CRI ``DNSConfig``."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortMapping:
    """One host port. Source: CRI ``PortMapping``."""

    protocol: Protocol
    container_port: int
    host_port: int
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The identity a client gave: pods have ``namespace`` and ``uid``, containers have not."""

    name: str
    attempt: int = 0
    uid: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """A pod sandbox as asked for. Source: CRI ``PodSandboxConfig``."""

    metadata: Metadata
    hostname: str = ""
    log_directory: str = ""
    dns: DnsConfig | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    labels: Mapping[str, str] = EMPTY
    annotations: Mapping[str, str] = EMPTY
    cgroup_parent: str = ""
    security: Security = Security()
    sysctls: Mapping[str, str] = EMPTY
    overhead: Resources | None = None
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How an image is named. Source: CRI ``ImageSpec``."""

    image: str
    annotations: Mapping[str, str] = EMPTY
    user_specified_image: str = ""
    runtime_handler: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount; ``image`` set means an image volume instead of a host path. Source: CRI ``Mount``."""

    container_path: str
    host_path: str = ""
    readonly: bool = False
    selinux_relabel: bool = False
    propagation: Propagation = Propagation.PRIVATE
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    recursive_read_only: bool = False
    image: ImageSpec | None = None
    image_sub_path: str = ""
    mount_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """One host device; ``permissions`` of ``rwm``. Source: CRI ``Device``."""

    container_path: str
    host_path: str
    permissions: str


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """A container as asked for. Source: CRI ``ContainerConfig``."""

    metadata: Metadata
    image: ImageSpec
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    envs: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    labels: Mapping[str, str] = EMPTY
    annotations: Mapping[str, str] = EMPTY
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    resources: Resources = Resources()
    security: Security = Security()
    cdi_devices: tuple[str, ...] = ()
    stop_signal: str = ""


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Which objects a list call wants; empty parts match everything. Source: CRI ``*Filter`` messages."""

    id: str = ""
    sandbox_id: str = ""
    state: enum.Enum | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
