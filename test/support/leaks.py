"""What a test may leave on the host: nothing. Snapshots before and after, and the difference in words.

Looked at: processes of this run, descriptors of the test process, mounts, named network namespaces, interfaces,
firewall rules, cgroups. ``isolation`` makes all but processes and cgroups private to the run; those two are told apart
from foreign ones by a mark in the environment, a path in the arguments, and (with ``shared_host``) by a name.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pathlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from test.support.waiting import eventually

# In the environment of everything that the run starts without clearing it.
MARK = "CRIO_TEST_RUN"
# Every cgroup that a test makes on purpose starts with this, and has the run's id in its name.
CGROUP_PREFIX = "ct-"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
COMMAND_TIMEOUT_S = 20
SETTLE_S = 5.0
# What podman makes once per host and keeps, for containers without a parent of their own; the containers in it count.
PERMANENT_CGROUPS = ("/libpod_parent", "/libpod_parent/conmon")
# Chains that CNI's plugins make once per host and keep, with the rules that lead to them.
PERMANENT_RULES = re.compile(r"CNI-(ADMIN|FORWARD|HOSTPORT-DNAT|HOSTPORT-MASQ|HOSTPORT-SETMARK|ISOLATION\S*)\b")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose traces count: this run's mark, the folders it works in, whether foreign cgroups may come and go."""

    run_id: str
    folders: tuple[str, ...]
    shared_host: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is there, by kind; each thing has a key that tells it from others and words for a report."""

    things: Mapping[str, Mapping[str, str]]

    def added(self, later: Snapshot) -> list[str]:
        """The things of ``later`` that are not here, as sentences."""
        return [
            f"{kind}: {words}" for kind, now in later.things.items() for key, words in sorted(now.items()) if key not in self.things[kind]
        ]


def run_id() -> str:
    """The id of this run, which every child of it has in its environment too."""
    return os.environ.get(MARK, "none")


def _read(path: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


def _parents() -> dict[int, int]:
    """Every process with its parent."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _read(f"/proc/{name}/stat").rpartition(b")")[2].split()
            if len(fields) > 1:
                parents[int(name)] = int(fields[1])
    return parents


def _is_below(pid: int, ancestor: int, parents: Mapping[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def processes(scope: Scope) -> dict[str, str]:
    """The processes of this run: below the test process, marked in the environment, or working in its folders."""
    mark = f"{MARK}={scope.run_id}".encode()
    folders = [folder.encode() for folder in scope.folders]
    parents = _parents()
    found = {}
    for pid in parents:
        if pid == os.getpid():
            continue
        command = _read(f"/proc/{pid}/cmdline")
        ours = _is_below(pid, os.getpid(), parents) or any(folder in command for folder in folders)
        if ours or mark in _read(f"/proc/{pid}/environ").split(b"\0"):
            state = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1]
            name = _read(f"/proc/{pid}/comm").decode(errors="replace").strip()
            words = command.replace(b"\0", b" ").decode(errors="replace").strip()
            if state == [b"Z"] and parents[pid] in (os.getpid(), 1):
                # Dead, and given to this process or to PID 1 by a parent that ended first: collecting it is not the test's business.
                continue
            if state:
                found[str(pid)] = f"{pid} {name} ({state[0].decode()}) {words[:160]}"
    return found


def descriptors() -> dict[str, str]:
    """The open descriptors of this process."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if not target.startswith(f"/proc/{os.getpid()}/fd"):
                found[f"{name} {target}"] = f"{name} -> {target}"
    return found


def mounts() -> dict[str, str]:
    """The mounts of this process's namespace."""
    found = {}
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        # iproute2 mounts this folder on itself for its first named namespace, once and for good.
        if fields[4] in ("/run/netns", "/var/run/netns"):
            continue
        found[f"{fields[0]} {fields[4]}"] = f"{fields[4]} ({line.partition(' - ')[2]})"
    return found


def network_namespaces() -> dict[str, str]:
    """The named network namespaces."""
    folder = pathlib.Path("/run/netns")
    return {path.name: path.name for path in folder.iterdir()} if folder.is_dir() else {}


def interfaces() -> dict[str, str]:
    """The interfaces of this process's network namespace."""
    listed = _run("ip", "-j", "link", "show")
    return {link["ifname"]: f"{link['ifname']} ({link.get('link_type', '?')})" for link in json.loads(listed or "[]")}


def firewall_rules() -> dict[str, str]:
    """Every rule of nftables and of the legacy tables, counters left out, with its table and chain."""
    found = {}
    table = chain = ""
    for line in _run("nft", "-s", "list", "ruleset").splitlines():
        text = line.strip()
        if text.startswith("table "):
            table = text.rstrip(" {")
        elif text.startswith(("chain ", "set ", "map ")):
            chain = text.rstrip(" {")
        elif text not in ("", "}") and not text.startswith(("type ", "policy ", "flags ", "#")):
            rule = f"{table}: {chain}: {text}"
            if not PERMANENT_RULES.search(rule):
                found[rule] = rule
    for line in _run("iptables-legacy-save").splitlines() if _read("/proc/net/ip_tables_names") else []:
        if line.startswith("-A") and not PERMANENT_RULES.search(line):
            found[line] = f"legacy: {line}"
    return found


def cgroups(scope: Scope) -> dict[str, str]:
    """The cgroups below every hierarchy; on a shared host only those that have the run's id in their names."""
    found = {}
    for folder, names, _ in os.walk(CGROUPS):
        for name in names:
            path = os.path.join(folder, name)
            if not path.endswith(PERMANENT_CGROUPS) and (not scope.shared_host or scope.run_id in path):
                found[path] = path
    return found


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S).stdout


def snapshot(scope: Scope) -> Snapshot:
    """Look at everything."""
    return Snapshot(
        {
            "process": processes(scope),
            "descriptor": descriptors(),
            "mount": mounts(),
            "network namespace": network_namespaces(),
            "interface": interfaces(),
            "firewall rule": firewall_rules(),
            "cgroup": cgroups(scope),
        }
    )


@contextlib.contextmanager
def checked(scope: Scope) -> Iterator[None]:
    """Raise AssertionError after the block when something stays behind, once it had SETTLE_S seconds to go."""
    before = snapshot(scope)
    yield
    gc.collect()
    left: list[str] = []

    def clean() -> bool:
        left[:] = before.added(snapshot(scope))
        return not left

    with contextlib.suppress(AssertionError):
        eventually(clean, SETTLE_S, "nothing left behind")
    if left:
        raise AssertionError("left behind:\n  " + "\n  ".join(left))
