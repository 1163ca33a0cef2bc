"""Fetching later ranges of a large blob while the network keeps its reader waiting.

A blob comes over one connection, straight from its socket into the pipe. When the reader waits for that connection most of the time,
the ranges behind the next few megabytes are asked for over more connections and kept in memory until it is their turn, so that the
reader still sees one stream. How much that may take is bounded for the whole node. A registry that does not give ranges, or gives
them badly, costs nothing but the attempt: the first connection goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from crio.core.errors import CriError

MIB = 1024 * 1024
RANGE_BYTES = 8 * MIB
WORTHWHILE_BYTES = 64 * MIB
PROBE_BYTES = 8 * MIB
STARVED_SHARE = 0.7
RANGES_PER_BLOB = 6
# With more blobs than this at once there are connections enough, and waiting more likely means that the machine is busy.
STREAMS_TO_HELP = 2


@dataclass(slots=True)
class RangeBudget:
    """How many ranges may be fetched or kept at the same moment, over all pulls; ``streams`` are the blobs on their way."""

    free: int
    streams: int = 0

    @property
    def helps(self) -> bool:
        """Whether ranges would be fetched at all just now."""
        return self.free > 0 and self.streams <= STREAMS_TO_HELP

    def take(self) -> bool:
        """Whether there was one left, which is now the caller's."""
        if self.free <= 0:
            return False
        self.free -= 1
        return True

    def give(self) -> None:
        """Gives one back."""
        self.free += 1


@dataclass(slots=True)
class Pace:
    """How a transfer goes: the time that its reader waited for the network, of all the time since the first byte."""

    clock: Callable[[], float]
    began_s: float = field(init=False)
    waited_s: float = 0.0

    def __post_init__(self) -> None:
        self.began_s = self.clock()

    @property
    def starved(self) -> bool:
        """Whether the reader mostly waits for bytes."""
        return self.waited_s > (self.clock() - self.began_s) * STARVED_SHARE


Fetch = Callable[[int, int], Awaitable[mmap.mmap]]


class Ahead:
    """The ranges of one blob from ``start`` on (None: nothing begun), fetched by tasks of ``group``, taken in order."""

    def __init__(self, group: asyncio.TaskGroup, budget: RangeBudget, fetch: Fetch, size_bytes: int) -> None:
        self._group = group
        self._budget = budget
        self._fetch = fetch
        self._size_bytes = size_bytes
        self._next = size_bytes
        self._waiting: deque[asyncio.Task[mmap.mmap | None]] = deque()
        self.start: int | None = None

    def begin(self, start: int) -> None:
        """Starts fetching from byte ``start`` on, unless the node's budget is used up."""
        self._next = start
        self._refill()
        self.start = start if self._waiting else None

    async def take(self) -> mmap.mmap | None:
        """The next range; None when there is none, because it failed or nothing is left of the budget."""
        self._refill()
        if not self._waiting:
            return None
        body = await self._waiting.popleft()
        if body is None:
            self._budget.give()
        return body

    def used(self, body: mmap.mmap) -> None:
        """A range that was taken has been written: its memory goes back to the kernel at once."""
        _release(body)
        self._budget.give()

    def abandon(self) -> None:
        """Nobody wants the ranges any more; ``stop`` has to follow."""
        self._next = self._size_bytes
        for task in self._waiting:
            task.cancel()

    async def stop(self) -> None:
        """Ends what is being fetched and gives back its part of the budget."""
        self.abandon()
        if self._waiting:
            await asyncio.wait(self._waiting)
        for task in self._waiting:
            if not task.cancelled() and (body := task.result()) is not None:
                _release(body)
            self._budget.give()
        self._waiting.clear()
        self.start = None

    def _refill(self) -> None:
        while self._next < self._size_bytes and len(self._waiting) < RANGES_PER_BLOB and self._budget.take():
            first, last = self._next, min(self._next + RANGE_BYTES, self._size_bytes) - 1
            self._waiting.append(self._group.create_task(self._one(first, last), name=f"range {first}-{last}"))
            self._next = last + 1

    async def _one(self, first: int, last: int) -> mmap.mmap | None:
        try:
            return await self._fetch(first, last)
        except CriError:
            # Whatever it is, the stream that goes on behind the last good byte will meet it again and tell it.
            return None


def _release(body: mmap.mmap) -> None:
    # When writing it failed, the error's traceback still looks into it; then the memory goes with the traceback.
    with contextlib.suppress(BufferError):
        body.close()
