"""Items 11 to 26: from the start of the program to the start of the container."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
from collections.abc import Callable

import pytest

from test.conmon.harness import (
    API_EXEC,
    CID,
    CONMON,
    FAKE_RUNTIME,
    LEGACY_EXEC,
    WAIT_S,
    Ended,
    Monitor,
    descriptors,
    stat_fields,
    status_fields,
    until,
)
from test.support import deaf
from test.support.waiting import eventually

ORDINARY_SIGNALS = (1 << 31) - 1
SIGPIPE_BIT = 1 << (signal.SIGPIPE - 1)
UNPRIVILEGED = 65534


def _record(monitor: Monitor, *words: str, **environment: str) -> dict[str, object]:
    """What the runtime saw."""
    path = monitor.folder / "record.json"
    assert monitor.run(*words, FAKE_RECORD=str(path), **environment) == 0
    eventually(path.exists, WAIT_S, "the runtime's record")
    facts: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return facts


def test_11_without_a_start_byte_it_waits_with_the_log_open(monitor: Monitor) -> None:
    process = monitor.launch(FAKE_SCRIPT="exit 0")
    eventually(monitor.log.exists, WAIT_S, "the log file")
    assert process.poll() is None
    assert not (monitor.folder / "conmon.pid").exists() and not list(monitor.bundle.iterdir())
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii")
    assert children == ""
    monitor.go()
    assert monitor.wait() == 0


def test_12_after_the_start_byte_the_pid_file_names_the_daemon(monitor: Monitor) -> None:
    assert monitor.run() == 0
    text = (monitor.folder / "conmon.pid").read_text("ascii")
    assert text.isdigit()
    assert os.readlink(f"/proc/{text}/exe") == os.path.realpath(CONMON)


def test_13_the_end_of_the_start_pipe_means_go(monitor: Monitor) -> None:
    monitor.launch(FAKE_SCRIPT="exit 0")
    monitor.close("START")
    assert monitor.wait() == 0
    assert monitor.status() == "0"


def test_14_sigterm_while_waiting_ends_it_without_a_trace(monitor: Monitor) -> None:
    mark = monitor.folder / "exit-command-ran"
    process = monitor.launch("--exit-command", "/bin/touch", "--exit-command-arg", str(mark))
    eventually(monitor.log.exists, WAIT_S, "the log file")
    process.send_signal(signal.SIGTERM)
    assert monitor.wait() == 1
    assert not mark.exists() and not list(monitor.exits.iterdir()) and not (monitor.folder / "conmon.pid").exists()


def test_15_the_callers_output_pipe_ends_while_the_container_runs(monitor: Monitor) -> None:
    ours, theirs = os.pipe()
    monitor.stdout = theirs
    assert monitor.run() == 0
    os.close(theirs)
    with open(ours, "rb") as pipe:
        assert pipe.read() == b""
    assert not (monitor.exits / CID).exists()


def test_16_the_daemon_is_detached(monitor: Monitor) -> None:
    assert monitor.run("-i") == 0
    monitor.message()
    pid = monitor.pid
    status = status_fields(pid)
    assert int(stat_fields(pid)[3]) == pid
    assert int(stat_fields(monitor.container)[1]) == pid, "an orphan is not adopted"
    assert status["Umask"] == "0022"
    assert int(status["SigIgn"], 16) & SIGPIPE_BIT
    assert {descriptors(pid)[name] for name in "012"} == {"/dev/null"}


def test_17_oom_scores(monitor: Monitor) -> None:
    """Without CAP_SYS_RESOURCE the score cannot be lowered: then everything keeps the caller's."""
    own = pathlib.Path("/proc/self/oom_score_adj").read_text("ascii").strip()
    may_lower = bool(int(status_fields(os.getpid())["CapEff"], 16) & (1 << 24))
    facts = _record(monitor)
    monitor.message()
    assert facts["oom_score_adj"] == own
    assert pathlib.Path(f"/proc/{monitor.container}/oom_score_adj").read_text("ascii").strip() == own
    assert pathlib.Path(f"/proc/{monitor.pid}/oom_score_adj").read_text("ascii").strip() == ("-1000" if may_lower else own)


