"""Operations outlive the requests that asked for them.

A client's deadline ends its RPC, not the work: a half-made pod helps nobody, and the client will ask again. So every operation
that changes something runs in the daemon's own task group under a key (verb, name). A second request with the same key joins the
running operation; each request awaits a shield of it. When an operation has ended its result is in the table of records, where a
retry finds it, so nothing has to be kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from crio.core.errors import CriError, Unavailable

T = TypeVar("T")
Key = tuple[str, str]
UNDO_S: Final = 20.0
_CLOSING: Final = "the daemon is shutting down: ask again when it is back"
# Set in the tasks of operations: what they need of other operations is still begun while the daemon closes.
_inside: ContextVar[bool] = ContextVar("inside an operation", default=False)
log = logging.getLogger(__name__)


class Flights:
    """The running operations of a daemon. Made inside the task group that owns them."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: dict[Key, asyncio.Future[Any]] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def join(self, key: Key, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the running operation ``key``, or of ``start()`` begun now. Being cancelled leaves the operation alone."""
        future = self._running.get(key)
        if future is None:
            future = self._launch(key, start)
        return await asyncio.shield(future)

    async def settle(self, key: Key) -> None:
        """Wait until no operation with this key is under way, however it ends."""
        while (future := self._running.get(key)) is not None:
            await asyncio.wait([future])

    def running(self, key: Key) -> bool:
        """Whether an operation with this key is under way."""
        return key in self._running

    def keys(self) -> tuple[Key, ...]:
        """What is under way now."""
        return tuple(self._running)

    def _launch(self, key: Key, start: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Future[T]:
        if self._closing and not _inside.get():
            raise Unavailable(_CLOSING)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # A result that nobody waits for any more is no mistake.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._running[key] = future
        self._idle.clear()
        self._tasks[key] = self._group.create_task(self._carry(key, start(), future), name=f"{key[0]} {key[1]}")
        return future

    async def _carry(self, key: Key, work: Awaitable[T], future: asyncio.Future[T]) -> None:
        _inside.set(True)
        try:
            result = await work
        except asyncio.CancelledError:
            future.set_exception(Unavailable(_CLOSING))
            raise
        except CriError as error:
            future.set_exception(error)
        except Exception as error:  # the root of an operation's task
            log.exception("operation %s %s failed with a bug", *key)
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            del self._running[key], self._tasks[key]
            if not self._running:
                self._idle.set()

    async def drain(self, timeout_s: float) -> None:
        """Take no new operation from outside and wait for the running ones, at most ``timeout_s`` seconds.

        What runs on then is cancelled, so that it undoes what it has begun while everything that this needs is still open.
        """
        self._closing = True
        if await self._wait_idle(timeout_s):
            return
        log.warning("operations given up at shutdown: %s", ", ".join(" ".join(key) for key in self._running))
        for task in list(self._tasks.values()):
            task.cancel()
        if not await self._wait_idle(UNDO_S):
            log.error("operations not ended at shutdown: %s", ", ".join(" ".join(key) for key in self._running))

    async def _wait_idle(self, timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        return not self._running
