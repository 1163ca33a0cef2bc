"""The OCI specification of a sandbox's own process, or the record of a sandbox that has none."""

from __future__ import annotations

from crio.core.capabilities import resolve_capabilities
from crio.core.config import Capabilities, Resources
from crio.core.mounts import DefaultMounts, combine, default_mounts, file_mounts, mapping_documents, mount_document
from crio.core.oci.annotations import filter_annotations
from crio.core.oci.devices import device_rules
from crio.core.oci.document import BuiltSpec, Document, without_empty
from crio.core.oci.inputs import SandboxSpecRequest
from crio.core.oci.namespaces import sandbox_namespaces, userns_of
from crio.core.oci.process import infra_process
from crio.core.oci.records import sandbox_annotations
from crio.core.oci.security import (
    DEFAULT_MASKED,
    apparmor_profile,
    choose_seccomp,
    seccomp_document,
    seccomp_name,
    selinux_labels,
)
from crio.core.resources import ResourceRules, build_resources

INFRA_CPU_SHARES = 2


def build_sandbox_spec(request: SandboxSpecRequest) -> BuiltSpec:
    """The document of a sandbox: a read-only root, no privileges beyond the defaults, the least CPU share.

    :raises CriError: the request contradicts itself or the host
    """
    warnings: list[str] = []
    security = request.config.security
    annotations = filter_annotations(
        {**request.handler.default_annotations, **request.config.annotations},
        (*request.handler.allowed_annotations, *request.allowed_annotations),
    )
    command = request.pause_command or request.image.entrypoint + request.image.cmd
    process = infra_process(command, request.user, request.settings, request.host, warnings)
    labels = selinux_labels(security, security.namespaces, request.labels, request.settings, systemd=False)
    process |= without_empty(
        {"apparmorProfile": apparmor_profile(security, request.settings, request.host), "selinuxLabel": labels.process}
    )
    profile = choose_seccomp(security, request.seccomp, request.host)
    linux = _linux(request)
    if profile is not None:
        defaults = request.settings.default_capabilities
        names = resolve_capabilities(defaults, Capabilities(), request.host.capabilities).names
        linux["seccomp"] = seccomp_document(profile, request.host, names)
    if labels.mount:
        linux["mountLabel"] = labels.mount
    mounts = combine([*default_mounts(DefaultMounts()), *file_mounts(request.files, readonly=True)], ())
    document: Document = {
        "ociVersion": request.runtime.oci_version,
        "hostname": request.hostname,
        "process": process,
        "root": {"path": request.rootfs, "readonly": True},
        "mounts": [mount_document(mount) for mount in mounts],
        "annotations": sandbox_annotations(request, annotations, seccomp_name(security, profile)),
        "linux": linux,
    }
    return BuiltSpec(document, tuple(warnings))


def _linux(request: SandboxSpecRequest) -> Document:
    namespaces, cgroups = request.config.security.namespaces, request.host.cgroups
    userns = userns_of(namespaces)
    wanted = Resources(cpu_shares=INFRA_CPU_SHARES, cpuset_cpus=request.settings.infra_ctr_cpuset)
    resources = dict(build_resources(wanted, ResourceRules(cgroups)).document)
    if cgroups.unified or cgroups.has("devices"):
        resources["devices"] = device_rules((), everything=False)
    return without_empty(
        {
            "namespaces": sandbox_namespaces(namespaces, request.joins, private_cgroup=cgroups.unified),
            "uidMappings": mapping_documents(userns.uids if userns else ()),
            "gidMappings": mapping_documents(userns.gids if userns else ()),
            "cgroupsPath": request.cgroups_path,
            "resources": resources,
            "maskedPaths": (*DEFAULT_MASKED, *request.host.masked_extra),
            "readonlyPaths": ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"),
        }
    )
