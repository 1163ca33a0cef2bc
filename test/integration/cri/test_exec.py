"""ExecSync: what the kubelet's probes are made of."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from test.integration.cri.kit import Ctr, Pods, processes_with, refused
from test.support.waiting import eventually

LIMIT_BYTES = 16 << 20


@pytest.fixture
def container(pods: Pods) -> Ctr:
    """A running container."""
    return pods.run().start(envs=[{"key": "GREETING", "value": "aGVsbG8="}], working_dir="/tmp")


def test_both_streams_and_the_exit_code_come_back(container: Ctr) -> None:
    answer = container.exec("sh", "-c", "echo out; echo err >&2; exit 42")
    assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 42)


def test_bytes_are_not_changed(container: Ctr) -> None:
    answer = container.exec("sh", "-c", r"printf 'a\000b\377\r\nlast'")
    assert answer.stdout == b"a\0b\xff\r\nlast"


def test_the_command_has_the_environment_the_folder_and_the_user_of_the_container(container: Ctr) -> None:
    assert container.says("echo $GREETING; pwd; id -u") == "hello\n/tmp\n0"


def test_a_command_that_does_not_exist_fails(container: Ctr) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        container.exec("/no/such/program")
    assert "no/such/program" in caught.value.details()


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_a_command_that_dies_by_a_signal_has_128_and_its_number(container: Ctr, signal: str) -> None:
    assert container.exec("sh", "-c", f"kill -{signal} $$").exit_code == {"KILL": 137, "TERM": 143}[signal]


@pytest.mark.inside
def test_a_command_that_overstays_is_killed_with_its_children(container: Ctr) -> None:
    begun_s = time.monotonic()
    answer = container.exec("sh", "-c", "echo early; sleep 7171717 & sleep 7171717", timeout_s=1)
    assert 1 <= time.monotonic() - begun_s < 5
    assert (answer.exit_code, answer.stdout, answer.stderr) == (-1, b"early\n", b"command timed out")
    eventually(lambda: not processes_with("7171717"), 5, "the command and its child are gone")


def test_a_child_in_the_background_does_not_hold_the_answer(container: Ctr) -> None:
    begun_s = time.monotonic()
    answer = container.exec("sh", "-c", "sleep 7373737 & echo done")
    assert answer.stdout == b"done\n"
    assert time.monotonic() - begun_s < 10


OUTPUTS = {"on one stream": "head -c {0} /dev/zero", "on both streams": "head -c {0} /dev/zero; head -c {0} /dev/zero >&2"}


@pytest.mark.parametrize("case", OUTPUTS)
@pytest.mark.inside
def test_output_is_cut_to_what_a_client_takes(container: Ctr, case: str) -> None:
    # The kubelet and this client take messages of at most 16 MiB.
    answer = container.exec("sh", "-c", OUTPUTS[case].format(LIMIT_BYTES + 5000))
    assert LIMIT_BYTES - 65536 < len(answer.stdout) + len(answer.stderr) < LIMIT_BYTES
    assert answer.exit_code == 0


def test_much_on_both_streams_comes_whole(container: Ctr) -> None:
    answer = container.exec("sh", "-c", "head -c 2000000 /dev/zero & head -c 1000000 /dev/zero >&2; wait")
    assert (len(answer.stdout), len(answer.stderr)) == (2_000_000, 1_000_000)


def test_no_command_is_refused(container: Ctr) -> None:
    with pytest.raises(grpc.RpcError):
        container.exec()


@pytest.mark.inside
def test_bad_requests_are_refused_with_words(container: Ctr) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "cmd is empty"):
        container.exec()
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "timeout -1 is negative"):
        container.exec("true", timeout_s=-1)


@pytest.mark.inside
def test_a_container_that_does_not_run_is_not_found(pods: Pods) -> None:
    pod = pods.run()
    created, ended = pod.create(), pod.start("true")
    ended.ended()
    with refused(grpc.StatusCode.NOT_FOUND, f"container {created.id} is not running: it is created"):
        created.exec("true")
    with refused(grpc.StatusCode.NOT_FOUND, "it is exited"):
        ended.exec("true")


@pytest.mark.parametrize("handler", ["runc", "crun"])
@pytest.mark.inside
def test_many_at_once_answer_each_its_own(pods: Pods, handler: str) -> None:
    container = pods.run(handler).start()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: container.exec("sh", "-c", f"echo {number}; exit {number}"), range(24)))
    assert [(answer.stdout, answer.exit_code) for answer in answers] == [(f"{number}\n".encode(), number) for number in range(24)]


def test_exec_in_a_container_with_a_terminal_has_both_streams_apart(pods: Pods) -> None:
    answer = pods.run().start(tty=True).exec("sh", "-c", "echo out; echo err >&2")
    assert (answer.stdout, answer.stderr) == (b"out\n", b"err\n")
