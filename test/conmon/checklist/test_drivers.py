"""Items 51 to 55: the other log drivers."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from test.conmon.harness import CID, WAIT_S, Monitor, receive_all, receive_until
from test.support.waiting import eventually

JOURNALD = "/lib/systemd/systemd-journald"
# In a mount namespace of its own, a folder of the test's stands where journald's socket is expected.
REDIRECT = 'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal && exec "$@"'
REAL = "mount -t tmpfs none /run && mkdir -p /run/log /run/systemd/journal && mount --bind {log} /run/log"
REAL += ' && mount --bind {sockets} /run/systemd/journal && exec "$@"'
BIG_LABEL = 100_000


def _fields(datagram: bytes) -> dict[str, bytes]:
    """An entry of the journal's native protocol."""
    found: dict[str, bytes] = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
            datagram = rest
        else:
            name = line
            (size,) = struct.unpack("<Q", rest[:8])
            value, datagram = rest[8 : 8 + size], rest[9 + size :]
        found[name.decode()] = value
    return found


class Journal:
    """Stands in for journald."""

    def __init__(self, folder: pathlib.Path, monitor: Monitor) -> None:
        folder.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "socket"))
        self.socket.settimeout(WAIT_S)
        monitor.prefix = ("unshare", "-m", "/bin/sh", "-c", REDIRECT, str(folder))

    def entries(self, count: int) -> list[dict[str, bytes]]:
        """The next entries."""
        found = []
        for _ in range(count):
            data, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
            for _, _, fds in ancillary:
                fd = struct.unpack("i", fds[:4])[0]
                with open(fd, "rb") as memory:
                    memory.seek(0)
                    data = memory.read()
            found.append(_fields(data))
        return found


@pytest.fixture
def journal(monitor: Monitor) -> Iterator[Journal]:
    """A journald for the monitor."""
    made = Journal(monitor.folder / "journal", monitor)
    monitor.options["-l"] = "journald"
    with made.socket:
        yield made


def test_51_the_fields_of_an_entry_in_their_order(monitor: Monitor, journal: Journal) -> None:
    assert monitor.run("-n", "box", "--log-tag", "tag", FAKE_SCRIPT="echo hello") == 0
    (entry,) = journal.entries(1)
    known = [name for name in entry if not name.startswith("CODE_")]
    assert known == ["MESSAGE", "CONTAINER_ID_FULL", "PRIORITY", "CONTAINER_ID", "CONTAINER_TAG", "CONTAINER_NAME", "SYSLOG_IDENTIFIER"]
    assert entry["MESSAGE"] == b"hello\n" and entry["PRIORITY"] == b"6"
    assert entry["CONTAINER_ID_FULL"] == CID.encode() and entry["CONTAINER_ID"] == CID[:12].encode()
    assert entry["CONTAINER_TAG"] == b"tag" and entry["CONTAINER_NAME"] == b"box" and entry["SYSLOG_IDENTIFIER"] == b"tag"


@pytest.mark.parametrize(("words", "name"), [(("-n", "box"), b"box"), ((), CID[:12].encode()), (("-n", "box", "--log-tag", "t"), b"t")])
def test_51_the_identifier_is_tag_else_name_else_short_id(monitor: Monitor, journal: Journal, words: tuple[str, ...], name: bytes) -> None:
    assert monitor.run(*words, FAKE_SCRIPT="echo hello") == 0
    assert journal.entries(1)[0]["SYSLOG_IDENTIFIER"] == name


def test_51_priorities_are_six_and_three_whatever_the_line_says(monitor: Monitor, journal: Journal) -> None:
    assert monitor.run(FAKE_SCRIPT="echo '<1>out'; echo '<1>err' >&2") == 0
    found = {entry["MESSAGE"]: entry["PRIORITY"] for entry in journal.entries(2)}
    assert found == {b"<1>out\n": b"6", b"<1>err\n": b"3"}


