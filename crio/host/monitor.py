"""Monitors: starting conmon for a container, and finding it again later.

The daemon gives conmon a start pipe and a sync pipe. conmon puts itself into the background, lets the OCI runtime create the
container, and says on the sync pipe with which pid, or ``-1`` and why not. From then on only files connect the two: the exit
status in ``<persist dir>/exit`` and ``<exits dir>/<id>``, the fifo ``<bundle>/ctl``, the socket ``<bundle>/attach``. Nothing
here needs the monitor to be our child. Source: the conmon interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from crio.core.errors import DeadlineExceeded, Internal
from crio.core.records import ProcessRef
from crio.host import process
from crio.host.files import read_bounded, remove_quietly
from crio.host.runtime.tree import kill_tree

_SYNC_LIMIT_BYTES = 1 << 16
PID_FILE = "pidfile"
MONITOR_PID_FILE = "conmon-pidfile"


@dataclass(frozen=True, slots=True)
class MonitorRequest:
    """All that conmon is told for one container; paths are absolute. ``log_specs`` are conmon's ``-l`` values."""

    monitor: str
    container_id: str
    name: str
    bundle: str
    persist_dir: str
    exits_dir: str
    socket_dir: str
    runtime: str
    runtime_args: tuple[str, ...]
    log_specs: tuple[str, ...]
    log_level: str = "info"
    log_size_max: int = -1
    terminal: bool = False
    stdin: bool = False
    stdin_once: bool = False
    systemd_cgroup: bool = False
    no_pivot: bool = False
    no_sync_log: bool = False
    syslog: bool = False
    env: Mapping[str, str] | None = None
    timeout_s: float = 240.0
    cgroup_procs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Monitored:
    """A container that the runtime created: its first process and its monitor."""

    process: ProcessRef
    monitor: ProcessRef


def monitor_argv(request: MonitorRequest) -> list[str]:
    """conmon's command line for a create. Source: the conmon interface as CRI-O uses it."""
    argv = [request.monitor, "-b", request.bundle, "-c", request.container_id, "-u", request.container_id, "-n", request.name]
    argv += ["-r", request.runtime, "-p", os.path.join(request.bundle, PID_FILE)]
    argv += ["-P", os.path.join(request.bundle, MONITOR_PID_FILE)]
    argv += ["--exit-dir", request.exits_dir, "--persist-dir", request.persist_dir]
    argv += ["--socket-dir-path", request.socket_dir, "--log-level", request.log_level]
    for spec in request.log_specs:
        argv += ["-l", spec]
    for argument in request.runtime_args:
        argv += ["--runtime-arg", argument]
    if request.log_size_max >= 0:
        argv += ["--log-size-max", str(request.log_size_max)]
    flags = {
        "-s": request.systemd_cgroup,
        "--no-pivot": request.no_pivot,
        "--no-sync-log": request.no_sync_log,
        "--syslog": request.syslog,
        "-t": request.terminal,
        "-i": request.stdin and not request.terminal,
        "--leave-stdin-open": request.stdin and not request.stdin_once and not request.terminal,
    }
    return argv + [flag for flag, wanted in flags.items() if wanted]


async def create(request: MonitorRequest) -> Monitored:
    """Start conmon and have the runtime create the container; returns once the container exists.

    Raises Internal with the runtime's own words when it refuses, DeadlineExceeded after ``timeout_s``; then no monitor is left
    (one that hangs is killed), but what the runtime made is the caller's to delete.
    """
    with contextlib.ExitStack() as stack:
        sync_read, sync_write = os.pipe2(os.O_CLOEXEC)
        start_read, start_write = os.pipe2(os.O_CLOEXEC)
        ends = _Descriptors([sync_read, sync_write, start_read, start_write])
        stack.callback(ends.close_all)
        env = {"PATH": process.PATH, **(request.env or {})}
        env |= {"_OCI_SYNCPIPE": str(sync_write), "_OCI_STARTPIPE": str(start_read), "CRI_O_EXTERNAL": "1"}
        stderr_read, stderr_write = os.pipe2(os.O_CLOEXEC)
        ends.add(stderr_read, stderr_write)
        options = process.SpawnOptions(
            env=env, pass_fds=(sync_write, start_read), cwd=request.bundle, stdout_fd=stderr_write, stderr_fd=stderr_write
        )
        try:
            child = process.spawn(monitor_argv(request), options)
        except OSError as error:
            raise Internal(f"cannot execute the monitor {request.monitor!r}: {error.strerror}") from error
        ends.close(sync_write, start_read, stderr_write)
        try:
            process.lower_file_limit(child.pid)
            for procs in request.cgroup_procs:
                _join_cgroup(procs, child.pid)
            with contextlib.suppress(BrokenPipeError):
                # A monitor that ended at once has said why; that is read below.
                os.write(start_write, b"\0")
            async with asyncio.timeout(request.timeout_s):
                answer = await _read_answer(sync_read)
                code = await child.wait()
        except TimeoutError as error:
            _kill_daemon(request.bundle)
            raise DeadlineExceeded(
                f"container {request.container_id} was not created within {request.timeout_s:g} s by {request.runtime}"
            ) from error
        except BaseException:
            _kill_daemon(request.bundle)
            raise
        finally:
            await child.end()
        return _judge(request, answer, code, stderr_read)


