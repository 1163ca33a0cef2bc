"""CRI messages to core values: the place where a client's request is checked and stops being a protobuf message.

Every function raises ``InvalidArgument`` that names the field, the value and what was expected. Source: CRI v1.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from crio.core import config as core
from crio.core.errors import InvalidArgument
from crio.cri import api_pb2 as pb

U32_MAX: Final = (1 << 32) - 1
MAX_LABEL_BYTES: Final = 4096


def _strings(values: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(values)) if values else core.EMPTY


def _labels(field: str, values: Mapping[str, str]) -> Mapping[str, str]:
    for key, value in values.items():
        if len(key.encode()) + len(value.encode()) > MAX_LABEL_BYTES:
            raise InvalidArgument(f"{field}[{key[:64]!r}]: key and value have more than {MAX_LABEL_BYTES} bytes")
    return _strings(values)


def _plain(field: str, value: str) -> str:
    if "\0" in value:
        raise InvalidArgument(f"{field} {value!r} has a NUL character")
    return value


def _id(field: str, value: pb.Int64Value) -> int:
    if not 0 <= value.value <= U32_MAX:
        raise InvalidArgument(f"{field} {value.value} is out of range: expected 0 to {U32_MAX}")
    return value.value


def _mode(field: str, value: int) -> core.NamespaceMode:
    try:
        return core.NamespaceMode(value)
    except ValueError:
        raise InvalidArgument(f"{field} {value} is not a namespace mode: expected 0 (POD) to 3 (TARGET)") from None


def _mappings(ranges: Iterable[pb.IDMapping]) -> tuple[core.IdMapping, ...]:
    return tuple(core.IdMapping(item.host_id, item.container_id, item.length) for item in ranges)


def _namespaces(field: str, options: pb.NamespaceOption) -> core.NamespaceOptions:
    userns = None
    if options.HasField("userns_options"):
        given = options.userns_options
        mode = _mode(f"{field}.userns_options.mode", given.mode)
        if mode not in (core.NamespaceMode.POD, core.NamespaceMode.NODE):
            raise InvalidArgument(f"{field}.userns_options.mode {mode.name} is not supported: expected POD or NODE")
        userns = core.UserNamespace(mode, _mappings(given.uids), _mappings(given.gids))
        if mode is core.NamespaceMode.POD and not (userns.uids and userns.gids):
            raise InvalidArgument(f"{field}.userns_options with mode POD needs at least one mapping in uids and in gids")
        if mode is core.NamespaceMode.NODE and (userns.uids or userns.gids):
            raise InvalidArgument(f"{field}.userns_options with mode NODE cannot have mappings")
    network = _mode(f"{field}.network", options.network)
    if network not in (core.NamespaceMode.POD, core.NamespaceMode.NODE):
        raise InvalidArgument(f"{field}.network {network.name} is not supported: expected POD or NODE")
    ipc = _mode(f"{field}.ipc", options.ipc)
    if ipc not in (core.NamespaceMode.POD, core.NamespaceMode.NODE):
        raise InvalidArgument(f"{field}.ipc {ipc.name} is not supported: expected POD or NODE")
    return core.NamespaceOptions(network, _mode(f"{field}.pid", options.pid), ipc, options.target_id, userns)


def _profile(field: str, message: pb.SecurityProfile) -> core.SecurityProfile:
    try:
        kind = core.ProfileType(message.profile_type)
    except ValueError:
        raise InvalidArgument(f"{field}.profile_type {message.profile_type} is unknown: expected 0 to 2") from None
    if kind is core.ProfileType.LOCALHOST and not message.localhost_ref:
        raise InvalidArgument(f"{field}.localhost_ref is empty: a Localhost profile needs its name")
    return core.SecurityProfile(kind, message.localhost_ref)


def _profile_path(path: str) -> core.SecurityProfile | None:
    """The profile strings that the typed fields replaced; still sent by old clients."""
    if path in ("runtime/default", "docker/default"):
        return core.SecurityProfile(core.ProfileType.RUNTIME_DEFAULT)
    if path == "unconfined":
        return core.SecurityProfile(core.ProfileType.UNCONFINED)
    if path.startswith("localhost/"):
        return core.SecurityProfile(core.ProfileType.LOCALHOST, path.removeprefix("localhost/"))
    return None


_AnySecurity = pb.LinuxSandboxSecurityContext | pb.LinuxContainerSecurityContext


def _security(field: str, context: _AnySecurity) -> core.Security:
    groups = tuple(context.supplemental_groups)
    for index, group in enumerate(groups):
        if not 0 <= group <= U32_MAX:
            raise InvalidArgument(f"{field}.supplemental_groups[{index}] {group} is out of range: expected 0 to {U32_MAX}")
    try:
        policy = core.GroupsPolicy(context.supplemental_groups_policy)
    except ValueError:
        number = context.supplemental_groups_policy
        raise InvalidArgument(f"{field}.supplemental_groups_policy {number} is unknown: expected 0 or 1") from None
    user = _id(f"{field}.run_as_user", context.run_as_user) if context.HasField("run_as_user") else None
    group_id = _id(f"{field}.run_as_group", context.run_as_group) if context.HasField("run_as_group") else None
    selinux = None
    if context.HasField("selinux_options"):
        label = context.selinux_options
        selinux = core.SELinuxOptions(label.user, label.role, label.type, label.level)
    seccomp = _profile(f"{field}.seccomp", context.seccomp) if context.HasField("seccomp") else None
    apparmor = _profile(f"{field}.apparmor", context.apparmor) if context.HasField("apparmor") else None
    common = core.Security(
        namespaces=_namespaces(f"{field}.namespace_options", context.namespace_options),
        selinux=selinux,
        run_as_user=user,
        run_as_group=group_id,
        readonly_rootfs=context.readonly_rootfs,
        supplemental_groups=groups,
        groups_policy=policy,
        privileged=context.privileged,
        seccomp=seccomp or _profile_path(context.seccomp_profile_path),
        apparmor=apparmor,
    )
    return common if isinstance(context, pb.LinuxSandboxSecurityContext) else _container_security(field, context, common)


def _container_security(field: str, context: pb.LinuxContainerSecurityContext, common: core.Security) -> core.Security:
    if context.HasField("run_as_group") and not context.HasField("run_as_user") and not context.run_as_username:
        raise InvalidArgument(f"{field}.run_as_group {context.run_as_group.value} is set without run_as_user or run_as_username")
    given = context.capabilities
    return dataclasses.replace(
        common,
        run_as_username=_plain(f"{field}.run_as_username", context.run_as_username),
        capabilities=core.Capabilities(
            tuple(given.add_capabilities), tuple(given.drop_capabilities), tuple(given.add_ambient_capabilities)
        ),
        no_new_privs=context.no_new_privs,
        masked_paths=tuple(context.masked_paths),
        readonly_paths=tuple(context.readonly_paths),
        apparmor=common.apparmor or _profile_path(context.apparmor_profile),
    )


def resources(message: pb.LinuxContainerResources) -> core.Resources:
    """Limits of a container or pod."""
    return core.Resources(
        cpu_period_us=message.cpu_period,
        cpu_quota_us=message.cpu_quota,
        cpu_shares=message.cpu_shares,
        memory_limit_bytes=message.memory_limit_in_bytes,
        memory_swap_limit_bytes=message.memory_swap_limit_in_bytes,
        oom_score_adj=message.oom_score_adj,
        cpuset_cpus=message.cpuset_cpus,
        cpuset_mems=message.cpuset_mems,
        hugepage_limits=tuple(core.HugepageLimit(item.page_size, item.limit) for item in message.hugepage_limits),
        unified=_strings(message.unified),
    )


def _port(index: int, message: pb.PortMapping) -> core.PortMapping:
    field = f"config.port_mappings[{index}]"
    try:
        protocol = core.Protocol(message.protocol)
    except ValueError:
        raise InvalidArgument(f"{field}.protocol {message.protocol} is unknown: expected 0 (TCP) to 2 (SCTP)") from None
    for name, value in (("container_port", message.container_port), ("host_port", message.host_port)):
        if not 0 <= value <= 65535:
            raise InvalidArgument(f"{field}.{name} {value} is not a port: expected 0 to 65535")
    return core.PortMapping(protocol, message.container_port, message.host_port, message.host_ip)


def image_spec(message: pb.ImageSpec) -> core.ImageSpec:
    """How the client names an image."""
    return core.ImageSpec(
        _plain("image.image", message.image),
        _strings(message.annotations),
        message.user_specified_image,
        message.runtime_handler,
    )


def sandbox_config(message: pb.PodSandboxConfig) -> core.SandboxConfig:
    """A pod sandbox configuration with the Kubernetes labels that every pod has."""
    if not message.HasField("metadata"):
        raise InvalidArgument("config.metadata is missing: a sandbox needs a name, namespace and uid")
    if not message.metadata.name:
        raise InvalidArgument("config.metadata.name is empty: a sandbox needs a name")
    if not message.metadata.namespace or not message.metadata.uid:
        raise InvalidArgument("config.metadata.namespace and config.metadata.uid must not be empty")
    metadata = core.Metadata(message.metadata.name, message.metadata.attempt, message.metadata.uid, message.metadata.namespace)
    labels = dict(_labels("config.labels", message.labels))
    labels.setdefault("io.kubernetes.pod.name", metadata.name)
    labels.setdefault("io.kubernetes.pod.namespace", metadata.namespace)
    labels.setdefault("io.kubernetes.pod.uid", metadata.uid)
    dns = None
    if message.HasField("dns_config"):
        given = message.dns_config
        dns = core.DnsConfig(tuple(given.servers), tuple(given.searches), tuple(given.options))
    linux = message.linux
    return core.SandboxConfig(
        metadata=metadata,
        hostname=_plain("config.hostname", message.hostname),
        log_directory=_absolute("config.log_directory", message.log_directory, empty=True),
        dns=dns,
        port_mappings=tuple(_port(index, item) for index, item in enumerate(message.port_mappings)),
        labels=MappingProxyType(labels),
        annotations=_strings(message.annotations),
        cgroup_parent=linux.cgroup_parent,
        security=_security("config.linux.security_context", linux.security_context),
        sysctls=_strings(linux.sysctls),
        overhead=resources(linux.overhead) if linux.HasField("overhead") else None,
        resources=resources(linux.resources) if linux.HasField("resources") else None,
    )


def _absolute(field: str, path: str, *, empty: bool = False) -> str:
    if (empty and not path) or path.startswith("/"):
        return _plain(field, path)
    raise InvalidArgument(f"{field} {path!r} is not absolute: expected a path that starts with '/'")


def _mount(index: int, message: pb.Mount) -> core.Mount:
    field = f"config.mounts[{index}]"
    if not message.container_path:
        raise InvalidArgument(f"{field}.container_path is empty")
    image = image_spec(message.image) if message.HasField("image") else None
    if image is None and not message.host_path:
        raise InvalidArgument(f"{field}.host_path is empty: a mount needs a host path or an image")
    try:
        propagation = core.Propagation(message.propagation)
    except ValueError:
        raise InvalidArgument(f"{field}.propagation {message.propagation} is unknown: expected 0 to 2") from None
    return core.Mount(
        container_path=_plain(f"{field}.container_path", message.container_path),
        host_path=_absolute(f"{field}.host_path", message.host_path, empty=image is not None),
        readonly=message.readonly,
        selinux_relabel=message.selinux_relabel,
        propagation=propagation,
        uid_mappings=_mappings(message.uidMappings),
        gid_mappings=_mappings(message.gidMappings),
        recursive_read_only=message.recursive_read_only,
        image=image,
        image_sub_path=message.image_sub_path,
        mount_options=tuple(message.mount_options),
    )


def _env(index: int, message: pb.KeyValue) -> tuple[str, str]:
    field = f"config.envs[{index}]"
    if not message.key or "=" in message.key or "\0" in message.key:
        raise InvalidArgument(f"{field}.key {message.key!r} is not a variable name: it must not be empty or have '=' in it")
    try:
        return message.key, _plain(f"{field}.value", message.value.decode())
    except UnicodeDecodeError:
        raise InvalidArgument(f"{field}.value of {message.key!r} is not UTF-8, which an OCI spec needs") from None


def _log_path(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise InvalidArgument(f"config.log_path {path!r} leaves the log directory: expected a relative path without '..'")
    return _plain("config.log_path", path)


def container_config(message: pb.ContainerConfig) -> core.ContainerConfig:
    """A container configuration."""
    if not message.HasField("metadata") or not message.metadata.name:
        raise InvalidArgument("config.metadata.name is missing: a container needs a name")
    if not message.HasField("image") or not message.image.image:
        raise InvalidArgument("config.image.image is missing: a container needs an image")
    linux = message.linux
    return core.ContainerConfig(
        metadata=core.Metadata(message.metadata.name, message.metadata.attempt),
        image=image_spec(message.image),
        command=tuple(_plain("config.command", item) for item in message.command),
        args=tuple(_plain("config.args", item) for item in message.args),
        working_dir=_absolute("config.working_dir", message.working_dir, empty=True),
        envs=tuple(_env(index, item) for index, item in enumerate(message.envs)),
        mounts=tuple(_mount(index, item) for index, item in enumerate(message.mounts)),
        devices=tuple(core.Device(item.container_path, item.host_path, item.permissions) for item in message.devices),
        labels=_labels("config.labels", message.labels),
        annotations=_strings(message.annotations),
        log_path=_log_path(message.log_path),
        stdin=message.stdin,
        stdin_once=message.stdin_once,
        tty=message.tty,
        resources=resources(linux.resources),
        security=_security("config.linux.security_context", linux.security_context),
        cdi_devices=tuple(item.name for item in message.CDI_devices),
        stop_signal=_signal(message.stop_signal),
    )


def _signal(number: int) -> str:
    """The signal's name without ``SIG``, empty for the image's or the default one."""
    if number == pb.SIGNAL_RUNTIME_DEFAULT:
        return ""
    try:
        name = pb.Signal.Name(number).removeprefix("SIGNAL_SIG")
    except ValueError:
        raise InvalidArgument(f"config.stop_signal {number} is unknown: expected a value of the enum Signal") from None
    for base, sign in (("RTMINPLUS", 1), ("RTMAXMINUS", -1)):
        if name.startswith(base):
            start = signal.SIGRTMIN if sign > 0 else signal.SIGRTMAX
            return str(start + sign * int(name.removeprefix(base)))
    return name
