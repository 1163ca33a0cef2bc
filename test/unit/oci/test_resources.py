"""Limits on hosts of both cgroup versions, with controllers that are not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crio.core.config import HugepageLimit, Resources
from crio.core.facts import CgroupFacts, CgroupMode
from crio.core.resources import ResourceRules, build_resources

V2 = ResourceRules(CgroupFacts(), ("2MB",), 4096)
V1 = ResourceRules(CgroupFacts(CgroupMode.V1, {"cpu": "/c", "cpuset": "/s", "memory": "/m", "pids": "/p"}, ""), ("2MB",))
BARE = ResourceRules(CgroupFacts(CgroupMode.V1, {}, "", frozenset(), False), ("2MB",), pids_limit=5)
NO_SWAP = replace(V2, cgroups=replace(V2.cgroups, swap_limit=False))
M = 1 << 20

# sentence: (limits, rules, document, what the warnings begin with)
CASES: dict[str, tuple[Resources, ResourceRules, dict[str, Any], tuple[str, ...]]] = {
    "nothing": (Resources(), V2, {}, ()),
    "swap is as much as memory": (Resources(memory_limit_bytes=M), V2, {"memory": {"limit": M, "swap": M}}, ()),
    "swap of its own": (
        Resources(memory_limit_bytes=M, memory_swap_limit_bytes=2 * M),
        V2,
        {"memory": {"limit": M, "swap": 2 * M}},
        (),
    ),
    "no end to swap": (
        Resources(memory_limit_bytes=M, memory_swap_limit_bytes=-1),
        V2,
        {"memory": {"limit": M, "swap": -1}},
        (),
    ),
    "no end to memory": (Resources(memory_limit_bytes=-5), V2, {"memory": {"limit": -1, "swap": -1}}, ()),
    "swap that cannot be limited": (
        Resources(memory_limit_bytes=M, memory_swap_limit_bytes=2 * M),
        NO_SWAP,
        {"memory": {"limit": M}},
        ("memory swap limit 2097152 is dropped",),
    ),
    "swap that is only the default": (
        Resources(memory_limit_bytes=M, memory_swap_limit_bytes=M),
        NO_SWAP,
        {"memory": {"limit": M}},
        (),
    ),
    "a quota of everything": (Resources(cpu_quota_us=-1), V2, {"cpu": {"quota": -1}}, ()),
    "pages of a size that there is": (
        Resources(hugepage_limits=(HugepageLimit("2MB", 0),)),
        V2,
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]},
        (),
    ),
    "pages of a size that there is not": (
        Resources(hugepage_limits=(HugepageLimit("1GB", 0), HugepageLimit("64KB", 1))),
        V2,
        {},
        ("hugepage limit for 64KB is dropped: the kernel has no such pages",),
    ),
    "the kubelet's zero limits without the controller": (
        Resources(hugepage_limits=(HugepageLimit("2MB", 0), HugepageLimit("1GB", 0))),
        V1,
        {},
        (),
    ),
    "unified limits on v2": (Resources(unified={"memory.high": "5"}), V2, {"unified": {"memory.high": "5"}}, ()),
    "unified limits on v1": (Resources(unified={"memory.high": "5"}), V1, {}, ("unified limits are dropped",)),
    "everything where nothing is mounted": (
        Resources(cpu_shares=5, cpuset_cpus="0", memory_limit_bytes=M, memory_swap_limit_bytes=2 * M),
        BARE,
        {},
        ("cpu limits are dropped", "cpuset limits are dropped", "memory limits are dropped", "pids limits are dropped"),
    ),
}


@pytest.mark.parametrize("sentence", CASES)
def test_resources(sentence: str) -> None:
    resources, rules, document, warnings = CASES[sentence]
    built = build_resources(resources, rules)
    assert built.document == document
    assert len(built.warnings) == len(warnings), built.warnings
    assert all(found.startswith(words) for found, words in zip(built.warnings, warnings, strict=True)), built.warnings
