"""What only our monitor has: log policies, their counters, and the limit for clients that do not read."""

from __future__ import annotations

import re

from test.conmon.harness import WAIT_S, Monitor, receive_all, until
from test.support.waiting import eventually


def _counters(monitor: Monitor) -> dict[str, str]:
    lines = (monitor.bundle / "log-counters").read_text(encoding="ascii").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def _contents(monitor: Monitor) -> list[str]:
    return [record.content.decode() for record in monitor.records()]


def test_a_policy_drops_lines_and_says_so(monitor: Monitor) -> None:
    assert monitor.run("--log-policy", "stdout:drop,lines=10", FAKE_SCRIPT="seq 1000; sleep 2; echo last") == 0
    assert monitor.status() == "0"
    contents = _contents(monitor)
    assert contents[:10] == [str(number) for number in range(1, 11)]
    assert re.match(r"\[conmon: log policy drop: 990 lines, 3872 bytes left out in \d+\.\d{3} s\]", contents[10])
    assert contents[11:] == ["last"]
    counters = _counters(monitor)
    assert counters["stdout.dropped_lines"] == "990" and counters["stdout.gaps"] == "1"


def test_counters_of_an_unlimited_stream(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    assert monitor.run(FAKE_SCRIPT=f"printf 'a b'; {until(go)}; printf 'c\\n'; seq 1000; printf end; echo err >&2") == 0
    monitor.logged(b"a b")
    monitor.ctl("4 0 0\n")
    eventually((monitor.bundle / "log-counters").exists, WAIT_S, "the counters file")
    go.touch()
    assert monitor.status() == "0"
    counters = _counters(monitor)
    assert (counters["stdout.lines"], counters["stdout.bytes"]) == ("1002", str(3893 + 5 + 3))
    assert (counters["stderr.lines"], counters["stderr.bytes"]) == ("1", "4")


def test_a_blocking_policy_slows_the_container_and_loses_nothing(monitor: Monitor) -> None:
    assert monitor.run("--log-policy", "block,lines=20000/1000", FAKE_SCRIPT="seq 30000") == 0
    assert monitor.status() == "0"
    assert monitor.text() == b"".join(b"%d\n" % number for number in range(1, 30001))
    assert int(_counters(monitor)["stdout.blocked_ms"]) > 100


def test_a_policy_can_be_changed_while_the_container_runs(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    assert monitor.run(FAKE_SCRIPT=f"{until(go)}; seq 100") == 0
    monitor.message()
    monitor.ctl("3 1 sample,lines=10,every=9\n")
    eventually((monitor.bundle / "log-counters").exists, WAIT_S, "the counters file")
    go.touch()
    assert monitor.status() == "0"
    contents = _contents(monitor)
    assert contents[:11] == [*map(str, range(1, 11)), "19"]
    assert "log policy sample: 80 lines" in contents[-1]


def test_a_client_that_does_not_read_is_told_what_it_missed(monitor: Monitor) -> None:
    assert monitor.run("-i", "--attach-stall-limit", "100", FAKE_SCRIPT="read go; seq 600000; echo end >&2") == 0
    monitor.message()
    with monitor.attach() as stuck:
        stuck.send(b"go\n")
        assert monitor.status() == "0"
        streams = receive_all(stuck)
    assert monitor.text() == b"".join(b"%d\n" % number for number in range(1, 600001))
    assert streams[2].startswith(b"1\n2\n3\n")
    assert re.search(rb"\[conmon: this client did not read, \d+ bytes were left out\]\n", streams[3])
