"""Real OCI runtimes and a bundle for them: what the monitor's tests and measurements run besides the scripted runtime."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
HYBRID = ROOT / "libexec" / "crio" / "runtime-hybrid"
CGROUP2_BESIDE = pathlib.Path("/sys/fs/cgroup/unified")
APPLETS = ("sh", "sleep", "cat", "echo", "seq", "stty", "tty", "id", "true", "false", "kill", "test", "touch", "ls", "env", "yes", "head")
COMMAND_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Runtime:
    """An OCI runtime that works here: ``path`` with ``words`` before the sub-command."""

    name: str
    path: str
    words: tuple[str, ...] = ()

    def monitor_words(self, state: pathlib.Path) -> list[str]:
        """What the monitor is told, besides --runtime."""
        words = [*self.words, f"--root={state}"]
        return [part for word in words for part in ("--runtime-arg", word)]

    def call(self, state: pathlib.Path, *words: str) -> None:
        """Call it directly, as a caller of the monitor does for start, kill and delete."""
        command = [self.path, *self.words, f"--root={state}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def runtime(name: str, path: str | None = None) -> Runtime:
    """``runc`` or ``crun``, the host's or the one at ``path``; crun through our wrapper where both cgroup versions are mounted."""
    path = path or shutil.which(name)
    assert path is not None, f"{name} is not installed"
    if name == "crun" and CGROUP2_BESIDE.is_dir():
        return Runtime(name, str(HYBRID), (f"--hybrid={CGROUP2_BESIDE}:{path}",))
    return Runtime(name, path)


def make_rootfs(folder: pathlib.Path) -> pathlib.Path:
    """A root file system with a static busybox under the names that the tests call."""
    for name in ("bin", "proc", "dev", "sys", "tmp", "etc"):
        (folder / name).mkdir(parents=True)
    busybox = folder / "bin" / "busybox"
    shutil.copy("/bin/busybox", busybox)
    for applet in APPLETS:
        os.link(busybox, folder / "bin" / applet)
    (folder / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n", encoding="ascii")
    return folder


def make_bundle(folder: pathlib.Path, rootfs: pathlib.Path, name: str, args: Sequence[str], terminal: bool = False) -> pathlib.Path:
    """A bundle that runs ``args``; its cgroup is called after ``name``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").unlink(missing_ok=True)
    subprocess.run(["runc", "spec"], cwd=folder, check=True, timeout=COMMAND_TIMEOUT_S)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["root"] = {"path": str(rootfs), "readonly": True}
    config["process"].update(terminal=terminal, args=list(args))
    config["process"].pop("rlimits", None)
    config["linux"]["cgroupsPath"] = f"/{name}"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
