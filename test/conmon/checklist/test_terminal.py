"""Items 71 to 79: the terminal and the control fifo."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from test.conmon.harness import WAIT_S, Monitor, cpu_ticks, during, receive_all, receive_until, until, wakeups
from test.support.waiting import eventually

# Prints the size whenever it has changed.
WATCH_SIZE = 'echo ready; while :; do now=$(stty size); test "$now" = "$last" || echo "$now"; last=$now; sleep 0.02; done'
SIGNALLED_SIZE = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done"
BAD_THEN_GOOD = {
    "garbage": "garbage\n",
    "garbage with digits": "1 x y\n",
    "a negative number": "1 -5 80\n",
    "a number above 65535": "1 70000 80\n",
    "an unknown kind": "9 1 1\n",
    "an empty line": "\n",
    "a line of 300 bytes": "1 " + "2" * 300 + " 3\n",
    "a short line": "1 5\n",
}


@pytest.fixture
def watching(monitor: Monitor) -> Monitor:
    """A container that prints the terminal's size when it changes."""
    assert monitor.run("-t", FAKE_SCRIPT=WATCH_SIZE) == 0
    monitor.message()
    monitor.logged(b"ready")
    return monitor


def test_71_the_terminal_is_one(monitor: Monitor) -> None:
    assert monitor.run("-t", FAKE_SCRIPT="tty; stty -a; exit 3") == 0
    assert monitor.message() == {"pid": monitor.container}
    assert monitor.status() == "3"
    text = monitor.text()
    assert text.startswith(b"/dev/pts/") and b" onlcr" in text
    assert b"\r\n" in text


def test_71_resizing_signals_the_container(monitor: Monitor) -> None:
    assert monitor.run("-t", FAKE_SCRIPT=SIGNALLED_SIZE) == 0
    monitor.message()
    monitor.logged(b"ready")
    monitor.ctl("1 33 44\n")
    monitor.logged(b"33 44\r")


def test_72_size_and_input_before_the_terminal_exists(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    assert monitor.run("-t", FAKE_SCRIPT="stty size; read line; echo got $line", FAKE_WAIT_FILE=str(go)) == 0
    eventually((monitor.bundle / "ctl").exists, WAIT_S, "the control fifo")
    monitor.ctl("1 33 44\n")
    with monitor.attach() as client:
        client.send(b"words\n")
        go.touch()
        data = receive_all(client)[2]
    assert b"33 44\r\n" in data and b"got words\r\n" in data


@pytest.mark.parametrize("case", BAD_THEN_GOOD)
def test_73_a_bad_line_does_not_harm_a_good_one_behind_it(watching: Monitor, case: str) -> None:
    watching.ctl(BAD_THEN_GOOD[case] + "1 21 42\n")
    watching.logged(b"21 42\r")
    watching.ctl("1 22 43\n")
    watching.logged(b"22 43\r")
    assert b"65531" not in watching.text()


def test_73_lines_split_and_merged_with_extra_words_and_carriage_returns(watching: Monitor) -> None:
    with open(watching.bundle / "ctl", "wb", buffering=0) as ctl:
        for piece in (b"1 1", b"7 27 and ", b"more\n"):
            ctl.write(piece)
        watching.logged(b"17 27\r")
        ctl.write(b"1 18 28\r\n")
        watching.logged(b"18 28\r")
        ctl.write(b"1 10 10\n1 19 29\n")
        watching.logged(b"19 29\r")
        ctl.write(b"bad")
        ctl.write(b"\n")
        ctl.write(b"1 20 30\n")
        watching.logged(b"20 30\r")


def test_74_the_last_writer_may_close(monitor: Monitor) -> None:
    assert monitor.run("-i") == 0
    monitor.message()
    for _ in range(3):
        monitor.ctl("1 2 3\n")
    assert during(0.5, lambda: cpu_ticks(monitor.pid)) <= 1
    monitor.ctl("1 2 3\n")


def test_75_a_terminal_that_nobody_has_open_costs_no_wakeups(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    script = f"tty=$(tty); exec </dev/null >/dev/null 2>&1; touch {go}.closed; {until(go)}"
    script += "; exec >$tty; echo again; exec >/dev/null; sleep 0.2; exit 3"
    assert monitor.run("-t", FAKE_SCRIPT=script) == 0
    monitor.message()
    eventually((monitor.folder / "go.closed").exists, WAIT_S, "closed descriptors")
    # The monitor looks once more a second later, to give memory back.
    during(1.2, lambda: 0)
    assert during(2.0, lambda: wakeups(monitor.pid)) <= 2
    go.touch()
    assert monitor.status() == "3"
    assert b"again\r" in monitor.text()


def test_76_a_megabyte_of_terminal_output_is_complete(monitor: Monitor) -> None:
    assert monitor.run("-t", FAKE_SCRIPT="seq 150000; exit 3") == 0
    assert monitor.status() == "3"
    assert monitor.text() == b"".join(b"%d\r\n" % number for number in range(1, 150001))


@pytest.mark.parametrize("words", [("-t",), ("-t", "-i")], ids=["-t", "-t -i"])
def test_77_input_works_again_after_detaching(monitor: Monitor, words: tuple[str, ...]) -> None:
    assert monitor.run(*words, FAKE_SCRIPT="stty -echo; echo ready; while read line; do echo got $line; done") == 0
    monitor.message()
    monitor.logged(b"ready")
    for word in (b"one", b"two", b"three"):
        with monitor.attach() as client:
            client.send(word + b"\n")
            assert b"got " + word in receive_until(client, b"got " + word)


def test_78_pasting_into_a_program_that_does_not_read_hangs_nothing(monitor: Monitor) -> None:
    assert monitor.run("-t", FAKE_SCRIPT="stty -echo; " + WATCH_SIZE) == 0
    monitor.message()
    monitor.logged(b"ready")
    with monitor.attach() as client:
        client.settimeout(1.0)
        try:
            for _ in range(16):
                client.send(b"p" * 4095 + b"\n")
        except TimeoutError:
            pass
        monitor.ctl("1 55 66\n")
        monitor.logged(b"55 66\r")
        assert during(0.5, lambda: cpu_ticks(monitor.pid)) <= 5


def test_79_a_long_tmpdir(make_monitor: Callable[..., Monitor]) -> None:
    monitor = make_monitor()
    folder = monitor.folder / ("t" * 120)
    folder.mkdir()
    assert monitor.run("-t", TMPDIR=str(folder), FAKE_SCRIPT="tty") == 0
    assert monitor.message() == {"pid": monitor.container}
    assert monitor.status() == "0"
    assert monitor.text().startswith(b"/dev/pts/")
