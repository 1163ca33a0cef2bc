"""Leaves the machine as the demo found it, also when nothing went as planned.

The daemon cleans up after its pods itself; this is the second line, for a daemon that died half way, and for what network plugins
keep for good on purpose: the bridge, base chains of the packet filter, the forwarding switch. Everything is found by names that only
this demo has. What was there before stays.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from hack.demo_places import COMMAND_TIMEOUT_S, Places
from test.support.waiting import eventually

CGROUPS = pathlib.Path("/sys/fs/cgroup")
FORWARDING = pathlib.Path("/proc/sys/net/ipv4/ip_forward")
CNI_RECORDS = pathlib.Path("/var/lib/cni/results")
# Directories that the daemon or its helpers make outside the demo's folder, if they are not there.
SHARED_DIRECTORIES = ("/var/lib/cni/results", "/var/lib/cni", "/run/crun", "/run/runc", "/run/crio", "/var/lib/crio")
# The parent of pods that name none; people who try things after ``up`` make such pods.
DEFAULT_PARENT = "crio"
TABLES = ("nat", "filter", "mangle", "raw")
END_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the machine had before."""

    forwarding: str
    directories: tuple[str, ...]
    chains: tuple[str, ...]


def take_baseline() -> Baseline:
    """Look at what the demo may change."""
    forwarding = FORWARDING.read_text().strip() if FORWARDING.exists() else ""
    return Baseline(forwarding, tuple(shared_directories()), tuple(base_chains()))


def shared_directories() -> list[str]:
    """Those of the shared directories that exist, children before parents."""
    parents = [str(path) for path in (*CGROUPS.glob(f"*/{DEFAULT_PARENT}"), CGROUPS / DEFAULT_PARENT)]
    return [path for path in (*SHARED_DIRECTORIES, *parents) if os.path.isdir(path)]


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    return done.stdout if done.returncode == 0 else ""


def _try(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False).returncode == 0


def base_chains() -> list[str]:
    """The built-in chains that exist, as ``table chain``. Source: nft(8), list chains."""
    found = []
    table = ""
    for line in _output("nft", "list", "chains", "ip").splitlines():
        words = line.split()
        if words[:2] == ["table", "ip"]:
            table = words[2]
        elif words[:1] == ["chain"] and table in TABLES:
            found.append(f"{table} {words[1]}")
    return found


def _processes(places: Places) -> Iterator[int]:
    """Processes of the demo: those that name its folder, and those in its cgroups."""
    mark = str(places.root).encode() + b"/"
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in pathlib.Path("/proc", name, "cmdline").read_bytes():
                    yield int(name)
    for folder in _cgroups(places):
        with contextlib.suppress(OSError):
            yield from map(int, (folder / "cgroup.procs").read_text().split())


def _cgroups(places: Places) -> list[pathlib.Path]:
    """The demo's cgroups in every hierarchy, children before parents."""
    return [pathlib.Path(folder) for folder, _, _ in os.walk(CGROUPS, topdown=False) if places.tag in folder]


def mounts(places: Places) -> list[str]:
    """Mount points below the demo's folder, the last one first."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [point for line in reversed(lines) if (point := line.split()[4]).startswith(f"{places.root}/")]


def _rules(places: Places) -> list[list[str]]:
    """Rules of the nat table that name the demo's network, as arguments; the chains they lead to have nothing else in them."""
    lines = _output("iptables", "-w", "-t", "nat", "-S").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("-A") and f'name: \\"{places.network}\\"' in line]


def _sweep_rules(places: Places) -> list[str]:
    rules = _rules(places)
    chains = set()
    for rule in rules:
        if "-j" in rule and rule[rule.index("-j") + 1].startswith("CNI-"):
            chains.add(rule[rule.index("-j") + 1])
        _try("iptables", "-w", "-t", "nat", "-D", *rule[1:])
    for chain in sorted(chains - {"CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK"}):
        _try("iptables", "-w", "-t", "nat", "-F", chain)
        _try("iptables", "-w", "-t", "nat", "-X", chain)
    return [f"firewall rule {' '.join(rule)}" for rule in rules]


def _restore_chains(baseline: Baseline) -> None:
    """Remove base chains that came into being and are empty; the kernel refuses to remove one that is not."""
    new = [name.split() for name in base_chains() if name not in baseline.chains]
    for table, chain in new:
        if chain.startswith("CNI-"):
            _try("iptables", "-w", "-t", table, "-F", chain)
    for table, chain in sorted(new, key=lambda name: not name[1].startswith("CNI-HOSTPORT-DNAT")):
        _try("iptables", "-w", "-t", table, "-X", chain)
    left = {name.split()[0] for name in base_chains()}
    for table in {table for table, _ in new} - left:
        _try("nft", "delete", "table", "ip", table)


def _kill(places: Places) -> list[str]:
    found = sorted(set(_processes(places)))
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if found:
        with contextlib.suppress(AssertionError):
            eventually(lambda: not list(_processes(places)), END_TIMEOUT_S, "the demo's processes end")
    return [f"process {pid}" for pid in found]


def _remove_cgroups(places: Places) -> None:
    for folder in _cgroups(places):
        with contextlib.suppress(OSError):
            folder.rmdir()


def sweep(places: Places, baseline: Baseline) -> list[str]:
    """Remove every trace of the demo; returns what the daemon should have removed itself and did not, as words."""
    left = _kill(places)
    left += _sweep_rules(places)
    for point in mounts(places):
        # The store keeps its own folder mounted on itself, so that mounts below do not travel.
        if not point.endswith("/storage/overlay"):
            left.append(f"mount {point}")
        _try("umount", "-l", point)
    _try("ip", "link", "delete", places.bridge)
    _remove_cgroups(places)
    for record in CNI_RECORDS.glob(f"{places.network}-*"):
        left.append(f"file {record}")
        record.unlink(missing_ok=True)
    _restore_chains(baseline)
    if baseline.forwarding and FORWARDING.read_text().strip() != baseline.forwarding:
        FORWARDING.write_text(f"{baseline.forwarding}\n")
    for path in shared_directories():
        if path not in baseline.directories:
            with contextlib.suppress(OSError):
                os.rmdir(path)
    if not mounts(places):
        shutil.rmtree(places.root, ignore_errors=True)
    return left + remains(places)


def remains(places: Places) -> list[str]:
    """What is still there of the demo, as words."""
    found = [f"process {pid} still runs" for pid in _processes(places)]
    found += [f"mount {point} stays" for point in mounts(places)]
    found += [f"cgroup {folder} stays" for folder in _cgroups(places)]
    if os.path.exists(f"/sys/class/net/{places.bridge}"):
        found.append(f"interface {places.bridge} stays")
    if places.root.exists():
        found.append(f"folder {places.root} stays")
    return found
