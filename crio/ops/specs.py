"""Specifications: gather what one is made of, build it, put it where the runtime looks.

The rules are in ``crio.core.oci``; here the records, settings and host lookups are brought together. Everything here blocks and runs on
a thread of the executor.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping

import orjson

from crio.core.config import NamespaceMode, ProfileType, SecurityProfile
from crio.core.errors import FailedPrecondition, InvalidArgument
from crio.core.image.imageconfig import ImageConfig
from crio.core.image.names import repo_digests
from crio.core.oci.annotations import filter_annotations, lookup
from crio.core.oci.container import build_container_spec
from crio.core.oci.document import BuiltSpec
from crio.core.oci.inputs import (
    BindFiles,
    ContainerSpecRequest,
    Identity,
    ImageRuntimeConfig,
    NamespaceJoins,
    SandboxSpecRequest,
    SeccompProfiles,
    SpecSettings,
    Ulimit,
)
from crio.core.oci.sandbox import build_sandbox_spec
from crio.core.oci.sysctls import parse_default_sysctls, pod_sysctls
from crio.core.records import Container, ContainerUser, Sandbox
from crio.core.seccomp.profile import SeccompProfile, parse_profile
from crio.core.settings.units import parse_size_bytes
from crio.core.settings.values import Settings
from crio.core.storage.records import ImageRecord
from crio.core.user import FILE_LIMIT_BYTES, ResolvedUser, group_with, passwd_with, resolve_user
from crio.host import monitor, sources
from crio.host.files import RootFs, read_bounded, write_or_refuse
from crio.host.podfs import SHM_SIZE_BYTES
from crio.host.runtime.handlers import Handler
from crio.ops import images, volumes
from crio.ops.context import Context

PROFILE_LIMIT_BYTES = 4 << 20
SHM_SIZE = "shm-size.crio.io"
log = logging.getLogger(__name__)


def spec_settings(ctx: Context) -> SpecSettings:
    """The keys of ``[crio.runtime]`` that reach a specification."""
    runtime = ctx.settings.runtime
    return SpecSettings(
        default_env=runtime.default_env,
        default_capabilities=runtime.default_capabilities,
        add_inheritable_capabilities=runtime.add_inheritable_capabilities,
        default_ulimits=tuple(_ulimit(entry) for entry in runtime.default_ulimits),
        pids_limit=runtime.pids_limit,
        read_only=runtime.read_only,
        hostnetwork_disable_selinux=runtime.hostnetwork_disable_selinux,
        apparmor_profile=runtime.apparmor_profile,
        min_injected_gomaxprocs=runtime.min_injected_gomaxprocs,
        infra_ctr_cpuset=runtime.infra_ctr_cpuset,
        systemd_cgroup=ctx.cgroups.systemd,
    )


def _ulimit(entry: str) -> Ulimit:
    """One checked ``NAME=SOFT[:HARD]``."""
    name, _, limits = entry.partition("=")
    soft, _, hard = limits.partition(":")
    return Ulimit(name, int(soft), int(hard or soft))


def _allowed_annotations(settings: Settings, sandbox: Sandbox) -> tuple[str, ...]:
    """What the pod's workload allows beside its handler: the first workload whose annotation the pod has."""
    for workload in settings.runtime.workloads.values():
        if workload.activation_annotation in sandbox.config.annotations:
            return workload.allowed_annotations
    return ()


def check_sandbox(ctx: Context, sandbox: Sandbox) -> None:
    """What can be refused before anything is made."""
    sandbox_sysctls(ctx, sandbox)
    shm_size(ctx, sandbox)


def sandbox_sysctls(ctx: Context, sandbox: Sandbox) -> Mapping[str, str]:
    """The kernel parameters of a pod that are safe in its namespaces; the others are left out with a warning."""
    defaults = parse_default_sysctls(ctx.settings.runtime.default_sysctls)
    chosen = pod_sysctls(defaults, sandbox.config.sysctls, sandbox.config.security.namespaces)
    for warning in chosen.warnings:
        log.warning("sandbox %s: %s", sandbox.id, warning)
    return dict(chosen.values)


def shm_size(ctx: Context, sandbox: Sandbox) -> int:
    """The size of /dev/shm: 64 MiB, or what an allowed annotation says."""
    handler = ctx.handlers.get(sandbox.handler)
    allowed = (*handler.spec.allowed_annotations, *_allowed_annotations(ctx.settings, sandbox))
    text = lookup(filter_annotations(sandbox.config.annotations, allowed), SHM_SIZE)
    if not text:
        return SHM_SIZE_BYTES
    try:
        size = parse_size_bytes(text)
    except ValueError:
        size = 0
    if size <= 0:
        raise InvalidArgument(f"annotation {SHM_SIZE} {text!r} is not a size above 0: expected a number with a unit, such as 128Mi")
    return size


