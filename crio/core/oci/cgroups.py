"""Cgroup paths: from a pod's parent to the path in a specification and to the folder below a hierarchy's mount.

With systemd the parent is a slice and the document names ``SLICE:crio:ID``; systemd then makes ``crio-ID.scope`` below the
slice's expanded path. With cgroupfs both are the same path. Source: systemd.slice(5); runc's and crun's form of ``cgroupsPath``.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from crio.core.errors import InvalidArgument

DEFAULT_SLICE = "system.slice"
DEFAULT_PARENT = "/crio"
_SLICE = re.compile(r"[A-Za-z0-9:_.\\@-]+\.slice")


@dataclass(frozen=True, slots=True)
class CgroupPath:
    """``spec`` is the document's ``cgroupsPath``, ``path`` the folder below the mount of each hierarchy."""

    spec: str
    path: str


def container_cgroup(parent: str, container_id: str, systemd: bool) -> CgroupPath:
    """Where a container (or a sandbox's own process) lives below its pod's parent; empty is the default parent.

    :raises InvalidArgument: the parent is not of the manager's kind, or leads out of the hierarchy
    """
    if systemd:
        slice_path = expand_slice(slice_name(parent))
        return CgroupPath(f"{slice_name(parent)}:crio:{container_id}", f"{slice_path}/crio-{container_id}.scope")
    path = f"{check_parent(parent)}/crio-{container_id}"
    return CgroupPath(path, path)


def monitor_cgroup(parent: str, container_id: str) -> str:
    """Where a container's monitor lives with cgroupfs when it has limits."""
    return f"{check_parent(parent)}/crio-conmon-{container_id}"


def pod_cgroup(parent: str, systemd: bool) -> str:
    """The folder of the parent itself."""
    return expand_slice(slice_name(parent)) if systemd else check_parent(parent)


def check_parent(parent: str) -> str:
    """A cgroupfs parent as an absolute path; raises InvalidArgument for a slice and for a path with ``..``."""
    if parent.endswith(".slice"):
        raise InvalidArgument(f"cgroup_parent {parent!r} is a slice, but the cgroup manager is cgroupfs: expected a path")
    if ".." in parent.split("/") or "\0" in parent:
        raise InvalidArgument(f"cgroup_parent {parent!r} leads out of the hierarchy: expected a path without '..'")
    path = "/" + posixpath.normpath(parent).strip("/.") if parent else DEFAULT_PARENT
    return "" if path == "/" else path


def slice_name(parent: str) -> str:
    """The slice that a systemd parent names: its last part; empty is the default slice."""
    name = posixpath.basename(parent) if parent else DEFAULT_SLICE
    if _SLICE.fullmatch(name) is None:
        raise InvalidArgument(f"cgroup_parent {parent!r} is not a slice: expected a name that ends with '.slice' for systemd")
    return name


def expand_slice(name: str) -> str:
    """The folder of a slice: ``a-b.slice`` is ``/a.slice/a-b.slice``, ``-.slice`` is the root.

    :raises InvalidArgument: empty parts between dashes
    """
    stem = name.removesuffix(".slice")
    if stem == "-":
        return ""
    parts = stem.split("-")
    if not all(parts):
        raise InvalidArgument(f"slice {name!r} has an empty part: expected 'a-b.slice'")
    return "".join(f"/{'-'.join(parts[:count])}.slice" for count in range(1, len(parts) + 1))
