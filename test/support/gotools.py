"""Judges written in Go, built from pinned modules into a cache outside the tree.

``crictl`` and ``critest`` come from test/tools/go.mod, the published CRI contract from test/tools/contract/go.mod. A
tool is built once per content of its module files; every later call only looks whether the file is there. The
machine's Go serves when it is new enough, else the one of requirements/go.txt is installed into the cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "test" / "tools"
OLDEST_GO = (1, 26)
CRI_TOOLS = "sigs.k8s.io/cri-tools"
BUILD_TIMEOUT_S = 1500


@dataclass(frozen=True, slots=True)
class Tool:
    """One program of the cri-tools module and the go command that makes it."""

    name: str
    verb: tuple[str, ...]


CRICTL = Tool("crictl", ("build",))
CRITEST = Tool("critest", ("test", "-c"))


def cache_root() -> pathlib.Path:
    """The cache folder of this project, below the user's."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base, "crio-py")


def _key(*paths: pathlib.Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    """Hold the cache's lock of that name, so that two test runs do not build the same thing twice."""
    cache_root().mkdir(parents=True, exist_ok=True)
    with (cache_root() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(name: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """What the cache has under ``name``, made in a folder of its own by ``make`` and renamed when it is not there yet."""
    target = cache_root() / name
    if target.exists():
        return target
    with _locked(name):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=cache_root()) as scratch:
                staged = pathlib.Path(scratch, target.name)
                make(staged)
                staged.rename(target)
    return target


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "GOFLAGS"}
    kept.update(GOTOOLCHAIN="local", CGO_ENABLED="0", GOFLAGS="-buildvcs=false", GOWORK="off")
    return kept


def go_path() -> pathlib.Path:
    """A Go compiler of 1.26 or later: the machine's, else the pinned one."""
    found = shutil.which("go")
    if found is not None:
        words = subprocess.run([found, "version"], check=True, capture_output=True, text=True, env=_environment()).stdout
        number = re.search(r"\bgo(\d+)\.(\d+)", words)
        if number is not None and (int(number[1]), int(number[2])) >= OLDEST_GO:
            return pathlib.Path(found)
    return _pinned_go()


def _pinned_go() -> pathlib.Path:
    lock = ROOT / "requirements" / "go.txt"

    def install(staged: pathlib.Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--require-hashes", "--only-binary=:all:", "--target", str(staged), "-r", str(lock)]
        subprocess.run(command, check=True, timeout=BUILD_TIMEOUT_S)

    return cached(f"go-{_key(lock)}", install) / "go" / "bin" / "go"


def build(tool: Tool) -> pathlib.Path:
    """The tool's program, built when the cache has none for the present go.mod and go.sum (75 s on two cores)."""

    def compile_it(staged: pathlib.Path) -> None:
        print(f"==> {tool.name}", file=sys.stderr, flush=True)
        command = [str(go_path()), *tool.verb, "-trimpath", "-ldflags", "-s -w"]
        command += ["-o", str(staged), f"{CRI_TOOLS}/cmd/{tool.name}"]
        subprocess.run(command, check=True, cwd=TOOLS, env=_environment(), timeout=BUILD_TIMEOUT_S)

    return cached(f"{tool.name}-{_key(TOOLS / 'go.mod', TOOLS / 'go.sum')}", compile_it)


def cri_api_proto() -> pathlib.Path:
    """The contract as published: ``api.proto`` of the k8s.io/cri-api module that test/tools/contract pins."""
    folder = TOOLS / "contract"

    def download(staged: pathlib.Path) -> None:
        command = [str(go_path()), "mod", "download", "-json", "k8s.io/cri-api"]
        answer = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=folder, env=_environment(), timeout=BUILD_TIMEOUT_S
        )
        shutil.copyfile(pathlib.Path(json.loads(answer.stdout)["Dir"], "pkg/apis/runtime/v1/api.proto"), staged)

    return cached(f"api-{_key(folder / 'go.mod', folder / 'go.sum')}.proto", download)


def main() -> None:
    """Make everything that the cache lacks."""
    for tool in (CRICTL, CRITEST):
        build(tool)
    cri_api_proto()


if __name__ == "__main__":
    main()