def test_18_sync_stays_and_exits_with_the_status(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    process = monitor.launch("--sync", FAKE_SCRIPT=f"{until(go)}; exit 6")
    monitor.go()
    monitor.message()
    assert int(stat_fields(monitor.container)[1]) == process.pid
    go.touch()
    assert monitor.wait() == 6


def test_19_a_pid_file_that_cannot_be_written_leaves_no_container(monitor: Monitor) -> None:
    record = monitor.folder / "record.json"
    monitor.options["-P"] = str(monitor.folder / "missing" / "conmon.pid")
    assert monitor.run(FAKE_RECORD=str(record)) == 1
    with contextlib.suppress(Ended):
        assert monitor.message().get("pid") == -1
    assert not record.exists() and not monitor.pid_file.exists()


PRESERVE = ("--runtime-opt", "--preserve-fds", "--runtime-opt")
ARGV: dict[str, tuple[tuple[str, ...], str]] = {
    "create": ((), "create --bundle {b} --pid-file {p} {c}"),
    "create with everything": (
        ("-s", "--runtime-arg", "--root=/r", "--no-pivot", "--no-new-keyring", *PRESERVE, "2", "--runtime-arg", ""),
        "--systemd-cgroup --root=/r  create --bundle {b} --pid-file {p} --no-pivot --no-new-keyring --preserve-fds 2 {c}",
    ),
    "restore": (
        ("--restore", "/dump", "--runtime-opt", "--tcp-established"),
        "restore --bundle {b} --pid-file {p} --detach --image-path /dump --work-path {b} --tcp-established {c}",
    ),
    "exec": (LEGACY_EXEC, "exec --pid-file {p} --process spec --detach {c}"),
    "exec with everything": (
        (*API_EXEC, "-s", "--runtime-arg", "--log=x", "--runtime-opt", "--preserve-fds", "--runtime-opt", "1"),
        "--log=x exec --pid-file {p} --process spec --detach --preserve-fds 1 {c}",
    ),
}


@pytest.mark.parametrize("case", ARGV)
def test_20_the_runtimes_arguments(monitor: Monitor, case: str) -> None:
    words, expected = ARGV[case]
    facts = _record(monitor, *words, FAKE_SCRIPT="exit 0")
    argv = expected.format(b=monitor.bundle, p=monitor.pid_file, c=CID).split(" ")
    assert facts["argv"] == [FAKE_RUNTIME, *argv]


@pytest.mark.parametrize("words", [(), API_EXEC], ids=["create", "exec"])
def test_20_the_runtimes_arguments_with_a_terminal(monitor: Monitor, words: tuple[str, ...]) -> None:
    argv = _record(monitor, *words, "-t", FAKE_SCRIPT="exit 0")["argv"]
    assert isinstance(argv, list)
    assert argv[-3] == "--console-socket" and argv[-1] == CID
    assert "--tty" not in argv


def test_21_the_runtimes_environment(monitor: Monitor) -> None:
    facts = _record(monitor, MY_OWN="a b=c", LISTEN_PID="123456", LISTEN_FDS="1", NOTIFY_SOCKET="/run/x")
    environment = facts["environment"]
    assert isinstance(environment, dict)
    assert environment["MY_OWN"] == "a b=c" and environment["NOTIFY_SOCKET"] == "/run/x"
    assert environment["LISTEN_PID"] == "123456" and environment["LISTEN_FDS"] == "1"


def test_21_listen_pid_is_replaced_on_request(monitor: Monitor) -> None:
    facts = _record(monitor, "--replace-listen-pid", LISTEN_PID="123456")
    assert facts["environment"]["LISTEN_PID"] == str(facts["pid"])  # type: ignore[index]


def test_21_listen_pid_of_the_monitor_itself_is_replaced(monitor: Monitor) -> None:
    monitor.prefix = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")
    facts = _record(monitor, "--sync", FAKE_SCRIPT="exit 0")
    assert facts["environment"]["LISTEN_PID"] == str(facts["pid"])  # type: ignore[index]


def test_21_a_bad_listen_pid_is_a_failure(monitor: Monitor) -> None:
    assert monitor.run(LISTEN_PID="12x") == 0
    message = monitor.message()
    assert message["pid"] == -1


def test_22_extra_descriptors_reach_the_runtime_and_nothing_else_does(monitor: Monitor) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monitor.pass_fds = (theirs.fileno(),)
        facts = _record(monitor, "-i")
        found = facts["descriptors"]
        assert isinstance(found, dict)
        assert found.pop(str(theirs.fileno())) == os.readlink(f"/proc/self/fd/{theirs.fileno()}")
    assert set(found) <= {"0", "1", "2"}


def test_23_the_runtimes_signals_are_clean(monitor: Monitor) -> None:
    signals = _record(monitor)["signals"]
    assert isinstance(signals, dict)
    assert int(signals["SigBlk"], 16) == 0
    # Python itself ignores SIGPIPE and SIGXFSZ, after it has noted what it was given.
    python = SIGPIPE_BIT | 1 << (signal.SIGXFSZ - 1)
    assert int(signals["SigIgn"], 16) & ~python & ORDINARY_SIGNALS == 0
    fields = status_fields(monitor.container)
    assert int(fields["SigBlk"], 16) == 0 and int(fields["SigIgn"], 16) & ORDINARY_SIGNALS == 0


def test_23_what_the_caller_ignores_and_blocks_is_not_handed_on(make_monitor: Callable[..., Monitor], fast_runtime: str) -> None:
    """Even the numbers that no C library lets a program set."""
    monitor = make_monitor(runtime=fast_runtime)
    monitor.prefix = deaf.PREFIX
    assert monitor.run() == 0
    monitor.message()
    fields = status_fields(monitor.container)
    assert (int(fields["SigBlk"], 16), int(fields["SigIgn"], 16)) == (0, 0)


def test_23_the_containers_signals_are_clean(make_monitor: Callable[..., Monitor], fast_runtime: str) -> None:
    monitor = make_monitor(runtime=fast_runtime)
    assert monitor.run() == 0
    monitor.message()
    fields = status_fields(monitor.container)
    assert int(fields["SigBlk"], 16) == 0 and int(fields["SigIgn"], 16) & ORDINARY_SIGNALS == 0


def test_24_the_containers_pipes_are_open_to_everybody(monitor: Monitor) -> None:
    monitor.folder.chmod(0o711)
    for parent in monitor.folder.parents[:3]:
        parent.chmod(0o711)
    script = f"setpriv --reuid {UNPRIVILEGED} --clear-groups sh -c 'echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin'"
    modes = _record(monitor, "-i", FAKE_SCRIPT=script)["stdio_modes"]
    with monitor.attach() as client:
        client.send(b"in\n")
        client.shutdown(socket.SHUT_WR)
        assert monitor.status() == "0"
    assert modes == ["0o777"] * 3
    assert monitor.text() == b"out\nin\n" and monitor.text("stderr") == b"err\n"


def test_25_sockets_exist_when_the_runtime_starts_and_when_the_pid_is_reported(monitor: Monitor) -> None:
    script = "ls attach ctl winsz"
    runtime = monitor.folder / "listing-runtime"
    runtime.write_text(f'#!/bin/sh\ncd {monitor.bundle} && {script} > ../seen; exec {FAKE_RUNTIME} "$@"\n')
    runtime.chmod(0o755)
    monitor.options["-r"] = str(runtime)
    assert monitor.run() == 0
    monitor.message()
    assert (monitor.folder / "seen").read_text().split() == ["attach", "ctl", "winsz"]
    monitor.attach().close()
    monitor.ctl("1 2 3\n")
    assert os.readlink(monitor.sockets / CID) == str(monitor.bundle)


def test_26_stale_sockets_are_replaced(make_monitor: Callable[..., Monitor]) -> None:
    monitor = make_monitor()
    for name in ("attach", "ctl", "winsz"):
        (monitor.bundle / name).write_text("stale")
    os.symlink("/nowhere", monitor.sockets / CID)
    assert monitor.run() == 0
    monitor.message()
    monitor.attach().close()
    monitor.ctl("1 2 3\n")
    assert (monitor.bundle / "winsz").is_fifo()
    assert os.readlink(monitor.sockets / CID) == str(monitor.bundle)
