"""The tools of one generation on one store, ours beside them, and images small enough to be made in a test."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import gzip
import json
import os
import pathlib
import re
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from crio.cri import api_pb2 as pb
from crio.host.pull.options import PullResult
from crio.host.store import ImageRecord, Store
from test.integration.cri.kit import Pods
from test.integration.pull.kit import Bench
from test.nodes import debian13
from test.support import isolation
from test.support.cri import Cri
from test.support.daemon import Daemon
from test.support.smallimages import ImageWish, Layer, Pusher, SmallImage, digest_of, image_of
from test.support.tarbytes import DIRECTORY, HARDLINK, SYMLINK, Member, archive

BUSYBOX = "/bin/busybox"
APPLETS = ("basename", "cat", "cp", "echo", "find", "ls", "mkdir", "rm", "sh", "sleep", "sort", "stat", "touch", "true")
COMMAND_TIMEOUT_S = 120
POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
Files = Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation of the tools: the folder of its programs (the system's when empty) and of podman's helpers."""

    name: str
    programs: str = ""
    helpers: str = ""

    @property
    def old(self) -> bool:
        """Whether it is the oldest one: no volatile files, no ``system check``."""
        return not self.programs


def generation(name: str) -> Generation:
    """The host's own tools (``old``), those of Debian 13, or those of the release after it (``new``)."""
    if name == "old":
        return Generation(name)
    with isolation.first_network():
        node = debian13.node(debian13.DEBIAN_13 if name == "debian13" else debian13.DEBIAN_NEXT)
    return Generation(name, str(node.programs), str(node.helpers))


