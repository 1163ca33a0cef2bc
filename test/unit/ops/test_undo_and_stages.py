"""What is taken is given back, and where the time went."""

from __future__ import annotations

import asyncio
import logging

import pytest

from crio.core.errors import NotFound
from crio.ops.stages import Timeline, name_object, stage
from crio.ops.undo import Undo


async def _failing(done: list[str], *, broken: bool = False) -> None:
    async with Undo() as undo:
        undo.push("the first", lambda: done.append("first"))

        async def second() -> None:
            await asyncio.sleep(0)
            done.append("second")
            if broken:
                raise OSError("stuck")

        undo.push("the second", second)
        undo.push("the third", lambda: done.append("third"))
        raise NotFound("missing")


async def test_undos_run_last_first() -> None:
    done: list[str] = []
    with pytest.raises(NotFound):
        await _failing(done)
    assert done == ["third", "second", "first"]


async def test_an_undo_that_fails_is_logged_and_the_others_run(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    with caplog.at_level(logging.ERROR), pytest.raises(NotFound):
        await _failing(done, broken=True)
    assert done == ["third", "second", "first"]
    assert "cannot undo the second: stuck" in caplog.text


async def test_nothing_is_undone_after_a_success_or_a_commit() -> None:
    done: list[str] = []
    async with Undo() as undo:
        undo.push("it", lambda: done.append("undone"))
    with pytest.raises(NotFound):
        async with Undo() as undo:
            undo.push("it", lambda: done.append("undone"))
            undo.commit()
            raise NotFound("later")
    assert done == []


async def test_a_cancelled_operation_is_undone() -> None:
    done: list[str] = []

    async def work() -> None:
        async with Undo() as undo:
            undo.push("it", lambda: done.append("undone"))
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
    assert done == ["undone"]


def test_stages_are_spans_of_the_operation() -> None:
    timeline = Timeline()
    with timeline.operation("RunPodSandbox", "k8s_a") as entry:
        assert entry.current_stage == "unknown"
        with stage("sandbox creating"):
            name_object("abc")
            assert entry.current_stage == "sandbox creating"
        with stage("sandbox network creation"), stage("inner"):
            assert entry.current_stage == "inner"
    assert [span.name for span in entry.spans] == ["sandbox creating", "sandbox network creation", "inner"]
    assert all(span.start_ns <= span.end_ns for span in entry.spans)
    assert (entry.outcome, entry.object_id) == ("ok", "abc")
    assert entry.start_ns <= entry.end_ns


def test_an_error_is_the_outcome_and_closes_its_stage() -> None:
    timeline = Timeline()
    with pytest.raises(NotFound), timeline.operation("PullImage", "x"), stage("pulling"):
        raise NotFound("no such image")
    (entry,) = timeline.about("x")
    assert entry.outcome == "NotFound: no such image"
    assert entry.spans[0].end_ns > 0


async def test_operations_side_by_side_keep_their_own_stages() -> None:
    timeline = Timeline()

    async def work(name: str) -> None:
        with timeline.operation("StopContainer", name):
            for number in range(3):
                with stage(f"{name} {number}"):
                    await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name in ("one", "two"):
            group.create_task(work(name))
    for name in ("one", "two"):
        (entry,) = timeline.about(name)
        assert [span.name for span in entry.spans] == [f"{name} {number}" for number in range(3)]


async def test_tasks_of_an_operation_mark_its_stages() -> None:
    timeline = Timeline()

    async def part() -> None:
        with stage("sandbox shm creation"):
            await asyncio.sleep(0)

    with timeline.operation("RunPodSandbox", "k8s_a") as entry:
        async with asyncio.TaskGroup() as group:
            group.create_task(part())
    assert [span.name for span in entry.spans] == ["sandbox shm creation"]


def test_a_stage_outside_an_operation_does_nothing() -> None:
    with stage("alone"):
        name_object("abc")


def test_the_ring_forgets_the_oldest_and_finds_by_id_prefix_and_name() -> None:
    timeline = Timeline(entries=2)
    for number in range(3):
        with timeline.operation("StartContainer", f"name{number}"):
            name_object(f"id{number}")
    assert [entry.subject for entry in timeline.about("")] == ["name1", "name2"]
    assert [entry.subject for entry in timeline.about("id2")] == ["name2"]
    assert [entry.subject for entry in timeline.about("name1")] == ["name1"]
    assert timeline.about("nam") == ()
