"""Items again with real runtimes: runc, and crun (through our wrapper where it refuses the host)."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest

from test.conmon.harness import CID, WAIT_S, Monitor, receive_all, receive_until
from test.conmon.runtimes import Runtime, make_bundle, make_rootfs, runtime
from test.support import leaks
from test.support.waiting import eventually


class Container:
    """One container of a real runtime below a monitor; its caller starts and deletes it."""

    def __init__(self, monitor: Monitor, chosen: Runtime, rootfs: pathlib.Path) -> None:
        self.monitor = monitor
        self.runtime = chosen
        self.rootfs = rootfs
        self.state = monitor.folder / "state"
        self.name = f"{leaks.CGROUP_PREFIX}{chosen.name}-{leaks.run_id()}"
        monitor.options["-r"] = chosen.path

    def create(self, args: Sequence[str], *words: str) -> None:
        """Create it and wait for its pid."""
        make_bundle(self.monitor.bundle, self.rootfs, self.name, args, terminal="-t" in words)
        assert self.monitor.run(*self.runtime.monitor_words(self.state), *words) == 0
        assert self.monitor.message() == {"pid": self.monitor.container}

    def start(self) -> None:
        """Start it."""
        self.runtime.call(self.state, "start", CID)

    def execute(self, args: Sequence[str], *words: str) -> Monitor:
        """Run something else in it, with a monitor of its own."""
        other = Monitor(self.monitor.folder / f"exec{len(list(self.monitor.folder.glob('exec*')))}", self.runtime.path)
        config = json.loads((self.monitor.bundle / "config.json").read_text("utf-8"))
        spec = other.folder / "process.json"
        spec.write_text(json.dumps(dict(config["process"], args=list(args), terminal="-t" in words)), encoding="utf-8")
        every = (*self.runtime.monitor_words(self.state), "-e", "--exec-process-spec", str(spec), *words)
        assert other.run(*every) == 0
        return other

    def delete(self) -> None:
        """Take it away."""
        self.runtime.call(self.state, "delete", "--force", CID)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A root file system for all."""
    return make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture(params=["runc", "crun"])
def container(request: pytest.FixtureRequest, make_monitor: Callable[..., Monitor], rootfs: pathlib.Path) -> Iterator[Container]:
    """A container that is not created yet."""
    made = Container(make_monitor(), runtime(request.param), rootfs)
    yield made
    made.delete()


def test_27_a_real_container_is_reported_logged_and_its_status_published(container: Container) -> None:
    container.create(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert not container.monitor.log.read_bytes()
    container.start()
    assert container.monitor.status() == "7"
    assert container.monitor.text() == b"out\n" and container.monitor.text("stderr") == b"err\n"


def test_28_a_real_runtimes_failure_arrives(container: Container) -> None:
    make_bundle(container.monitor.bundle, container.rootfs, container.name, ["/no/such/program"])
    assert container.monitor.run(*container.runtime.monitor_words(container.state)) == 0
    message = container.monitor.message()
    assert message["pid"] == -1 and "/no/such/program" in str(message["message"])


def test_35_exec_in_a_real_container(container: Container) -> None:
    container.create(["sleep", "1000"])
    container.start()
    other = container.execute(["sh", "-c", "echo here; exit 5"])
    assert other.message() == {"exit_code": 5}
    assert other.text() == b"here\n"
    failed = container.execute(["/no/such/program"])
    message = failed.message()
    assert message["exit_code"] == -1 and message["message"]
    for one in (other, failed):
        one.stop()


def test_63_stdin_of_a_real_container(container: Container) -> None:
    container.create(["cat"], "-i")
    with container.monitor.attach() as client:
        client.send(b"before the start\n")
        container.start()
        assert receive_until(client, b"start\n") == b"before the start\n"
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == {2: b"", 3: b""}
    assert container.monitor.status() == "0"


def test_71_a_real_terminal(container: Container) -> None:
    container.create(["sh", "-c", "stty size; tty; read word; echo got $word; stty size"], "-t")
    container.monitor.ctl("1 33 44\n")
    with container.monitor.attach() as client:
        container.start()
        seen = receive_until(client, b"/dev/pts/0\r\n")
        container.monitor.ctl("1 35 46\n")
        client.send(b"it\n")
        seen += receive_all(client)[2]
    assert b"33 44\r\n" in seen and b"got it\r\n" in seen and seen.endswith(b"35 46\r\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, "137"), (signal.SIGTERM, "143")])
def test_80_a_real_container_that_is_killed(container: Container, number: signal.Signals, status: str) -> None:
    # The first process of a pid namespace ignores what it does not handle, so a child of it takes the signal.
    script = "sh -c 'kill -$0 $$' " + str(int(number)) + "; exit $?"
    container.create(["sh", "-c", script])
    container.start()
    assert container.monitor.status() == status


def test_88_a_time_limit_in_a_real_exec(container: Container) -> None:
    container.create(["sleep", "1000"])
    container.start()
    other = container.execute(["sleep", "1000"], "-T", "1")
    assert other.message() == {"exit_code": -1, "message": "command timed out"}
    other.stop()


def test_90_a_signal_to_the_monitor_reaches_a_real_container(container: Container) -> None:
    container.create(["sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done"])
    container.start()
    container.monitor.logged(b"up\n")
    os.kill(container.monitor.pid, signal.SIGTERM)
    assert container.monitor.status() == "9"


def test_94_a_real_container_that_runs_out_of_memory(container: Container) -> None:
    monitor = container.monitor
    make_bundle(monitor.bundle, container.rootfs, container.name, ["sh", "-c", "head -c 64m /dev/zero | sort > /dev/null; exit 3"])
    path = monitor.bundle / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["process"]["args"][2] = "busybox head -c 64m /dev/zero | busybox tail -c 64m > /dev/null; exit 3"
    config["linux"]["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    path.write_text(json.dumps(config), encoding="utf-8")
    assert monitor.run(*container.runtime.monitor_words(container.state)) == 0
    monitor.message()
    container.start()
    monitor.status()
    assert (monitor.persist / "oom").exists() and (monitor.bundle / "oom").exists()


def test_82_the_monitor_keeps_no_descriptor_of_a_real_container(container: Container) -> None:
    container.create(["sh", "-c", "ls /proc/self/fd"])
    container.start()
    assert container.monitor.status() == "0"
    eventually(lambda: not pathlib.Path(f"/proc/{container.monitor.pid}").exists(), WAIT_S, "the monitor's end")
    assert set(container.monitor.text().split()) == {b"0", b"1", b"2", b"3"}
