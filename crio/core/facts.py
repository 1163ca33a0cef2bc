"""What this host can do, as one frozen value.

``crio.host.facts`` probes the kernel once at start and fills it; the rules in ``crio.core`` read it, so that a request which the
kernel would refuse for lack of a capability or controller is clamped with a warning instead of failing a pod.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

UNLIMITED = (1 << 64) - 1


class CgroupMode(enum.Enum):
    """How cgroup controllers are mounted; HYBRID is v1 with a cgroup2 mount beside it. Source: cgroups(7)."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class CgroupFacts:
    """The mounted hierarchies.

    ``v1`` maps each mounted v1 controller (``name=systemd`` included) to its mount point; ``v2_mount`` is the cgroup2 mount or
    empty; ``v2_controllers`` are those its root offers; ``hugetlb_sizes`` those for which the controller has a limit file.
    """

    mode: CgroupMode = CgroupMode.V2
    v1: Mapping[str, str] = field(default_factory=dict)
    v2_mount: str = "/sys/fs/cgroup"
    v2_controllers: frozenset[str] = frozenset({"cpu", "cpuset", "io", "memory", "pids", "hugetlb"})
    swap_limit: bool = True

    @property
    def unified(self) -> bool:
        """Whether containers live in the v2 hierarchy."""
        return self.mode is CgroupMode.V2

    def has(self, controller: str) -> bool:
        """Whether limits of a controller (its v1 name or its v2 name) can be set for a container."""
        return controller in (self.v2_controllers if self.unified else self.v1)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Everything that was found at start. Capabilities are named ``CAP_…``, rlimits ``RLIMIT_…`` with their hard limits."""

    architecture: str = "amd64"
    kernel_release: str = "6.1.0"
    kernel_version: tuple[int, int] = (6, 1)
    capabilities: frozenset[str] = frozenset()
    cgroups: CgroupFacts = CgroupFacts()
    seccomp: bool = True
    selinux: bool = False
    apparmor: bool = False
    idmapped_mounts: bool = True
    recursive_readonly: bool = True
    pidfd: bool = True
    openat2: bool = True
    user_namespaces: bool = True
    criu_path: str = ""
    systemd: bool = True
    rlimit_hard: Mapping[str, int] = field(default_factory=dict)
    oom_score_adj: int = 0
    hugepage_sizes: tuple[str, ...] = ("2MB",)
    masked_extra: tuple[str, ...] = ()

    @property
    def may_raise_limits(self) -> bool:
        """Whether rlimits above the hard limit and lower oom scores may be set."""
        return "CAP_SYS_RESOURCE" in self.capabilities

    def table(self) -> tuple[tuple[str, str, str], ...]:
        """Rows of (fact, what was found, what follows from it) for ``crio check --host``."""
        return (
            ("kernel", self.kernel_release, self.architecture),
            ("cgroups", self.cgroups.mode.value, _controllers(self.cgroups)),
            ("cgroup manager", "systemd" if self.systemd else "cgroupfs", _manager_reason(self.systemd)),
            ("capabilities", f"{len(self.capabilities)} in the bounding set", "'ALL' and privileged mean these"),
            ("resource limits", *_limits(self)),
            ("seccomp", _yes(self.seccomp), "" if self.seccomp else "RuntimeDefault runs without a filter"),
            ("SELinux", _yes(self.selinux), "" if self.selinux else "labels are not written"),
            ("AppArmor", _yes(self.apparmor), "" if self.apparmor else "profiles are not written"),
            ("user namespaces", _yes(self.user_namespaces), ""),
            ("idmapped mounts", _yes(self.idmapped_mounts), "" if self.idmapped_mounts else "pods cannot have user namespaces"),
            ("recursive read-only", _yes(self.recursive_readonly), ""),
            ("pidfd", _yes(self.pidfd), "" if self.pidfd else "needed: exits cannot be watched"),
            ("openat2", _yes(self.openat2), "" if self.openat2 else "needed: paths in containers cannot be opened safely"),
            ("hugepages", ", ".join(self.hugepage_sizes) or "none", "" if self.cgroups.has("hugetlb") else "limits are dropped"),
            ("swap limits", _yes(self.cgroups.swap_limit), "" if self.cgroups.swap_limit else "swap limits are dropped"),
            ("criu", self.criu_path or "no", "" if self.criu_path else "checkpoint and restore are off"),
        )


def _yes(found: bool) -> str:
    return "yes" if found else "no"


def _controllers(cgroups: CgroupFacts) -> str:
    names = cgroups.v2_controllers if cgroups.unified else frozenset(cgroups.v1)
    return " ".join(sorted(names))


def _manager_reason(systemd: bool) -> str:
    return "systemd is PID 1" if systemd else "PID 1 is not systemd"


def _limits(facts: HostFacts) -> tuple[str, str]:
    if facts.may_raise_limits:
        return "may be raised", ""
    files = facts.rlimit_hard.get("RLIMIT_NOFILE", UNLIMITED)
    return f"at most {files} files, oom score from {facts.oom_score_adj}", "no CAP_SYS_RESOURCE: higher requests are clamped"
