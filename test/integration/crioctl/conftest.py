"""A daemon whose registry has the image kit, and ``bin/crioctl`` as people call it."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from test.support.daemon import BIN, Daemon, Options, running
from test.support.registry import RunningRegistry

CALL_TIMEOUT_S = 120.0
TESTDATA = pathlib.Path(__file__).resolve().parents[2] / "testdata"


@dataclass(frozen=True, slots=True)
class Ctl:
    """``crioctl`` against one socket."""

    socket: str
    program: str = "crioctl"

    def run(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """One call, whatever its end."""
        return subprocess.run(
            [str(BIN / self.program), *words],
            env={"PATH": "/usr/bin:/bin", "CRIO_CONNECT": self.socket},
            cwd="/",
            input=text,
            capture_output=True,
            text=True,
            timeout=CALL_TIMEOUT_S,
            check=False,
        )

    def __call__(self, *words: str, text: str = "") -> str:
        """One call that has to succeed; what it printed, without the line's end."""
        done = self.run(*words, text=text)
        assert done.returncode == 0, f"crioctl {' '.join(words)}: {done.returncode}: {done.stderr}"
        return done.stdout.rstrip("\n")


@pytest.fixture
def daemon(registry: RunningRegistry) -> Iterator[Daemon]:
    """A daemon of this test alone."""
    with running(Options(registries_conf=registry.registries_conf())) as started:
        yield started


@pytest.fixture
def ctl(daemon: Daemon) -> Ctl:
    """The client of that daemon."""
    return Ctl(daemon.socket)