def _profile(path: str) -> SeccompProfile | None:
    if not path:
        return None
    try:
        return parse_profile(read_bounded(path, PROFILE_LIMIT_BYTES), path)
    except OSError as error:
        raise InvalidArgument(f"seccomp profile {path!r} cannot be read: {error.strerror}") from error


def _seccomp(ctx: Context, handler: Handler, wanted: SecurityProfile | None) -> SeccompProfiles:
    """The profiles to choose from; the handler's own default goes before that of all handlers, and the built-in one is last."""
    runtime = ctx.settings.runtime
    localhost = None
    if wanted is not None and wanted.type is ProfileType.LOCALHOST:
        if not wanted.localhost_ref.startswith("/"):
            raise InvalidArgument(f"seccomp profile {wanted.localhost_ref!r} is not absolute: expected a path that starts with '/'")
        localhost = _profile(wanted.localhost_ref)
    own = ctx.settings.runtime.runtimes.get(handler.name)
    named = (own.seccomp_profile if own is not None else "") or runtime.seccomp_profile
    default = _profile(named) if os.path.exists(named) else None
    return SeccompProfiles(default, _profile(runtime.privileged_seccomp_profile), localhost)


def _image_config(config: ImageConfig) -> ImageRuntimeConfig:
    return ImageRuntimeConfig(
        entrypoint=config.entrypoint,
        cmd=config.cmd,
        env=config.env,
        working_dir=config.working_dir,
        user=config.user,
        stop_signal=config.stop_signal,
        volumes=config.volumes,
    )


def _joins(ctx: Context, sandbox: Sandbox, target_id: str = "") -> NamespaceJoins:
    paths = sandbox.namespaces
    pid = f"/proc/{sandbox.infra_process.pid}/ns/pid" if sandbox.infra_process is not None else ""
    return NamespaceJoins(paths.net, paths.ipc, paths.uts, paths.user, pid, _target_pid(ctx, target_id) if target_id else "")


def _target_pid(ctx: Context, target_id: str) -> str:
    target = ctx.table.containers.find(target_id)
    if target.process is None or not monitor.is_alive(target.process):
        raise FailedPrecondition(f"target container {target.id} is not running: its pid namespace cannot be joined")
    return f"/proc/{target.process.pid}/ns/pid"


def write_container_spec(
    ctx: Context, sandbox: Sandbox, container: Container, image: images.Found, handler: Handler, taken: sources.Taken
) -> Container:
    """Build and write the specification of a container; returns the record with what was resolved (its user, its image volumes).

    What is made or mounted on the way is noted in ``taken``.
    """
    config = container.config
    with RootFs(container.mountpoint) as rootfs:
        user, files = _user_files(sandbox, container, image, rootfs)
        _make_directories(rootfs, config.working_dir or image.config.working_dir, image.config.volumes, user)
    rules = sources.SourceRules(
        ctx.settings.runtime.bind_mount_prefix,
        ctx.settings.runtime.absent_mount_sources_to_reject,
        os.path.realpath(ctx.settings.root.root),
    )
    privileged = config.security.privileged and not handler.spec.privileged_without_host_devices
    target_id = config.security.namespaces.target_id if config.security.namespaces.pid is NamespaceMode.TARGET else ""
    request = ContainerSpecRequest(
        config=config,
        sandbox=sandbox.config,
        image=_image_config(image.config),
        identity=_identity(sandbox, container, image),
        user=user,
        host=ctx.facts,
        runtime=handler.features,
        rootfs=container.mountpoint,
        cgroups_path=ctx.cgroups.spec_path(sandbox.cgroup_parent, container.id),
        hostname=sandbox.hostname,
        settings=spec_settings(ctx),
        handler=handler.spec,
        joins=_joins(ctx, sandbox, target_id),
        files=files,
        mounts=sources.resolve_mounts(config.mounts, rules, taken, volumes.source_of(ctx, taken)),
        devices=sources.resolve_devices(config.devices),
        host_devices=sources.host_devices() if privileged else (),
        seccomp=_seccomp(ctx, handler, config.security.seccomp),
        sandbox_privileged=sandbox.privileged,
        allowed_annotations=_allowed_annotations(ctx.settings, sandbox),
    )
    built = build_container_spec(request)
    _save(ctx, container.id, container.bundle, built)
    gids = tuple(gid for gid in user.additional_gids)
    return dataclasses.replace(container, user=ContainerUser(user.uid, user.gid, gids), image_volumes=tuple(taken.images))


def _identity(sandbox: Sandbox, container: Container, image: images.Found) -> Identity:
    return Identity(
        container_id=container.id,
        name=container.name,
        sandbox_id=sandbox.id,
        sandbox_name=sandbox.name,
        created_at_ns=container.created_at_ns,
        image_id=container.image_id,
        image_name=container.image_name,
        image_ref=container.image_ref,
        repo_digests=repo_digests(images.named(image.record)),
        log_path=container.log_path,
        ips=sandbox.ips,
    )


