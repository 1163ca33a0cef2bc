"""The verbs of an OCI runtime for one handler.

Creation is the monitor's: it runs the runtime itself and stays as the container's parent. Everything else is called from here, each
with a deadline of its own. ``exec`` is the cheap path for probes: no monitor, output bounded while it is read, and when its
time is over the whole tree that it started is killed. Source: OCI runtime command line interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import os
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from crio.core.errors import CriError, DeadlineExceeded, Internal, NotFound
from crio.core.oci.document import JsonValue
from crio.host.files import refusal
from crio.host.process import Completed, RunOptions, run, run_with, wait_readable
from crio.host.runtime.command import RuntimeCommand, error_text, is_gone, is_missing, to_error
from crio.host.runtime.tree import kill_tree

STATE_TIMEOUT_S = 10.0
VERB_TIMEOUT_S = 60.0
KILL_WAIT_S = 10.0
EXEC_LIMIT_BYTES = 16 << 20
EXEC_KILL_INTERVAL_S = 0.1
EXEC_KILL_GRACE_S = 5.0
EXEC_FOREVER_S = 10 * 365 * 86400.0
_STATE_LIMIT_BYTES = 4 << 20
_KILLED = 128 + signal.SIGKILL


class RuntimeStatus(enum.Enum):
    """What a runtime says of a container. Source: OCI runtime specification, ``state``."""

    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """A container as the runtime knows it; ``pid`` is 0 when it has none."""

    id: str
    status: RuntimeStatus
    pid: int
    bundle: str


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """A command to run in a container. ``process`` is an OCI process object; ``timeout_s`` of 0 or less means none.

    ``stdin`` is written and closed. ``limit_bytes`` bounds each of the two outputs.
    """

    process: Mapping[str, JsonValue]
    timeout_s: float = 0.0
    limit_bytes: int = EXEC_LIMIT_BYTES
    stdin: bytes = b""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command ended: exit code (128 + signal), outputs up to the bound, and what cut it short."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False


class OciRuntime:
    """One handler's runtime. ``exec_wait_path`` is our helper program, ``scratch_dir`` a private folder for small files."""

    def __init__(self, command: RuntimeCommand, exec_wait_path: str, scratch_dir: str) -> None:
        self.command = command
        self._exec_wait_path = exec_wait_path
        self._scratch_dir = scratch_dir

    @property
    def path(self) -> str:
        """What is executed: a monitor's ``--runtime``."""
        return self.command.path

    @property
    def global_args(self) -> tuple[str, ...]:
        """What a monitor puts in front of each verb: one ``--runtime-arg`` each."""
        return self.command.monitor_args()

    async def start(self, container_id: str) -> None:
        """Let a created container run; raises NotFound, FailedPrecondition or Internal with the runtime's reason."""
        await self._verb("start", container_id)

    def waits_for_start(self, container_id: str) -> bool:
        """Whether a container is created and was not let run: both runtimes keep this fifo until then, and judge by it themselves."""
        return os.path.exists(os.path.join(self.command.root, container_id, "exec.fifo"))

    async def kill(self, container_id: str, signal_number: int, *, all_processes: bool = False) -> None:
        """Send a signal to the first process, or to all; one that has ended is no error. Raises NotFound, Internal."""
        words = ["--all"] if all_processes else []
        completed = await self._run("kill", *words, container_id, str(signal_number))
        text = error_text(completed.stderr)
        if completed.returncode != 0 and (is_missing(container_id, text) or not is_gone(text)):
            raise to_error("kill", container_id, text)

    async def pause(self, container_id: str) -> None:
        """Freeze all processes."""
        await self._verb("pause", container_id)

    async def resume(self, container_id: str) -> None:
        """Let frozen processes go on."""
        await self._verb("resume", container_id)

    async def update(self, container_id: str, resources: Mapping[str, JsonValue]) -> None:
        """Set limits; ``resources`` is an OCI ``linux.resources`` object and members that are not there stay as they are."""
        body = json.dumps(resources, default=dict).encode()
        completed = await run(
            self.command.argv("update", "--resources", "-", container_id),
            env=self.command.env,
            stdin=body,
            timeout_s=VERB_TIMEOUT_S,
        )
        if completed.returncode != 0:
            raise to_error("update", container_id, error_text(completed.stderr))

    async def state(self, container_id: str) -> RuntimeState | None:
        """What the runtime knows, None when it does not know the container; raises Internal for anything else."""
        completed = await run(
            self.command.argv("state", container_id),
            env=self.command.env,
            timeout_s=STATE_TIMEOUT_S,
            limit_bytes=_STATE_LIMIT_BYTES,
        )
        if completed.returncode != 0:
            text = error_text(completed.stderr)
            if is_missing(container_id, text):
                return None
            raise to_error("read the state of", container_id, text)
        return _parse_state(completed.stdout)

    async def delete(self, container_id: str, *, force: bool = False) -> None:
        """Remove what the runtime keeps of a stopped container; one that it does not know is no error.

        ``force`` first kills the first process and waits until it is gone: the runtime's own way of doing so sleeps. Only when
        that or the plain removal fails is the runtime asked to force it.
        """
        if force:
            state = await self.state(container_id)
            if state is None:
                return
            await self._end(state)
        completed = await self._run("delete", container_id)
        text = error_text(completed.stderr)
        if completed.returncode != 0 and force and not is_missing(container_id, text):
            completed = await self._run("delete", "--force", container_id)
            text = error_text(completed.stderr)
        if completed.returncode != 0 and not is_missing(container_id, text):
            raise to_error("delete", container_id, text)

    async def exec(self, container_id: str, request: ExecRequest) -> ExecResult:
        """Run a command in a running container and wait for it.

        Output is complete when the command itself has ended, even if a background child of it still holds the pipes. After
        ``timeout_s`` everything that it started is killed, likewise when the caller is cancelled.

        :raises NotFound: the container is unknown or does not run
        :raises CriError: the runtime could not start the command
        """
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="exec-", dir=self._scratch_dir))
                session = _ExecSession(self.command, self._exec_wait_path, folder, container_id)
                session.write_process(request)
            except OSError as error:
                raise refusal(error, f"cannot make the files of an exec below {self._scratch_dir}") from error
            report_fd, child_fd = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, report_fd)
            return await session.run(request, report_fd, child_fd)

    async def _verb(self, verb: str, container_id: str) -> None:
        completed = await self._run(verb, container_id)
        if completed.returncode != 0:
            raise to_error(verb, container_id, error_text(completed.stderr))

    async def _run(self, *words: str) -> Completed:
        return await run(self.command.argv(*words), env=self.command.env, timeout_s=VERB_TIMEOUT_S)

    async def _end(self, state: RuntimeState) -> None:
        if state.pid <= 0 or state.status is RuntimeStatus.STOPPED:
            return
        if state.status is RuntimeStatus.PAUSED:
            await self.resume(state.id)
        with contextlib.suppress(ProcessLookupError):
            pid_fd = os.pidfd_open(state.pid)
            try:
                signal.pidfd_send_signal(pid_fd, signal.SIGKILL)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(KILL_WAIT_S):
                        await wait_readable(pid_fd)
            finally:
                os.close(pid_fd)


