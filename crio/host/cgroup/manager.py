"""The cgroups that the daemon itself makes, counts and clears.

A container's cgroup is made by its runtime. The daemon makes one only for a pod that has no process of its own, so that tools find
the pod; it removes what is left of containers, and kills what has stayed behind in one. A path here is the folder below the mount
of each hierarchy; nothing outside such a path is ever touched. Source: cgroups(7), cgroup-v1 and cgroup-v2 of the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal

from crio.core.facts import CgroupFacts
from crio.core.oci.cgroups import DEFAULT_PARENT, DEFAULT_SLICE, check_parent, container_cgroup, pod_cgroup, slice_name

_KILL_ROUNDS = 20


class CgroupManager:
    """Cgroups with the manager ``systemd`` or ``cgroupfs``. All methods are quick and blocking."""

    def __init__(self, facts: CgroupFacts, systemd: bool) -> None:
        self._facts = facts
        self.systemd = systemd

    @property
    def name(self) -> str:
        """The manager's name in the configuration."""
        return "systemd" if self.systemd else "cgroupfs"

    def sandbox_parent(self, parent: str) -> str:
        """The parent to record for a pod: the default for an empty one; raises InvalidArgument for one of the wrong kind."""
        if not parent:
            return DEFAULT_SLICE if self.systemd else DEFAULT_PARENT
        if self.systemd:
            slice_name(parent)
        else:
            check_parent(parent)
        return parent

    def spec_path(self, parent: str, container_id: str) -> str:
        """The ``cgroupsPath`` of a document."""
        return container_cgroup(parent, container_id, self.systemd).spec

    def container_path(self, parent: str, container_id: str) -> str:
        """The folder of a container below the mount of each hierarchy."""
        return container_cgroup(parent, container_id, self.systemd).path

    def monitor_path(self, container_path: str) -> str:
        """The folder of the monitor of a container: beside that of the container."""
        parent, _, name = container_path.rpartition("/")
        return f"{parent}/crio-conmon-{name.removeprefix('crio-')}"

    def pod_path(self, parent: str) -> str:
        """The folder of a pod."""
        return pod_cgroup(parent, self.systemd)

    def mounts(self) -> tuple[str, ...]:
        """The hierarchies in which containers live, each once."""
        if self._facts.unified:
            return (self._facts.v2_mount,)
        return tuple(dict.fromkeys(self._facts.v1.values()))

    def _everywhere(self) -> tuple[str, ...]:
        """All mounts: beside v1 a runtime also makes folders in a v2 hierarchy."""
        v2 = (self._facts.v2_mount,) if self._facts.v2_mount and not self._facts.unified else ()
        return (*self.mounts(), *v2)

    def folder(self, path: str, controller: str) -> str:
        """The folder of a cgroup in the hierarchy of a controller; raises KeyError when it is not mounted."""
        mount = self._facts.v2_mount if self._facts.unified else self._facts.v1[controller]
        return mount + path

    def create(self, path: str) -> None:
        """Make a cgroup and its missing parents in every hierarchy, with controllers on; one that exists is kept."""
        parts = [part for part in path.split("/") if part]
        for mount in self.mounts():
            folder = mount
            for part in parts:
                parent, folder = folder, f"{folder}/{part}"
                if self._facts.unified:
                    _enable(parent, self._facts.v2_controllers)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o755)
                    _inherit_cpuset(parent, folder)

    def remove(self, path: str) -> bool:
        """Remove a cgroup and those below it from every hierarchy; says whether none is left. Processes in one keep it."""
        if not path.strip("/"):
            return False
        return all([_remove(mount + path) for mount in self._everywhere()])

    def exists(self, path: str) -> bool:
        """Whether the cgroup is there in any hierarchy."""
        return any(os.path.isdir(mount + path) for mount in self._everywhere())

    def processes(self, path: str) -> tuple[int, ...]:
        """The processes in a cgroup and below it, in any hierarchy."""
        found: set[int] = set()
        for mount in self._everywhere():
            for folder in _below(mount + path):
                found.update(_read_processes(folder))
        return tuple(sorted(found))

    def kill(self, path: str) -> None:
        """Kill everything in a cgroup and below it, never in the root. What hangs in the kernel stays."""
        if not path.strip("/"):
            return
        if self._facts.unified:
            try:
                _write(f"{self._facts.v2_mount}{path}/cgroup.kill", "1")
                return
            except FileNotFoundError:
                pass  # No such cgroup, or a kernel before 5.14.
        for _ in range(_KILL_ROUNDS):
            found = self.processes(path)
            if not found:
                return
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _below(folder: str) -> list[str]:
    """The folder and all folders in it, children before parents; none when it is not there."""
    return [found for found, _, _ in os.walk(folder, topdown=False)]


def _remove(folder: str) -> bool:
    gone = True
    for found in _below(folder):
        try:
            os.rmdir(found)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            gone = False
    return gone


def _read_processes(folder: str) -> tuple[int, ...]:
    try:
        with open(f"{folder}/cgroup.procs", encoding="ascii") as file:
            return tuple(int(line) for line in file if int(line) > 0)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            return ()
        raise


def _enable(folder: str, controllers: frozenset[str]) -> None:
    """Turn on controllers for the children of a v2 cgroup, those that it can give."""
    with contextlib.suppress(FileNotFoundError):
        with open(f"{folder}/cgroup.controllers", encoding="ascii") as file:
            offered = set(file.read().split()) & controllers
        with open(f"{folder}/cgroup.subtree_control", encoding="ascii") as file:
            missing = offered - set(file.read().split())
        for controller in sorted(missing):
            # A cgroup with processes of its own cannot give controllers: its children do without.
            with contextlib.suppress(OSError):
                _write(f"{folder}/cgroup.subtree_control", f"+{controller}")


def _inherit_cpuset(parent: str, folder: str) -> None:
    """A new v1 cpuset is empty, and no process can enter it before it has CPUs and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            with open(f"{folder}/{name}", encoding="ascii") as file:
                present = file.read().strip()
            if not present:
                with open(f"{parent}/{name}", encoding="ascii") as file:
                    _write(f"{folder}/{name}", file.read().strip())


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
