"""Child processes: the only module that starts any.

A child gets an argument list, an explicit environment, a session of its own and only the descriptors named for it. Its exit is
seen through a pidfd, so no signal handler and no poll is needed, and a recycled pid is never signalled. ``run`` captures output
in bounded buffers and, when its caller is cancelled or its time is over, kills the whole session's process group and waits for
the child before it goes on.

The daemon is a child subreaper: orphans of its children (a runtime's helper, a detached monitor) become its own. ``Reaper``
collects those that nobody here waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from crio.core.errors import DeadlineExceeded, Internal

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KILL_WAIT_S = 10.0
LINGER_S = 5.0
LINGER_PAUSE_S = 0.05
_CHUNK_BYTES = 65536

_waited: set[int] = set()


@dataclass(frozen=True, slots=True)
class Completed:
    """What is left of a child: ``returncode`` is the exit code, or minus the signal number."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False

    def text(self) -> str:
        """The most telling output for an error sentence: stderr, else stdout, at most 2000 characters."""
        words = self.stderr.strip() or self.stdout.strip()
        return words[-2000:].decode(errors="replace")


@dataclass(frozen=True, slots=True)
class SpawnOptions:
    """How a child is started. Descriptors are borrowed; -1 means /dev/null. ``env`` None means only PATH."""

    env: Mapping[str, str] | None = None
    stdin_fd: int = -1
    stdout_fd: int = -1
    stderr_fd: int = -1
    pass_fds: tuple[int, ...] = ()
    cwd: str | None = None


class Child:
    """A started child whose exit is watched by a pidfd. ``close`` must be called, or ``wait`` awaited to its end."""

    def __init__(self, process: subprocess.Popen[bytes], argv: Sequence[str]) -> None:
        self._process = process
        self.argv = tuple(argv)
        self.pid = process.pid
        self.pid_fd = os.pidfd_open(process.pid)
        self.returncode: int | None = None

    async def wait(self) -> int:
        """Wait for the exit; returns the exit code, or minus the signal number. May be cancelled and called again."""
        if self.returncode is None:
            await wait_readable(self.pid_fd)
            self._collect()
        assert self.returncode is not None
        return self.returncode

    def _collect(self) -> None:
        self.returncode = self._process.wait()
        _waited.discard(self.pid)
        os.close(self.pid_fd)
        # An orphan that died while this zombie stood in front of it was not seen by the signal's round.
        reap_orphans()

    def kill_group(self, signal_number: int = signal.SIGKILL) -> None:
        """Signal the child's whole process group; nothing happens when it has been collected."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal_number)

    async def end(self, grace_s: float = 0.0) -> None:
        """End the child: TERM, ``grace_s`` seconds, KILL, wait. Safe in a ``finally`` of a cancelled task."""
        if self.returncode is not None:
            return
        if grace_s > 0:
            self.kill_group(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self.wait()
        self.kill_group(signal.SIGKILL)
        while self.returncode is None:
            try:
                async with asyncio.timeout(KILL_WAIT_S):
                    await self.wait()
            except TimeoutError as error:
                raise Internal(f"process {self.pid} ({self.argv[0]}) does not die: it hangs in the kernel") from error


def spawn(argv: Sequence[str], options: SpawnOptions = SpawnOptions()) -> Child:
    """Start ``argv[0]`` (a path) in a session of its own; returns at once. Raises OSError when it cannot be executed."""
    process = subprocess.Popen(
        list(argv),
        executable=argv[0],
        env=dict(options.env) if options.env is not None else {"PATH": PATH},
        stdin=options.stdin_fd if options.stdin_fd >= 0 else subprocess.DEVNULL,
        stdout=options.stdout_fd if options.stdout_fd >= 0 else subprocess.DEVNULL,
        stderr=options.stderr_fd if options.stderr_fd >= 0 else subprocess.DEVNULL,
        pass_fds=options.pass_fds,
        cwd=options.cwd,
        start_new_session=True,
    )
    _waited.add(process.pid)
    return Child(process, argv)


async def wait_readable(fd: int) -> None:
    """Wait until ``fd`` is readable."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _set_done, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@dataclass(slots=True)
