"""Commands in running containers: output, exit codes, deadlines, and children that outlive their parent."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import pytest

from crio.core.errors import CriError, NotFound
from crio.core.oci.document import JsonValue
from crio.host.runtime.oci import ExecRequest, ExecResult
from test.integration.runtime.bundles import Workshop
from test.support.waiting import eventually

PROCESS: dict[str, JsonValue] = {"user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"], "cwd": "/", "terminal": False}


def request(*args: str, timeout_s: float = 0, limit_bytes: int = 1 << 20, stdin: bytes = b"") -> ExecRequest:
    return ExecRequest({**PROCESS, "args": list(args)}, timeout_s, limit_bytes, stdin)


def script(text: str, **options: float) -> ExecRequest:
    return request("sh", "-c", text, **options)  # type: ignore[arg-type]


CASES: dict[str, tuple[ExecRequest, Callable[[ExecResult], bool]]] = {
    "output of both streams and the exit code arrive apart": (
        script("echo out; echo err >&2; exit 7"),
        lambda r: (r.exit_code, r.stdout, r.stderr) == (7, b"out\n", b"err\n"),
    ),
    "a command that kills itself ends with 128 and the signal": (
        script("kill -TERM $$"),
        lambda r: r.exit_code == 143,
    ),
    "the exit codes of runtimes are also those of commands": (script("exit 255"), lambda r: r.exit_code == 255),
    "input is written and closed": (
        request("cat", stdin=b"x" * 300_000),
        lambda r: r.stdout == b"x" * 300_000,
    ),
    "no input reads as its end": (request("cat"), lambda r: r.exit_code == 0 and r.stdout == b""),
    "output beyond the bound is cut and the command still ends": (
        request("dd", "if=/dev/zero", "bs=1000000", "count=8", limit_bytes=1000),
        lambda r: len(r.stdout) == 1000 and r.truncated and r.exit_code == 0,
    ),
    "a background child that holds the pipe does not hold the caller": (
        script("sleep 1000 & echo done"),
        lambda r: r.stdout == b"done\n" and r.exit_code == 0 and not r.timed_out,
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_exec(workshop: Workshop, case: str) -> None:
    wanted, is_right = CASES[case]
    container_id = await workshop.running()
    started = time.monotonic()
    result = await workshop.handler.runtime.exec(container_id, wanted)
    assert is_right(result), result
    assert time.monotonic() - started < 5


async def test_a_program_that_is_not_there_is_an_error_with_its_name(workshop: Workshop) -> None:
    container_id = await workshop.running()
    with pytest.raises(CriError, match="no-such-program"):
        await workshop.handler.runtime.exec(container_id, request("/no-such-program"))


async def test_a_container_that_has_ended_has_no_commands(workshop: Workshop) -> None:
    container_id = await workshop.running("true")
    runtime = workshop.handler.runtime
    path = workshop.cgroups.container_path(workshop.parent, container_id)
    eventually(lambda: not workshop.cgroups.processes(path), 5, "the container has ended")
    with pytest.raises(NotFound, match="does not run"):
        await runtime.exec(container_id, request("true"))


async def test_at_the_deadline_everything_that_was_started_dies(workshop: Workshop) -> None:
    container_id = await workshop.running()
    path = workshop.cgroups.container_path(workshop.parent, container_id)
    before = workshop.cgroups.processes(path)
    started = time.monotonic()
    tree = "echo begun; sleep 1001 & sh -c 'setsid sleep 1002 & sleep 1003' & sleep 1004"
    result = await workshop.handler.runtime.exec(container_id, script(tree, timeout_s=0.5))
    assert result.timed_out and result.exit_code == 137 and result.stdout == b"begun\n"
    assert 0.5 <= time.monotonic() - started < 2
    eventually(lambda: _alive(workshop.cgroups.processes(path)) == _alive(before), 5, "only the container's own process is left")


async def test_a_cancelled_caller_leaves_nothing_running(workshop: Workshop) -> None:
    container_id = await workshop.running()
    path = workshop.cgroups.container_path(workshop.parent, container_id)
    before = workshop.cgroups.processes(path)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(workshop.handler.runtime.exec(container_id, request("sleep", "1000")))
        await asyncio.to_thread(eventually, lambda: len(workshop.cgroups.processes(path)) > len(before), 5, "the command runs")
        task.cancel()
    assert task.cancelled()
    eventually(lambda: _alive(workshop.cgroups.processes(path)) == _alive(before), 5, "only the container's own process is left")


async def test_many_at_once(workshop: Workshop) -> None:
    container_id = await workshop.running()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(workshop.handler.runtime.exec(container_id, request("echo", str(number)))) for number in range(20)]
    assert [task.result().stdout for task in tasks] == [f"{number}\n".encode() for number in range(20)]
    assert os.listdir(workshop.folder / "scratch") == []


def _alive(pids: tuple[int, ...]) -> list[int]:
    alive = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                if file.read().rsplit(")", 1)[1].split()[0] not in "ZX":
                    alive.append(pid)
        except FileNotFoundError:
            continue
    return alive
