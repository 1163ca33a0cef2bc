"""The demo's processes: the registry with the image kit, and the daemon."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from crio.cli.ctl.client import Client
from crio.cli.ctl.errors import CtlError
from crio.cri import api_pb2 as pb
from hack.demo_interrupt import check
from hack.demo_places import Places
from test.support.waiting import eventually

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
CALL_TIMEOUT_S = 60.0
POLL_S = 0.05
Answer = TypeVar("Answer", bound=Message)


class DemoError(Exception):
    """The demo cannot go on; ``str(error)`` says why."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that may outlive this program: the start time tells it from a later one with the same number."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether it still runs."""
        return start_time(self.pid) == self.started

    def stop(self) -> None:
        """End it: TERM, then KILL."""
        for number, timeout_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, STOP_TIMEOUT_S)):
            if not self.alive():
                return
            os.kill(self.pid, number)
            try:
                eventually(lambda: not self.alive(), timeout_s, f"process {self.pid} ends")
            except AssertionError:
                continue


def start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty when it is gone or a zombie. A child of ours is collected."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def identify(pid: int) -> Process:
    """The process as it can be found again."""
    return Process(pid, start_time(pid))


def start_daemon(places: Places) -> Process:
    """Start ``bin/crio`` in its own session, so that a Ctrl-C reaches us and not the daemon."""
    with places.daemon_log.open("ab") as log:
        process = subprocess.Popen(
            places.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")},
            cwd="/",
            start_new_session=True,
        )
    # From here on it is known by its number; the object would only complain that nobody waited.
    process.returncode = 0
    return identify(process.pid)


def connect(places: Places, daemon: Process) -> Client:
    """A connection, as soon as the daemon answers Version; raises DemoError with the daemon's words when it does not."""
    try:
        client = eventually(lambda: _try_connect(places, daemon), START_TIMEOUT_S, "the daemon answers")
    except AssertionError as error:
        raise DemoError(f"{error}\n{log_tail(places)}") from None
    assert client is not None
    return client


def _try_connect(places: Places, daemon: Process) -> Client | None:
    check()
    if not daemon.alive():
        raise DemoError(f"the daemon ended:\n{log_tail(places)}")
    if not os.path.exists(places.socket):
        return None
    client: Client | None = None
    try:
        client = Client(places.socket, CALL_TIMEOUT_S)
        client.call("Version", pb.VersionRequest(), pb.VersionResponse)
    except CtlError:
        if client is not None:
            client.close()
        return None
    return client


def call(client: Client, method: str, request: Message, answer: type[Answer]) -> Answer:
    """One call of the CRI that a Ctrl-C can end; raises CtlError, Interrupted."""
    check()
    pending = client.begin(method, request, answer)
    while True:
        found = pending.wait(POLL_S)
        if found is not None:
            check()
            return found
        check()


def log_tail(places: Places, lines: int = 15) -> str:
    """The last lines of the daemon's log."""
    try:
        text = places.daemon_log.read_text(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:])
