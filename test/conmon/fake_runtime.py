#!/usr/bin/python3
"""An OCI runtime that does what environment variables tell it, for tests of the monitor.

It understands ``create``, ``restore`` and ``exec`` as the monitor calls them, starts one shell command as "the container"
with its own standard descriptors (or a pty sent to the console socket), writes the pid file and leaves. It needs nothing but
the standard library, and runs as a program.

    FAKE_SCRIPT        shell command of the container (default: exec sleep 1000)
    FAKE_STDERR        text to write to stderr first
    FAKE_STDERR_BYTES  that many bytes "x" to stderr first
    FAKE_STATUS        own exit status (default 0); not 0: no process is started
    FAKE_KILL          kill itself with this signal number instead
    FAKE_PID           "none": no pid file, otherwise this text instead of the pid
    FAKE_NO_CONSOLE    do not send a terminal
    FAKE_WAIT_FILE     wait until this file exists before starting the process
    FAKE_OUTLIVE       wait until the process has ended before leaving
    FAKE_CGROUP        first move into the cgroup with this cgroup.procs file
    FAKE_LATE_FILE     once the process runs, wait until this file exists before leaving
    FAKE_LATE_STDERR   text to write to stderr just before leaving
    FAKE_RECORD        write argv, environment, descriptors and signal state as JSON to this file
"""

from __future__ import annotations

import array
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import time

DEFAULT_SCRIPT = "exec sleep 1000"
POLL_S = 0.01
SET_UP_S = 2.0


def _option(argv: list[str], name: str) -> str | None:
    return argv[argv.index(name) + 1] if name in argv else None


def _signal_state() -> dict[str, str]:
    with open("/proc/self/status", encoding="utf-8") as status:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    return {name: fields[name].strip() for name in ("SigBlk", "SigIgn", "SigCgt")}


def _descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the one that listed the directory
    return found


def _record(path: str, state: dict[str, str]) -> None:
    stdio = [oct(os.fstat(fd).st_mode & 0o7777) for fd in range(3)]
    with open("/proc/self/oom_score_adj", encoding="utf-8") as score:
        oom_score_adj = score.read().strip()
    facts = {
        "argv": sys.argv,
        "environment": dict(os.environ),
        "descriptors": _descriptors(),
        "signals": state,
        "stdio_modes": stdio,
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "oom_score_adj": oom_score_adj,
    }
    with open(path + ".new", "w", encoding="utf-8") as record:
        json.dump(facts, record)
    os.rename(path + ".new", path)


def _send_terminal(path: str, master_fd: int) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        connection.sendmsg([b"/dev/ptmx"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [master_fd]))])


def _start(console: str | None, script: str) -> subprocess.Popen[bytes]:
    if console is None:
        return subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True)
    master_fd, slave_fd = pty.openpty()
    modes = termios.tcgetattr(slave_fd)
    modes[1] &= ~termios.ONLCR
    termios.tcsetattr(slave_fd, termios.TCSANOW, modes)
    _send_terminal(console, master_fd)
    # A real container starts later, when the monitor has long set up the terminal.
    deadline = time.monotonic() + SET_UP_S
    while not termios.tcgetattr(slave_fd)[1] & termios.ONLCR and time.monotonic() < deadline:
        select.select([], [], [], POLL_S)
    process = subprocess.Popen(["setsid", "--ctty", "/bin/sh", "-c", script], stdin=slave_fd, stdout=slave_fd, stderr=slave_fd)
    os.close(slave_fd)
    os.close(master_fd)
    return process


def _wait_for(variable: str) -> None:
    while variable in os.environ and not os.path.exists(os.environ[variable]):
        select.select([], [], [], POLL_S)


def main() -> None:
    """Play the runtime once."""
    state = _signal_state()
    argv = sys.argv[1:]
    environment = os.environ
    if "FAKE_RECORD" in environment:
        _record(environment["FAKE_RECORD"], state)
    if "FAKE_CGROUP" in environment:
        with open(environment["FAKE_CGROUP"], "w", encoding="ascii") as procs:
            procs.write("0")
    os.write(2, environment.get("FAKE_STDERR", "").encode("utf-8", "surrogateescape"))
    left = int(environment.get("FAKE_STDERR_BYTES", "0"))
    while left > 0:
        left -= os.write(2, b"x" * min(left, 4096))
    if "FAKE_KILL" in environment:
        os.kill(os.getpid(), int(environment["FAKE_KILL"]))
    status = int(environment.get("FAKE_STATUS", "0"))
    if status != 0:
        os._exit(status)
    _wait_for("FAKE_WAIT_FILE")
    console = _option(argv, "--console-socket")
    process = _start(None if "FAKE_NO_CONSOLE" in environment else console, environment.get("FAKE_SCRIPT", DEFAULT_SCRIPT))
    if "FAKE_OUTLIVE" in environment:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    _wait_for("FAKE_LATE_FILE")
    os.write(2, environment.get("FAKE_LATE_STDERR", "").encode())
    pid_file = _option(argv, "--pid-file")
    if pid_file is not None and environment.get("FAKE_PID") != "none":
        with open(pid_file, "w", encoding="utf-8") as out:
            out.write(environment.get("FAKE_PID", str(process.pid)))
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
