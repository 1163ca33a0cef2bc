"""Podman 5 with the monitor on a machine with systemd as process 1: a real journald, units, cgroup version 2."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from test.conmon.harness import CONMON, IS_UPSTREAM
from test.conmon.podman.engine import COMMAND_TIMEOUT_S, IMAGE
from test.conmon.runtimes import make_rootfs
from test.nodes import booted, debian13
from test.support import isolation, leaks
from test.support.waiting import eventually

# Limits that the host's cgroup2 hierarchy has no controller for, or that take a capability, are not asked for.
CONF = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "journald"
netns = "none"
pids_limit = 0
[engine]
conmon_path = ["{conmon}"]
cgroup_manager = "cgroupfs"
events_logger = "journald"
runtime = "crun"
"""
UNIT = """[Unit]
DefaultDependencies=no
[Service]
Type=notify
NotifyAccess=all
Delegate=yes
ExecStart=/usr/bin/podman run --detach --rm --name split --cgroups split --sdnotify conmon {image} sleep 1000
ExecStop=/usr/bin/podman stop --time 0 split
SuccessExitStatus=137
"""
LONG = 40_000


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind(leak_scope: leaks.Scope) -> Iterator[None]:
    """The leak check of the suite, but once: what the tests leave on the machine goes with it."""
    with leaks.checked(leak_scope):
        yield


@pytest.fixture(scope="module")
def machine(nothing_left_behind: None) -> Iterator[booted.Machine]:
    """A machine whose podman has an image and our monitor."""
    with isolation.first_network():
        node = debian13.node()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        archive = folder / "box.tar"
        subprocess.run(["tar", "-C", make_rootfs(folder / "rootfs"), "-cf", archive, "."], check=True)
        (folder / "containers.conf").write_text(CONF.format(conmon=CONMON))
        # Debian's monitor is there already, in the release of the machine.
        ours = [] if IS_UPSTREAM else [os.path.dirname(CONMON)]
        with booted.booted(node, [name, *ours]) as started:
            started.ok("mount", "--bind", f"{name}/containers.conf", "/usr/share/containers/containers.conf")
            started.ok("podman", "import", str(archive), IMAGE)
            yield started


def entries(machine: booted.Machine, *matches: str) -> list[dict[str, str]]:
    """What journald has stored, as journalctl shows it."""
    return [json.loads(line) for line in machine.ok("journalctl", "--output", "json", "--all", *matches).splitlines()]


def test_51_podman_reads_back_what_a_container_wrote(machine: booted.Machine) -> None:
    script = f"echo out; echo err >&2; yes x | head -c {2 * LONG} | busybox tr -d '\\n'; echo; printf rest; exit 3"
    name = machine.ok("podman", "run", "-d", "--name", "box", "--log-opt", "tag=sign", IMAGE, "sh", "-c", script)
    assert machine.ok("podman", "wait", name) == "3"
    done = machine.call("podman", "logs", name)
    assert (done.returncode, done.stderr) == (0, b"err\n")
    assert done.stdout.rstrip(b"\n") == b"out\n" + b"x" * LONG + b"\nrest"


def test_51_the_fields_of_what_podman_runs(machine: booted.Machine) -> None:
    name = machine.ok("podman", "run", "-d", "--name", "plain", IMAGE, "sh", "-c", "echo '<1>out'; echo err >&2; printf rest")
    machine.ok("podman", "wait", name)
    monitor = ("_COMM=conmon", f"CONTAINER_ID_FULL={name}")
    eventually(lambda: len(entries(machine, *monitor)) == 3, COMMAND_TIMEOUT_S, "three entries")
    found = {entry["MESSAGE"]: entry for entry in entries(machine, *monitor)}
    assert {message: entry["PRIORITY"] for message, entry in found.items()} == {"<1>out\n": "6", "err\n": "3", "rest": "6"}
    for message, entry in found.items():
        assert (entry["CONTAINER_NAME"], entry["CONTAINER_ID"], entry["SYSLOG_IDENTIFIER"]) == ("plain", name[:12], "plain")
        assert entry.get("CONTAINER_PARTIAL_MESSAGE") == ("true" if message == "rest" else None)


def test_51_following_a_container_to_its_end(machine: booted.Machine) -> None:
    name = machine.ok("podman", "run", "-d", IMAGE, "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.2; done")
    assert machine.ok("podman", "logs", "-f", name) == "line 1\nline 2\nline 3"
    assert machine.ok("podman", "logs", "--tail", "1", name) == "line 3"


def test_96_a_unit_that_shares_its_cgroup_with_the_container(machine: booted.Machine) -> None:
    """cgroups=split and sdnotify=conmon: the monitor is the main process of the unit, and stopping it is clean."""
    machine.ok("sh", "-c", 'printf %s "$0" > /run/systemd/system/split.service', UNIT.format(image=IMAGE))
    machine.ok("systemctl", "daemon-reload")
    machine.ok("systemctl", "start", "split.service")
    monitor, container = machine.ok("podman", "inspect", "--format", "{{.State.ConmonPid}} {{.State.Pid}}", "split").split()
    shown = dict(line.split("=", 1) for line in machine.ok("systemctl", "show", "split.service").splitlines())
    assert (shown["ActiveState"], shown["MainPID"]) == ("active", monitor)
    groups = [machine.ok("grep", "^0:", f"/proc/{pid}/cgroup").partition("::")[2] for pid in (monitor, container)]
    assert groups[0] != groups[1] and all(group.startswith(f"{shown['ControlGroup']}/") for group in groups), groups
    machine.ok("systemctl", "stop", "split.service")
    shown = dict(line.split("=", 1) for line in machine.ok("systemctl", "show", "split.service").splitlines())
    assert (shown["ActiveState"], shown["Result"]) == ("inactive", "success")
    assert machine.ok("podman", "ps", "--all", "--quiet", "--filter", "name=split") == ""
