"""``[crio.runtime]``: how containers are run. Source: crio-interfaces §2.4."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crio.core.settings.handler import BUILT_IN_HANDLERS, DEFAULT_RUNTIME, RuntimeHandler
from crio.core.settings.rules import (
    ABSOLUTE_PATH,
    CAPABILITY,
    CPU_LIST,
    DEVICE,
    ID_MAPPINGS,
    NOT_NEGATIVE,
    REGEXP,
    SYSCTL,
    TIME_ZONE,
    ULIMIT,
)
from crio.core.settings.schema import Flag, Reload, named_tables, setting
from crio.core.settings.workload import Workload

MIN_STOP_TIMEOUT_S: Final = 30
DEFAULT_CAPABILITIES: Final = (
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


class CgroupManager(enum.StrEnum):
    """Who makes the cgroups."""

    SYSTEMD = "systemd"
    CGROUPFS = "cgroupfs"


class LogLevel(enum.StrEnum):
    """How much is logged, from the least to the most."""

    PANIC = "panic"
    FATAL = "fatal"
    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"
    TRACE = "trace"

    @classmethod
    def _missing_(cls, value: object) -> LogLevel | None:
        """Case does not matter, and warning is a longer word for warn."""
        lowered = "warn" if str(value).lower() == "warning" else str(value).lower()
        return next((level for level in cls if level.value == lowered), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """Runtimes, monitors, security defaults, cgroups, logs of containers."""

    default_runtime: str = setting(
        DEFAULT_RUNTIME,
        "Runtime handler of pods that name none.",
        Flag("default-runtime", "CONTAINER_DEFAULT_RUNTIME"),
        reload=Reload.RUNTIMES,
    )
    default_ulimits: tuple[str, ...] = setting(
        (),
        "Resource limits of every container, each NAME=SOFT:HARD; without any, those of the daemon hold.",
        Flag("default-ulimits", "CONTAINER_DEFAULT_ULIMITS"),
        rule=ULIMIT,
    )
    no_pivot: bool = setting(False, "Do not use pivot_root, for a root file system in memory.", Flag("no-pivot", "CONTAINER_NO_PIVOT"))
    decryption_keys_path: str = setting(
        "/etc/crio/keys/",
        "Directory of private keys for encrypted images.",
        Flag("decryption-keys-path"),
        reload=Reload.DECRYPTION_KEYS,
    )
    additional_artifact_stores: tuple[str, ...] = setting(
        (),
        "Read-only stores with OCI artifacts in their folder artifacts, searched before the own store.",
        Flag("additional-artifact-stores"),
        rule=ABSOLUTE_PATH,
    )
    conmon: str = setting(
        "",
        "Program of the monitor for every oci handler.",
        Flag("conmon", "CONTAINER_CONMON"),
        deprecated="use monitor_path of the handler",
    )
    conmon_cgroup: str = setting(
        "",
        "Cgroup of the monitor for every oci handler.",
        Flag("conmon-cgroup", "CONTAINER_CONMON_CGROUP"),
        deprecated="use monitor_cgroup of the handler",
    )
    conmon_env: tuple[str, ...] = setting(
        (),
        "Environment of the monitor for every oci handler.",
        Flag("conmon-env", "CONTAINER_CONMON_ENV"),
        deprecated="use monitor_env of the handler",
    )
    default_env: tuple[str, ...] = setting(
        (),
        "Environment of every container, each NAME=VALUE; image and pod override it.",
        Flag("default-env", "CONTAINER_DEFAULT_ENV"),
    )
    min_injected_gomaxprocs: int = setting(
        0,
        "Smallest GOMAXPROCS that is put into the environment of containers; 0 puts none.",
        Flag("min-injected-gomaxprocs", "CONTAINER_INJECT_GOMAXPROCS"),
        rule=NOT_NEGATIVE,
    )
    selinux: bool = setting(
        False,
        "Label containers for SELinux; when unset, whether the host has it enabled.",
        Flag("selinux", "CONTAINER_SELINUX"),
        deprecated="the state of the host decides",
    )
    seccomp_profile: str = setting(
        "",
        "Seccomp profile for RuntimeDefault; empty means the built-in one.",
        Flag("seccomp-profile", "CONTAINER_SECCOMP_PROFILE"),
        reload=Reload.SECCOMP,
    )
    privileged_seccomp_profile: str = setting(
        "",
        "Seccomp profile for privileged containers; empty means none.",
        Flag("privileged-seccomp-profile", "CONTAINER_PRIVILEGED_SECCOMP_PROFILE"),
        reload=Reload.SECCOMP,
    )
    apparmor_profile: str = setting(
        "crio-default",
        "AppArmor profile of containers that name none; unconfined turns it off.",
        Flag("apparmor-profile", "CONTAINER_APPARMOR_PROFILE"),
        reload=Reload.APPARMOR,
    )
    blockio_config_file: str = setting("", "File with the block I/O classes.", Flag("blockio-config-file"), reload=Reload.BLOCKIO)
    blockio_reload: bool = setting(
        False,
        "Read that file and look for devices again for every container.",
        Flag("blockio-reload"),
        reload=Reload.BLOCKIO,
    )
    irqbalance_config_file: str = setting(
        "/etc/sysconfig/irqbalance",
        "File of irqbalance whose list of banned CPUs is kept up to date.",
        Flag("irqbalance-config-file"),
    )
    irqbalance_config_restore_file: str = setting(
        "/etc/sysconfig/orig_irq_banned_cpus",
        "File with the list of banned CPUs to restore at start-up; disable restores none.",
        Flag("irqbalance-config-restore-file"),
    )
    rdt_config_file: str = setting("", "File with the classes of cache and memory bandwidth.", Flag("rdt-config-file"), reload=Reload.RDT)
    cgroup_manager: CgroupManager = setting(
        CgroupManager.SYSTEMD,
        "Who makes cgroups: systemd or cgroupfs; when unset, cgroupfs on a host without systemd.",
        Flag("cgroup-manager", "CONTAINER_CGROUP_MANAGER"),
    )
    default_capabilities: tuple[str, ...] = setting(
        DEFAULT_CAPABILITIES,
        "Capabilities of containers that ask for no others.",
        Flag("default-capabilities", "CONTAINER_DEFAULT_CAPABILITIES"),
        rule=CAPABILITY,
    )
    add_inheritable_capabilities: bool = setting(
        False,
        "Fill the inheritable set of capabilities as well.",
        Flag("add-inheritable-capabilities", "CONTAINER_ADD_INHERITABLE_CAPABILITIES"),
    )
    default_sysctls: tuple[str, ...] = setting(
        (),
        "Sysctls of every pod, each KEY=VALUE.",
        Flag("default-sysctls", "CONTAINER_DEFAULT_SYSCTLS"),
        rule=SYSCTL,
    )
    allowed_devices: tuple[str, ...] = setting(
        ("/dev/fuse", "/dev/net/tun"),
        "Devices that a pod may ask for by annotation.",
        Flag("allowed-devices", "CONTAINER_ALLOWED_DEVICES"),
    )
    additional_devices: tuple[str, ...] = setting(
        (),
        "Devices of every container, each HOST[:CONTAINER][:rwm].",
        Flag("additional-devices", "CONTAINER_ADDITIONAL_DEVICES"),
        rule=DEVICE,
    )
    cdi_spec_dirs: tuple[str, ...] = setting(
        ("/etc/cdi", "/var/run/cdi"),
        "Directories of CDI specifications.",
        Flag("cdi-spec-dirs", "CONTAINER_CDI_SPEC_DIRS"),
        reload=Reload.CDI,
    )
    device_ownership_from_security_context: bool = setting(
        False,
        "Give devices to the user and group of the container.",
        Flag("device-ownership-from-security-context"),
    )
    hooks_dir: tuple[str, ...] = setting(
        ("/usr/share/containers/oci/hooks.d",),
        "Directories of OCI hooks; a later one wins.",
        Flag("hooks-dir", "CONTAINER_HOOKS_DIR"),
    )
    default_mounts_file: str = setting(
        "",
        "File with mounts of every container, a SOURCE:DESTINATION per line; empty reads mounts.conf.",
        Flag("default-mounts-file", "CONTAINER_DEFAULT_MOUNTS_FILE"),
    )
    pids_limit: int = setting(
        -1,
        "Most processes of a container; -1 sets no limit.",
        Flag("pids-limit", "CONTAINER_PIDS_LIMIT"),
        deprecated="use podPidsLimit of the kubelet",
    )
    log_filter: str = setting(
        "",
        "Regular expression that a log message has to match.",
        Flag("log-filter", "CONTAINER_LOG_FILTER"),
        reload=Reload.LOG,
        rule=REGEXP,
    )
    log_level: LogLevel = setting(
        LogLevel.INFO,
        "How much is logged.",
        Flag("log-level", "CONTAINER_LOG_LEVEL", short="l"),
        reload=Reload.LOG,
    )
    log_size_max: int = setting(
        -1,
        "Most bytes of a container's log file; negative sets no limit.",
        Flag("log-size-max", "CONTAINER_LOG_SIZE_MAX"),
        deprecated="use containerLogMaxSize of the kubelet",
    )
    log_to_journald: bool = setting(
        False,
        "Write what containers print to the journal as well.",
        Flag("log-journald", "CONTAINER_LOG_JOURNALD"),
    )
    container_exits_dir: str = setting(
        "/var/run/crio/exits",
        "Directory in which monitors leave the exit codes.",
        Flag("container-exits-dir", "CONTAINER_EXITS_DIR"),
    )
    container_attach_socket_dir: str = setting(
        "/var/run/crio",
        "Directory of the sockets for attach.",
        Flag("container-attach-socket-dir", "CONTAINER_ATTACH_SOCKET_DIR"),
    )
    bind_mount_prefix: str = setting(
        "",
        "Prefix of every host path in the CRI, for a daemon that runs in a container.",
        Flag("bind-mount-prefix", "CONTAINER_BIND_MOUNT_PREFIX"),
    )
    read_only: bool = setting(
        False,
        "Make the root file system of every container read-only, with temporary file systems where needed.",
        Flag("read-only", "CONTAINER_READ_ONLY"),
    )
    uid_mappings: str = setting(
        "",
        "User ids of every container, CONTAINER:HOST:SIZE[,...].",
        Flag("uid-mappings", "CONTAINER_UID_MAPPINGS"),
        rule=ID_MAPPINGS,
        deprecated="use user namespaces of Kubernetes",
    )
    gid_mappings: str = setting(
        "",
        "Group ids of every container, CONTAINER:HOST:SIZE[,...].",
        Flag("gid-mappings", "CONTAINER_GID_MAPPINGS"),
        rule=ID_MAPPINGS,
        deprecated="use user namespaces of Kubernetes",
    )
    minimum_mappable_uid: int = setting(
        -1,
        "Lowest host user id that a mapping may use; -1 sets no limit.",
        Flag("minimum-mappable-uid", "CONTAINER_MINIMUM_MAPPABLE_UID"),
        deprecated="use user namespaces of Kubernetes",
    )
    minimum_mappable_gid: int = setting(
        -1,
        "Lowest host group id that a mapping may use; -1 sets no limit.",
        Flag("minimum-mappable-gid", "CONTAINER_MINIMUM_MAPPABLE_GID"),
        deprecated="use user namespaces of Kubernetes",
    )
    ctr_stop_timeout: int = setting(
        MIN_STOP_TIMEOUT_S,
        "Seconds that a container has for its end before it is killed, at least 30.",
        Flag("ctr-stop-timeout", "CONTAINER_STOP_TIMEOUT"),
    )
    drop_infra_ctr: bool = setting(
        True,
        "Run no infra container for pods that do not share a process namespace.",
        Flag("drop-infra-ctr", "CONTAINER_DROP_INFRA_CTR"),
    )
    infra_ctr_cpuset: str = setting(
        "",
        "CPUs for infra containers, monitors and runtimes.",
        Flag("infra-ctr-cpuset", "CONTAINER_INFRA_CTR_CPUSET"),
        rule=CPU_LIST,
    )
    shared_cpuset: str = setting(
        "",
        "CPUs that containers with the cpu-shared annotation get in addition.",
        Flag("shared-cpuset", "CONTAINER_SHARED_CPUSET"),
        rule=CPU_LIST,
    )
    namespaces_dir: str = setting(
        "/var/run",
        "Directory below which the namespaces of pods are pinned.",
        Flag("namespaces-dir", "CONTAINER_NAMESPACES_DIR"),
    )
    pinns_path: str = setting(
        "", "Program that pins namespaces; empty searches PATH for pinns.", Flag("pinns-path", "CONTAINER_PINNS_PATH")
    )
    absent_mount_sources_to_reject: tuple[str, ...] = setting(
        (),
        "Host paths that are an error when a mount needs them and they are missing, instead of being made.",
        Flag("absent-mount-sources-to-reject", "CONTAINER_ABSENT_MOUNT_SOURCES_TO_REJECT"),
    )
    enable_criu_support: bool = setting(
        True,
        "Allow checkpoints.",
        Flag("enable-criu-support", "CONTAINER_ENABLE_CRIU_SUPPORT"),
        deprecated="use container_level_enabled of [crio.checkpoint_restore]",
    )
    enable_pod_events: bool = setting(False, "Send container events to the kubelet.", Flag("enable-pod-events", "ENABLE_POD_EVENTS"))
    hostnetwork_disable_selinux: bool = setting(
        True,
        "Give containers in the host's network no SELinux label.",
        Flag("hostnetwork-disable-selinux", "CONTAINER_HOSTNETWORK_DISABLE_SELINUX"),
    )
    disable_hostport_mapping: bool = setting(
        False,
        "Leave host ports to the network plugins.",
        Flag("disable-hostport-mapping", "DISABLE_HOSTPORT_MAPPING"),
    )
    timezone: str = setting(
        "",
        "Time zone of every container, Local for the host's; empty leaves it to the image.",
        Flag("timezone", "CONTAINER_TIME_ZONE", aliases=("tz",)),
        rule=TIME_ZONE,
    )
    separate_pull_cgroup: str = setting(
        "",
        "Cgroup for pulls: a slice, or pod for that of the pod; systemd manager only.",
        Flag("separate-pull-cgroup", "PULL_IN_A_CGROUP"),
    )
    runtimes: Mapping[str, RuntimeHandler] = named_tables(
        RuntimeHandler,
        "Runtimes that pods can ask for by name.",
        BUILT_IN_HANDLERS,
        Flag("runtimes", "CONTAINER_RUNTIMES"),
        Reload.RUNTIMES,
    )
    workloads: Mapping[str, Workload] = named_tables(Workload, "Resources and annotations for pods that an annotation marks.", {})
