"""``make run``, ``make up`` and ``make down``: they show what was promised and leave nothing, however they end.

The leak check around every test looks at processes, mounts, interfaces, firewall rules and cgroups; the folder is looked at here.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import pytest

from test.support.daemon import ROOT
from test.support.waiting import eventually

TIMEOUT_S = 120.0


def start(verb: str, folder: pathlib.Path) -> subprocess.Popen[str]:
    """The demo with its folders below ``folder``."""
    env = os.environ | {"TMPDIR": str(folder), "CRIO_DEMO_STATE": str(folder / "state.json"), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "hack.demo", verb], cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.fixture
def folder() -> pathlib.Path:
    """A folder with a short name: the socket's path has a limit."""
    return pathlib.Path(tempfile.mkdtemp(prefix="demo"))


def test_run_shows_everything_and_leaves_nothing(folder: pathlib.Path) -> None:
    process = start("run", folder)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    for words in (
        "PullImage",
        "RunPodSandbox",
        "sandbox network creation",
        "CreateContainer",
        "StartContainer",
        "HTTP 200 OK",
        "Hello from a pod.",
        "I am www-data on demo",
        "stdout F web: pod demo serves /www on port 8080",
        "RemovePodSandbox",
        "nothing is left behind",
    ):
        assert words in output
    assert "\x1b" not in output, "a pipe gets plain lines"
    assert list(folder.iterdir()) == []


MOMENTS = {
    "while the registry starts": "from a loopback registry",
    "when the daemon answers": "ok     daemon",
    "when the pod runs": "ok     RunPodSandbox",
    "when the container runs": "ok     StartContainer",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_run_leaves_nothing(moment: str, folder: pathlib.Path) -> None:
    process = start("run", folder)
    assert process.stdout is not None
    shown = []
    for line in process.stdout:
        shown.append(line)
        if MOMENTS[moment] in line:
            process.send_signal(signal.SIGINT)
            break
    rest, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, "".join(shown) + rest
    assert list(folder.iterdir()) == []


def test_a_run_whose_daemon_is_killed_takes_everything_away_by_itself(folder: pathlib.Path) -> None:
    process = start("run", folder)
    assert process.stdout is not None
    for line in process.stdout:
        if "ok     CreateContainer" in line:
            os.kill(_daemon_pid(folder), signal.SIGKILL)
            break
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, output
    assert "the daemon's last words" in output
    assert "removed by force" in output
    assert list(folder.iterdir()) == []


def _daemon_pid(folder: pathlib.Path) -> int:
    """The daemon of the demo below a folder."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = pathlib.Path("/proc", name, "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "--registries-conf" in words and any(word.startswith(str(folder)) for word in words):
                return int(name)
    raise AssertionError(f"no daemon below {folder}")


def test_up_leaves_a_daemon_and_down_takes_it_away(folder: pathlib.Path) -> None:
    up = start("up", folder)
    output, _ = up.communicate(timeout=TIMEOUT_S)
    try:
        assert up.returncode == 0, output
        state = json.loads((folder / "state.json").read_text())
        socket = f"{state['places']['root']}/crio.sock"
        assert f"export CRIO_CONNECT={socket}" in output
        listed = subprocess.run(
            [str(ROOT / "bin" / "crioctl"), "--connect", socket, "ctr", "list", "--state", "running"],
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_S,
        )
        assert "crio-demo/web:1" in listed.stdout
        again = start("up", folder)
        refused, _ = again.communicate(timeout=TIMEOUT_S)
        assert (again.returncode, "is up already" in refused) == (1, True)
    finally:
        down = start("down", folder)
        output, _ = down.communicate(timeout=TIMEOUT_S)
    assert down.returncode == 0, output
    eventually(lambda: list(folder.iterdir()) == [], 10, "the folder is empty")
