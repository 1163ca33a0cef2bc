"""Items 56 to 70: attach clients and the container's stdin."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable

import pytest

from test.conmon.harness import (
    CID,
    PACKET_BYTES,
    WAIT_S,
    Monitor,
    cpu_ticks,
    descriptors,
    during,
    receive_all,
    receive_until,
    status_fields,
    until,
)
from test.support.waiting import eventually

CYCLES = 1000
ROUNDS = 30
SLOW_MB = 100
LINK_LENGTHS = (60, 106, 107, 108, 120)
# As long as a session id may be, for a monitor that must not spin: 20 % of a second.
FEW_TICKS = 20


def _pss_kb(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def test_56_packets_have_a_stream_and_a_bounded_size_and_then_the_end(monitor: Monitor) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="read go; yes 0123456 | head -c 100000; echo err >&2") == 0
    monitor.message()
    with monitor.attach() as client:
        client.send(b"go\n")
        streams = receive_all(client)
    assert streams[2] == b"0123456\n" * 12500 and streams[3] == b"err\n"


def test_56_the_end_is_no_reset_though_input_is_unread(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    assert monitor.run("-i", FAKE_SCRIPT=f"{until(go)}; exit 0") == 0
    monitor.message()
    with monitor.attach() as client:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(1000):
                client.send(b"x" * 4096)
        client.settimeout(WAIT_S)
        go.touch()
        assert receive_all(client) == {2: b"", 3: b""}


def test_57_a_client_before_the_start_and_one_after_several_megabytes(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    early = monitor.folder / "early"
    script = f"seq 300000; {until(go)}; echo tail"
    assert monitor.run(FAKE_WAIT_FILE=str(early), FAKE_SCRIPT=script) == 0
    eventually((monitor.bundle / "winsz").exists, WAIT_S, "all sockets and fifos")
    with monitor.attach() as first:
        early.touch()
        begin = receive_until(first, b"\n300000\n")
        with monitor.attach() as second:
            # Its accept is served before anything that is said afterwards.
            second.send(b"ignored")
            eventually(lambda: len([fd for fd in descriptors(monitor.pid).values() if "socket" in fd]) >= 3, WAIT_S, "both clients")
            go.touch()
            assert receive_all(second) == {2: b"tail\n", 3: b""}
        rest = receive_all(first)[2]
    assert begin + rest == b"".join(b"%d\n" % number for number in range(1, 300001)) + b"tail\n"


def test_57_a_client_that_connected_before_a_word_was_written_gets_it(make_monitor: Callable[..., Monitor], fast_runtime: str) -> None:
    for _ in range(ROUNDS):
        monitor = make_monitor(runtime=fast_runtime)
        go = monitor.folder / "go"
        os.mkfifo(go)
        assert monitor.run(FAKE_SCRIPT=f"read word < {go}; echo $word") == 0
        monitor.message()
        with monitor.attach() as client:
            go.write_text("word\n")
            assert receive_all(client)[2] == b"word\n"


def test_58_three_clients_see_the_same_and_one_may_leave(monitor: Monitor) -> None:
    assert monitor.run("-i", "--leave-stdin-open", FAKE_SCRIPT="read go; echo first; read go; seq 1000; echo err >&2") == 0
    monitor.message()
    clients = [monitor.attach() for _ in range(3)]
    clients[0].send(b"go\n")
    for client in clients:
        assert receive_until(client, b"first\n") == b"first\n"
    clients.pop().close()
    clients[0].send(b"go\n")
    seen = [receive_all(client) for client in clients]
    for client in clients:
        client.close()
    assert seen[0] == seen[1] == {2: b"".join(b"%d\n" % number for number in range(1, 1001)), 3: b"err\n"}


def test_59_a_client_that_does_not_read_stops_neither_ctl_nor_signals_nor_exit(monitor: Monitor) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="read go; trap 'exit 9' TERM; seq 1000000; while :; do sleep 0.02; done") == 0
    monitor.message()
    with monitor.attach() as client:
        client.send(b"go\n")
        eventually(lambda: monitor.log.stat().st_size > 1_000_000, WAIT_S, "a megabyte of log")
        monitor.log.rename(monitor.folder / "moved.log")
        monitor.ctl("2 0 0\n")
        eventually(monitor.log.exists, WAIT_S, "the new log")
        os.kill(monitor.pid, signal.SIGTERM)
        assert monitor.status() == "9"
        data = receive_all(client)[2]
    assert data.startswith(b"1\n2\n3\n")


def test_59_a_client_that_pauses_shortly_loses_nothing(monitor: Monitor) -> None:
    assert monitor.run("-i", "--attach-stall-limit", "60000", FAKE_SCRIPT="read go; seq 500000") == 0
    monitor.message()
    with monitor.attach() as client:
        client.send(b"go\n")
        eventually(lambda: monitor.log.stat().st_size > 1_000_000, WAIT_S, "a megabyte of log")
        data = receive_all(client)[2]
    assert data == b"".join(b"%d\n" % number for number in range(1, 500001))


def test_60_the_exit_is_published_while_a_client_does_not_read(monitor: Monitor) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="read go; seq 100000; exit 3") == 0
    monitor.message()
    with monitor.attach() as client:
        client.send(b"go\n")
        assert monitor.status(1.0 if WAIT_S > 5 else WAIT_S) == "3"
        assert monitor.text().endswith(b"\n100000\n")
        assert receive_all(client)[2] == b"".join(b"%d\n" % number for number in range(1, 100001))


def test_61_a_thousand_attachments_leave_nothing(monitor: Monitor) -> None:
    assert monitor.run("-i", "--leave-stdin-open", FAKE_SCRIPT="exec cat") == 0
    monitor.message()
    pid = monitor.pid
    with monitor.attach() as client:
        client.send(b"echo\n")
        receive_until(client, b"echo\n")
        before = len(descriptors(pid)) - 1, _pss_kb(pid)
    for _ in range(CYCLES):
        client = monitor.attach()
        client.close()
    eventually(lambda: len(descriptors(pid)) <= before[0], WAIT_S, "all clients closed")
    eventually(lambda: _pss_kb(pid) <= before[1] + 128, WAIT_S, "no memory kept")


def test_62_at_the_limit_of_descriptors_nothing_spins(monitor: Monitor) -> None:
    monitor.prefix = ("prlimit", "--nofile=32:32")
    assert monitor.run("-i", "--leave-stdin-open", FAKE_SCRIPT="cat") == 0
    monitor.message()
    with contextlib.ExitStack() as clients:
        for _ in range(40):
            with contextlib.suppress(OSError):
                clients.enter_context(monitor.attach())
        assert during(1.0, lambda: cpu_ticks(monitor.pid)) <= FEW_TICKS
    with monitor.attach() as client:
        client.send(b"still here\n")
        assert receive_until(client, b"still here\n")


def test_63_input_and_its_end_reach_the_container_and_output_still_comes(monitor: Monitor) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="wc -c; echo after") == 0
    monitor.message()
    with monitor.attach() as client:
        for _ in range(100):
            client.send(b"x" * 10_000)
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client)[2] == b"1000000\nafter\n"


def test_64_the_end_of_one_client_closes_stdin(monitor: Monitor) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="cat; echo over") == 0
    monitor.message()
    with monitor.attach() as stays:
        monitor.attach().close()
        assert receive_all(stays)[2] == b"over\n"


def test_64_with_leave_stdin_open_others_can_go_on(monitor: Monitor) -> None:
    assert monitor.run("-i", "--leave-stdin-open", FAKE_SCRIPT="cat") == 0
    monitor.message()
    with monitor.attach() as first:
        first.send(b"one\n")
        assert receive_until(first, b"one\n")
    with monitor.attach() as second:
        second.send(b"two\n")
        assert receive_until(second, b"two\n") == b"two\n"


def test_65_without_stdin_input_goes_nowhere(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    assert monitor.run(FAKE_SCRIPT=f"cat; echo ended; {until(go)}") == 0
    monitor.message()
    monitor.logged(b"ended\n")
    with monitor.attach() as client:
        client.settimeout(WAIT_S)
        for _ in range(200):
            client.send(b"x" * 4096)
        go.touch()
        assert receive_all(client) == {2: b"", 3: b""}


def test_66_a_container_that_closes_stdin_costs_nothing(monitor: Monitor) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="exec <&-; echo closed; exec sleep 1000") == 0
    monitor.message()
    monitor.logged(b"closed\n")
    with monitor.attach() as client:
        client.send(b"nobody reads this\n")
        assert during(1.0, lambda: cpu_ticks(monitor.pid)) <= 2


def test_67_a_hundred_megabytes_of_input_to_a_slow_consumer(monitor: Monitor) -> None:
    script = "head -c 1000000 | wc -c; sleep 0.3; wc -c"
    assert monitor.run("-i", FAKE_SCRIPT=script) == 0
    monitor.message()
    packet = b"x" * 32_000
    with monitor.attach() as client:
        for number in range(SLOW_MB * 1000 // 32):
            client.send(packet)
            if number == 1000:
                assert int(status_fields(monitor.pid)["VmRSS"].split()[0]) < 8192
        client.shutdown(socket.SHUT_WR)
        data = receive_all(client)[2].split()
    # head may have read more than it printed.
    assert int(data[0]) == 1_000_000
    assert 0 <= SLOW_MB * 1000 // 32 * 32_000 - 1_000_000 - int(data[1]) < 65_536
    assert monitor.errors.read_text() == ""


def test_68_a_bundle_path_of_two_hundred_characters(make_monitor: Callable[..., Monitor]) -> None:
    monitor = make_monitor()
    monitor.bundle = monitor.folder / ("b" * (200 - len(str(monitor.folder)) - 1))
    monitor.bundle.mkdir()
    assert len(str(monitor.bundle)) == 200
    monitor.options["-b"] = str(monitor.bundle)
    assert monitor.run("--full-attach", FAKE_SCRIPT="exec sleep 1000") == 0
    monitor.message()
    monitor.attach().close()
    assert not list(monitor.sockets.iterdir())


@pytest.mark.parametrize("length", LINK_LENGTHS)
def test_68_links_of_all_lengths(monitor: Monitor, length: int) -> None:
    folder = monitor.folder / "s"
    folder.mkdir()
    uuid = "u" * (length - len(str(folder)) - 1)
    if len(uuid) < 1:
        folder = monitor.sockets = type(folder)(f"/tmp/ct-{os.getpid()}-{length}")
        folder.mkdir()
        uuid = "u" * (length - len(str(folder)) - 1)
    monitor.options.update({"--socket-dir-path": str(folder), "-u": uuid})
    go = monitor.folder / "go"
    try:
        assert monitor.run(FAKE_SCRIPT=f"{until(go)}") == 0
        monitor.message()
        link = folder / uuid
        assert len(str(link)) == length and os.readlink(link) == str(monitor.bundle)
        monitor.attach(link).close()
        go.touch()
        assert monitor.status() == "0"
        monitor.stop()
        assert not list(folder.iterdir())
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


def test_69_socket_and_link_are_gone_when_the_exit_file_appears(monitor: Monitor) -> None:
    probe = monitor.folder / "probe"
    script = f"ls {monitor.bundle} {monitor.sockets} > {probe}.new; mv {probe}.new {probe}"
    assert monitor.run("--exit-command", "/bin/sh", "--exit-command-arg", "-c", "--exit-command-arg", script, FAKE_SCRIPT="exit 0") == 0
    assert monitor.status() == "0"
    assert not (monitor.bundle / "attach").exists()
    assert not list(monitor.sockets.iterdir())
    eventually(probe.exists, WAIT_S, "the exit command")
    assert "attach" not in probe.read_text() and CID not in probe.read_text()


@pytest.mark.parametrize("size", [32_768, 65_536, 150_000])
def test_70_big_packets_of_input(monitor: Monitor, size: int) -> None:
    assert monitor.run("-i", FAKE_SCRIPT="wc -c") == 0
    monitor.message()
    with monitor.attach() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * size)
        client.send(b"x" * size)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(PACKET_BYTES) == b"\x02%d\n" % size