def _user_files(sandbox: Sandbox, container: Container, image: images.Found, rootfs: RootFs) -> tuple[ResolvedUser, BindFiles]:
    """Who the first process is, and the files that are bound into the container."""
    try:
        passwd = rootfs.read("etc/passwd", FILE_LIMIT_BYTES) or b""
        group = rootfs.read("etc/group", FILE_LIMIT_BYTES) or b""
    except ValueError as error:
        raise InvalidArgument(f"image {image.record.id}: {error}") from error
    user = resolve_user(container.config.security, image.config.user, passwd, group)
    taken = {mount.container_path.rstrip("/") for mount in container.config.mounts}
    files = BindFiles(
        shm=sandbox.shm_path,
        resolv_conf=sandbox.resolv_path,
        hostname=sandbox.hostname_path,
        hosts=sandbox.hosts_path if "/etc/hosts" not in taken else "",
        containerenv=os.path.join(sandbox.run_dir, ".containerenv"),
        passwd=_extended(container, "passwd", passwd_with(passwd, user, user.home)) if "/etc/passwd" not in taken else "",
        group=_extended(container, "group", group_with(group, user.gid)) if "/etc/group" not in taken else "",
    )
    return user, files


def _extended(container: Container, name: str, body: bytes | None) -> str:
    if body is None:
        return ""
    path = os.path.join(container.bundle, name)
    write_or_refuse(path, body, path, 0o644)
    return path


def _make_directories(rootfs: RootFs, working_dir: str, volumes: tuple[str, ...], user: ResolvedUser) -> None:
    for field, path in (("working_dir", working_dir), *(("image volume", volume) for volume in volumes)):
        if not path or path == "/":
            continue
        try:
            rootfs.make_directory(path)
        except (OSError, ValueError) as error:
            raise InvalidArgument(f"{field} {path!r} cannot be made in the container: {error}") from error


def write_infra_spec(ctx: Context, sandbox: Sandbox, image: ImageRecord, handler: Handler, mountpoint: str) -> None:
    """Build and write the specification of a sandbox's infra process."""
    config = images.config_of(ctx, image)
    command = (ctx.settings.image.pause_command,) if ctx.settings.image.pause_command else (*config.entrypoint, *config.cmd)
    if not command:
        raise InvalidArgument(f"pause image {ctx.settings.image.pause_image!r} has no entrypoint and pause_command is empty")
    request = dataclasses.replace(
        _sandbox_request(ctx, sandbox, handler, mountpoint), infra=True, pause_command=command, image=_image_config(config)
    )
    _save(ctx, sandbox.id, sandbox.run_dir, build_sandbox_spec(request))


def save_sandbox_record(ctx: Context, sandbox: Sandbox, handler: Handler) -> None:
    """Write the document of a sandbox without a process: a record for other tools and the next start."""
    _save(ctx, sandbox.id, sandbox.run_dir, build_sandbox_spec(_sandbox_request(ctx, sandbox, handler, sandbox.run_dir)))


def _sandbox_request(ctx: Context, sandbox: Sandbox, handler: Handler, rootfs: str) -> SandboxSpecRequest:
    pause = ctx.settings.image.pause_image
    identity = Identity(
        container_id=sandbox.id,
        name=sandbox.name,
        sandbox_id=sandbox.id,
        sandbox_name=sandbox.name,
        created_at_ns=sandbox.created_at_ns,
        image_name=pause,
        log_path=sandbox.log_directory,
        ips=sandbox.ips,
    )
    records = {
        "CNIResult": sandbox.cni_result,
        "CgroupParent": sandbox.cgroup_parent,
        "HostnamePath": sandbox.hostname_path,
        "RuntimeHandler": sandbox.handler,
        "PrivilegedRuntime": "true" if sandbox.privileged else "false",
    }
    files = BindFiles(shm=sandbox.shm_path, resolv_conf=sandbox.resolv_path, hostname=sandbox.hostname_path)
    return SandboxSpecRequest(
        config=sandbox.config,
        identity=identity,
        host=ctx.facts,
        runtime=handler.features,
        rootfs=rootfs,
        cgroups_path=ctx.cgroups.spec_path(sandbox.cgroup_parent, sandbox.id),
        hostname=sandbox.hostname,
        settings=spec_settings(ctx),
        handler=handler.spec,
        joins=_joins(ctx, sandbox),
        files=files,
        seccomp=_seccomp(ctx, handler, sandbox.config.security.seccomp),
        records=records,
        allowed_annotations=_allowed_annotations(ctx.settings, sandbox),
    )


def _save(ctx: Context, object_id: str, bundle: str, built: BuiltSpec) -> None:
    for warning in built.warnings:
        log.warning("%s: %s", object_id, warning)
    body = orjson.dumps(built.document)
    for directory in (bundle, ctx.store.container_dir(object_id)):
        write_or_refuse(os.path.join(directory, "config.json"), body, f"the specification of {object_id}")