class _Capture:
    """Reads one pipe into a bounded buffer; what is beyond the bound is read and dropped."""

    fd: int
    limit_bytes: int
    data: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def start(self) -> None:
        os.set_blocking(self.fd, False)
        asyncio.get_running_loop().add_reader(self.fd, self.on_readable)

    def on_readable(self) -> None:
        while self.fd >= 0:
            try:
                chunk = os.read(self.fd, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self.close()
                return
            room = self.limit_bytes - len(self.data)
            self.truncated = self.truncated or len(chunk) > room
            self.data += chunk[: max(room, 0)]

    def close(self) -> None:
        if self.fd >= 0:
            asyncio.get_running_loop().remove_reader(self.fd)
            os.close(self.fd)
            self.fd = -1


@dataclass(slots=True)
class _Feed:
    """Writes all of ``data`` to a pipe as its reader takes it; a reader that goes away ends it."""

    fd: int
    data: memoryview

    def start(self) -> None:
        os.set_blocking(self.fd, False)
        self.on_writable()
        if self.fd >= 0:
            asyncio.get_running_loop().add_writer(self.fd, self.on_writable)

    def on_writable(self) -> None:
        try:
            while len(self.data) > 0:
                self.data = self.data[os.write(self.fd, self.data) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            asyncio.get_running_loop().remove_writer(self.fd)
            os.close(self.fd)
            self.fd = -1


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How ``run_with`` runs a program. ``on_cancel`` is called again and again when the caller is cancelled, until the child has ended
    by itself or ``LINGER_S`` are over: for a child that must first be let finish what it is in the middle of.
    """

    env: Mapping[str, str] | None = None
    stdin: bytes = b""
    timeout_s: float = 30.0
    limit_bytes: int = 1 << 20
    pass_fds: tuple[int, ...] = ()
    on_cancel: Callable[[], None] | None = None


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_s: float = 30.0,
    limit_bytes: int = 1 << 20,
    pass_fds: tuple[int, ...] = (),
) -> Completed:
    """Run a program to its end and capture what it prints, each stream up to ``limit_bytes``.

    Output is complete when the child has ended, even if a background child of it still holds the pipes. Raises
    ``DeadlineExceeded`` after ``timeout_s`` seconds and ``Internal`` when the program cannot be executed; in both cases, and when
    the caller is cancelled, the child's whole group is dead before this returns.
    """
    return await run_with(argv, RunOptions(env, stdin, timeout_s, limit_bytes, pass_fds))


async def run_with(argv: Sequence[str], options: RunOptions) -> Completed:
    """``run`` with everything that can be chosen."""
    with contextlib.ExitStack() as stack:
        child_ends: list[int] = []
        captures = []
        for _ in range(2):
            read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
            child_ends.append(write_fd)
            captures.append(_Capture(read_fd, options.limit_bytes))
        feed: _Feed | None = None
        stdin_fd = -1
        if options.stdin:
            stdin_fd, feed_fd = os.pipe2(os.O_CLOEXEC)
            child_ends.append(stdin_fd)
            feed = _Feed(feed_fd, memoryview(options.stdin))
            stack.callback(feed.close)
        for capture in captures:
            stack.callback(capture.close)
        try:
            child = spawn(
                argv,
                SpawnOptions(options.env, stdin_fd, child_ends[0], child_ends[1], options.pass_fds),
            )
        except OSError as error:
            raise Internal(f"cannot execute {argv[0]!r}: {error.strerror}") from error
        finally:
            for fd in child_ends:
                os.close(fd)
        try:
            for capture in captures:
                capture.start()
            if feed is not None:
                feed.start()
            async with asyncio.timeout(options.timeout_s):
                returncode = await child.wait()
        except TimeoutError as error:
            raise DeadlineExceeded(f"{argv[0]} did not end within {options.timeout_s:g} s and was killed") from error
        except asyncio.CancelledError:
            if options.on_cancel is not None:
                await _linger(child, options.on_cancel)
            raise
        finally:
            await child.end()
        for capture in captures:
            capture.on_readable()
        truncated = any(capture.truncated for capture in captures)
        return Completed(tuple(argv), returncode, bytes(captures[0].data), bytes(captures[1].data), truncated)


async def _linger(child: Child, on_cancel: Callable[[], None]) -> None:
    """Let a child end by itself for at most ``LINGER_S`` seconds, saying again and again that it should."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while child.returncode is None:
                on_cancel()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LINGER_PAUSE_S):
                        await child.wait()


def reap_orphans(known: Callable[[int], bool] = _waited.__contains__) -> list[int]:
    """Collect dead children that nobody waits for (orphans given to the subreaper); returns their pids."""
    reaped: list[int] = []
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return reaped
        if found is None or found.si_pid == 0 or known(found.si_pid):
            # The first dead child is somebody's: its owner collects it at its next turn of the loop.
            return reaped
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, found.si_pid, os.WEXITED | os.WNOHANG)
        reaped.append(found.si_pid)


def default_signals() -> None:
    """Block no signal, and give every one that our caller ignores its default action: all that we start inherits both.

    Call once, before there are threads. Python's own two (SIGPIPE, SIGXFSZ) stay as they are; ``subprocess`` gives them back.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def watch_orphans() -> None:
    """Collect orphans whenever a child of this process ends. Call once, in the loop's thread."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, reap_orphans)


_file_limits: tuple[int, int] | None = None


def raise_file_limit() -> None:
    """Let this process open as many files as it may: it holds one for each container. ``lower_file_limit`` undoes it for a child."""
    global _file_limits
    _file_limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_file_limits[1], _file_limits[1]))


def lower_file_limit(pid: int) -> None:
    """Give a child the limit that this process was started with, so that containers inherit that one. It must be waiting for us."""
    if _file_limits is not None:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _file_limits)
