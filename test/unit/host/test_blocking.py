"""Blocking calls on threads, and callers that give up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from crio.host.blocking import Blocking


async def test_a_cancelled_caller_goes_on_after_its_call_has_ended() -> None:
    blocking = Blocking(1)
    began, go, done = threading.Event(), threading.Event(), []

    def mount() -> None:
        began.set()
        go.wait(5)
        done.append("mounted")

    async def operation() -> None:
        try:
            await blocking.run(mount)
        finally:
            done.append("undone")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(operation())
        await asyncio.to_thread(began.wait, 5)
        task.cancel()
        await asyncio.sleep(0)
        go.set()
    blocking.close()
    assert done == ["mounted", "undone"]


async def test_a_call_that_was_not_begun_is_dropped() -> None:
    blocking = Blocking(1)
    began, go, done = threading.Event(), threading.Event(), []
    async with asyncio.TaskGroup() as group:
        first = group.create_task(blocking.run(lambda: began.set() or go.wait(5)))
        await asyncio.to_thread(began.wait, 5)
        second = group.create_task(blocking.run(lambda: done.append("second")))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go.set()
        await first
    blocking.close()
    assert done == []
