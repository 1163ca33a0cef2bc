"""The benchmark itself: a small run against our daemon gives every figure, a restart included, and leaves nothing."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile

from test.integration.crioctl.conftest import Ctl
from test.support.daemon import ROOT

TIMEOUT_S = 240.0


def test_a_small_run_measures_everything() -> None:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench"))
    words = ["-m", "test.bench.run", "--alone", "--pods", "2", "--burst", "3", "--restarts", "1", "--json", str(folder / "figures.json")]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left behind" not in done.stderr
    (series,) = json.loads((folder / "figures.json").read_text())["runtimes"].values()
    for name in ("pod up", "pod down", "ExecSync true", "ListContainers, 3 pods", "start to first Version", "monitors' PSS per pod"):
        assert series[name]["p50"] > 0, name
    assert series["pod up"]["count"] == 2


def test_the_front_door_is_measured(ctl: Ctl) -> None:
    words = ["-m", "test.bench.mux", ctl.socket, "--calls", "100"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n| ") >= 5