def test_51_pieces_are_marked_and_joined_where_possible(monitor: Monitor, journal: Journal) -> None:
    assert monitor.run(FAKE_SCRIPT="printf start; printf ' and end\\n'; printf rest") == 0
    whole, rest = journal.entries(2)
    assert whole["MESSAGE"] == b"start and end\n" and "CONTAINER_PARTIAL_MESSAGE" not in whole
    assert rest["MESSAGE"] == b"rest" and rest["CONTAINER_PARTIAL_MESSAGE"] == b"true"


def test_51_a_long_line_arrives_in_pieces(monitor: Monitor, journal: Journal) -> None:
    assert monitor.run(FAKE_SCRIPT="yes 0123456 | head -c 40000 | tr '\\n' x; echo; echo end") == 0
    data = b""
    pieces = []
    while not data.endswith(b"end\n"):
        pieces += journal.entries(1)
        data += pieces[-1]["MESSAGE"]
    assert data == b"0123456x" * 5000 + b"\nend\n"
    assert pieces[0]["CONTAINER_PARTIAL_MESSAGE"] == b"true" and "CONTAINER_PARTIAL_MESSAGE" not in pieces[-2]


def test_51_labels_and_no_partial_mark(monitor: Monitor, journal: Journal) -> None:
    words = ("--log-label", "FIRST=1", "--log-label", "SECOND_2=a b", "--no-container-partial-message")
    assert monitor.run(*words, FAKE_SCRIPT="printf piece") == 0
    (entry,) = journal.entries(1)
    assert entry["FIRST"] == b"1" and entry["SECOND_2"] == b"a b" and "CONTAINER_PARTIAL_MESSAGE" not in entry


