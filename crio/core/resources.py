"""Limits of a container: from the CRI's units to the OCI form, as far as this host can set them.

A limit whose controller is not mounted is dropped: silently when it says "no limit", else with a warning. The runtimes would fail
the container. The same function serves creation and updates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crio.core.config import Resources
from crio.core.errors import InvalidArgument
from crio.core.facts import CgroupFacts
from crio.core.oci.document import Document, JsonValue, without_empty

_UNIFIED_KEY = re.compile(r"[a-z0-9_]+(\.[A-Za-z0-9_]+)+")
_CPUSET = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


@dataclass(frozen=True, slots=True)
class ResourceRules:
    """What holds for all containers here; ``pids_limit`` of 0 or less is no limit."""

    cgroups: CgroupFacts
    hugepage_sizes: tuple[str, ...] = ()
    min_memory_bytes: int = 0
    pids_limit: int = 0


@dataclass(frozen=True, slots=True)
class BuiltResources:
    """An OCI ``linux.resources`` object without devices, and one sentence for each limit that was dropped."""

    document: Document
    warnings: tuple[str, ...] = ()


def build_resources(resources: Resources, rules: ResourceRules) -> BuiltResources:
    """The OCI form of limits.

    :raises InvalidArgument: memory below the minimum, swap below memory, malformed CPU lists or unified keys
    """
    warnings: list[str] = []
    _check_cpusets(resources)
    cpu = {
        "shares": resources.cpu_shares or None,
        "quota": resources.cpu_quota_us or None,
        "period": resources.cpu_period_us or None,
    }
    cpuset = {"cpus": resources.cpuset_cpus, "mems": resources.cpuset_mems}
    groups: tuple[tuple[str, str, Mapping[str, JsonValue]], ...] = (
        ("cpu", "cpu", without_empty(cpu)),
        ("cpu", "cpuset", without_empty(cpuset)),
        ("memory", "memory", _memory(resources, rules, warnings)),
        ("pids", "pids", {"limit": rules.pids_limit} if rules.pids_limit > 0 else {}),
    )
    members: dict[str, dict[str, JsonValue]] = {}
    for key, controller, limits in groups:
        if limits and rules.cgroups.has(controller):
            members.setdefault(key, {}).update(limits)
        elif limits:
            warnings.append(f"{controller} limits are dropped: the controller {controller!r} is not mounted")
    document = without_empty(
        {**members, "hugepageLimits": _hugepages(resources, rules, warnings), "unified": _unified(resources, rules, warnings)}
    )
    return BuiltResources(document, tuple(warnings))


def _check_cpusets(resources: Resources) -> None:
    for field, value in (("cpuset_cpus", resources.cpuset_cpus), ("cpuset_mems", resources.cpuset_mems)):
        if value and _CPUSET.fullmatch(value) is None:
            raise InvalidArgument(f"{field} {value!r} is not a list: expected numbers and ranges such as 0-2,7")


def _memory(resources: Resources, rules: ResourceRules, warnings: list[str]) -> Document:
    limit, swap = resources.memory_limit_bytes, resources.memory_swap_limit_bytes
    if limit < 0:
        limit = -1
    if 0 < limit < rules.min_memory_bytes:
        raise InvalidArgument(f"set memory limit {limit} too low; should be at least {rules.min_memory_bytes} bytes")
    if swap > 0 and swap < limit:
        raise InvalidArgument(f"memory swap limit {swap} is below the memory limit {limit}: it counts memory and swap together")
    if not rules.cgroups.swap_limit:
        if swap not in (0, limit) and rules.cgroups.has("memory"):
            warnings.append(f"memory swap limit {swap} is dropped: this kernel does not limit swap")
        swap = 0
    elif swap == 0 and limit != 0:
        swap = limit
    return without_empty({"limit": limit or None, "swap": swap or None})


def _hugepages(resources: Resources, rules: ResourceRules, warnings: list[str]) -> list[Document]:
    limits: list[Document] = []
    for wanted in resources.hugepage_limits:
        if rules.cgroups.has("hugetlb") and wanted.page_size in rules.hugepage_sizes:
            limits.append({"pageSize": wanted.page_size, "limit": wanted.limit_bytes})
        elif wanted.limit_bytes > 0:
            why = "the kernel has no such pages" if rules.cgroups.has("hugetlb") else "the controller 'hugetlb' is not mounted"
            warnings.append(f"hugepage limit for {wanted.page_size} is dropped: {why}")
    return limits


def _unified(resources: Resources, rules: ResourceRules, warnings: list[str]) -> Document:
    for key in resources.unified:
        if _UNIFIED_KEY.fullmatch(key) is None:
            raise InvalidArgument(f"unified key {key!r} is not a control file: expected CONTROLLER.NAME")
    if rules.cgroups.unified or not resources.unified:
        return dict(resources.unified)
    warnings.append("unified limits are dropped: this host has cgroup v1")
    return {}
