"""Finding out what this host can do: one pass over /proc, /sys and a few harmless system calls at start.

Nothing is changed on the host: what has to be tried is tried on detached objects that vanish with their descriptor.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import resource
import shutil
from collections.abc import Mapping

from crio.core.capabilities import NAMES
from crio.core.facts import UNLIMITED, CgroupFacts, CgroupMode, HostFacts
from crio.host import syscalls
from crio.host.process import PATH

# Go's names for uname's machine.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}
_THERMAL = "/sys/devices/system/cpu/cpu*/thermal_throttle"
_HUGEPAGES = "/sys/kernel/mm/hugepages"


async def probe_host() -> HostFacts:
    """The facts of this host; takes a few milliseconds and never fails for what is missing."""
    return read_facts()


def read_facts() -> HostFacts:
    """The same, blocking."""
    release = os.uname().release
    return HostFacts(
        architecture=_ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        kernel_release=release,
        kernel_version=kernel_version(release),
        capabilities=frozenset(name for number, name in enumerate(NAMES) if syscalls.in_bounding_set(number)),
        cgroups=read_cgroups(_read("/proc/self/mountinfo")),
        seccomp=os.path.exists("/proc/sys/kernel/seccomp/actions_avail"),
        selinux=os.path.exists("/sys/fs/selinux/enforce"),
        apparmor=_read("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        idmapped_mounts=_has_idmapped_mounts(),
        recursive_readonly=_has_recursive_readonly(),
        pidfd=_has_pidfd(),
        openat2=_has_openat2(),
        user_namespaces=os.path.exists("/proc/self/ns/user") and _read("/proc/sys/user/max_user_namespaces").strip() != "0",
        criu_path=shutil.which("criu", path=PATH) or "",
        systemd=os.path.isdir("/run/systemd/system") and _read("/proc/1/comm").strip() == "systemd",
        rlimit_hard=_rlimits(),
        oom_score_adj=int(_read("/proc/self/oom_score_adj") or 0),
        hugepage_sizes=hugepage_sizes(_names(_HUGEPAGES)),
        masked_extra=tuple(sorted(glob.glob(_THERMAL))),
    )


def kernel_version(release: str) -> tuple[int, int]:
    """Major and minor of a release text; (0, 0) when it has none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def hugepage_sizes(names: tuple[str, ...]) -> tuple[str, ...]:
    """The page sizes behind names such as ``hugepages-2048kB``, as limits spell them (``2MB``), the smallest first."""
    sizes = sorted(int(found.group(1)) for found in (re.fullmatch(r"hugepages-(\d+)kB", name) for name in names) if found)
    return tuple(_size_text(kib) for kib in sizes)


def _size_text(kib: int) -> str:
    for unit, factor in (("GB", 1 << 20), ("MB", 1 << 10)):
        if kib % factor == 0:
            return f"{kib // factor}{unit}"
    return f"{kib}KB"


def read_cgroups(mountinfo: str) -> CgroupFacts:
    """The hierarchies in a mount table, with what their root folders offer. Source: proc_pid_mountinfo(5)."""
    v1: dict[str, str] = {}
    v2_mount = ""
    for line in mountinfo.splitlines():
        fields, _, tail = line.partition(" - ")
        words = tail.split(" ")
        mount_point = re.sub(r"\\(\d{3})", lambda found: chr(int(found.group(1), 8)), fields.split(" ")[4])
        if words[0] == "cgroup":
            v1.update({name: mount_point for name in _controllers(words[2]) if name not in v1})
        elif words[0] == "cgroup2" and not v2_mount:
            v2_mount = mount_point
    limits = {name for name in v1 if not name.startswith("name=")}
    mode = CgroupMode.V2 if not limits else CgroupMode.HYBRID if v2_mount else CgroupMode.V1
    offered = frozenset(_read(f"{v2_mount}/cgroup.controllers").split()) if v2_mount else frozenset[str]()
    return CgroupFacts(mode, v1, v2_mount, offered, _limits_swap(mode, v1))


def _controllers(options: str) -> list[str]:
    """The controllers among a v1 hierarchy's super block options."""
    plain = {"rw", "ro", "xattr", "clone_children", "noprefix", "favordynmods", "nofavordynmods", "cpuset_v2_mode"}
    return [word for word in options.split(",") if word not in plain and not word.startswith("release_agent=")]


def _limits_swap(mode: CgroupMode, v1: Mapping[str, str]) -> bool:
    if mode is CgroupMode.V2:
        # The root has no such file; it is there where the kernel was built with swap accounting and it is not turned off.
        return os.path.exists("/proc/swaps") and "swapaccount=0" not in _read("/proc/cmdline")
    return "memory" in v1 and os.path.exists(v1["memory"] + "/memory.memsw.limit_in_bytes")


def _rlimits() -> dict[str, int]:
    limits = {}
    for name in dir(resource):
        if name.startswith("RLIMIT_"):
            hard = resource.getrlimit(getattr(resource, name))[1]
            limits[name] = UNLIMITED if hard == resource.RLIM_INFINITY else hard
    return limits


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _has_openat2() -> bool:
    try:
        os.close(syscalls.openat2(syscalls.AT_FDCWD, "/", os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    return True


def _has_recursive_readonly() -> bool:
    """A detached tmpfs is made read-only with everything below it."""
    with contextlib.ExitStack() as stack:
        try:
            context = syscalls.fsopen("tmpfs")
            stack.callback(os.close, context)
            syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
            mount = syscalls.fsmount(context)
            stack.callback(os.close, mount)
            syscalls.mount_setattr(mount, "", attr_set=syscalls.MOUNT_ATTR_RDONLY)
        except OSError:
            return False
        return True


def _has_idmapped_mounts() -> bool:
    """The kernel knows the attribute: it refuses the initial user namespace (EPERM) instead of the attribute (EINVAL)."""
    with contextlib.ExitStack() as stack:
        try:
            userns = os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, userns)
            tree = syscalls.open_tree(syscalls.AT_FDCWD, "/", syscalls.OPEN_TREE_CLONE)
            stack.callback(os.close, tree)
            syscalls.mount_setattr(tree, "", attr_set=syscalls.MOUNT_ATTR_IDMAP, userns_fd=userns)
        except PermissionError:
            return True
        except OSError:
            return False
        return True


def _names(folder: str) -> tuple[str, ...]:
    try:
        return tuple(os.listdir(folder))
    except FileNotFoundError:
        return ()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
