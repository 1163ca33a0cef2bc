"""A whole life of pods, containers and images through ``bin/crioctl``, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import subprocess

from test.images.catalog import BUSYBOX, LAYERED, REDIS
from test.integration.crioctl.conftest import CALL_TIMEOUT_S, TESTDATA, Ctl
from test.support.daemon import BIN, Daemon
from test.support.waiting import eventually


def example(daemon: Daemon, name: str) -> str:
    """A pod of the examples, in the cgroup of this test."""
    document = json.loads((TESTDATA / name).read_text())
    document.setdefault("linux", {})["cgroup_parent"] = daemon.layout.cgroup_parent
    return json.dumps(document)


def test_the_life_of_a_pod(daemon: Daemon, ctl: Ctl) -> None:
    image = ctl("image", "pull", REDIS)
    pod = ctl("pod", "run", "--config", "-", text=example(daemon, "sandbox_config.json"))
    assert ctl("pod", "list", "-q", "--label", "app=shop") == pod
    assert "ready" in ctl("pod", "status", pod)
    container = ctl("ctr", "create", "--pod", pod, "--config", str(TESTDATA / "container_redis.json"))
    assert ctl("ctr", "list", "-q", "--state", "created") == container
    assert ctl("ctr", "start", container) == container
    assert ctl("ctr", "list", "-q", "--state", "running", "--pod", pod) == container
    assert ctl("ctr", "execsync", "--id", container, "sh", "-c", "echo $GREETING") == "hello from a file"
    status = json.loads(ctl("ctr", "status", "--json", container))["status"]
    assert (status["state"], status["labels"], status["imageId"] or image) == ("CONTAINER_RUNNING", {"tier": "data"}, image)
    log = eventually(pathlib.Path(status["logPath"]).read_text, 10, "the log has a line")
    assert "Ready to accept connections" in log
    assert ctl("ctr", "stop", container, "--timeout", "5") == container
    assert re.search(r"^exit code +0$", ctl("ctr", "status", container), re.MULTILINE)
    assert ctl("ctr", "remove", "--id", container) == container
    assert ctl("pod", "stop", pod) == pod
    assert ctl("pod", "list", "-q", "--state", "notready") == pod
    assert ctl("pod", "remove", pod) == pod
    assert ctl("pod", "list", "-q") == ctl("ctr", "list", "-q") == ""


def test_an_exec_gives_output_error_and_code(daemon: Daemon, ctl: Ctl) -> None:
    ctl("image", "pull", BUSYBOX)
    pod = ctl("pod", "create", "--config", "-", text=example(daemon, "sandbox_config.json"))
    container = ctl("ctr", "create", "--pod", pod, "--config", str(TESTDATA / "container_sleep.json"))
    ctl("ctr", "start", container)
    done = ctl.run("ctr", "execsync", "--id", container[:12], "--timeout", "20", "--", "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (done.returncode, done.stdout, done.stderr) == (42, "out\n", "err\n")
    late = ctl.run("ctr", "execsync", "--id", container, "--timeout", "1", "sleep", "30")
    assert (late.returncode, late.stdout) == (124, "")


def test_images_are_listed_described_and_removed(ctl: Ctl) -> None:
    image = ctl("image", "pull", LAYERED)
    assert ctl("image", "list", "-q", LAYERED) == image
    assert LAYERED.rpartition(":")[0] in ctl("image", "list")
    assert f"tag     {LAYERED}" in ctl("image", "status", LAYERED)
    assert ctl("image", "remove", LAYERED) == LAYERED
    gone = ctl.run("image", "status", LAYERED)
    assert (gone.returncode, gone.stdout) == (4, "")
    assert "is not in the store" in gone.stderr


def test_a_pull_draws_bars_on_a_terminal(daemon: Daemon) -> None:
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        [str(BIN / "crioctl"), "--connect", daemon.socket, "image", "pull", LAYERED],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=writer,
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(writer)
    with open(reader, "rb", buffering=0) as terminal:
        drawn = _read_to_end(terminal.fileno())
    output, _ = process.communicate(timeout=CALL_TIMEOUT_S)
    assert process.returncode == 0, drawn
    assert len(output.decode().strip()) >= 64
    # A pull of small layers may be over before the first look; what was drawn ends full.
    assert "░" not in drawn.rpartition("\x1b[J")[2] if "\x1b[J" in drawn else True


def _read_to_end(fd: int) -> str:
    """What a terminal shows until the other side closes it, which the kernel tells as an error."""
    parts = []
    while True:
        try:
            part = os.read(fd, 4096)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode(errors="replace")


def test_who_answers_and_whether_it_is_ready(ctl: Ctl) -> None:
    assert json.loads(ctl("runtimeversion", "--json"))["runtimeName"] == "cri-o"
    assert "RuntimeReady" in ctl("info")
    assert Ctl(ctl.socket, "ocic")("runtimeversion") == ctl("runtimeversion")


def test_errors_are_sentences_with_codes(daemon: Daemon, ctl: Ctl) -> None:
    unknown = ctl.run("ctr", "status", "no-such-container")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (4, 1)
    assert "no-such-container" in unknown.stderr
    missing = ctl.run("image", "pull", "registry.k8s.io/no/such:1")
    assert missing.returncode in (1, 4)
    assert missing.stderr.startswith("crioctl: PullImage: ")
    handler = ctl.run("pod", "run", "--config", "-", "--runtime", "nonsense", text=example(daemon, "sandbox_config.json"))
    assert handler.returncode in (1, 4)
    assert "nonsense" in handler.stderr
