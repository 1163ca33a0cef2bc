"""A caller of the monitor: starts it with pipes, gives the go-ahead, reads what it reports, writes and leaves behind.

The program under test is named by CONMON_UNDER_TEST (default: our ``bin/conmon``), so the same tests run against Debian's.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from test.support.waiting import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONMON = os.environ.get("CONMON_UNDER_TEST", str(ROOT / "bin" / "conmon"))
UPSTREAM_PATH = "/usr/bin/conmon"
IS_UPSTREAM = os.path.realpath(CONMON) == os.path.realpath(UPSTREAM_PATH)
FAKE_RUNTIME = str(pathlib.Path(__file__).with_name("fake_runtime.py"))
CID = "0123456789abcdef0123"
# What upstream is known not to do is waited for in vain: wait shorter.
WAIT_S = 5.0 if IS_UPSTREAM else 20.0
PACKET_BYTES = 16384
RECORD = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d (stdout|stderr) ([FP]) (.*)$", re.DOTALL)
LEGACY_EXEC = ("-e", "--exec-process-spec", "spec")
API_EXEC = (*LEGACY_EXEC, "--api-version", "1")
MEMORY_CGROUPS = pathlib.Path("/sys/fs/cgroup/memory")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log."""

    stream: str
    tag: str
    content: bytes


class Ended(Exception):
    """The other side of a pipe has closed it."""


