"""Items 27 to 39: what the caller is told, and when something fails."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
from collections.abc import Callable

import pytest

from test.conmon.harness import API_EXEC, CID, LEGACY_EXEC, WAIT_S, Ended, Monitor, until
from test.support.waiting import eventually

# What a failing runtime says, and how it must arrive.
WORDS = {
    "quotes and backslash": 'no "such" \\ thing\n',
    "control bytes": "a\tb\rc\bd\x01e\x1b[0m\x7f\n",
    "UTF-8": "Größe 漢字 🙂\n",
    "several lines": "one\ntwo\n\nthree",
}
REASONS: dict[str, dict[str, str]] = {
    "exits silently": {"FAKE_STATUS": "3"},
    "is killed": {"FAKE_KILL": "9"},
}
FAILED_EXEC = (*LEGACY_EXEC, "--sync")


@pytest.mark.parametrize(("words", "key"), [((), "pid"), (("--api-version",), "data")], ids=["API 0", "API 1"])
def test_27_create_reports_the_pid_once_and_then_the_end(monitor: Monitor, words: tuple[str, ...], key: str) -> None:
    go = monitor.folder / "go"
    assert monitor.run(*words, FAKE_SCRIPT=f"{until(go)}; exit 3") == 0
    pipe = monitor.pipe("SYNC")
    pipe.settimeout(WAIT_S)
    packet = pipe.recv(4096)
    assert packet.endswith(b"\n") and json.loads(packet) == {key: monitor.container}
    pipe.setblocking(False)
    with pytest.raises(BlockingIOError):
        pipe.recv(4096)
    go.touch()
    assert monitor.ended()
    assert monitor.status() == "3"


@pytest.mark.parametrize("case", WORDS)
def test_28_a_failing_runtimes_words_arrive_unchanged(monitor: Monitor, case: str) -> None:
    assert monitor.run(FAKE_STATUS="1", FAKE_STDERR=WORDS[case]) == 0
    assert monitor.message() == {"pid": -1, "message": WORDS[case]}


def test_28_invalid_utf8_becomes_something_that_any_decoder_takes(monitor: Monitor) -> None:
    assert monitor.run(FAKE_STATUS="1", FAKE_STDERR=os.fsdecode(b"bad \xff\xfe byte")) == 0
    message = monitor.message()["message"]
    assert isinstance(message, str) and message.startswith("bad ") and message.endswith(" byte")


@pytest.mark.parametrize("case", REASONS)
def test_29_a_silent_failure_has_some_message(monitor: Monitor, case: str) -> None:
    assert monitor.run(**REASONS[case]) == 0
    message = monitor.message()
    assert message["pid"] == -1 and message["message"]


def test_29_a_runtime_that_cannot_be_executed(monitor: Monitor) -> None:
    broken = monitor.folder / "broken"
    broken.write_text("#!/does/not/exist\n")
    broken.chmod(0o755)
    monitor.options["-r"] = str(broken)
    assert monitor.run() == 0
    message = monitor.message()
    assert message["pid"] == -1 and message["message"]


@pytest.mark.parametrize("size", [15_000, 1_000_000])
def test_30_much_stderr_arrives_as_json_through_small_reads(monitor: Monitor, size: int) -> None:
    assert monitor.run(FAKE_STATUS="1", FAKE_STDERR_BYTES=str(size)) == 0
    message = monitor.message()
    assert message["pid"] == -1 and str(message["message"]).startswith("xxxx")


@pytest.mark.parametrize("pid", ["none", "", "0", "-5", "word"])
@pytest.mark.parametrize("words", [(), API_EXEC], ids=["create", "exec"])
def test_31_success_without_a_pid_is_a_failure(monitor: Monitor, words: tuple[str, ...], pid: str) -> None:
    assert monitor.run(*words, FAKE_PID=pid, FAKE_SCRIPT="exit 0") == 0
    message = monitor.message()
    assert message["data" if words else "pid"] == -1
    assert monitor.ended()
    assert not (monitor.exits / CID).exists()


def test_32_a_failed_legacy_exec_with_an_empty_pid_file(monitor: Monitor) -> None:
    monitor.pid_file.touch()
    del monitor.options["-b"], monitor.options["-u"]
    assert monitor.run(*FAILED_EXEC, FAKE_STATUS="1", FAKE_STDERR="no such command") == 1
    assert monitor.message() == {"exit_code": -1, "message": "no such command"}
    assert not (monitor.exits / CID).exists() and not (monitor.persist / "exit").exists()


def _missing_bundle(monitor: Monitor) -> dict[str, str]:
    monitor.options["-b"] = str(monitor.folder / "missing")
    return {}


def _socket_dir_missing(monitor: Monitor) -> dict[str, str]:
    monitor.options["--socket-dir-path"] = str(monitor.folder / "missing")
    return {}


def _directory_in_the_way(monitor: Monitor) -> dict[str, str]:
    (monitor.bundle / "ctl").mkdir()
    return {}


@pytest.mark.parametrize("breakage", [_missing_bundle, _socket_dir_missing, _directory_in_the_way])
def test_33_what_fails_before_the_runtime_is_reported(monitor: Monitor, breakage: Callable[[Monitor], dict[str, str]]) -> None:
    assert monitor.run(**breakage(monitor)) == 0
    message = monitor.message()
    assert message["pid"] == -1 and message["message"]
    assert monitor.ended()


def test_33_an_unusable_tmpdir_is_survived_or_reported(monitor: Monitor) -> None:
    assert monitor.run("-t", TMPDIR=str(monitor.folder / "missing")) == 0
    message = monitor.message()
    assert message.get("pid") == monitor.container or (message["pid"] == -1 and message["message"])


def test_34_no_terminal_arrives(monitor: Monitor) -> None:
    assert monitor.run("-t", FAKE_NO_CONSOLE="1", FAKE_SCRIPT="exit 0") == 0
    message = monitor.message()
    assert message["pid"] == -1 and message["message"]


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 5", 5), ("kill -9 $$", 137)])
@pytest.mark.parametrize("api", [True, False], ids=["API 1", "legacy"])
def test_35_exec_reports_the_status(monitor: Monitor, api: bool, script: str, status: int) -> None:
    assert monitor.run(*(API_EXEC if api else LEGACY_EXEC), FAKE_SCRIPT=script) == 0
    if api:
        assert monitor.message() == {"data": monitor.container}
    assert monitor.message() == {"data" if api else "exit_code": status}
    assert monitor.ended()
    assert monitor.status() == str(status)


@pytest.mark.parametrize("words", [(), ("-t",)], ids=["pipes", "terminal"])
def test_36_an_exec_that_dies_before_the_runtime_returns(monitor: Monitor, words: tuple[str, ...]) -> None:
    assert monitor.run(*API_EXEC, *words, FAKE_SCRIPT="echo last; exit 7", FAKE_OUTLIVE="1") == 0
    assert monitor.message() == {"data": monitor.container}
    assert monitor.message() == {"data": 7}
    assert monitor.text().replace(b"\r", b"") == b"last\n"


def test_37_the_callers_end_of_the_pipe_is_gone(monitor: Monitor) -> None:
    monitor.launch(*API_EXEC, FAKE_SCRIPT="exit 4")
    monitor.close("SYNC")
    monitor.go()
    assert monitor.wait() == 0
    assert monitor.status() == "4"


def test_38_exec_attach_first_the_attach_message_then_the_second_byte_then_the_runtime(monitor: Monitor) -> None:
    record = monitor.folder / "record.json"
    words = (*API_EXEC, "--exec-attach")
    assert monitor.run(*words, pipes=("SYNC", "START", "ATTACH"), FAKE_RECORD=str(record), FAKE_SCRIPT="echo hello") == 0
    assert monitor.message("ATTACH") == {"data": 0}
    with monitor.attach() as client:
        assert not record.exists()
        monitor.go()
        assert monitor.message() == {"data": monitor.container}
        assert client.recv(8193) == b"\x02hello\n"
    assert record.exists()
    assert monitor.message() == {"data": 0}


@pytest.mark.parametrize("case", ["FAKE_STATUS", "FAKE_PID", "FAKE_KILL"])
def test_39_after_a_failure_the_exit_command_runs_and_no_exit_file_exists(monitor: Monitor, case: str) -> None:
    mark = monitor.folder / "exit-command-ran"
    words = ("--exit-command", "/bin/touch", "--exit-command-arg", str(mark))
    assert monitor.run(*words, FAKE_SCRIPT="exit 0", **{case: {"FAKE_STATUS": "1", "FAKE_PID": "none", "FAKE_KILL": "15"}[case]}) == 0
    eventually(mark.exists, WAIT_S, "the exit command")
    assert not (monitor.exits / CID).exists() and not (monitor.persist / "exit").exists()


def test_92_a_runtime_that_is_killed_during_create_is_a_failure(monitor: Monitor) -> None:
    record = monitor.folder / "record.json"
    assert monitor.run(FAKE_RECORD=str(record), FAKE_WAIT_FILE=str(monitor.folder / "never")) == 0
    eventually(record.exists, WAIT_S, "the runtime")
    os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)
    assert monitor.message()["pid"] == -1


def test_27_a_stream_socket_and_a_pipe_serve_as_well(make_monitor: Callable[..., Monitor]) -> None:
    monitor = make_monitor()
    monitor.kind = socket.SOCK_STREAM
    assert monitor.run(FAKE_SCRIPT="exit 0") == 0
    assert monitor.message() == {"pid": monitor.container}
    with pytest.raises(Ended):
        monitor.message()
    assert pathlib.Path(monitor.exits / CID).exists()
