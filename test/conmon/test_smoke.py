"""The monitor alone, with a scripted runtime: the way from the start byte to the exit file, in each of its modes."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from test.support.waiting import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONMON = os.environ.get("CONMON_UNDER_TEST", str(ROOT / "bin" / "conmon"))
FAKE_RUNTIME = str(pathlib.Path(__file__).with_name("fake_runtime.py"))
CID = "0123456789abcdef0123"
WAIT_S = 20.0
RECORD = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d (stdout|stderr) ([FP]) (.*)$", re.DOTALL)


class Monitor:
    """One run of the monitor and the caller's ends of its pipes."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Prepare the directories of a container below ``folder``."""
        self.folder = folder
        self.bundle = folder / "bundle"
        self.exits = folder / "exits"
        self.persist = folder / "persist"
        self.sockets = folder / "sockets"
        for path in (self.bundle, self.exits, self.persist, self.sockets):
            path.mkdir()
        self.log = folder / "ctr.log"
        self.sync, self._sync_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.start, self._start_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *words: str, **environment: str) -> int:
        """Start it, give the go-ahead and wait for the foreground process; returns its status."""
        theirs = (self._sync_theirs, self._start_theirs)
        variables = dict(
            os.environ, _OCI_SYNCPIPE=str(theirs[0].fileno()), _OCI_STARTPIPE=str(theirs[1].fileno()), **environment
        )
        argv = [CONMON, "-c", CID, "-u", CID, "-r", FAKE_RUNTIME, "-l", str(self.log), "-b", str(self.bundle)]
        argv += ["-p", str(self.folder / "pidfile"), "-P", str(self.folder / "conmon.pid"), "--exit-dir", str(self.exits)]
        argv += ["--persist-dir", str(self.persist), "--socket-dir-path", str(self.sockets), *words]
        self.process = subprocess.Popen(argv, env=variables, pass_fds=[end.fileno() for end in theirs], cwd=self.folder)
        for end in theirs:
            end.close()
        self.start.send(b"\0")
        return self.process.wait(WAIT_S)

    def message(self) -> dict[str, object]:
        """The next message on the sync pipe."""
        self.sync.settimeout(WAIT_S)
        data = b""
        while not data.endswith(b"\n"):
            piece = self.sync.recv(4096)
            assert piece, "the sync pipe ended"
            data += piece
        decoded: dict[str, object] = json.loads(data)
        return decoded

    def status(self) -> str:
        """The exit status, once it is published."""
        path = self.exits / CID
        eventually(path.exists, WAIT_S, "the exit file")
        return path.read_text(encoding="ascii")

    def records(self) -> list[tuple[str, str, str]]:
        """Stream, tag and content of all log records."""
        found = []
        for line in self.log.read_text(encoding="utf-8").split("\n")[:-1]:
            match = RECORD.match(line)
            assert match is not None, line
            found.append((match[1], match[2], match[3]))
        return found

    def attach(self) -> socket.socket:
        """A new attach client."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.settimeout(WAIT_S)
        folder_fd = os.open(self.bundle, os.O_PATH)
        try:
            client.connect(f"/proc/self/fd/{folder_fd}/attach")
        finally:
            os.close(folder_fd)
        return client

    def ctl(self, line: str) -> None:
        """Write a control line."""
        with open(self.bundle / "ctl", "w", encoding="ascii") as fifo:
            fifo.write(line)

    def stop(self) -> None:
        """Kill the container and wait until the monitor is gone."""
        pid_file = self.folder / "pidfile"
        if pid_file.exists() and not (self.exits / CID).exists() and pid_file.read_text(encoding="ascii").isdigit():
            os.kill(int(pid_file.read_text(encoding="ascii")), signal.SIGKILL)
        self.sync.close()
        self.start.close()
        daemon = self.folder / "conmon.pid"
        if daemon.exists():
            pid = daemon.read_text(encoding="ascii")
            eventually(lambda: not _is_running(pid), WAIT_S, "the monitor's end")


def _is_running(pid: str) -> bool:
    try:
        words = pathlib.Path("/proc", pid, "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return words[0] not in "ZX"


def _receive_all(client: socket.socket) -> dict[int, bytes]:
    streams: dict[int, bytes] = {2: b"", 3: b""}
    while packet := client.recv(16384):
        assert len(packet) <= 8193
        streams[packet[0]] += packet[1:]
    return streams


@pytest.fixture
def monitor(tmp_path: pathlib.Path) -> Iterator[Monitor]:
    """A monitor that is not started yet."""
    made = Monitor(tmp_path)
    yield made
    made.stop()


def test_a_container_is_reported_logged_and_its_status_published(monitor: Monitor) -> None:
    assert monitor.run(FAKE_SCRIPT="echo out; echo err >&2; printf tail; exit 7") == 0
    assert monitor.message() == {"pid": int((monitor.folder / "pidfile").read_text(encoding="ascii"))}
    assert monitor.status() == "7"
    assert (monitor.persist / "exit").read_text(encoding="ascii") == "7"
    assert sorted(monitor.records()) == [("stderr", "F", "err"), ("stdout", "F", "out"), ("stdout", "P", "tail")]
    assert not list(monitor.sockets.iterdir())


def test_a_failing_runtime_is_reported_with_its_words(monitor: Monitor) -> None:
    assert monitor.run("--api-version", "1", FAKE_STATUS="3", FAKE_STDERR='no "such" thing\n') == 0
    assert monitor.message() == {"data": -1, "message": 'no "such" thing\n'}
    assert not (monitor.exits / CID).exists()


def test_a_megabyte_of_runtime_messages_does_not_block(monitor: Monitor) -> None:
    assert monitor.run(FAKE_STATUS="1", FAKE_STDERR_BYTES="1000000") == 0
    message = monitor.message()
    assert message["pid"] == -1
    assert str(message["message"]).startswith("xxx")


def test_a_terminal_keeps_an_early_size_and_sends_its_output_to_clients(monitor: Monitor, tmp_path: pathlib.Path) -> None:
    go = tmp_path / "go"
    assert monitor.run("-t", FAKE_SCRIPT="stty size; read line; echo got $line", FAKE_WAIT_FILE=str(go)) == 0
    eventually((monitor.bundle / "ctl").exists, WAIT_S, "the control fifo")
    monitor.ctl("1 33 44\n")
    with monitor.attach() as client:
        client.send(b"words\n")
        go.touch()
        streams = _receive_all(client)
    assert streams[2].split(b"\r\n")[0] == b"33 44" or b"\r\n33 44\r\n" in streams[2]
    assert b"got words\r\n" in streams[2]
    assert monitor.status() == "0"


def test_a_client_feeds_stdin_and_its_end_ends_it(monitor: Monitor) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="cat; echo over >&2") == 0
    monitor.message()
    with monitor.attach() as client:
        client.send(b"in\n")
        client.shutdown(socket.SHUT_WR)
        assert _receive_all(client) == {2: b"in\n", 3: b"over\n"}
    assert monitor.status() == "0"


def test_exec_reports_pid_and_status(monitor: Monitor) -> None:
    words = ("-e", "--exec-process-spec", "spec", "--api-version", "1")
    assert monitor.run(*words, FAKE_SCRIPT="exit 5", FAKE_OUTLIVE="1") == 0
    assert monitor.message() == {"data": int((monitor.folder / "pidfile").read_text(encoding="ascii"))}
    assert monitor.message() == {"data": 5}


def test_a_timeout_kills_and_says_so(monitor: Monitor) -> None:
    words = ("-e", "--exec-process-spec", "spec", "--sync", "-T", "1")
    assert monitor.run(*words, FAKE_SCRIPT="sleep 1000 & wait") == 255
    assert monitor.message() == {"exit_code": -1, "message": "command timed out"}
    assert monitor.status() == "-1"


def test_a_policy_drops_lines_and_says_so(monitor: Monitor) -> None:
    assert monitor.run("--log-policy", "stdout:drop,lines=10", FAKE_SCRIPT="seq 1000; sleep 2; echo last") == 0
    assert monitor.status() == "0"
    contents = [content for _, _, content in monitor.records()]
    assert contents[:10] == [str(number) for number in range(1, 11)]
    assert re.match(r"\[conmon: log policy drop: 990 lines, 3872 bytes left out in \d+\.\d{3} s\]", contents[10])
    assert contents[11:] == ["last"]
    counters = dict(line.split(" ", 1) for line in (monitor.bundle / "log-counters").read_text(encoding="ascii").splitlines())
    assert counters["stdout.dropped_lines"] == "990"
    assert counters["stdout.gaps"] == "1"


def test_a_blocking_policy_slows_the_container_and_loses_nothing(monitor: Monitor) -> None:
    assert monitor.run("--log-policy", "block,lines=20000/1000", FAKE_SCRIPT="seq 30000") == 0
    assert monitor.status() == "0"
    whole = "".join(content + ("\n" if tag == "F" else "") for _, tag, content in monitor.records())
    assert whole == "".join(f"{number}\n" for number in range(1, 30001))
    counters = dict(line.split(" ", 1) for line in (monitor.bundle / "log-counters").read_text(encoding="ascii").splitlines())
    assert int(counters["stdout.blocked_ms"]) > 100


def test_a_policy_can_be_changed_while_the_container_runs(monitor: Monitor, tmp_path: pathlib.Path) -> None:
    go = tmp_path / "go"
    assert monitor.run(FAKE_SCRIPT=f"while ! test -e {go}; do sleep 0.02; done; seq 100") == 0
    monitor.message()
    monitor.ctl("3 1 sample,lines=10,every=9\n")
    eventually((monitor.bundle / "log-counters").exists, WAIT_S, "the counters file")
    go.touch()
    assert monitor.status() == "0"
    contents = [content for _, _, content in monitor.records()]
    assert contents[:11] == [*map(str, range(1, 11)), "19"]
    assert "log policy sample: 80 lines" in contents[-1]


def test_reopening_always_makes_a_new_file(monitor: Monitor) -> None:
    assert monitor.run(FAKE_SCRIPT="echo one; read line < /dev/zero") == 0
    monitor.message()
    eventually(lambda: monitor.log.stat().st_size > 0, WAIT_S, "the first record")
    monitor.log.rename(monitor.folder / "moved.log")
    monitor.ctl("garbage\n2 0 0\n")
    eventually(monitor.log.exists, WAIT_S, "the new log file")
    assert (monitor.folder / "moved.log").stat().st_size > 0


def test_a_client_that_does_not_read_delays_nothing(monitor: Monitor) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="read go; seq 2000000; echo end >&2") == 0
    monitor.message()
    with monitor.attach() as stuck:
        stuck.send(b"go\n")
        assert monitor.status() == "0"
        assert monitor.records()[-1] in {("stdout", "F", "2000000"), ("stderr", "F", "end")}
        streams = _receive_all(stuck)
    assert streams[2].startswith(b"1\n2\n3\n")


def test_signals_do_not_end_the_monitor(monitor: Monitor) -> None:
    assert monitor.run(FAKE_SCRIPT="trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done") == 0
    monitor.message()
    eventually(lambda: monitor.log.stat().st_size > 0, WAIT_S, "the trap")
    daemon = int((monitor.folder / "conmon.pid").read_text(encoding="ascii"))
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE, signal.SIGTERM):
        os.kill(daemon, number)
    assert monitor.status() == "9"
