"""Cgroups of a test on a host of either version: the parent that the kubelet would make, and what a container got."""

from __future__ import annotations

import contextlib
import pathlib

from test.support.leaks import CGROUPS


def hierarchies() -> list[pathlib.Path]:
    """The mounts of the cgroup file systems."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    kinds = {" - cgroup ", " - cgroup2 "}
    return [pathlib.Path(line.split()[4]) for line in lines if any(kind in line for kind in kinds)]


def make_parent(name: str) -> None:
    """Make ``/name`` in every hierarchy, as the kubelet does before it asks for a pod."""
    for root in hierarchies():
        with contextlib.suppress(OSError):
            (root / name.lstrip("/")).mkdir(exist_ok=True)


def remove_parent(name: str) -> None:
    """Remove it; what is not empty stays and is seen by the leak check."""
    for root in hierarchies():
        with contextlib.suppress(OSError):
            (root / name.lstrip("/")).rmdir()


def value(controller: str, path: str, v1_file: str, v2_file: str) -> str:
    """What a file of a cgroup says, in the hierarchy of ``controller`` or the unified one."""
    legacy = CGROUPS / controller / path.lstrip("/") / v1_file
    return (legacy if legacy.exists() else CGROUPS / path.lstrip("/") / v2_file).read_text().strip()
