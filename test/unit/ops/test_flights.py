"""Operations that outlive their requests."""

from __future__ import annotations

import asyncio
import logging

import pytest

from crio.core.errors import NotFound, Unavailable
from crio.ops.flights import Flights

KEY = ("run pod", "one")


class Work:
    """An operation that ends when it is told to."""

    def __init__(self) -> None:
        self.starts = 0
        self.ended = False
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def run(self) -> str:
        """Wait for ``go``; the result is an id, or the error."""
        self.starts += 1
        await self.go.wait()
        self.ended = True
        if self.error is not None:
            raise self.error
        return "id-1"


async def joined(flights: Flights, work: Work) -> str:
    """What one request gets."""
    return await flights.join(KEY, work.run)


async def _turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_two_requests_share_one_operation() -> None:
    work = Work()
    async with asyncio.TaskGroup() as group:
        flights = Flights(group)
        requests = [group.create_task(joined(flights, work)) for _ in range(3)]
        await _turns()
        assert flights.running(KEY)
        assert flights.keys() == (KEY,)
        work.go.set()
    assert [request.result() for request in requests] == ["id-1"] * 3
    assert work.starts == 1
    assert not flights.running(KEY)


async def test_a_cancelled_request_leaves_the_operation_and_a_retry_joins_it() -> None:
    work = Work()
    async with asyncio.TaskGroup() as group:
        flights = Flights(group)
        first = group.create_task(joined(flights, work))
        await _turns()
        first.cancel()
        await _turns()
        assert first.cancelled()
        retry = group.create_task(joined(flights, work))
        await _turns()
        work.go.set()
    assert retry.result() == "id-1"
    assert work.starts == 1


async def test_an_operation_ends_although_nobody_waits() -> None:
    work = Work()
    work.error = NotFound("gone")
    async with asyncio.TaskGroup() as group:
        flights = Flights(group)
        only = group.create_task(joined(flights, work))
        await _turns()
        only.cancel()
        await _turns()
        work.go.set()
    assert work.ended


async def test_an_expected_error_reaches_everyone_and_the_next_starts_anew() -> None:
    work = Work()
    work.error = NotFound("no such image")
    work.go.set()
    async with asyncio.TaskGroup() as group:
        flights = Flights(group)
        for _ in range(2):
            with pytest.raises(NotFound, match="no such image"):
                await flights.join(KEY, work.run)
    assert work.starts == 2


async def test_a_bug_is_logged_and_travels(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    work.error = ZeroDivisionError("oh")
    work.go.set()
    async with asyncio.TaskGroup() as group:
        flights = Flights(group)
        with pytest.raises(ZeroDivisionError):
            await flights.join(KEY, work.run)
    assert "operation run pod one failed with a bug" in caplog.text


async def test_drain_waits_and_lets_nothing_in() -> None:
    work = Work()
    async with asyncio.TaskGroup() as group:
        flights = Flights(group)
        request = group.create_task(joined(flights, work))
        await _turns()
        draining = group.create_task(flights.drain(10))
        await _turns()
        with pytest.raises(Unavailable, match="shutting down"):
            await flights.join(("run pod", "two"), work.run)
        joiner = group.create_task(joined(flights, work))
        await _turns()
        assert not draining.done()
        work.go.set()
    assert request.result() == joiner.result() == "id-1"


async def test_drain_gives_up_and_says_on_what(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    with caplog.at_level(logging.WARNING):
        async with asyncio.TaskGroup() as group:
            flights = Flights(group)
            request = group.create_task(_refused(flights, work))
            await _turns()
            await flights.drain(0.01)
            assert not flights.keys()
    assert request.result() == "the daemon is shutting down: ask again when it is back"
    assert "operations given up at shutdown: run pod one" in caplog.text


async def _refused(flights: Flights, work: Work) -> str:
    with pytest.raises(Unavailable) as caught:
        await joined(flights, work)
    return str(caught.value)


async def test_an_operation_may_begin_another_while_the_daemon_closes() -> None:
    inner, go = Work(), asyncio.Event()
    inner.go.set()
    async with asyncio.TaskGroup() as group:
        flights = Flights(group)

        async def outer() -> str:
            await go.wait()
            return await flights.join(("stop container", "two"), inner.run)

        request = group.create_task(flights.join(KEY, outer))
        await _turns()
        draining = group.create_task(flights.drain(10))
        await _turns()
        go.set()
        await draining
    assert request.result() == "id-1"
