"""Items 80 to 95: the end of the container, time limits, memory, signals, sd-notify."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

from test.conmon.harness import (
    API_EXEC,
    CID,
    IS_UPSTREAM,
    LEGACY_EXEC,
    WAIT_S,
    Ended,
    Monitor,
    is_running,
    kill,
    memory_cgroup,
    stat_fields,
    until,
)
from test.support import leaks
from test.support.waiting import eventually

STATUSES = {"exit 0": "0", "exit 1": "1", "exit 255": "255", "kill -TERM $$": "143", "kill -KILL $$": "137", "kill -SEGV $$": "139"}
HARMLESS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM)
# Prints what the exit command was given.
SHOW = r"""
printf '%s\n' "$@" > {out}.argv
tr '\0' '\n' < /proc/self/environ > {out}.environment
pwd > {out}.cwd
grep -E '^Sig(Blk|Ign)' /proc/self/status > {out}.signals
ls -l /proc/self/fd > {out}.fds
ls {exits} > {out}.exits
echo $PPID > {out}.parent
mv {out}.parent {out}
"""
MEMORY_HOG = "head -c 64m /dev/zero | tail -c 64m > /dev/null; sleep 0.2; exit 3"


@pytest.mark.parametrize("script", STATUSES)
def test_80_the_status_is_published_in_both_files(monitor: Monitor, script: str) -> None:
    assert monitor.run(FAKE_SCRIPT=script) == 0
    assert monitor.status() == STATUSES[script]
    for path in (monitor.exits / CID, monitor.persist / "exit"):
        assert path.read_text("ascii") == STATUSES[script]
        assert path.stat().st_mode & 0o777 == 0o644
    assert (monitor.persist / "exit").stat().st_mtime_ns <= (monitor.exits / CID).stat().st_mtime_ns
    assert [path.name for path in monitor.exits.iterdir()] == [CID] and [path.name for path in monitor.persist.iterdir()] == ["exit"]


def test_80_files_appear_by_rename(monitor: Monitor) -> None:
    trace = monitor.folder / "trace"
    monitor.prefix = ("strace", "-qq", "-e", "trace=rename,renameat,renameat2,unlink,unlinkat", "-o", str(trace))
    assert monitor.run("--sync", FAKE_SCRIPT="exit 3") == 3
    lines = trace.read_text().splitlines()
    renames = [line for line in lines if line.startswith("rename")]
    assert len(renames) >= 2
    assert '"exit"' in renames[-2] or '/exit"' in renames[-2]
    assert CID in renames[-1]


@pytest.mark.parametrize("option", ["--exit-dir", "--persist-dir"])
def test_81_one_missing_directory_does_not_stop_the_rest(monitor: Monitor, option: str) -> None:
    mark = monitor.folder / "exit-command-ran"
    monitor.options[option] = str(monitor.folder / "missing")
    words = (*API_EXEC, "--exit-command", "/bin/touch", "--exit-command-arg", str(mark))
    assert monitor.run(*words, FAKE_SCRIPT="exit 3") == 0
    assert monitor.message() == {"data": monitor.container}
    assert monitor.message() == {"data": 3}
    eventually(mark.exists, WAIT_S, "the exit command")
    assert (monitor.exits / CID).exists() == (option == "--persist-dir")
    assert (monitor.persist / "exit").exists() == (option == "--exit-dir")


def test_82_inherited_sockets_are_closed_before_the_exit_file(monitor: Monitor) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    monitor.pass_fds = (listener.fileno(),)
    # The scripted runtime does not give it to the container.
    assert monitor.run(FAKE_SCRIPT="exit 0") == 0
    listener.close()
    assert monitor.status() == "0"
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


def test_83_what_the_exit_command_is_given(monitor: Monitor) -> None:
    out = monitor.folder / "shown"
    words = ["--exit-command", "/bin/sh"]
    for word in ("-c", SHOW.format(out=out, exits=monitor.exits), "name", "a b", "", "--last"):
        words += ["--exit-command-arg", word]
    assert monitor.run(*words, MY_OWN="value", FAKE_SCRIPT="exit 3") == 0
    eventually(out.exists, WAIT_S, "the exit command")

    def shown(kind: str) -> list[str]:
        return pathlib.Path(f"{out}.{kind}").read_text().splitlines()

    assert shown("argv") == ["a b", "", "--last"]
    assert "MY_OWN=value" in shown("environment")
    assert shown("cwd") == [str(monitor.folder)]
    assert [int(line.split()[1], 16) & (1 << 31) - 1 for line in shown("signals")] == [0, 0]
    assert [line.split(" -> ")[1] for line in shown("fds")[1:4]] == ["/dev/null", f"{out}.fds", "/dev/null"]
    assert not [line for line in shown("fds") if "socket" in line or "pipe" in line or "eventpoll" in line]
    assert shown("exits") == [CID]


def test_83_the_monitor_outlives_its_exit_command_and_keeps_the_delay(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    mark = monitor.folder / "running"
    script = f"touch {mark}; {until(go)}"
    words = ("--exit-command", "/bin/sh", "--exit-command-arg", "-c", "--exit-command-arg", script, "--exit-delay", "1")
    assert monitor.run(*words, FAKE_SCRIPT="exit 0") == 0
    assert monitor.status() == "0"
    assert not mark.exists()
    eventually(mark.exists, WAIT_S, "the exit command")
    assert is_running(monitor.pid)
    assert mark.stat().st_mtime - (monitor.exits / CID).stat().st_mtime > 0.9
    go.touch()
    eventually(lambda: not is_running(monitor.pid), WAIT_S, "the monitor's end")


def test_84_a_missing_exit_command_changes_nothing(monitor: Monitor) -> None:
    assert monitor.run("--sync", "--exit-command", "/does/not/exist", FAKE_SCRIPT="exit 6") == 6


def test_86_a_background_child_delays_neither_exec_nor_exit_file(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    words = (*API_EXEC, "--exit-command", "/bin/true")
    assert monitor.run(*words, FAKE_SCRIPT=f"({until(go)}) & exit 3") == 0
    assert monitor.message() == {"data": monitor.container}
    assert monitor.message() == {"data": 3}
    assert monitor.status() == "3"
    go.touch()
    eventually(lambda: not is_running(monitor.pid), WAIT_S, "the monitor's end")


def test_87_an_endless_writer_in_the_background_delays_nothing(monitor: Monitor) -> None:
    stop = monitor.folder / "stop"
    writer = f"(while ! test -e {stop}; do head -c 1000000 /dev/zero | tr '\\0' '\\n'; done) & exit 3"
    try:
        assert monitor.run(FAKE_SCRIPT=writer) == 0
        monitor.message()
        assert monitor.status(2.0) == "3"
        size = monitor.log.stat().st_size
    finally:
        stop.touch()
    monitor.stop()
    assert monitor.log.stat().st_size <= size < 300_000_000


@pytest.mark.parametrize("words", [("--api-version", "1"), LEGACY_EXEC, API_EXEC], ids=["create", "legacy exec", "exec"])
def test_88_a_timeout_kills_the_group_and_says_so(monitor: Monitor, words: tuple[str, ...]) -> None:
    child = monitor.folder / "child"
    assert monitor.run(*words, "--sync", "-T", "1", FAKE_SCRIPT=f"sleep 1000 & echo $! > {child}; wait") == 255
    if words is not LEGACY_EXEC:
        assert monitor.message() == {"data": monitor.container}
    if words[0] == "-e":
        assert monitor.message() == {"data" if words is API_EXEC else "exit_code": -1, "message": "command timed out"}
    assert monitor.status() == "-1" and (monitor.persist / "exit").read_text() == "-1"
    eventually(lambda: not is_running(int(child.read_text())), WAIT_S, "the end of the whole group")


def test_88_ending_in_time_is_normal(monitor: Monitor) -> None:
    assert monitor.run("--sync", "-T", "30", FAKE_SCRIPT="exit 4") == 4
    assert monitor.status() == "4"


def test_89_the_time_limit_runs_on_a_clock_that_does_not_jump(monitor: Monitor) -> None:
    """The host's clock is not ours to set; the kernel tells which one the timer has: 0 is the one that jumps."""
    assert monitor.run("-T", "1000") == 0
    monitor.message()
    texts = []
    for fd in os.listdir(f"/proc/{monitor.pid}/fdinfo"):
        with contextlib.suppress(FileNotFoundError):
            texts.append(pathlib.Path(f"/proc/{monitor.pid}/fdinfo/{fd}").read_text())
    clocks = {line.split()[1] for text in texts for line in text.splitlines() if line.startswith("clockid:")}
    assert clocks <= {"1", "7"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_90_signals_are_forwarded_and_the_monitor_lives(monitor: Monitor, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    assert monitor.run(FAKE_SCRIPT=f"trap 'echo got; exit 9' {name}; echo up; while :; do sleep 0.02; done") == 0
    monitor.message()
    monitor.logged(b"up\n")
    os.kill(monitor.pid, number)
    assert monitor.status() == "9"
    assert monitor.text() == b"up\ngot\n"


@pytest.mark.parametrize("number", HARMLESS)
def test_90_other_signals_do_nothing(monitor: Monitor, number: signal.Signals) -> None:
    go = monitor.folder / "go"
    assert monitor.run(FAKE_SCRIPT=f"{until(go)}; exit 3") == 0
    monitor.message()
    os.kill(monitor.pid, number)
    go.touch()
    assert monitor.status() == "3"


def test_90_terminating_during_create_is_a_failure(monitor: Monitor) -> None:
    record = monitor.folder / "record.json"
    assert monitor.run(FAKE_RECORD=str(record), FAKE_WAIT_FILE=str(monitor.folder / "never")) == 0
    eventually(record.exists, WAIT_S, "the runtime")
    os.kill(monitor.pid, signal.SIGTERM)
    assert monitor.message()["pid"] == -1


@contextlib.contextmanager
def _foreign(script: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sh", "-c", script])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_91_a_process_that_is_not_a_child_is_watched_to_its_end(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    with _foreign(f"{until(go)}; exit 7") as process:
        assert monitor.run(FAKE_PID=str(process.pid), FAKE_SCRIPT="exit 0") == 0
        assert monitor.message() == {"pid": process.pid}
        assert not (monitor.exits / CID).exists()
        go.touch()
        process.wait()
        # The kernel tells the status of a foreign process from 6.15 on.
        assert monitor.status() in ("7", "-1")


def test_93_killing_the_monitor_kills_the_runtime_and_spares_the_container(monitor: Monitor) -> None:
    assert monitor.run() == 0
    monitor.message()
    os.kill(monitor.pid, signal.SIGKILL)
    eventually(lambda: not is_running(monitor.pid), WAIT_S, "the monitor's end")
    assert is_running(monitor.container)
    assert not (monitor.exits / CID).exists()
    kill(monitor.container)


def test_93_killing_the_monitor_during_create_kills_the_runtime(monitor: Monitor) -> None:
    record = monitor.folder / "record.json"
    assert monitor.run(FAKE_RECORD=str(record), FAKE_WAIT_FILE=str(monitor.folder / "never")) == 0
    eventually(record.exists, WAIT_S, "the runtime")
    runtime = json.loads(record.read_text())["pid"]
    os.kill(monitor.pid, signal.SIGKILL)
    eventually(lambda: not is_running(runtime), WAIT_S, "the runtime's end")
    with pytest.raises(Ended):
        monitor.message()


def test_94_running_out_of_memory_is_recorded_before_the_exit(monitor: Monitor) -> None:
    with memory_cgroup(f"{leaks.CGROUP_PREFIX}oom-{leaks.run_id()}") as group:
        (group / "memory.limit_in_bytes").write_text("16m")
        assert monitor.run(FAKE_CGROUP=str(group / "cgroup.procs"), FAKE_SCRIPT=MEMORY_HOG) == 0
        monitor.message()
        monitor.status()
        assert (monitor.persist / "oom").exists()
        assert (monitor.bundle / "oom").exists()
        assert not (monitor.folder / "oom").exists()
        monitor.stop()


def test_94_a_plain_kill_and_the_removal_of_the_cgroup_are_no_oom(monitor: Monitor) -> None:
    with memory_cgroup(f"{leaks.CGROUP_PREFIX}kill-{leaks.run_id()}") as group:
        assert monitor.run(FAKE_CGROUP=str(group / "cgroup.procs")) == 0
        monitor.message()
        os.kill(monitor.container, signal.SIGKILL)
        assert monitor.status() == "137"
        monitor.stop()
    assert not (monitor.persist / "oom").exists() and not (monitor.bundle / "oom").exists()


def test_94_version_2_events_are_understood(monitor: Monitor) -> None:
    """The memory controller is on version 1 here, so the file of version 2 is played: a tmpfs over a real cgroup2 directory."""
    name = f"{leaks.CGROUP_PREFIX}oom2-{leaks.run_id()}"
    group = pathlib.Path("/sys/fs/cgroup/unified", name)
    events = monitor.folder / "events"
    events.mkdir()
    (events / "memory.events").write_text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n")
    group.mkdir()
    setup = 'echo $$ > "/sys/fs/cgroup/unified/$1/cgroup.procs" && mount -t cgroup2 none /sys/fs/cgroup'
    setup += ' && mount --bind "$0" "/sys/fs/cgroup/$1" && shift && exec "$@"'
    monitor.prefix = ("unshare", "-m", "/bin/sh", "-c", setup, str(events), name)
    go = monitor.folder / "go"
    try:
        assert monitor.run(FAKE_SCRIPT=f"{until(go)}; exit 3") == 0
        assert monitor.message() == {"pid": monitor.container}
        (events / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n")
        eventually((monitor.persist / "oom").exists, WAIT_S, "the oom file")
        go.touch()
        assert monitor.status() == "3"
        monitor.stop()
        assert (monitor.bundle / "oom").exists()
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text("ascii"), WAIT_S, "an empty cgroup")
        group.rmdir()


NOTIFICATIONS: dict[str, tuple[bytes, bytes | None]] = {
    "ready": (b"READY=1", b"READY=1"),
    "several": (b"READY=1\nSTATUS=all fine\nWATCHDOG=1\n", b"READY=1\nSTATUS=all fine\nWATCHDOG=1"),
    "others are left out": (b"MAINPID=1\nREADY=1\nFDSTORE=1\nEXTEND_TIMEOUT_USEC=5", b"READY=1"),
    "carriage returns": (b"READY=1\r\nSTOPPING=1\r\n", b"READY=1\nSTOPPING=1"),
    "another value": (b"READY=12", None),
    "a longer name": (b"X_READY=1", None),
    "a big one": (b"STATUS=" + b"s" * 32_000, b"STATUS=" + b"s" * 32_000),
    "the rest of the list": (
        b"RELOADING=1\nWATCHDOG=trigger\nERRNO=2\nBUSERROR=x\nMONOTONIC_USEC=5",
        b"RELOADING=1\nWATCHDOG=trigger\nERRNO=2\nBUSERROR=x\nMONOTONIC_USEC=5",
    ),
}


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_95_the_notify_relay(make_monitor: Callable[..., Monitor], abstract: bool) -> None:
    monitor = make_monitor()
    (monitor.bundle / "notify").mkdir()
    host = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    name = f"@ct-notify-{os.getpid()}" if abstract else str(monitor.folder / "n")
    host.bind(name.replace("@", "\0", 1) if abstract else name)
    host.settimeout(WAIT_S)
    container = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with host, container:
        assert monitor.run("--sdnotify-socket", name) == 0
        monitor.message()
        folder_fd = os.open(monitor.bundle / "notify", os.O_PATH)
        container.connect(f"/proc/self/fd/{folder_fd}/notify.sock")
        os.close(folder_fd)
        for words, expected in NOTIFICATIONS.values():
            if IS_UPSTREAM and expected is None:
                continue
            container.send(words)
            if expected is not None:
                assert host.recv(65536) == expected
        # What must not pass has not passed before this one.
        container.send(b"READY=1")
        assert host.recv(65536) == b"READY=1"


def test_95_a_host_socket_that_is_gone_harms_nobody(monitor: Monitor) -> None:
    (monitor.bundle / "notify").mkdir()
    go = monitor.folder / "go"
    assert monitor.run("--sdnotify-socket", str(monitor.folder / "gone"), FAKE_SCRIPT=f"{until(go)}; exit 3") == 0
    monitor.message()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as container:
        folder_fd = os.open(monitor.bundle / "notify", os.O_PATH)
        container.connect(f"/proc/self/fd/{folder_fd}/notify.sock")
        os.close(folder_fd)
        container.send(b"READY=1")
    go.touch()
    assert monitor.status() == "3"


def test_86_orphans_become_the_monitors_children(monitor: Monitor) -> None:
    pid_file = monitor.folder / "orphan"
    assert monitor.run(FAKE_SCRIPT=f"(sleep 1000 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}); exec sleep 1000") == 0
    monitor.message()
    orphan = int(eventually(lambda: pid_file.exists() and pid_file.read_text(), WAIT_S, "the orphan"))
    eventually(lambda: int(stat_fields(orphan)[1]) == monitor.pid, WAIT_S, "adoption")
    kill(orphan)
    eventually(lambda: not os.path.exists(f"/proc/{orphan}"), WAIT_S, "no zombie left")
