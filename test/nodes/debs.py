"""Packages of another release or architecture, unpacked into the cache and not installed: a kernel, libraries to link with."""

from __future__ import annotations

import hashlib
import pathlib
import subprocess
import tempfile
from collections.abc import Sequence

from test.nodes.debian13 import mirror
from test.support import isolation
from test.support.gotools import cached

TIMEOUT_S = 300


def host_suite() -> str:
    """The code name of the host's own release."""
    lines = pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return next(line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME="))


def key_of(content: bytes) -> str:
    """A name for the cache that belongs to some content."""
    return hashlib.sha256(content).hexdigest()[:16]


def unpacked(suite: str, architecture: str, packages: Sequence[str]) -> pathlib.Path:
    """The folder with the files of ``packages``, made once. Of a package whose name ends in ``*`` that is an empty one which depends
    on the newest (a kernel's) the files are of what it depends on."""
    key = key_of("\n".join((*packages, "1")).encode())

    def make(folder: pathlib.Path) -> None:
        with isolation.first_network(), tempfile.TemporaryDirectory(prefix="debs-") as scratch:
            _make(folder, pathlib.Path(scratch), suite, architecture, packages)

    return cached(f"debs-{suite}-{architecture}-{key}", make)


def _make(folder: pathlib.Path, scratch: pathlib.Path, suite: str, architecture: str, packages: Sequence[str]) -> None:
    options = _apt(scratch, suite, architecture)
    _run(scratch, "apt-get", "-q", *options, "update")
    names = [name if name[-1] != "*" else _newest(scratch, options, name[:-1]) for name in packages]
    _run(scratch, "apt-get", "-q", *options, "download", *names)
    folder.mkdir()
    for package in sorted(scratch.glob("*.deb")):
        _run(scratch, "dpkg-deb", "--extract", str(package), str(folder))


def _newest(scratch: pathlib.Path, options: Sequence[str], name: str) -> str:
    printed = _run(scratch, "apt-cache", *options, "depends", name)
    return next(line.partition("Depends: ")[2] for line in printed.splitlines() if "Depends: " in line)


def _apt(scratch: pathlib.Path, suite: str, architecture: str) -> list[str]:
    """An apt with a state of its own, that trusts the keys of the host's."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True)
    (scratch / "status").touch()
    (scratch / "sources.list").write_text(f"deb {mirror()} {suite} main\n")
    settings = {
        "Dir::State": scratch / "state",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::SourceList": scratch / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 3,
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _run(folder: pathlib.Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
