"""The OCI specification of a container, from everything that was found out for it.

The order of work: what the client may ask for is checked first (privileges, annotations), then each part of the document is built
by its own module, and the records that a restarted daemon and other tools read go in last. Source: OCI runtime specification.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping

from crio.core.config import IdMapping, NamespaceMode, Resources
from crio.core.errors import InvalidArgument
from crio.core.mounts import (
    DefaultMounts,
    MountSupport,
    SpecMount,
    client_mount,
    combine,
    default_mounts,
    file_mounts,
    mapping_documents,
    mount_document,
    rootfs_propagation,
    scratch_mounts,
)
from crio.core.oci.annotations import filter_annotations, lookup
from crio.core.oci.devices import all_devices, container_devices, device_documents, device_rules
from crio.core.oci.document import BuiltSpec, Document, without_empty
from crio.core.oci.inputs import ContainerSpecRequest
from crio.core.oci.namespaces import container_namespaces, userns_of
from crio.core.oci.process import build_process, is_systemd, resolve_args
from crio.core.oci.records import container_annotations
from crio.core.oci.security import (
    apparmor_profile,
    choose_seccomp,
    masked_paths,
    readonly_paths,
    seccomp_document,
    seccomp_name,
    selinux_labels,
)
from crio.core.resources import ResourceRules, build_resources

TTY_GROUP = 5
# Where a program in a container with a read-only root may write, and where systemd must.
_READ_ONLY_SCRATCH = {"/run": "0755", "/tmp": "1777", "/var/tmp": "1777"}
_SYSTEMD_SCRATCH = {"/run": "0755", "/run/lock": "0755", "/tmp": "1777", "/var/log/journal": "0755"}


def build_container_spec(request: ContainerSpecRequest) -> BuiltSpec:
    """The document for the runtime's ``create``.

    :raises CriError: the request contradicts itself, the sandbox, the host or the runtime; nothing has happened yet then
    """
    security = request.config.security
    if security.privileged and not request.sandbox_privileged:
        raise InvalidArgument("no privileged container allowed in sandbox: expected the sandbox to be privileged too")
    warnings: list[str] = []
    annotations = _allowed_annotations(request)
    process = build_process(request, annotations, warnings)
    profile = choose_seccomp(security, request.seccomp, request.host)
    systemd = is_systemd(resolve_args(request.config, request.image))
    labels = selinux_labels(security, request.sandbox.security.namespaces, request.labels, request.settings, systemd)
    process |= without_empty(
        {"apparmorProfile": apparmor_profile(security, request.settings, request.host), "selinuxLabel": labels.process}
    )
    mounts = _mounts(request, annotations, systemd)
    linux = _linux(request, annotations, mounts, warnings)
    if profile is not None:
        linux["seccomp"] = seccomp_document(profile, request.host, _capability_names(process))
    if labels.mount:
        linux["mountLabel"] = labels.mount
    document: Document = {
        "ociVersion": request.runtime.oci_version,
        "process": process,
        "root": {"path": request.rootfs, "readonly": _readonly_root(request)},
        "mounts": [mount_document(mount) for mount in mounts],
        "annotations": container_annotations(request, annotations, seccomp_name(security, profile)),
        "linux": linux,
    }
    if request.hostname:
        document["hostname"] = request.hostname
    return BuiltSpec(document, tuple(warnings))


def _allowed_annotations(request: ContainerSpecRequest) -> dict[str, str]:
    """Image, pod and container annotations without those that may not act; the later ones win."""
    allowed = (*request.handler.allowed_annotations, *request.allowed_annotations)
    pod = {**request.handler.default_annotations, **request.sandbox.annotations}
    return filter_annotations({**request.image.annotations, **pod, **request.config.annotations}, allowed)


def _readonly_root(request: ContainerSpecRequest) -> bool:
    return request.config.security.readonly_rootfs or request.settings.read_only


def _capability_names(process: Document) -> tuple[str, ...]:
    capabilities = process["capabilities"]
    assert isinstance(capabilities, dict)
    return tuple(capabilities["effective"])


def _linux(request: ContainerSpecRequest, annotations: Mapping[str, str], mounts: tuple[SpecMount, ...], warnings: list[str]) -> Document:
    security, host = request.config.security, request.host
    sandbox = request.sandbox.security.namespaces
    private_cgroup = host.cgroups.unified and not security.privileged
    userns = userns_of(sandbox)
    devices = container_devices(request)
    resources = _resources(request, annotations, warnings)
    if host.cgroups.unified or host.cgroups.has("devices"):
        resources["devices"] = device_rules(devices, all_devices(request))
    return without_empty(
        {
            "namespaces": container_namespaces(security.namespaces, sandbox, request.joins, private_cgroup),
            "uidMappings": mapping_documents(userns.uids if userns else ()),
            "gidMappings": mapping_documents(userns.gids if userns else ()),
            "cgroupsPath": request.cgroups_path,
            "resources": resources,
            "devices": device_documents(devices),
            "rootfsPropagation": rootfs_propagation(mounts),
            "maskedPaths": masked_paths(security, host),
            "readonlyPaths": readonly_paths(security),
        }
    )


def _resources(request: ContainerSpecRequest, annotations: Mapping[str, str], warnings: list[str]) -> Document:
    wanted = _with_unified(request.config.resources, lookup_unified(annotations, request.config.metadata.name))
    rules = ResourceRules(
        request.host.cgroups,
        request.host.hugepage_sizes,
        request.handler.container_min_memory_bytes,
        request.settings.pids_limit,
    )
    built = build_resources(wanted, rules)
    warnings.extend(built.warnings)
    return dict(built.document)


def _with_unified(resources: Resources, more: Mapping[str, str]) -> Resources:
    return dataclasses.replace(resources, unified={**resources.unified, **more}) if more else resources


def lookup_unified(annotations: Mapping[str, str], container: str) -> dict[str, str]:
    """The entries of ``unified-cgroup.crio.io/CONTAINER``: ``key=value;key=value``, values plain or base64.

    :raises InvalidArgument: an entry without ``=``
    """
    text = next(
        (
            annotations[f"{name}/{container}"]
            for name in ("unified-cgroup.crio.io", "io.kubernetes.cri-o.UnifiedCgroup")
            if f"{name}/{container}" in annotations
        ),
        "",
    )
    entries: dict[str, str] = {}
    for part in filter(None, text.split(";")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidArgument(f"unified-cgroup annotation entry {part!r} is not usable: expected KEY=VALUE")
        entries[key] = _plain(value)
    return entries


def _plain(value: str) -> str:
    if value.isdigit():
        return value
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return value


def _mounts(request: ContainerSpecRequest, annotations: Mapping[str, str], systemd: bool) -> tuple[SpecMount, ...]:
    host, security = request.host, request.config.security
    support = MountSupport(
        host.recursive_readonly and request.runtime.recursive_readonly,
        host.idmapped_mounts and request.runtime.idmapped_mounts,
    )
    defaults = [
        *default_mounts(_default_choice(request, annotations, systemd, support)),
        *file_mounts(request.files, _readonly_root(request)),
    ]
    if request.settings.read_only and not security.readonly_rootfs:
        defaults += _scratch(_READ_ONLY_SCRATCH)
    if systemd:
        present = {mount.destination for mount in defaults}
        defaults += [mount for mount in _scratch(_SYSTEMD_SCRATCH) if mount.destination not in present]
        if not host.cgroups.unified and "name=systemd" in host.cgroups.v1:
            path = "/sys/fs/cgroup/systemd"
            defaults.append(SpecMount(path, path, "bind", ("bind", "nodev", "noexec", "nosuid")))
    return combine(defaults, [client_mount(mount, support) for mount in request.mounts])


def _scratch(folders: Mapping[str, str]) -> tuple[SpecMount, ...]:
    return scratch_mounts(folders, folders.values())


def _default_choice(request: ContainerSpecRequest, annotations: Mapping[str, str], systemd: bool, support: MountSupport) -> DefaultMounts:
    security, sandbox = request.config.security, request.sandbox.security.namespaces
    userns = userns_of(sandbox)
    asked = lookup(annotations, "cgroup2-mount-hierarchy-rw.crio.io") == "true"
    return DefaultMounts(
        sys_writable=security.privileged,
        cgroup_writable=security.privileged or (request.host.cgroups.unified and (systemd or asked)),
        devpts_gid=userns is None or _maps(userns.gids, TTY_GROUP),
        sys_bind=userns is not None and sandbox.network is NamespaceMode.NODE,
        recursive_readonly=support.recursive_readonly,
        proc_bind=userns is not None and security.namespaces.pid is NamespaceMode.NODE,
        mqueue_bind=userns is not None and sandbox.ipc is NamespaceMode.NODE,
    )


def _maps(ranges: tuple[IdMapping, ...], number: int) -> bool:
    return any(item.container_id <= number < item.container_id + item.length for item in ranges)