@dataclass(frozen=True, slots=True)
class Peer:
    """podman, skopeo and buildah of a generation on one store; ``more`` are further words for podman and buildah."""

    generation: Generation
    root: str
    runroot: str
    home: str
    driver: str = "overlay"
    more: tuple[str, ...] = ()

    def podman(self, *words: str) -> str:
        """What podman prints; it must succeed."""
        return self.run(*self.podman_words, *words)

    def buildah(self, *words: str) -> str:
        """What buildah prints; it must succeed."""
        return self.run("buildah", *self._store_words, *words)

    def skopeo(self, *words: str) -> str:
        """What skopeo prints; it must succeed."""
        return self.run("skopeo", *words)

    def copy_in(self, source: str, name: str, *words: str) -> None:
        """Copy an image into the store by skopeo."""
        self.skopeo("copy", "--quiet", *words, source, self.reference(name))

    def refused(self, *words: str) -> str:
        """What a command of podman complains of; it must fail."""
        done = self.attempt(*self.podman_words, *words)
        assert done.returncode != 0, (words, done.stdout)
        return done.stderr

    def images(self) -> set[tuple[str, str]]:
        """Id and name of every image that podman lists."""
        listed = json.loads(self.podman("images", "--format", "json") or "[]")
        return {(one["Id"], name) for one in listed for name in one.get("Names") or [""]}

    def inspected(self, name: str) -> dict[str, Any]:
        """What podman knows of an image."""
        found: dict[str, Any] = json.loads(self.podman("image", "inspect", name))[0]
        return found

    def check(self, *words: str) -> str:
        """``podman system check`` finds nothing. The oldest generation does not have it."""
        return "" if self.generation.old else self.podman("system", "check", *words)

    def complaints(self) -> set[str]:
        """What ``podman system check`` finds. For odd layers it finds things in what podman itself has pulled, too."""
        if self.generation.old:
            return set()
        lines = self.attempt(*self.podman_words, "system", "check").stdout.splitlines()
        return {re.sub("0x[0-9a-f]+", "0x", line.strip()) for line in lines if line.startswith("\t* ")}

    def reference(self, name: str) -> str:
        """``name`` as a reference into this store."""
        return f"containers-storage:[{self.driver}@{self.root}+{self.runroot}]{name}"

    def run(self, *argv: str) -> str:
        """Run one of the programs; raises AssertionError with what it complains of."""
        done = self.attempt(*argv)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def attempt(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run one of the programs, whatever comes of it."""
        words, limit_s = self._found(argv), COMMAND_TIMEOUT_S
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=limit_s, check=False)

    def begin(self, *argv: str) -> subprocess.Popen[str]:
        """Start one of the programs without waiting; it prints to nowhere."""
        return subprocess.Popen(self._found(argv), env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)

    @property
    def podman_words(self) -> tuple[str, ...]:
        """podman with the store and what this host needs."""
        return "podman", *self._store_words, "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--tmpdir", f"{self.home}/tmp"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the programs: nothing of the host's own configuration."""
        return {
            "PATH": os.pathsep.join(filter(None, (self.generation.programs, os.environ["PATH"]))),
            "HOME": self.home,
            "TMPDIR": f"{self.home}/tmp",
            "CONTAINERS_CONF": f"{self.home}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.home}/storage.conf",
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }

    @property
    def _store_words(self) -> tuple[str, ...]:
        return "--root", self.root, "--runroot", self.runroot, "--storage-driver", self.driver, *self.more

    def _found(self, argv: Sequence[str]) -> list[str]:
        own = os.path.join(self.generation.programs, argv[0])
        return [own if self.generation.programs and os.path.exists(own) else argv[0], *argv[1:]]


def make_peer(used: Generation, folder: pathlib.Path, registry: str, root: str = "", runroot: str = "") -> Peer:
    """The tools with a home below ``folder``, on the given store or one of their own there; plain HTTP is fine at ``registry``."""
    home = folder / "home"
    (home / "tmp").mkdir(parents=True)
    (home / ".config/containers").mkdir(parents=True)
    (home / ".config/containers/policy.json").write_text(json.dumps(POLICY))
    (home / ".config/containers/registries.conf").write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    root, runroot = root or str(folder / "graph"), runroot or str(folder / "run")
    (home / "storage.conf").write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{root}"\nrunroot = "{runroot}"\n')
    limits = 'default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\nnetns = "host"\n'
    helpers = f'[engine]\nhelper_binaries_dir = ["{used.helpers}"]\n' if used.helpers else ""
    (home / "containers.conf").write_text(f"[containers]\n{limits}{helpers}")
    return Peer(used, root, runroot, str(home))


_ONE_DAEMON = threading.Lock()


@dataclass(frozen=True, slots=True)
class Side:
    """Our store and puller and the tools, on the same directories."""

    bench: Bench
    peer: Peer
    registry: str

    @property
    def store(self) -> Store:
        """Our store."""
        return self.bench.store

    @property
    def root(self) -> pathlib.Path:
        """The graph root."""
        return pathlib.Path(self.peer.root)

    def pull(self, name: str) -> PullResult:
        """Pull with our engine, from any thread. One at a time: what is known of failed pulls belongs to one daemon, and to its loop."""
        with _ONE_DAEMON:
            return asyncio.run(replace(self.bench).pull(name))

    def push(self, repository: str, image: SmallImage, tag: str = "1") -> str:
        """Put an image into the registry; returns its reference."""
        Pusher(self.registry).image(repository, tag, image)
        return f"{self.registry}/{repository}:{tag}"

    def here(self, name: str) -> ImageRecord:
        """The image as our store has it; raises AssertionError when it does not."""
        found = self.store.find_image(name)
        assert found is not None, name
        return found

    def records(self, kind: str) -> list[dict[str, Any]]:
        """What ``images``, ``layers`` or ``containers`` the index on disk has; it may not have been written yet."""
        path = self.root / f"{self.peer.driver}-{kind}" / f"{kind}.json"
        found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
        return found

    def sound(self) -> None:
        """Both sides find the store clean, and no layer of ours is left unfinished."""
        assert self.store.wait_removed(10)
        assert self.store.check(quick=False) == ()
        self.peer.check()
        self.peer.check("--quick")


@dataclass(frozen=True, slots=True)
class Together:
    """Our daemon and the tools on its store."""

    daemon: Daemon
    cri: Cri
    peer: Peer
    registry: str
    pods: Pods

    def push(self, repository: str, image: SmallImage, tag: str = "1") -> str:
        """Put an image into the registry; returns its reference."""
        Pusher(self.registry).image(repository, tag, image)
        return f"{self.registry}/{repository}:{tag}"

    def status(self, name: str) -> pb.Image | None:
        """The image as the daemon shows it; None when it has none."""
        answer = self.cri.image.ImageStatus(pb.ImageStatusRequest(image=pb.ImageSpec(image=name)))
        return answer.image if answer.HasField("image") else None

    def listed(self) -> dict[str, pb.Image]:
        """Every image of the daemon by its id."""
        return {one.id: one for one in self.cri.image.ListImages(pb.ListImagesRequest()).images}

    def remove(self, name: str) -> None:
        """RemoveImage."""
        self.cri.image.RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=name)))

    def prints(self, image: str, script: str) -> list[str]:
        """The lines that a script prints in a container of the daemon."""
        pod = self.pods.run()
        lines = pod.once(script, image={"image": image})
        pod.stop()
        pod.remove()
        return lines


