"""Items 40 to 50: the log file."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
from collections.abc import Callable

import pytest

from test.conmon.harness import RECORD, WAIT_S, Monitor, Record, receive_until, until
from test.support.waiting import eventually

BIG_MB = 100
ZONES = {"Asia/Kolkata": rb"\+05:30", "UTC": rb"\+00:00", "America/St_Johns": rb"-0[23]:30", "IST-5:30": rb"\+05:30"}
ROUNDS = int(os.environ.get("CONMON_ROUNDS", "10"))
PREFIX_BYTES = 45

FORMATS = {
    "a line": (r"printf 'abc\n'", b"abc\n"),
    "an empty line": (r"printf '\n'", b"\n"),
    "a NUL byte": (r"printf 'a\0b\n'", b"a\0b\n"),
    "a carriage return": (r"printf 'a\r\n'", b"a\r\n"),
    "invalid UTF-8": (r"printf '\377\376\n'", b"\xff\xfe\n"),
    "blanks": (r"printf '  a  \n'", b"  a  \n"),
    "an unterminated end": (r"printf 'a\nend'", b"a\nend"),
}


def _lines(count: int) -> str:
    return f"seq -f 'line %014.0f' {count}"


@pytest.mark.parametrize("case", FORMATS)
def test_40_the_format_of_a_record(monitor: Monitor, case: str) -> None:
    script, content = FORMATS[case]
    assert monitor.run(FAKE_SCRIPT=script) == 0
    assert monitor.status() == "0"
    records = [Record("stdout", "F", line) for line in content.split(b"\n")[:-1]]
    if not content.endswith(b"\n"):
        records.append(Record("stdout", "P", content.split(b"\n")[-1]))
    assert monitor.records() == records
    assert all(RECORD.match(line) for line in monitor.log.read_bytes().split(b"\n")[:-1])


def test_40_pieces_of_a_line_are_logged_as_they_come(monitor: Monitor) -> None:
    go = monitor.folder / "go"
    assert monitor.run(FAKE_SCRIPT=f"printf b; {until(go)}; printf 'c\\n'") == 0
    monitor.logged(b"b")
    go.touch()
    assert monitor.status() == "0"
    assert monitor.records() == [Record("stdout", "P", b"b"), Record("stdout", "F", b"c")]


def test_41_a_long_line_is_cut_and_can_be_put_together(monitor: Monitor) -> None:
    script = "yes 0123456789 | head -c 20000 | tr -d '\\n'; echo; yes abcdefg | head -c 16385 | tr '\\n' x; echo"
    assert monitor.run(FAKE_SCRIPT=script) == 0
    assert monitor.status() == "0"
    records = monitor.records()
    assert [record.tag for record in records].count("F") == 2 and records[0].tag == "P"
    assert monitor.text() == (b"0123456789" * 2000)[:18182] + b"\n" + (b"abcdefgx" * 2049)[:16385] + b"\n"


@pytest.mark.parametrize("zone", ZONES)
def test_42_the_time_zone_is_local_and_numeric(monitor: Monitor, zone: str) -> None:
    assert monitor.run(FAKE_SCRIPT="echo x", TZ=zone) == 0
    assert monitor.status() == "0"
    assert re.search(rb"\d{9}" + ZONES[zone] + rb" stdout F x\n$", monitor.log.read_bytes())


@pytest.mark.parametrize("words", [(), ("-t",)], ids=["pipe", "terminal"])
def test_43_a_hundred_megabytes_are_complete(make_monitor: Callable[..., Monitor], words: tuple[str, ...]) -> None:
    size = BIG_MB if not words else BIG_MB // 5
    monitor = make_monitor()
    count = size * 50_000
    assert monitor.run("--sync", "--no-sync-log", *words, FAKE_SCRIPT=_lines(count) + "; echo the end") == 0
    with monitor.log.open("rb") as log:
        log.seek(-200, os.SEEK_END)
        assert b"the end" in log.read()
    lines = subprocess.run(["grep", "-c", " stdout F ", monitor.log], capture_output=True, text=True, check=True)
    assert int(lines.stdout) == count + 1
    monitor.log.unlink()


@pytest.mark.parametrize("words", [(), ("-t",)], ids=["pipe", "terminal"])
def test_43_the_last_line_is_never_lost(make_monitor: Callable[..., Monitor], fast_runtime: str, words: tuple[str, ...]) -> None:
    for _ in range(ROUNDS):
        monitor = make_monitor() if words else make_monitor(runtime=fast_runtime)
        status = monitor.run("--sync", *words, FAKE_SCRIPT=_lines(20_000) + "; echo the end; exit 5")
        assert status == 5
        assert [record.content for record in monitor.records()[-2:]] == [b"line 00000000020000", b"the end"] or words
        assert monitor.text().count(b"\n") == 20_001
        monitor.log.unlink()


def test_44_streams_have_their_names(monitor: Monitor) -> None:
    assert monitor.run(FAKE_SCRIPT="for i in 1 2 3; do echo out$i; echo err$i >&2; done") == 0
    assert monitor.status() == "0"
    assert monitor.text() == b"out1\nout2\nout3\n" and monitor.text("stderr") == b"err1\nerr2\nerr3\n"


@pytest.mark.parametrize("words", [(), ("--log-rotate",)], ids=["replacing", "rotating"])
def test_45_a_limited_file_holds_the_tail(monitor: Monitor, words: tuple[str, ...]) -> None:
    assert monitor.run("--log-size-max", "1000", *words, FAKE_SCRIPT="seq 1000") == 0
    assert monitor.status() == "0"
    assert monitor.log.stat().st_size <= 1000
    contents = [int(record.content) for record in monitor.records()]
    assert contents and contents == list(range(1001 - len(contents), 1001))


def test_45_a_tiny_limit_keeps_the_last_line(monitor: Monitor) -> None:
    assert monitor.run("--log-size-max", "10", FAKE_SCRIPT="seq 20") == 0
    assert monitor.status() == "0"
    assert [record.content for record in monitor.records()] == [b"20"]


def test_45_an_existing_file_counts(make_monitor: Callable[..., Monitor]) -> None:
    monitor = make_monitor()
    monitor.log.write_bytes(b"x" * 950 + b"\n")
    assert monitor.run("--log-size-max", "1000", FAKE_SCRIPT="echo new line of text") == 0
    assert monitor.status() == "0"
    assert [record.content for record in monitor.records()] == [b"new line of text"]


def test_46_the_global_limit_stops_the_log_and_nothing_else(monitor: Monitor) -> None:
    words = ("--log-global-size-max", "500", "-i")
    assert monitor.run(*words, FAKE_SCRIPT="read go; seq 1000") == 0
    monitor.message()
    with monitor.attach() as client:
        client.send(b"go\n")
        data = b""
        while not data.endswith(b"\n1000\n"):
            data += client.recv(16384)[1:]
    assert monitor.status() == "0"
    assert data == b"".join(b"%d\n" % number for number in range(1, 1001))
    assert 500 <= monitor.log.stat().st_size <= 500 + PREFIX_BYTES + 5


def test_47_rotation_makes_numbered_files_without_losing_a_record(monitor: Monitor) -> None:
    (monitor.folder / "ctr.log.new").write_text("stale")
    words = ("--log-rotate", "--log-max-files", "3", "--log-size-max", "2000")
    assert monitor.run(*words, FAKE_SCRIPT="seq 100000 100120") == 0
    assert monitor.status() == "0"
    names = ["ctr.log.3", "ctr.log.2", "ctr.log.1", "ctr.log"]
    assert {path.name for path in monitor.folder.glob("ctr.log*")} <= {*names, "ctr.log.new"}
    contents = [int(record.content) for name in names for record in monitor.records(monitor.folder / name)]
    assert contents == list(range(100121 - len(contents), 100121))
    for name in names:
        status = (monitor.folder / name).stat()
        assert status.st_size <= 2000 and status.st_mode & 0o777 == 0o640


ROTATIONS: dict[str, tuple[str, ...]] = {"replacing": (), "rotating": ("--log-rotate",)}


@pytest.mark.parametrize("moved", [True, False], ids=["moved away", "still there"])
@pytest.mark.parametrize("case", ROTATIONS)
def test_48_reopening_makes_a_new_directory_entry(monitor: Monitor, case: str, moved: bool) -> None:
    go = monitor.folder / "go"
    assert monitor.run(*ROTATIONS[case], FAKE_SCRIPT=f"echo one; {until(go)}; echo two") == 0
    monitor.message()
    monitor.logged(b"one\n")
    inode = monitor.log.stat().st_ino
    if moved:
        monitor.log.rename(monitor.folder / "moved.log")
    monitor.ctl("2 0 0\n")
    eventually(lambda: monitor.log.exists() and monitor.log.stat().st_ino != inode, WAIT_S, "a new file")
    go.touch()
    assert monitor.status() == "0"
    assert [record.content for record in monitor.records()] == [b"two"]
    assert monitor.log.stat().st_mode & 0o777 == 0o640
    old = {(True, "replacing"): "moved.log", (True, "rotating"): "moved.log", (False, "rotating"): "ctr.log.1"}.get((moved, case))
    assert old is None or [record.content for record in monitor.records(monitor.folder / old)] == [b"one"]


def _small_disk(monitor: Monitor) -> pathlib.Path:
    """A file system of 64 KiB at the log's folder."""
    disk = monitor.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    monitor.log = disk / "ctr.log"
    monitor.options["-l"] = str(monitor.log)
    return disk


