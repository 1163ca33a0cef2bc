"""Everything that a container's and a sandbox's OCI specification is made of.

The operations fill these from the request, the image, the store and the host; ``crio.core.oci.container`` and
``crio.core.oci.sandbox`` turn them into the document. Paths are absolute; empty strings mean "not there".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from crio.core.config import ContainerConfig, Mount, SandboxConfig
from crio.core.facts import HostFacts
from crio.core.oci.features import RuntimeFeatures
from crio.core.seccomp.profile import SeccompProfile
from crio.core.user import ResolvedUser

DEFAULT_CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "KILL",
)


@dataclass(frozen=True, slots=True)
class ImageRuntimeConfig:
    """What an image says about running it. Source: OCI image specification, ``config``."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ulimit:
    """One entry of ``default_ulimits``; ``name`` without ``RLIMIT_``, any case; -1 means unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class SpecSettings:
    """The values of the configuration that reach a specification; field names are the keys of ``[crio.runtime]``."""

    default_env: tuple[str, ...] = ()
    default_capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    add_inheritable_capabilities: bool = False
    default_ulimits: tuple[Ulimit, ...] = ()
    pids_limit: int = -1
    read_only: bool = False
    hostnetwork_disable_selinux: bool = True
    apparmor_profile: str = "crio-default"
    min_injected_gomaxprocs: int = 0
    infra_ctr_cpuset: str = ""
    systemd_cgroup: bool = False


@dataclass(frozen=True, slots=True)
class HandlerSettings:
    """The values of one ``[crio.runtime.runtimes.NAME]`` that reach a specification."""

    name: str = "runc"
    allowed_annotations: tuple[str, ...] = ()
    default_annotations: Mapping[str, str] = field(default_factory=dict)
    privileged_without_host_devices: bool = False
    container_min_memory_bytes: int = 12 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Names and ids of one container (or of a sandbox's own), as the annotations record them. ``log_path`` is absolute."""

    container_id: str
    name: str
    sandbox_id: str
    sandbox_name: str
    created_at_ns: int
    image_id: str = ""
    image_name: str = ""
    image_ref: str = ""
    repo_digests: tuple[str, ...] = ()
    log_path: str = ""
    ips: tuple[str, ...] = ()
    platform_runtime_path: str = ""


@dataclass(frozen=True, slots=True)
class NamespaceJoins:
    """Paths of the namespaces to join; which of them are used depends on the request's modes.

    ``pid`` is the pod's shared pid namespace (of the infra container), ``target_pid`` that of the target container.
    """

    net: str = ""
    ipc: str = ""
    uts: str = ""
    user: str = ""
    pid: str = ""
    target_pid: str = ""


@dataclass(frozen=True, slots=True)
class BindFiles:
    """Files that the daemon made for a pod or a container and binds into it; those that are empty are left out."""

    shm: str = ""
    resolv_conf: str = ""
    hostname: str = ""
    hosts: str = ""
    containerenv: str = ""
    passwd: str = ""
    group: str = ""
    localtime: str = ""


class SourcePropagation(enum.Enum):
    """Propagation of the mount under a host path. Source: mount_namespaces(7)."""

    PRIVATE = "private"
    SLAVE = "slave"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class ResolvedMount:
    """A mount of the request whose source was looked up on the host.

    ``source`` is the resolved path (or an overlay's name), ``options`` go in front of those that the request implies,
    ``holds_storage`` says that the path contains the storage root.
    """

    mount: Mount
    source: str
    propagation: SourcePropagation = SourcePropagation.PRIVATE
    holds_storage: bool = False
    fstype: str = "bind"
    options: tuple[str, ...] = ()


class DeviceKind(enum.Enum):
    """Kind of a device node. Source: OCI runtime specification, ``linux.devices``."""

    CHARACTER = "c"
    BLOCK = "b"
    FIFO = "p"


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device node to make in the container and to allow in its device cgroup; ``access`` of ``rwm``."""

    path: str
    kind: DeviceKind
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    access: str = "rwm"


@dataclass(frozen=True, slots=True)
class SeccompProfiles:
    """The profiles to choose from. ``runtime_default`` None means the built-in one; the others None mean "none".

    ``localhost`` is the parsed file that the request names; ``names`` are recorded in the annotation.
    """

    runtime_default: SeccompProfile | None = None
    privileged: SeccompProfile | None = None
    localhost: SeccompProfile | None = None


@dataclass(frozen=True, slots=True)
class SELinuxLabels:
    """Labels that were reserved for the container; empty without SELinux."""

    process: str = ""
    mount: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSpecRequest:
    """Everything that a container's specification is made of. Annotations are filtered here, by the handler's list."""

    config: ContainerConfig
    sandbox: SandboxConfig
    image: ImageRuntimeConfig
    identity: Identity
    user: ResolvedUser
    host: HostFacts
    runtime: RuntimeFeatures
    rootfs: str
    cgroups_path: str
    hostname: str = ""
    settings: SpecSettings = SpecSettings()
    handler: HandlerSettings = HandlerSettings()
    joins: NamespaceJoins = NamespaceJoins()
    files: BindFiles = BindFiles()
    mounts: tuple[ResolvedMount, ...] = ()
    devices: tuple[DeviceNode, ...] = ()
    host_devices: tuple[DeviceNode, ...] = ()
    seccomp: SeccompProfiles = SeccompProfiles()
    labels: SELinuxLabels = SELinuxLabels()
    sandbox_privileged: bool = False
    allowed_annotations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxSpecRequest:
    """Everything that a sandbox's own specification is made of.

    ``infra`` False means that no process runs (the namespaces are pinned): the document is then a record for a restart only.
    ``records`` are further annotations that only the caller knows: keys without the prefix, such as ``CNIResult``.
    """

    config: SandboxConfig
    identity: Identity
    host: HostFacts
    runtime: RuntimeFeatures
    rootfs: str
    cgroups_path: str
    hostname: str
    pause_command: tuple[str, ...] = ("/pause",)
    image: ImageRuntimeConfig = ImageRuntimeConfig()
    user: ResolvedUser = ResolvedUser()
    infra: bool = False
    settings: SpecSettings = SpecSettings()
    handler: HandlerSettings = HandlerSettings()
    joins: NamespaceJoins = NamespaceJoins()
    files: BindFiles = BindFiles()
    seccomp: SeccompProfiles = SeccompProfiles()
    labels: SELinuxLabels = SELinuxLabels()
    records: Mapping[str, str] = field(default_factory=dict)
    allowed_annotations: tuple[str, ...] = ()