class Monitor:
    """One run of the monitor, and the caller's side of everything it has."""

    def __init__(self, folder: pathlib.Path, runtime: str = FAKE_RUNTIME) -> None:
        """Prepare the directories of a container below ``folder``."""
        self.folder = folder
        self.bundle = folder / "bundle"
        self.exits = folder / "exits"
        self.persist = folder / "persist"
        self.sockets = folder / "sockets"
        for path in (self.bundle, self.exits, self.persist, self.sockets):
            path.mkdir(parents=True)
        self.log = folder / "ctr.log"
        self.pid_file = folder / "pidfile"
        self.errors = folder / "errors.txt"
        self.options: dict[str, str] = {
            "-c": CID,
            "-u": CID,
            "-r": runtime,
            "-l": str(self.log),
            "-b": str(self.bundle),
            "-p": str(self.pid_file),
            "-P": str(folder / "conmon.pid"),
            "--exit-dir": str(self.exits),
            "--persist-dir": str(self.persist),
            "--socket-dir-path": str(self.sockets),
        }
        self.prefix: tuple[str, ...] = ()
        self.program: tuple[str, ...] = (CONMON,)
        self.kind = socket.SOCK_SEQPACKET
        self.pass_fds: tuple[int, ...] = ()
        self.stdout: int | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._pairs: dict[str, tuple[socket.socket, socket.socket]] = {}

    def argv(self, *words: str) -> list[str]:
        """The command line with further words."""
        return [*self.prefix, *self.program, *(word for pair in self.options.items() for word in pair), *words]

    def launch(self, *words: str, pipes: Sequence[str] = ("SYNC", "START"), **environment: str) -> subprocess.Popen[bytes]:
        """Start the program; the go-ahead is not given yet."""
        variables = dict(os.environ, **environment)
        for name in pipes:
            self._pairs[name] = socket.socketpair(socket.AF_UNIX, self.kind)
            variables[f"_OCI_{name}PIPE"] = str(self._pairs[name][1].fileno())
        fds = tuple(pair[1].fileno() for pair in self._pairs.values())
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                self.argv(*words),
                env=variables,
                pass_fds=fds + self.pass_fds,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=errors if self.stdout is None else self.stdout,
                stderr=errors,
            )
        for pair in self._pairs.values():
            pair[1].close()
        return self.process

    def pipe(self, name: str) -> socket.socket:
        """The caller's end of one of the pipes."""
        return self._pairs[name][0]

    def go(self) -> None:
        """Give the go-ahead."""
        self.pipe("START").send(b"\0")

    def wait(self) -> int:
        """The status of the process that was started."""
        assert self.process is not None
        return self.process.wait(WAIT_S)

    def run(self, *words: str, pipes: Sequence[str] = ("SYNC", "START"), **environment: str) -> int:
        """Start it, give the go-ahead and wait for the foreground process; returns its status."""
        self.launch(*words, pipes=pipes, **environment)
        if "START" in pipes:
            self.go()
        return self.wait()

    def message(self, pipe: str = "SYNC", timeout_s: float = WAIT_S) -> dict[str, object]:
        """The next message on a pipe, read as Podman does: at most 4096 bytes of a packet. Raises Ended at its end."""
        end = self.pipe(pipe)
        end.settimeout(timeout_s)
        data = b""
        while not data.endswith(b"\n"):
            piece = end.recv(4096)
            if not piece:
                raise Ended(f"the pipe {pipe} ended after {data!r}")
            data += piece
        decoded: dict[str, object] = json.loads(data)
        return decoded

    def ended(self, pipe: str = "SYNC") -> bool:
        """Wait for the end of a pipe; False when a message comes first."""
        end = self.pipe(pipe)
        end.settimeout(WAIT_S)
        return end.recv(4096) == b""

    def status(self, timeout_s: float = WAIT_S) -> str:
        """The exit status, once it is published."""
        path = self.exits / CID
        eventually(path.exists, timeout_s, "the exit file")
        return path.read_text(encoding="ascii")

    def records(self, path: pathlib.Path | None = None) -> list[Record]:
        """All records of the log."""
        found = []
        for line in (path or self.log).read_bytes().split(b"\n")[:-1]:
            match = RECORD.match(line)
            assert match is not None, line
            found.append(Record(match[1].decode(), match[2].decode(), match[3]))
        return found

    def text(self, stream: str = "stdout") -> bytes:
        """What one stream wrote, put together from its records."""
        return b"".join(record.content + (b"\n" if record.tag == "F" else b"") for record in self.records() if record.stream == stream)

    def logged(self, words: bytes) -> None:
        """Wait until the container's output contains some words; they may be spread over several records."""
        eventually(lambda: self.log.exists() and words in self.text() + self.text("stderr"), WAIT_S, f"{words!r} in the log")

    def attach(self, folder: pathlib.Path | None = None) -> socket.socket:
        """A new attach client."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Blocking, but not for ever: a full backlog is waited for.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(WAIT_S), 0))
        folder_fd = os.open(folder or self.bundle, os.O_PATH)
        try:
            client.connect(f"/proc/self/fd/{folder_fd}/attach")
            client.settimeout(WAIT_S)
        except OSError:
            client.close()
            raise
        finally:
            os.close(folder_fd)
        return client

    def ctl(self, line: str) -> None:
        """Write to the control fifo, never waiting for a reader."""
        fd = os.open(self.bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fd, line.encode("latin-1"))
        finally:
            os.close(fd)

    @property
    def pid(self) -> int:
        """The process id of the daemon."""
        return int((self.folder / "conmon.pid").read_text(encoding="ascii"))

    @property
    def container(self) -> int:
        """The process id of the container, once the runtime has written it."""
        return int(eventually(lambda: self.pid_file.exists() and self.pid_file.read_text("ascii"), WAIT_S, "the container's pid"))

    def close(self, pipe: str) -> None:
        """Close the caller's end of a pipe."""
        self.pipe(pipe).close()

    def stop(self) -> None:
        """Kill the container, collect the foreground process and wait until the monitor is gone."""
        for pair in self._pairs.values():
            pair[0].close()
        with contextlib.suppress(AssertionError):
            eventually(self._is_gone, WAIT_S, "the monitor's end")
            return
        for pid in self._monitors():
            kill(pid)
        assert IS_UPSTREAM, "the monitor did not end with its container"

    def _monitors(self) -> list[int]:
        """The processes of the monitor that run."""
        found = []
        if self.process is not None and self.process.poll() is None:
            found.append(self.process.pid)
        daemon = self.folder / "conmon.pid"
        if daemon.exists() and (text := daemon.read_text("ascii")).isdigit() and is_running(int(text)):
            found.append(int(text))
        return found

    def _is_gone(self) -> bool:
        """Kill the container, once it is there; True when no process of the monitor is left."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self.pid_file.read_text("ascii"))
            if pid > 0 and not (self.exits / CID).exists():
                os.kill(pid, signal.SIGKILL)
        return not self._monitors()


def until(path: pathlib.Path) -> str:
    """A piece of a shell script that waits for a file."""
    return f"until test -e {path}; do sleep 0.02; done"


def kill(pid: int) -> None:
    """Kill a process of ours; one that is gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return pathlib.Path("/proc", str(pid), "stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on: index 0 is the state, 1 the parent, 3 the session."""
    return pathlib.Path("/proc", str(pid), "stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()


def status_fields(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    lines = pathlib.Path("/proc", str(pid), "status").read_text("utf-8").splitlines()
    return dict((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))


def cpu_ticks(pid: int) -> int:
    """User and system time of a process, in ticks of 10 ms."""
    fields = stat_fields(pid)
    return int(fields[11]) + int(fields[12])


def wakeups(pid: int) -> int:
    """How often a process has gone to sleep of its own will."""
    return int(status_fields(pid)["voluntary_ctxt_switches"])


def descriptors(pid: int) -> dict[str, str]:
    """The open descriptors of a process."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def during(seconds: float, count: Callable[[], int]) -> int:
    """How much a counter grows in some time."""
    before = count()
    waiting = socket.socketpair()
    waiting[0].settimeout(seconds)
    with contextlib.suppress(TimeoutError):
        waiting[0].recv(1)
    for end in waiting:
        end.close()
    return count() - before


def receive_all(client: socket.socket) -> dict[int, bytes]:
    """Everything that a client gets until the end, by stream."""
    streams = {2: bytearray(), 3: bytearray()}
    while packet := client.recv(PACKET_BYTES):
        assert 2 <= len(packet) <= 8193, len(packet)
        streams[packet[0]] += packet[1:]
    return {stream: bytes(data) for stream, data in streams.items()}


def receive_until(client: socket.socket, words: bytes) -> bytes:
    """What a client gets until it contains some words."""
    data = bytearray()
    while words not in data:
        packet = client.recv(PACKET_BYTES)
        if not packet:
            raise Ended(f"the client was disconnected after {bytes(data[-200:])!r}")
        data += packet[1:]
    return bytes(data)


@contextlib.contextmanager
def memory_cgroup(name: str) -> Iterator[pathlib.Path]:
    """A memory cgroup of the tests' own, version 1."""
    path = MEMORY_CGROUPS / name
    path.mkdir()
    try:
        yield path
    finally:
        eventually(lambda: not (path / "cgroup.procs").read_text("ascii"), WAIT_S, f"{path} empty")
        path.rmdir()