def test_49_a_full_disk_loses_records_and_nothing_else(monitor: Monitor) -> None:
    disk = _small_disk(monitor)
    go = monitor.folder / "go"
    try:
        script = f"read go; seq 100000; sleep 0.2; echo mark; {until(go)}; echo after; echo again; exit 3"
        assert monitor.run("-i", "--leave-stdin-open", FAKE_SCRIPT=script) == 0
        monitor.message()
        full = monitor.log
        with monitor.attach() as client:
            client.send(b"go\n")
            receive_until(client, b"mark\n")
        os.truncate(full, 4096)
        go.touch()
        assert monitor.status() == "3"
        after = full.read_bytes()
    finally:
        monitor.stop()
        subprocess.run(["umount", disk], check=True)
    tail = after[4096:].lstrip(b"\0").split(b"\n")[:-1]
    assert all(RECORD.match(line) for line in tail[1:]), tail[:3]
    assert [line.rpartition(b" ")[2] for line in tail[-2:]] == [b"after", b"again"]


def test_49_dev_full_harms_nobody(monitor: Monitor) -> None:
    monitor.options["-l"] = "/dev/full"
    assert monitor.run("-i", FAKE_SCRIPT="read go; seq 1000; exit 3") == 0
    monitor.message()
    with monitor.attach() as client:
        client.send(b"go\n")
        data = b""
        while packet := client.recv(16384):
            data += packet[1:]
    assert data.endswith(b"\n1000\n")
    assert monitor.status() == "3"


@pytest.mark.parametrize(("words", "count"), [((), 1), (("--no-sync-log",), 0)], ids=["by default", "--no-sync-log"])
def test_50_the_log_is_synced_once_at_the_end(monitor: Monitor, words: tuple[str, ...], count: int) -> None:
    trace = monitor.folder / "trace"
    monitor.prefix = ("strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range", "-e", "signal=none", "-o", str(trace))
    assert monitor.run("--sync", *words, FAKE_SCRIPT="seq 1000") == 0
    assert trace.read_text().count("fsync(") == count
