"""One monitor under measurement: its folders, its command line, and what the kernel knows about its costs."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from test.support.waiting import eventually

HERE = pathlib.Path(__file__).resolve().parent
FAST_RUNTIME = HERE.parents[1] / "conmon" / "fast_runtime.c"
CID = "0123456789abcdef0123456789abcdef"
TIMEOUT_S = 240.0
NS = 1e9


@dataclass(frozen=True, slots=True)
class Programs:
    """The small C programs of the measurement, compiled."""

    runtime: str
    writer: str
    floor: str


@dataclass(slots=True)
class Rig:
    """A place for the containers of one round. ``path`` is the monitor's program, ``extra`` words for its command line."""

    path: str
    folder: pathlib.Path
    runtime: str
    extra: tuple[str, ...] = ()
    counter: int = 0
    started: list[Run] = field(default_factory=list)

    def run(self, *words: str, bundle: pathlib.Path | None = None, log: str = "", environment: Mapping[str, str] | None = None) -> Run:
        """Start one container; returns when its pid was reported."""
        self.counter += 1
        place = self.folder / f"c{self.counter}"
        (place / "exits").mkdir(parents=True)
        run = Run(place, bundle or place, f"{CID}{self.counter}")
        self.started.append(run)
        run.start([self.path, "-c", run.name, "-u", run.name, "-r", self.runtime, *self.extra], words, log, environment or {})
        return run

    def stop(self) -> None:
        """Kill all containers, wait for the monitors, remove the files."""
        for run in self.started:
            run.kill()
        for run in self.started:
            run.finish()
        self.started.clear()
        for place in self.folder.glob("c*"):
            shutil.rmtree(place)


@dataclass(slots=True)
class Run:
    """One container with its monitor."""

    place: pathlib.Path
    bundle: pathlib.Path
    name: str
    started_ns: int = 0
    reported_ns: int = 0
    process: subprocess.Popen[bytes] | None = None
    message: bytes = b""

    @property
    def log(self) -> pathlib.Path:
        """The default log."""
        return self.place / "ctr.log"

    def start(self, program: Sequence[str], words: Sequence[str], log: str, environment: Mapping[str, str]) -> None:
        """Start the monitor as a caller does, and wait for its report."""
        sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sync.settimeout(TIMEOUT_S)
        argv = [*program, "-b", str(self.bundle), "-l", log or str(self.log), "-p", str(self.place / "pidfile")]
        argv += ["-P", str(self.place / "conmon.pid"), "--exit-dir", str(self.place / "exits"), "--full-attach", *words]
        variables = {"PATH": os.environ["PATH"], "_OCI_SYNCPIPE": str(theirs.fileno()), **environment}
        self.started_ns = time.monotonic_ns()
        self.process = subprocess.Popen(argv, env=variables, pass_fds=[theirs.fileno()])
        theirs.close()
        self.message = sync.recv(4096)
        self.reported_ns = time.monotonic_ns()
        sync.close()
        if b": -1" in self.message or not self.message:
            raise RuntimeError(f"{argv[0]} reported {self.message!r}")

    @property
    def pid(self) -> int:
        """The monitor's process: the daemon, or with --sync the one that was started."""
        with contextlib.suppress(FileNotFoundError):
            return int((self.place / "conmon.pid").read_text("ascii"))
        assert self.process is not None
        return self.process.pid

    @property
    def container(self) -> int:
        """The container's process."""
        return int((self.place / "pidfile").read_text("ascii"))

    def is_over(self) -> bool:
        """Whether the exit file is there."""
        return (self.place / "exits" / self.name).exists()

    def wait(self) -> None:
        """Wait for the process that was started (with --sync: the monitor), without collecting it."""
        assert self.process is not None
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)

    def cpu_s(self) -> float:
        """CPU seconds of the monitor itself, alive or not collected yet."""
        return cpu_s(self.pid)

    def start_cpu_s(self) -> float:
        """CPU seconds of the process that was started, until its end, and of the daemon that it left behind."""
        self.wait()
        assert self.process is not None
        return cpu_s(self.process.pid) + cpu_s(self.pid)

    def kill(self) -> None:
        """End the container."""
        with contextlib.suppress(OSError, ValueError):
            if not self.is_over():
                os.kill(self.container, signal.SIGKILL)

    def finish(self) -> None:
        """Wait until the monitor is gone."""
        assert self.process is not None
        daemon = self.pid
        self.process.wait(TIMEOUT_S)
        eventually(lambda: not _is_running(daemon), TIMEOUT_S, f"the end of the monitor {daemon}")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, alive or not collected yet."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0]) / NS


def _is_running(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def compile_programs(folder: pathlib.Path) -> Programs:
    """Compile the C programs into ``folder``."""
    built = {}
    for source in (FAST_RUNTIME, HERE / "writer.c", HERE / "floor.c"):
        built[source.stem] = str(folder / source.stem)
        subprocess.run(["gcc", "-O2", "-static", "-o", built[source.stem], source], check=True, timeout=60)
    return Programs(built["fast_runtime"], built["writer"], built["floor"])


@contextlib.contextmanager
def scratch(parent: str) -> Iterator[pathlib.Path]:
    """A folder below ``parent`` for the time of the block."""
    folder = pathlib.Path(parent, f"monitor-bench-{os.getpid()}")
    folder.mkdir(mode=0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