def edit(peer: Peer, kind: str, change: Callable[[list[dict[str, Any]]], object], token: bool = True) -> None:
    """Change an index by hand, under its lock and with a new token, as another program would."""
    folder = pathlib.Path(peer.root, f"{peer.driver}-{kind}")
    with (folder / f"{kind}.lock").open("r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        found = json.loads((folder / f"{kind}.json").read_text())
        change(found)
        (folder / ".tmp-edit").write_text(json.dumps(found, indent=1))
        if token:
            lock.write(os.urandom(64))
            lock.flush()
        (folder / ".tmp-edit").rename(folder / f"{kind}.json")


def tar_of(files: Files | Sequence[Member]) -> bytes:
    """An archive: bytes is a file, None a directory; or members as they are."""
    if not isinstance(files, Mapping):
        return archive(*files)
    members = []
    for name, content in files.items():
        kind = DIRECTORY if content is None else "0"
        members.append(Member(name, content or b"", kind, mode=0o755))
    return archive(*members)


def layer(files: Files | Sequence[Member], pack: Callable[[bytes], bytes] | None = None, kind: str = "+gzip") -> Layer:
    """A layer with these files, gzip unless another packer and the end of its media type are given."""
    tar = tar_of(files)
    packed = gzip.compress(tar, 1, mtime=0) if pack is None else pack(tar)
    return Layer(packed, tar, f"application/vnd.oci.image.layer.v1.tar{kind}")


@functools.cache
def base() -> Layer:
    """A layer with busybox, its applets as hard links."""
    members = [Member(f"{name}/", kind=DIRECTORY, mode=0o755) for name in ("bin", "dev", "etc", "proc", "sys", "tmp")]
    members.append(Member("bin/busybox", pathlib.Path(BUSYBOX).read_bytes(), mode=0o755))
    members += [Member(f"bin/{name}", kind=HARDLINK, link="bin/busybox", mode=0o755) for name in APPLETS]
    return layer(members)


def mark(text: str) -> Layer:
    """A layer with a file ``/etc/mark`` and a link to it."""
    link = Member("etc/link", kind=SYMLINK, link="mark", mode=0o777)
    return layer([Member("etc/", kind=DIRECTORY, mode=0o755), Member("etc/mark", f"{text}\n".encode()), link])


def runnable(text: str, *more: Layer, config: Mapping[str, object] | None = None) -> SmallImage:
    """An image that runs; ``text`` makes it different from others above a base that all have, ``config`` is laid over its own."""
    return image_of((base(), mark(text), *more), ImageWish(config=config or {}))


def write_dir(image: SmallImage, folder: pathlib.Path) -> str:
    """Write an image as skopeo's ``dir:`` transport has it; returns the reference."""
    folder.mkdir(parents=True)
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    (folder / "manifest.json").write_bytes(image.manifest)
    for blob in (image.config, *(one.blob for one in image.layers)):
        (folder / digest_of(blob).partition(":")[2]).write_bytes(blob)
    return f"dir:{folder}"


def verified(folder: pathlib.Path) -> list[str]:
    """The digests of the layers in a ``dir:`` folder, each compared with its file."""
    manifest = json.loads((folder / "manifest.json").read_text())
    digests = [str(one["digest"]) for one in manifest["layers"]]
    assert [digest_of((folder / one.partition(":")[2]).read_bytes()) for one in digests] == digests
    return digests


def diff_ids(image: SmallImage) -> list[str]:
    """The digests of an image's uncompressed layers."""
    return [digest_of(one.archive) for one in image.layers]


@dataclass(slots=True)
class Failures:
    """What went wrong in threads, to be looked at when they are done."""

    found: list[BaseException] = field(default_factory=list)

    def guarded(self, work: Callable[[], object]) -> Callable[[], None]:
        """``work``, noting what it raises."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self.found.append(error)

        return run
