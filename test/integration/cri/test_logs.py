"""Log files: the format to the byte, and rotation as the kubelet does it."""

from __future__ import annotations

import datetime
import re
import time

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.integration.cri.kit import Ctr, Pods, refused

LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([PF]) (.*)", re.DOTALL)
BUFFER_BYTES = 8192


def reopen(container: Ctr) -> None:
    """Ask for a new log file."""
    container.cri.runtime.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id=container.id))


def parsed(container: Ctr) -> list[tuple[str, str, bytes]]:
    """Stream, mark and text of every line; fails for a line of another form."""
    found = []
    body = container.log_path.read_bytes()
    assert body.endswith(b"\n") or not body
    for line in body.split(b"\n")[:-1]:
        match = LINE.fullmatch(line)
        assert match is not None, line
        found.append((match[2].decode(), match[3].decode(), match[4]))
    return found


def test_every_line_has_a_time_a_stream_a_mark_and_its_text(pods: Pods) -> None:
    before = time.time()
    container = pods.run().start("sh", "-c", "echo one; echo; echo '  two  '; printf 'no end'")
    container.ended()
    assert parsed(container) == [
        ("stdout", "F", b"one"),
        ("stdout", "F", b""),
        ("stdout", "F", b"  two  "),
        ("stdout", "P", b"no end"),
    ]
    stamps = [line.split(b" ")[0].decode() for line in container.log_path.read_bytes().splitlines()]
    moments = [datetime.datetime.fromisoformat(stamp[:26] + stamp[29:].replace("Z", "+00:00")).timestamp() for stamp in stamps]
    assert before - 1 <= moments[0] <= moments[-1] <= time.time()
    assert moments == sorted(moments)


def test_both_streams_are_told_apart(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", "echo out; echo err >&2")
    container.ended()
    assert sorted(parsed(container)) == [("stderr", "F", b"err"), ("stdout", "F", b"out")]


def test_a_long_line_comes_in_parts_that_join_to_it(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", f"head -c {5 * BUFFER_BYTES + 17} /dev/zero | tr '\\0' y; echo; echo after")
    container.ended()
    *parts, last = parsed(container)
    assert last == ("stdout", "F", b"after")
    assert [mark for _, mark, _ in parts] == ["P"] * (len(parts) - 1) + ["F"]
    assert b"".join(text for _, _, text in parts) == b"y" * (5 * BUFFER_BYTES + 17)


def test_bytes_that_are_not_text_are_kept(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", r"printf 'a\377\000\rb\n'")
    container.ended()
    assert parsed(container) == [("stdout", "F", b"a\xff\0\rb")]


def test_a_terminal_has_one_stream_with_carriage_returns(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", "test -t 1 && echo tty; echo err >&2", tty=True)
    container.ended()
    assert parsed(container) == [("stdout", "F", b"tty\r"), ("stdout", "F", b"err\r")]


def test_a_rotated_log_goes_on_in_a_new_file(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", "echo before; trap 'echo after' USR1; while :; do sleep 0.05; done")
    container.printed("before")
    rotated = container.log_path.with_suffix(".log.1")
    container.log_path.rename(rotated)
    reopen(container)
    assert container.log_path.exists()
    container.exec("kill", "-USR1", "1")
    container.printed("after")
    assert container.lines() == ["after"]
    assert rotated.read_bytes().endswith(b" stdout F before\n")


def test_no_line_is_lost_in_ten_rotations(pods: Pods) -> None:
    container = pods.run().start("sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")
    rotated = []
    for number in range(10):
        target = container.log_path.with_suffix(f".{number}")
        container.log_path.rename(target)
        rotated.append(target)
        try:
            reopen(container)
        except grpc.RpcError:
            target.rename(container.log_path)
            rotated.pop()
            break
    container.ended()
    lines = [line for path in (*rotated, container.log_path) for line in path.read_text().splitlines()]
    assert [line.rsplit(" ", 1)[1] for line in lines] == [str(number) for number in range(20000)]


@pytest.mark.inside
def test_a_log_is_reopened_for_a_running_container_only(pods: Pods) -> None:
    pod = pods.run()
    created, ended = pod.create(), pod.start("true")
    ended.ended()
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "it is created"):
        reopen(created)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "it is exited"):
        reopen(ended)
    with refused(grpc.StatusCode.NOT_FOUND, "does not exist"):
        pods.cri.runtime.ReopenContainerLog(pb.ReopenContainerLogRequest(container_id="f" * 64))


def test_the_log_s_folder_is_made(pods: Pods) -> None:
    container = pods.run().start("echo", "deep", log_path="a/b/0.log")
    container.ended()
    assert container.lines() == ["deep"]
    assert container.status().log_path.endswith("/a/b/0.log")


def test_the_log_outlives_the_container(pods: Pods) -> None:
    container = pods.run().start("echo", "kept")
    container.ended()
    container.remove()
    assert container.lines() == ["kept"]


@pytest.mark.inside
def test_a_dangling_link_in_the_place_of_the_log_is_replaced(pods: Pods) -> None:
    pod = pods.run()
    config = pod.container_config("echo", "safe")
    target = pods.folder / "elsewhere"
    path = pods.folder / pod.config.metadata.name / config.log_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    container = pod.create_as(config).start()
    container.ended()
    assert container.lines() == ["safe"]
    assert not target.exists()


@pytest.mark.inside
def test_without_a_log_folder_the_daemon_s_own_is_used(pods: Pods) -> None:
    container = pods.run(log_directory="").start("echo", "somewhere", log_path="")
    status = container.ended()
    assert status.log_path.endswith(f"/logs/{container.pod.id}/{container.id}.log")
    with open(status.log_path, encoding="utf-8") as log:
        assert log.read().endswith("stdout F somewhere\n")