class RealJournal:
    """journald itself, with a root of its own; what it has stored is read back by journalctl."""

    def __init__(self, monitor: Monitor) -> None:
        self.folder = monitor.folder / "log"
        (self.folder / "journal").mkdir(parents=True)
        sockets = monitor.folder / "sockets-of-journald"
        sockets.mkdir()
        place = REAL.format(log=self.folder, sockets=sockets)
        self.process = subprocess.Popen(
            ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child", "/bin/sh", "-c", place, "sh", JOURNALD],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually((sockets / "socket").exists, WAIT_S, "journald's socket")
        monitor.options["-l"] = "journald"
        monitor.prefix = ("unshare", "-m", "/bin/sh", "-c", place, "sh")

    def entries(self, count: int) -> dict[str, dict[str, str]]:
        """The entries of the container by their message, once there are so many."""

        def read() -> list[dict[str, str]]:
            command = ["journalctl", "-D", str(self.folder / "journal"), "-o", "json", "--all", f"CONTAINER_ID_FULL={CID}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return [json.loads(line) for line in done.stdout.splitlines()]

        eventually(lambda: len(read()) == count, WAIT_S, f"{count} entries")
        return {entry["MESSAGE"]: entry for entry in read()}


@pytest.fixture
def real_journal(monitor: Monitor) -> Iterator[RealJournal]:
    """A real journald for the monitor."""
    made = RealJournal(monitor)
    yield made
    made.process.kill()
    made.process.wait()


def test_51_the_real_journald_understands_it(monitor: Monitor, real_journal: RealJournal) -> None:
    assert monitor.run("-n", "box", "--log-tag", "tag", FAKE_SCRIPT="echo to the journal; echo err >&2; printf rest") == 0
    assert monitor.status() == "0"
    found = real_journal.entries(3)
    assert {message: entry["PRIORITY"] for message, entry in found.items()} == {"to the journal\n": "6", "err\n": "3", "rest": "6"}
    assert [message for message, entry in found.items() if entry.get("CONTAINER_PARTIAL_MESSAGE") == "true"] == ["rest"]
    for entry in found.values():
        assert (entry["CONTAINER_ID"], entry["CONTAINER_NAME"]) == (CID[:12], "box")
        assert (entry["CONTAINER_TAG"], entry["SYSLOG_IDENTIFIER"]) == ("tag", "tag")


def test_51_labels_too_big_for_a_datagram(monitor: Monitor, real_journal: RealJournal) -> None:
    """A socket takes some 200 KiB in one datagram; what is bigger goes over as a file in memory."""
    labels = {"FIRST": "1", "SECOND_2": "two\nlines", **{f"BIG_{number}": str(number) * BIG_LABEL for number in range(3)}}
    words = [word for name, value in labels.items() for word in ("--log-label", f"{name}={value}")]
    assert monitor.run(*words, FAKE_SCRIPT="echo small; echo other >&2") == 0
    assert monitor.status() == "0"
    for entry in real_journal.entries(2).values():
        assert {name: entry[name] for name in labels} == labels


def test_52_without_journald_the_container_runs(monitor: Monitor) -> None:
    monitor.options["-l"] = "journald"
    monitor.prefix = ("unshare", "-m", "/bin/sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
    assert monitor.run(FAKE_SCRIPT="seq 1000; exit 3") == 0
    assert monitor.status() == "3"


def test_52_a_stuck_journald_does_not_delay_the_exit(monitor: Monitor, journal: Journal) -> None:
    journal.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert monitor.run(FAKE_SCRIPT="seq 3000; exit 3") == 0
    monitor.message()
    assert monitor.status() == "3"


def test_53_a_file_and_the_journal_together(monitor: Monitor, journal: Journal) -> None:
    monitor.options["-l"] = f"k8s-file:{monitor.log}"
    assert monitor.run("-l", "journald", FAKE_SCRIPT="echo both") == 0
    assert journal.entries(1)[0]["MESSAGE"] == b"both\n"
    assert monitor.status() == "0"
    assert monitor.text() == b"both\n"


def test_53_of_two_files_the_last_is_used(monitor: Monitor) -> None:
    second = monitor.folder / "second.log"
    assert monitor.run("-l", str(second), FAKE_SCRIPT="echo x") == 0
    assert monitor.status() == "0"
    assert [record.content for record in monitor.records(second)] == [b"x"]
    assert not monitor.log.exists() or monitor.log.read_bytes() == b""


def test_54_passthrough_gives_the_container_the_callers_output(monitor: Monitor) -> None:
    ours, theirs = os.pipe()
    monitor.options["-l"] = "passthrough"
    monitor.stdout = theirs
    assert monitor.run(FAKE_SCRIPT="echo direct; exit 3") == 0
    os.close(theirs)
    with open(ours, "rb") as pipe:
        assert pipe.read() == b"direct\n"
    assert monitor.status() == "3"
    assert not list(monitor.bundle.iterdir())


def test_54_with_none_nothing_is_written_and_attach_works(monitor: Monitor) -> None:
    monitor.options["-l"] = "none"
    assert monitor.run("-i", FAKE_SCRIPT="read go; echo out; echo err >&2") == 0
    monitor.message()
    with monitor.attach() as client:
        client.send(b"go\n")
        assert receive_all(client) == {2: b"out\n", 3: b"err\n"}
    assert not monitor.log.exists()


@pytest.mark.parametrize("words", [("--log-tag", "t"), ("--log-label", "A=b")], ids=["tag", "label"])
def test_55_tag_and_labels_need_journald(monitor: Monitor, words: tuple[str, ...]) -> None:
    assert monitor.run(*words, pipes=()) == 1


@pytest.mark.parametrize("label", ["lower=x", "NOSIGN", "=x", "A=b=c", "A-B=c"])
def test_55_labels_have_a_form(monitor: Monitor, label: str) -> None:
    monitor.options["-l"] = "journald"
    assert monitor.run("--log-label", label, pipes=()) == 1


def test_55_journald_needs_a_long_container_id(monitor: Monitor) -> None:
    monitor.options.update({"-l": "journald", "-c": "123456789012"})
    assert monitor.run(pipes=()) == 1


def test_54_an_attached_client_sees_what_the_log_does_not(monitor: Monitor) -> None:
    monitor.options["-l"] = "off"
    assert monitor.run("-i", "--leave-stdin-open", FAKE_SCRIPT="cat") == 0
    monitor.message()
    with monitor.attach() as client, contextlib.ExitStack():
        client.send(b"ping\n")
        assert receive_until(client, b"ping\n") == b"ping\n"
