"""Other Debian releases on this host: a root of Debian 13 (and of the one after it), cached, and its programs as our own.

A root is made once by debootstrap, from the mirror that the host's apt uses, and kept in the user's cache folder under a name that has
the release and the list of packages in it. There are two ways to use one:

* ``Node.run`` runs a command inside, as on another machine: in a mount namespace of its own, on a layer that is thrown away, with
  /proc, /sys, /dev and the given folders at the same paths. Nothing that it mounts or writes elsewhere is seen outside.
* ``Node.programs`` is a folder with the root's podman, buildah, skopeo, monitor and OCI runtimes, made to load their libraries from the
  root. They run in the namespaces of whoever calls them: two programs on one store have to see each other's mounts, and no second view
  of a store's folder can give that, since the store makes its home a private mount.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from test.support.gotools import cache_root

PACKAGES = ("buildah", "ca-certificates", "conmon", "crun", "netavark", "patchelf", "podman", "runc", "skopeo", "systemd")
PROGRAMS = ("buildah", "conmon", "crun", "podman", "runc", "skopeo")
BUILD_TIMEOUT_S = 900
RUN_TIMEOUT_S = 120
# In the private namespace: the root below a layer in memory, what every program needs, the folders, and then inside.
_ENTER = """
set -e
root=$1 layer=$2 count=$3; shift 3
mount -t tmpfs -o mode=755 none "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=$root,upperdir=$layer/upper,workdir=$layer/work" none "$layer/root"
for path in /proc /sys /dev; do mount --rbind "$path" "$layer/root$path"; done
while [ "$count" -gt 0 ]; do
  mkdir -p "$layer/root$1"
  mount --rbind "$1" "$layer/root$1"
  shift; count=$((count - 1))
done
exec chroot "$layer/root" "$@"
"""


@dataclass(frozen=True, slots=True)
class Release:
    """A Debian release by its code name; ``script`` is debootstrap's recipe for it."""

    suite: str
    script: str


DEBIAN_13 = Release("trixie", "sid")
# The release after it, still in the making: the generation of tools that comes next.
DEBIAN_NEXT = Release("forky", "sid")


@dataclass(frozen=True, slots=True)
class Node:
    """A root of another release below ``folder``."""

    release: Release
    folder: pathlib.Path

    @property
    def root(self) -> pathlib.Path:
        """The root itself; nobody writes to it after it was made."""
        return self.folder / "root"

    @property
    def programs(self) -> pathlib.Path:
        """The folder of programs that run outside of the root."""
        return self.folder / "programs"

    @property
    def helpers(self) -> pathlib.Path:
        """The folder of the programs that podman calls, of the same release."""
        return self.root / "usr" / "lib" / "podman"

    def run(self, *command: str, binds: Sequence[str] = (), check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside, with the folders ``binds`` at their own paths; with ``check`` it has to succeed."""
        with tempfile.TemporaryDirectory() as layer:
            words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "enter", str(self.root), layer]
            words += [str(len(binds)), *binds, *command]
            env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
            done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} on {self.release.suite}: {done.returncode}: {done.stderr}")
        return done


def node(release: Release = DEBIAN_13) -> Node:
    """The root of a release, made when the cache has none (a minute or two; it needs the network)."""
    key = hashlib.sha256("\n".join((release.suite, release.script, *PACKAGES, *PROGRAMS, "3")).encode()).hexdigest()[:16]
    folder = cache_root() / f"debian-{release.suite}-{key}"
    if not folder.exists():
        with _locked(folder):
            if not folder.exists():
                _make(release, folder)
    return Node(release, folder)


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(release: Release, folder: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Node(release, pathlib.Path(scratch, folder.name))
        made.folder.mkdir()
        _bootstrap(release, made.root)
        _patch(made, folder)
        made.folder.rename(folder)


def _bootstrap(release: Release, root: pathlib.Path) -> None:
    script = f"/usr/share/debootstrap/scripts/{release.script}"
    command = ["unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase"]
    command += [f"--include={','.join(PACKAGES)}", release.suite, str(root), mirror(), script]
    proxy = _apt_setting("Acquire::http::Proxy")
    env = {**os.environ, **({"http_proxy": proxy} if proxy else {}), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    if done.returncode != 0:
        log = root / "debootstrap" / "debootstrap.log"
        more = log.read_text(errors="replace")[-3000:] if log.exists() else ""
        raise AssertionError(f"debootstrap {release.suite}: {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}{more}")
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()


def _patch(made: Node, final: pathlib.Path) -> None:
    """Copies of the programs that find loader and libraries below the place where the root is going to be."""
    libraries = next(path for path in (made.root / "usr/lib").glob("*-linux-gnu*") if (path / "libc.so.6").exists())
    inside = f"/{libraries.relative_to(made.root)}"
    for name in PROGRAMS:
        printed = made.run("patchelf", "--print-interpreter", f"/usr/bin/{name}").stdout.strip()
        loader = final / "root" / printed.lstrip("/")
        made.programs.mkdir(exist_ok=True)
        copy, binds = f"{made.programs}/{name}", [str(made.programs)]
        # One after the other: patchelf 0.18 makes a program that crashes when it is told both at once.
        made.run("patchelf", "--force-rpath", "--set-rpath", f"{final}/root{inside}", "--output", copy, f"/usr/bin/{name}", binds=binds)
        made.run("patchelf", "--set-interpreter", str(loader), copy, binds=binds)


def mirror() -> str:
    """The mirror of Debian's main archive that the host's own apt uses; raises AssertionError when it uses none."""
    command = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Component: main", "Created-By: Packages"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=RUN_TIMEOUT_S).stdout.split("\n")
    found = [line.split(" ", 1)[1] for line in listed if line and "-" not in line.split(" ", 1)[0]]
    assert found, f"apt names no mirror of a plain release: {listed}"
    return found[0]


def _apt_setting(name: str) -> str:
    command = ["apt-config", "shell", "VALUE", name]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=RUN_TIMEOUT_S).stdout.strip()
    return printed.partition("=")[2].strip("'\"")