def _judge(request: MonitorRequest, answer: bytes, code: int, stderr_fd: int) -> Monitored:
    pid, message = -1, ""
    if answer:
        with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            document = orjson.loads(answer)
            pid, message = int(document["pid"]), str(document.get("message", ""))
    if pid > 0:
        reference = process_ref(pid)
        monitor = read_process_ref(os.path.join(request.bundle, MONITOR_PID_FILE))
        return Monitored(reference or ProcessRef(pid, 0), monitor or ProcessRef(0, 0))
    if not message:
        os.set_blocking(stderr_fd, False)
        with contextlib.suppress(BlockingIOError):
            message = os.read(stderr_fd, 4096).decode(errors="replace").strip()
    words = message.strip() or f"the monitor ended with status {code} and said nothing"
    raise Internal(f"runtime {request.runtime} cannot create container {request.container_id}: {words}")


class _Descriptors:
    """Descriptors that are closed once, early or at the end."""

    def __init__(self, fds: list[int]) -> None:
        self._fds = set(fds)

    def add(self, *fds: int) -> None:
        self._fds.update(fds)

    def close(self, *fds: int) -> None:
        for fd in fds:
            self._fds.discard(fd)
            os.close(fd)

    def close_all(self) -> None:
        self.close(*list(self._fds))


async def _read_answer(fd: int) -> bytes:
    """One line from the sync pipe, or what came before its end."""
    data = bytearray()
    os.set_blocking(fd, False)
    while b"\n" not in data and len(data) < _SYNC_LIMIT_BYTES:
        await process.wait_readable(fd)
        chunk = os.read(fd, 8192)
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _join_cgroup(procs: str, pid: int) -> None:
    with open(procs, "w", encoding="ascii") as file:
        file.write(str(pid))


def _kill_daemon(bundle: str) -> None:
    """After a failed create: end a monitor that has already put itself into the background, and the runtime that it waits for."""
    monitor = read_process_ref(os.path.join(bundle, MONITOR_PID_FILE))
    if monitor is not None:
        kill_tree(monitor.pid)


def start_time(pid: int) -> int | None:
    """The start time of a process in clock ticks since boot, None when it is gone. Source: proc(5) stat field 22."""
    try:
        stat = read_bounded(f"/proc/{pid}/stat", 4096)
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[19])


def process_ref(pid: int) -> ProcessRef | None:
    """What identifies the process that now has this pid."""
    started = start_time(pid)
    return ProcessRef(pid, started) if started is not None else None


def read_process_ref(path: str) -> ProcessRef | None:
    """The process that a pid file names, None when there is no such file or process."""
    try:
        pid = int(read_bounded(path, 32))
    except (OSError, ValueError):
        return None
    return process_ref(pid)


def is_alive(reference: ProcessRef | None) -> bool:
    """Whether this very process still runs; a zombie does not."""
    if reference is None or reference.pid <= 0:
        return False
    try:
        fields = read_bounded(f"/proc/{reference.pid}/stat", 4096).rpartition(b")")[2].split()
    except OSError:
        return False
    return int(fields[19]) == reference.start_time and fields[0] not in (b"Z", b"X")


def open_pid_fd(reference: ProcessRef | None) -> int:
    """A pidfd of this very process, -1 when it is gone. The caller closes it."""
    if reference is None or reference.pid <= 0:
        return -1
    try:
        fd = os.pidfd_open(reference.pid)
    except OSError:
        return -1
    if start_time(reference.pid) != reference.start_time:
        os.close(fd)
        return -1
    return fd


def kill(reference: ProcessRef, signal_number: int = 9) -> bool:
    """Signal this very process through a pidfd; False when it is gone."""
    fd = open_pid_fd(reference)
    if fd < 0:
        return False
    try:
        signal.pidfd_send_signal(fd, signal_number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def exit_files(container_id: str, persist_dir: str, exits_dir: str) -> tuple[str, str]:
    """Where conmon writes the exit status: beside the record, and for whoever watches. On a full disk one of them may be empty."""
    return os.path.join(persist_dir, "exit"), os.path.join(exits_dir, container_id)


def read_exit_code(files: tuple[str, ...]) -> int | None:
    """The exit status in the first of the files that has one (0-255, or -1 for unknown), None while there is none."""
    for path in files:
        try:
            return int(read_bounded(path, 32))
        except (OSError, ValueError):
            continue
    return None


def exit_time_ns(files: tuple[str, ...]) -> int:
    """When the exit status was written, in nanoseconds since the epoch; 0 without one."""
    for path in files:
        with contextlib.suppress(OSError):
            return os.stat(path).st_mtime_ns
    return 0


def was_oom_killed(bundle: str, persist_dir: str) -> bool:
    """Whether conmon saw the kernel's out-of-memory killer in the container's cgroup."""
    return os.path.exists(os.path.join(bundle, "oom")) or os.path.exists(os.path.join(persist_dir, "oom"))


def request_log_reopen(bundle: str) -> None:
    """Ask the monitor to open its log file anew; raises Internal when nobody listens."""
    try:
        fd = os.open(os.path.join(bundle, "ctl"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Internal(f"the monitor of {bundle} does not listen on its ctl fifo: {error.strerror}") from error
    try:
        os.write(fd, b"2 0 0\n")
    finally:
        os.close(fd)


def forget(container_id: str, exits_dir: str, socket_dir: str) -> None:
    """Remove what an ended monitor may have left outside the container's own directories (older ones leave their link)."""
    remove_quietly(os.path.join(exits_dir, container_id), os.path.join(socket_dir, container_id))
