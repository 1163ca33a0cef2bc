"""The queue of detachments that failed: each is tried again, ever more slowly, until it is done.

What is in the queue is also on disk as a record, so a restart of the daemon loses nothing: the start-up check puts records
without a pod back in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from crio.core.errors import CriError

_log = logging.getLogger(__name__)
FIRST_DELAY_S = 1.0
MAX_DELAY_S = 60.0


@dataclass(frozen=True, slots=True)
class PendingDelete:
    """A detachment that is still to be done, for people to look at."""

    sandbox_id: str
    attempts: int
    last_error: str


class RetryQueue:
    """Runs ``delete`` for each sandbox in it until it no longer raises a CriError."""

    def __init__(self, delete: Callable[[str], Awaitable[None]], first_delay_s: float = FIRST_DELAY_S) -> None:
        self._delete = delete
        self._first_delay_s = first_delay_s
        self._pending: dict[str, PendingDelete] = {}
        self._due_at: dict[str, float] = {}
        self._changed = asyncio.Event()

    def put(self, sandbox_id: str, reason: str, *, at_once: bool = False) -> None:
        """Add a sandbox, or note another failed attempt of it."""
        attempts = self._pending[sandbox_id].attempts + 1 if sandbox_id in self._pending else 1
        delay_s = 0.0 if at_once else min(self._first_delay_s * 2 ** min(attempts - 1, 10), MAX_DELAY_S)
        self._pending[sandbox_id] = PendingDelete(sandbox_id, attempts, reason)
        self._due_at[sandbox_id] = asyncio.get_running_loop().time() + delay_s
        self._changed.set()

    def done(self, sandbox_id: str) -> None:
        """Take a sandbox out; it may not be in."""
        self._pending.pop(sandbox_id, None)
        self._due_at.pop(sandbox_id, None)

    def pending(self) -> tuple[PendingDelete, ...]:
        """What is still to be done."""
        return tuple(self._pending.values())

    def __contains__(self, sandbox_id: object) -> bool:
        return sandbox_id in self._pending

    async def run(self) -> None:
        """Work on the queue for ever."""
        while True:
            await self._wait_due()
            now = asyncio.get_running_loop().time()
            for sandbox_id in [key for key, due_at in self._due_at.items() if due_at <= now]:
                await self._try_one(sandbox_id)

    async def _try_one(self, sandbox_id: str) -> None:
        try:
            await self._delete(sandbox_id)
        except CriError as error:
            self.put(sandbox_id, error.message)
            _log.debug("detaching sandbox %r failed again: %s", sandbox_id, error)
        except Exception as error:
            # A task root: one bad record must not end the queue for all others.
            self.put(sandbox_id, repr(error))
            _log.exception("detaching sandbox %r failed in an unforeseen way", sandbox_id)
        else:
            self.done(sandbox_id)

    async def _wait_due(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            first = min(self._due_at.values(), default=None)
            if first is not None and first <= loop.time():
                return
            try:
                async with asyncio.timeout_at(first):
                    await self._changed.wait()
            except TimeoutError:
                return
