"""The mounts of a container: the defaults, the pod's files and the client's, in the order in which they are made.

A client's mount takes the place of a default one at the same path, and one over /dev or /sys also of those below. Paths inside
the container are made absolute and normal before they are compared; what a path leads to there is the runtime's business.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crio.core.config import IdMapping, Propagation
from crio.core.errors import FailedPrecondition, InvalidArgument
from crio.core.oci.document import Document, without_empty
from crio.core.oci.inputs import BindFiles, ResolvedMount, SourcePropagation

_COVERING = ("/dev", "/sys")
_BIND = ("rbind",)
# What a client may add: options that take something away, or cost nothing.
_CLIENT_OPTIONS = frozenset({"noexec", "nosuid", "nodev", "noatime", "nodiratime", "relatime", "sync", "dirsync"})
_FILE = ("bind", "nosuid", "nodev", "noexec")


@dataclass(frozen=True, slots=True)
class SpecMount:
    """One entry of the document's ``mounts``."""

    destination: str
    source: str
    fstype: str
    options: tuple[str, ...]
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class MountSupport:
    """What host and runtime can do together."""

    recursive_readonly: bool = True
    idmapped: bool = True


@dataclass(frozen=True, slots=True)
class DefaultMounts:
    """What the defaults depend on. ``sys_bind`` binds the host's /sys (a user namespace without a network namespace of its own
    may not mount a new one): with all below it where that can be made read-only, else without. ``proc_bind`` and ``mqueue_bind``
    likewise for the host's pid and ipc namespaces."""

    sys_writable: bool = False
    cgroup_writable: bool = False
    devpts_gid: bool = True
    sys_bind: bool = False
    recursive_readonly: bool = False
    proc_bind: bool = False
    mqueue_bind: bool = False


def default_mounts(choice: DefaultMounts) -> tuple[SpecMount, ...]:
    """The file systems that every container has. Source: OCI runtime specification, default file systems."""
    pts = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620") + (("gid=5",) if choice.devpts_gid else ())
    kernel = ("nosuid", "noexec", "nodev")
    proc = SpecMount("/proc", "proc", "proc", kernel)
    if choice.proc_bind:
        proc = SpecMount("/proc", "/proc", "bind", (*_BIND, *kernel))
    mqueue = SpecMount("/dev/mqueue", "mqueue", "mqueue", kernel)
    if choice.mqueue_bind:
        mqueue = SpecMount("/dev/mqueue", "/dev/mqueue", "bind", (*_BIND, *kernel))
    system = SpecMount("/sys", "sysfs", "sysfs", (*kernel, "rw" if choice.sys_writable else "ro"))
    if choice.sys_bind:
        reach = ("rbind", "ro", "rro") if choice.recursive_readonly else ("bind", "ro")
        system = SpecMount("/sys", "/sys", "bind", (*kernel, *reach))
    cgroup_access = "rw" if choice.cgroup_writable else "ro"
    return (
        proc,
        SpecMount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        SpecMount("/dev/pts", "devpts", "devpts", pts),
        mqueue,
        system,
        SpecMount("/sys/fs/cgroup", "cgroup", "cgroup", (*kernel, "relatime", cgroup_access)),
    )


def file_mounts(files: BindFiles, readonly: bool) -> tuple[SpecMount, ...]:
    """Binds of the files that the daemon made for the pod; ``readonly`` follows the root file system."""
    access = "ro" if readonly else "rw"
    pairs = (
        ("/etc/resolv.conf", files.resolv_conf),
        ("/etc/hostname", files.hostname),
        ("/etc/hosts", files.hosts),
        ("/run/.containerenv", files.containerenv),
        ("/etc/passwd", files.passwd),
        ("/etc/group", files.group),
        ("/etc/localtime", files.localtime),
    )
    mounts = [SpecMount(path, source, "bind", (*_FILE, access)) for path, source in pairs if source]
    if files.shm:
        mounts.append(SpecMount("/dev/shm", files.shm, "bind", (*_BIND, "nosuid", "nodev", "noexec", "rw")))
    return tuple(mounts)


def scratch_mounts(paths: Iterable[str], modes: Iterable[str]) -> tuple[SpecMount, ...]:
    """Empty tmpfs mounts with ``modes`` for programs that need to write."""
    return tuple(
        SpecMount(path, "tmpfs", "tmpfs", ("rw", "rprivate", "nosuid", "nodev", "tmpcopyup", f"mode={mode}"))
        for path, mode in zip(paths, modes, strict=True)
    )


def container_path(path: str) -> str:
    """A normal absolute path inside the container; raises InvalidArgument for an empty one, the root and NUL."""
    normal = "/" + posixpath.normpath("/" + path).lstrip("/")
    if not path or normal == "/" or "\0" in path:
        raise InvalidArgument(f"mount container_path {path!r} is not usable: expected a path below '/'")
    return normal


