"""The three that pull: our daemon and containerd behind their CRI sockets, and podman, which is a command."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from crio.cli.ctl.client import Client
from crio.cri import api_pb2 as pb
from test.bench.peers import containerd
from test.bench.pull.meter import Room
from test.support import daemon
from test.support.waiting import eventually

CALL_TIMEOUT_S = 600.0
START_TIMEOUT_S = 30.0


class Runtime(Protocol):
    """Pulls and removes images."""

    name: str
    room: Room

    def pull(self, references: Sequence[str]) -> None:
        """Pull all at once and wait for all."""

    def remove(self, reference: str) -> None:
        """Remove one image."""


class CriRuntime:
    """A daemon behind a CRI socket."""

    def __init__(self, name: str, room: Room, socket: str) -> None:
        self.name = name
        self.room = room
        self.client = Client(socket, CALL_TIMEOUT_S)

    def pull(self, references: Sequence[str]) -> None:
        """PullImage for each, from as many threads."""
        with ThreadPoolExecutor(len(references)) as pool:
            list(pool.map(self._pull, references))

    def _pull(self, reference: str) -> None:
        self.client.call("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image=reference)), pb.PullImageResponse)

    def remove(self, reference: str) -> None:
        """RemoveImage by name."""
        self.client.call("RemoveImage", pb.RemoveImageRequest(image=pb.ImageSpec(image=reference)), pb.RemoveImageResponse)


class Podman:
    """Podman on a store of its own; ten pulls at once are ten processes."""

    name = "podman"

    def __init__(self, folder: pathlib.Path, room: Room) -> None:
        self.room = room
        folder.mkdir()
        conf = folder / "containers.conf"
        conf.write_text('[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n')
        policy = folder / "policy.json"
        policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
        storage = folder / "storage.conf"
        storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n')
        self._policy = str(policy)
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), "CONTAINERS_CONF": str(conf), "CONTAINERS_STORAGE_CONF": str(storage)}
        self._front = ("podman", "--root", str(folder / "root"), "--runroot", str(folder / "run"), "--tmpdir", str(folder / "tmp"))
        self._front += ("--storage-driver", "overlay", "--cgroup-manager", "cgroupfs")

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        argv = self.room.command(*self._front, *arguments)
        return subprocess.Popen(argv, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def _wait(self, started: subprocess.Popen[bytes]) -> None:
        _, said = started.communicate(timeout=CALL_TIMEOUT_S)
        assert started.returncode == 0, said.decode(errors="replace")

    def pull(self, references: Sequence[str]) -> None:
        """``podman pull`` for each, all started before the first is waited for."""
        front = ("pull", "-q", "--tls-verify=false", "--signature-policy", self._policy)
        for started in [self._start(*front, reference) for reference in references]:
            self._wait(started)

    def remove(self, reference: str) -> None:
        """``podman rmi``."""
        self._wait(self._start("rmi", reference))

    def unmount(self) -> None:
        """Take away the private mount that podman keeps."""
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            point = line.split()[4]
            if point.startswith(f"{self._front[2]}/"):
                subprocess.run(["umount", "--lazy", point], check=False)


@contextlib.contextmanager
def ours(room: Room, registries_conf: str) -> Iterator[CriRuntime]:
    """Our daemon below TMPDIR."""
    with daemon.running(daemon.Options(registries_conf=registries_conf, flags=("--log-level", "info"))) as running:
        room.take(running.pid)
        runtime = CriRuntime("ours", room, running.socket)
        try:
            yield runtime
        finally:
            runtime.client.close()


@contextlib.contextmanager
def containerd_at(folder: pathlib.Path, room: Room, registry: str) -> Iterator[CriRuntime]:
    """A private containerd below ``folder``."""
    (folder.parent / "no-cni").mkdir(exist_ok=True)
    peer = containerd(folder, folder.parent / "no-cni", registry)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(room.command(*peer.command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        eventually(lambda: _answers(peer.socket), START_TIMEOUT_S, "containerd answers")
        runtime = CriRuntime("containerd", room, peer.socket)
        try:
            yield runtime
        finally:
            runtime.client.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_TIMEOUT_S)


def _answers(socket: str) -> bool:
    if not os.path.exists(socket):
        return False
    with contextlib.suppress(Exception), Client(socket, 5.0) as client:
        client.call("Version", pb.VersionRequest(), pb.VersionResponse)
        return True
    return False


@contextlib.contextmanager
def podman_at(folder: pathlib.Path, room: Room) -> Iterator[Podman]:
    """A podman with everything below ``folder``."""
    runtime = Podman(folder, room)
    try:
        yield runtime
    finally:
        runtime.unmount()