class _ExecSession:
    """One exec: its files, its deadline, and what to kill when it is over."""

    def __init__(self, command: RuntimeCommand, wait_path: str, folder: str, container_id: str) -> None:
        self._command = command
        self._wait_path = wait_path
        self._pid_path = os.path.join(folder, "pid")
        self._process_path = os.path.join(folder, "process.json")
        self._id = container_id
        self._timed_out = False
        self._timer: asyncio.TimerHandle | None = None

    def write_process(self, request: ExecRequest) -> None:
        """Put down what is to be run. Raises OSError."""
        with open(self._process_path, "wb") as file:
            file.write(json.dumps(request.process, default=dict).encode())

    async def run(self, request: ExecRequest, report_fd: int, child_fd: int) -> ExecResult:
        """Start, wait, and read the report; ``child_fd`` is closed here."""
        limit_s = request.timeout_s if request.timeout_s > 0 else EXEC_FOREVER_S
        finished = False
        try:
            self._timer = asyncio.get_running_loop().call_later(min(limit_s, EXEC_FOREVER_S), self._on_deadline)
            try:
                completed = await run_with(
                    self._argv(child_fd),
                    RunOptions(
                        env=self._command.env,
                        stdin=request.stdin,
                        timeout_s=limit_s + EXEC_KILL_GRACE_S,
                        limit_bytes=request.limit_bytes,
                        pass_fds=(child_fd,),
                        # A runtime that is killed between starting the command and naming it would leave it running.
                        on_cancel=self._kill,
                    ),
                )
            except DeadlineExceeded:
                return ExecResult(_KILLED, b"", b"", timed_out=True)
            finished = True
        finally:
            os.close(child_fd)
            if self._timer is not None:
                self._timer.cancel()
            if not finished or self._timed_out:
                self._kill()
        return self._result(completed, os.read(report_fd, 64))

    def _argv(self, report_fd: int) -> list[str]:
        runtime = self._command.argv("exec", "--detach", "--pid-file", self._pid_path, "--process", self._process_path, self._id)
        return [self._wait_path, str(report_fd), self._pid_path, *runtime]

    def _result(self, completed: Completed, report: bytes) -> ExecResult:
        words = report.decode(errors="replace").split()
        if len(words) != 2 or words[0] not in ("exit", "runtime"):
            raise Internal(f"exec in container {self._id!r} ended without a report: {completed.text()}")
        if words[0] == "runtime":
            if self._timed_out:
                return ExecResult(_KILLED, b"", b"", timed_out=True)
            raise exec_error(self._id, error_text(completed.stderr))
        return ExecResult(int(words[1]), completed.stdout, completed.stderr, self._timed_out, completed.truncated)

    def _on_deadline(self) -> None:
        # Again and again until the session is over: the runtime may be about to start the process.
        self._timed_out = True
        self._kill()
        self._timer = asyncio.get_running_loop().call_later(EXEC_KILL_INTERVAL_S, self._on_deadline)

    def _kill(self) -> None:
        try:
            with open(self._pid_path, encoding="ascii") as file:
                pid = int(file.read(32))
        except (FileNotFoundError, ValueError):
            return
        kill_tree(pid)


def exec_error(container_id: str, text: str) -> CriError:
    """The expected outcome behind a runtime that could not start a command."""
    if is_missing(container_id, text) or is_gone(text):
        return NotFound(f"container {container_id!r} does not run: {text}")
    return Internal(f"cannot run a command in container {container_id!r}: {text or 'the runtime gave no reason'}")


def _parse_state(body: bytes) -> RuntimeState:
    try:
        members = json.loads(body)
        return RuntimeState(
            str(members["id"]), RuntimeStatus(members["status"]), int(members.get("pid") or 0), str(members.get("bundle", ""))
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Internal(f"the runtime's state is not understood: {body[:200]!r}") from error