def client_mount(resolved: ResolvedMount, support: MountSupport) -> SpecMount:
    """The entry for a mount of the request.

    :raises InvalidArgument: unusable path, recursive read-only with read-write or propagation, half a pair of id mappings
    :raises FailedPrecondition: the source's propagation, the kernel or the runtime does not allow it
    """
    mount = resolved.mount
    destination = container_path(mount.container_path)
    options = [*resolved.options, *(_BIND if resolved.fstype == "bind" else ()), *_propagation(resolved)]
    if mount.recursive_read_only:
        _check_recursive(resolved, support)
        options += ["ro", "rro"]
    else:
        options.append("ro" if mount.readonly else "rw")
    options += _client_options(resolved)
    if (mount.uid_mappings or mount.gid_mappings) and not support.idmapped:
        raise FailedPrecondition(f"mount {destination!r} has id mappings, but the runtime or kernel has no idmapped mounts")
    if bool(mount.uid_mappings) != bool(mount.gid_mappings):
        raise InvalidArgument(f"mount {destination!r} has only one of uid_mappings and gid_mappings: expected both or none")
    fstype = resolved.fstype
    return SpecMount(destination, resolved.source, fstype, tuple(options), mount.uid_mappings, mount.gid_mappings)


def _client_options(resolved: ResolvedMount) -> tuple[str, ...]:
    for option in resolved.mount.mount_options:
        if option not in _CLIENT_OPTIONS:
            expected = ", ".join(sorted(_CLIENT_OPTIONS))
            raise InvalidArgument(f"mount {resolved.mount.container_path!r} has the option {option!r}: expected {expected}")
    return resolved.mount.mount_options


def _check_recursive(resolved: ResolvedMount, support: MountSupport) -> None:
    mount = resolved.mount
    if not mount.readonly:
        raise InvalidArgument(f"mount {mount.container_path!r}: recursive_read_only needs readonly")
    if mount.propagation is not Propagation.PRIVATE:
        raise InvalidArgument(f"mount {mount.container_path!r}: recursive_read_only needs private propagation")
    if not support.recursive_readonly:
        raise FailedPrecondition(f"mount {mount.container_path!r}: the runtime or kernel has no recursive read-only mounts")


def _propagation(resolved: ResolvedMount) -> tuple[str, ...]:
    mount = resolved.mount
    if resolved.fstype != "bind":
        return ()
    if mount.propagation is Propagation.BIDIRECTIONAL:
        if resolved.propagation is not SourcePropagation.SHARED:
            raise FailedPrecondition(f"host path {resolved.source!r} is not on a shared mount, which bidirectional propagation needs")
        return ("rshared",)
    if mount.propagation is Propagation.HOST_TO_CONTAINER:
        if resolved.propagation is SourcePropagation.PRIVATE:
            raise FailedPrecondition(f"host path {resolved.source!r} is on a private mount: expected a shared or a slave mount")
        return ("rslave",)
    # A private copy would keep every container's root file system mounted for as long as this container lives.
    return ("rslave",) if resolved.holds_storage else ("rprivate",)


def rootfs_propagation(mounts: Sequence[SpecMount]) -> str:
    """The document's ``rootfsPropagation``: what the widest mount needs, empty for the runtime's default."""
    wanted = {option for mount in mounts for option in mount.options}
    return "rshared" if "rshared" in wanted else "rslave" if "rslave" in wanted else ""


def combine(defaults: Iterable[SpecMount], client: Iterable[SpecMount]) -> tuple[SpecMount, ...]:
    """All mounts, parents before children; the client's replace defaults, and of two at one path the later one stays."""
    wanted = {mount.destination: mount for mount in client}
    kept = [mount for mount in defaults if not _is_replaced(mount.destination, wanted)]
    return tuple(sorted([*kept, *wanted.values()], key=lambda mount: mount.destination.count("/")))


def _is_replaced(destination: str, wanted: Iterable[str]) -> bool:
    names = set(wanted)
    return destination in names or any(root in names and destination.startswith(root + "/") for root in _COVERING)


def mount_document(mount: SpecMount) -> Document:
    """The OCI form."""
    return without_empty(
        {
            "destination": mount.destination,
            "type": mount.fstype,
            "source": mount.source,
            "options": mount.options,
            "uidMappings": mapping_documents(mount.uid_mappings),
            "gidMappings": mapping_documents(mount.gid_mappings),
        }
    )


def mapping_documents(mappings: Iterable[IdMapping]) -> list[Document]:
    """Ranges of a user namespace in the OCI form."""
    return [{"containerID": item.container_id, "hostID": item.host_id, "size": item.length} for item in mappings]
