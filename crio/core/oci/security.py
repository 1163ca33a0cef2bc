"""Profiles, labels, masked paths: what confines a container beyond its namespaces.

A privileged container has none of these, except a seccomp profile that the administrator set for privileged ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from crio.core.config import NamespaceMode, NamespaceOptions, ProfileType, Security, SecurityProfile
from crio.core.errors import FailedPrecondition, InvalidArgument
from crio.core.facts import HostFacts
from crio.core.oci.document import Document
from crio.core.oci.inputs import SeccompProfiles, SELinuxLabels, SpecSettings
from crio.core.seccomp.builtin import BUILTIN
from crio.core.seccomp.profile import SeccompProfile, Target, to_document

DEFAULT_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
_LOCALHOST = "localhost/"


def masked_paths(security: Security, host: HostFacts) -> tuple[str, ...]:
    """What the container must not see: the request's list together with ours; an empty list asks for none at all."""
    if security.privileged or not security.masked_paths:
        return ()
    return tuple(dict.fromkeys((*security.masked_paths, *DEFAULT_MASKED, *host.masked_extra)))


def readonly_paths(security: Security) -> tuple[str, ...]:
    """What the container must not change."""
    return () if security.privileged else security.readonly_paths


def choose_seccomp(security: Security, profiles: SeccompProfiles, host: HostFacts) -> SeccompProfile | None:
    """The profile of a container or sandbox, None for none.

    :raises InvalidArgument: Localhost without its profile
    :raises FailedPrecondition: Localhost on a kernel without seccomp
    """
    if security.privileged:
        return profiles.privileged if host.seccomp else None
    wanted = security.seccomp
    if wanted is None or wanted.type is ProfileType.UNCONFINED:
        return None
    if wanted.type is ProfileType.RUNTIME_DEFAULT:
        return (profiles.runtime_default or BUILTIN) if host.seccomp else None
    if not wanted.localhost_ref or profiles.localhost is None:
        raise InvalidArgument(f"seccomp localhost_ref {wanted.localhost_ref!r} names no profile: expected an absolute path")
    if not host.seccomp:
        raise FailedPrecondition(f"seccomp profile {wanted.localhost_ref!r} cannot be applied: this kernel has no seccomp")
    return profiles.localhost


def seccomp_document(profile: SeccompProfile, host: HostFacts, capabilities: Iterable[str]) -> Document:
    """The OCI form for a container with ``capabilities``."""
    return to_document(profile, Target(host.architecture, frozenset(capabilities), host.kernel_version))


def seccomp_name(security: Security, profile: SeccompProfile | None) -> str:
    """What the annotation records: ``runtime/default``, ``unconfined``, or the path of the file."""
    if profile is None:
        return "unconfined"
    if security.seccomp is not None and security.seccomp.type is ProfileType.LOCALHOST:
        return security.seccomp.localhost_ref
    return "runtime/default"


def apparmor_profile(security: Security, settings: SpecSettings, host: HostFacts) -> str:
    """The profile's name, empty for none.

    :raises InvalidArgument: Localhost without a name
    :raises FailedPrecondition: Localhost on a kernel without AppArmor
    """
    if security.privileged:
        return ""
    wanted = security.apparmor or SecurityProfile(ProfileType.RUNTIME_DEFAULT)
    if wanted.type is ProfileType.LOCALHOST:
        name = wanted.localhost_ref.removeprefix(_LOCALHOST)
        if not name:
            raise InvalidArgument("apparmor localhost_ref is empty: expected the name of a loaded profile")
        if not host.apparmor:
            raise FailedPrecondition(f"apparmor profile {name!r} cannot be applied: this kernel has no AppArmor")
        return name
    default = settings.apparmor_profile
    if wanted.type is ProfileType.UNCONFINED or not host.apparmor or default == "unconfined":
        return ""
    return default


def selinux_labels(
    security: Security, sandbox: NamespaceOptions, labels: SELinuxLabels, settings: SpecSettings, systemd: bool
) -> SELinuxLabels:
    """The labels that are written: none for what shares the host's pid or ipc namespace, nor for privileged processes."""
    shares = NamespaceMode.NODE in (security.namespaces.pid, sandbox.pid, sandbox.ipc)
    if shares or not labels.process:
        return SELinuxLabels("", "" if shares else labels.mount)
    if security.privileged or (sandbox.network is NamespaceMode.NODE and settings.hostnetwork_disable_selinux):
        return SELinuxLabels("", labels.mount)
    return SELinuxLabels(_init_label(labels.process) if systemd else labels.process, labels.mount)


def _init_label(label: str) -> str:
    parts = label.split(":", 3)
    if len(parts) < 4:
        return label
    return ":".join((parts[0], parts[1], "container_init_t", parts[3]))
