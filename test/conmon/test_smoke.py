"""The monitor alone, with a scripted runtime: the way from the start byte to the exit file, in each of its modes."""

from __future__ import annotations

import socket

from test.conmon.harness import API_EXEC, LEGACY_EXEC, WAIT_S, Monitor, Record, receive_all, until
from test.support.waiting import eventually


def test_a_container_is_reported_logged_and_its_status_published(monitor: Monitor) -> None:
    assert monitor.run(FAKE_SCRIPT="echo out; echo err >&2; printf tail; exit 7") == 0
    assert monitor.message() == {"pid": monitor.container}
    assert monitor.status() == "7"
    assert (monitor.persist / "exit").read_text(encoding="ascii") == "7"
    assert monitor.text() == b"out\ntail" and monitor.text("stderr") == b"err\n"
    assert Record("stdout", "P", b"tail") in monitor.records()


def test_a_failing_runtime_is_reported_with_its_words(monitor: Monitor) -> None:
    assert monitor.run("--api-version", "1", FAKE_STATUS="3", FAKE_STDERR='no "such" thing\n') == 0
    assert monitor.message() == {"data": -1, "message": 'no "such" thing\n'}


def test_a_terminal_keeps_an_early_size_and_sends_its_output_to_clients(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    assert monitor.run("-t", FAKE_SCRIPT="stty size; read line; echo got $line", FAKE_WAIT_FILE=str(go)) == 0
    eventually((monitor.bundle / "ctl").exists, WAIT_S, "the control fifo")
    monitor.ctl("1 33 44\n")
    with monitor.attach() as client:
        client.send(b"words\n")
        go.touch()
        data = receive_all(client)[2]
    assert b"33 44\r\n" in data and b"got words\r\n" in data
    assert monitor.status() == "0"


def test_a_client_feeds_stdin_and_its_end_ends_it(monitor: Monitor) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="cat; echo over >&2") == 0
    monitor.message()
    with monitor.attach() as client:
        client.send(b"in\n")
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == {2: b"in\n", 3: b"over\n"}
    assert monitor.status() == "0"


def test_exec_reports_pid_and_status(monitor: Monitor) -> None:
    assert monitor.run(*API_EXEC, FAKE_SCRIPT="exit 5", FAKE_OUTLIVE="1") == 0
    assert monitor.message() == {"data": monitor.container}
    assert monitor.message() == {"data": 5}


def test_a_timeout_kills_and_says_so(monitor: Monitor) -> None:
    assert monitor.run(*LEGACY_EXEC, "--sync", "-T", "1", FAKE_SCRIPT="sleep 1000 & wait") == 255
    assert monitor.message() == {"exit_code": -1, "message": "command timed out"}
    assert monitor.status() == "-1"


def test_reopening_makes_a_new_file(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    assert monitor.run(FAKE_SCRIPT=f"echo one; {until(go)}; echo two") == 0
    monitor.logged(b"one\n")
    monitor.log.rename(monitor.folder / "moved.log")
    monitor.ctl("2 0 0\n")
    eventually(monitor.log.exists, WAIT_S, "the new log file")
    go.touch()
    assert monitor.status() == "0"
    assert [record.content for record in monitor.records()] == [b"two"]
