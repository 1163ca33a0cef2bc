"""A daemon of one test: its pods, and whatever it has on the host, to be compared before and after a crash."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace

import grpc

from test.images.catalog import BUSYBOX
from test.integration.cri import cgroups
from test.integration.cri.kit import Pods, processes_with
from test.support.cri import Cri
from test.support.daemon import Daemon, Options, running
from test.support.leaks import CGROUPS
from test.support.registry import RunningRegistry

SHORT_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Own:
    """A daemon of our own and a way to make new pods with it."""

    daemon: Daemon
    folder: pathlib.Path

    @property
    def root(self) -> pathlib.Path:
        """Where it keeps everything."""
        return self.daemon.layout.root

    @property
    def cgroup_parent(self) -> str:
        """The cgroup of its pods."""
        return self.daemon.layout.cgroup_parent

    @contextlib.contextmanager
    def pods(self) -> Iterator[Pods]:
        """Pods over a connection that is closed after the block; the pods stay."""
        with Cri(self.daemon.socket, SHORT_TIMEOUT_S) as cri:
            yield Pods(cri, self.folder, self.cgroup_parent)

    def traces(self) -> dict[str, set[str]]:
        """Everything that pods leave on the host while they live, by kind."""
        run = self.root / "run"
        return {
            "pins": {str(path) for kind in ("net", "ipc", "uts", "user") for path in (run / "ns" / f"{kind}ns").glob("*")},
            "mounts": {point for point in _mount_points() if f"{self.root}/" in point} - {str(self.root / "store/overlay")},
            "interfaces": _veths(),
            "addresses": {path.name for path in (self.root / "cni-addresses").glob("*/10.*")},
            "cni cache": {path.name for path in pathlib.Path("/var/lib/cni/results").glob(f"*{self.daemon.layout.bridge}*")},
            "cgroups": {str(path) for path in CGROUPS.glob(f"*{self.cgroup_parent}/*")},
            "monitors": set(processes_with(f"{run}/exits")),
            "store": {path.name for path in (self.root / "store/overlay-containers").glob("*") if len(path.name) == 64},
            "run files": {path.name for path in (run / "store/overlay-containers").glob("*") if len(path.name) == 64},
            "runtime": {path.name for name in ("crun", "runc") for path in (run / name).glob("*")},
            "exit files": set(os.listdir(run / "exits")) if (run / "exits").is_dir() else set(),
            "attach": set(os.listdir(run / "attach")) if (run / "attach").is_dir() else set(),
        }

    def left(self, before: dict[str, set[str]]) -> list[str]:
        """What is there now and was not before, in words."""
        return [f"{kind}: {name}" for kind, names in self.traces().items() for name in sorted(names - before[kind])]


def _mount_points() -> list[str]:
    return [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]


def _veths() -> set[str]:
    listed = subprocess.run(["ip", "-o", "link", "show", "type", "veth"], check=True, capture_output=True, text=True, timeout=10).stdout
    return {line.split(": ")[1].partition("@")[0] for line in listed.splitlines()}


@contextlib.contextmanager
def owned(registry: RunningRegistry, folder: pathlib.Path, options: Options | None = None) -> Iterator[Own]:
    """A daemon of one test with busybox in its store; pods that are left are removed at the end."""
    chosen = options or Options()
    if not chosen.registries_conf:
        chosen = replace(chosen, registries_conf=registry.registries_conf())
    with running(chosen) as daemon:
        own = Own(daemon, folder)
        cgroups.make_parent(own.cgroup_parent)
        try:
            with own.pods() as pods:
                pods.cri.pull(BUSYBOX)
            yield own
        finally:
            _remove_pods(own)
            cgroups.remove_parent(own.cgroup_parent)


def _remove_pods(own: Own) -> None:
    """Take every pod away while the cgroup parent is still there, whatever state the test left the daemon in."""
    process = own.daemon.process
    if process is None or process.poll() is not None:
        own.daemon.start()
    with contextlib.suppress(grpc.RpcError), own.pods() as pods:
        pods.close_all()
