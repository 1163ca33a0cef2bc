"""Doing once what several ask for at the same time.

The first asker does the work in its own task; the others wait for its outcome. When the first is cancelled, or fails in a way
that is its own, one of the waiting takes over, so nobody is failed by somebody else's deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from crio.core.errors import CriError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[V]):
    """How the work of the first asker ended: with values, with an error for all, or with nothing to share."""

    values: tuple[V, ...] = ()
    error: CriError | None = None


class SingleFlight(Generic[K, V]):
    """Work by key. With ``share_errors`` the waiting get the error of the first; without it they try themselves."""

    def __init__(self, *, share_errors: bool) -> None:
        self._share_errors = share_errors
        self._running: dict[K, asyncio.Future[_Outcome[V]]] = {}

    async def run(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """Does ``work``, or waits for the one who is doing it for the same key."""
        while (running := self._running.get(key)) is not None:
            outcome = await asyncio.shield(running)
            if outcome.error is not None:
                raise outcome.error
            if outcome.values:
                return outcome.values[0]
        return await self._lead(key, work)

    async def _lead(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        future: asyncio.Future[_Outcome[V]] = asyncio.get_running_loop().create_future()
        self._running[key] = future
        outcome: _Outcome[V] = _Outcome()
        try:
            value = await work()
            outcome = _Outcome((value,))
            return value
        except CriError as error:
            if self._share_errors:
                outcome = _Outcome(error=error)
            raise
        finally:
            del self._running[key]
            future.set_result(outcome)
