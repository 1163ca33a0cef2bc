"""The only place of the suite that waits: poll with a deadline, and say what was waited for.

A test never sleeps. It waits for something that can be looked at, and fails with a sentence when it does not happen.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")

FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05


def _pauses(timeout_s: float) -> Callable[[], float | None]:
    """A function that gives the next pause in seconds, growing, or None once the time is over."""
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S

    def following() -> float | None:
        nonlocal pause_s
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return None
        now_s = min(pause_s, left_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
        return now_s

    return following


def _too_late(timeout_s: float, what: str, last: object) -> AssertionError:
    return AssertionError(f"after {timeout_s:g} s still not: {what} (last seen: {last!r})")


def eventually(predicate: Callable[[], Value], timeout_s: float, what: str) -> Value:
    """The first true value of ``predicate``; raises AssertionError with ``what`` when none comes in time.

    An AssertionError of the predicate counts as "not yet", and its words are told when time is over.
    """
    following = _pauses(timeout_s)
    pause = threading.Event()
    last: object = None
    while True:
        try:
            value = predicate()
        except AssertionError as error:
            last = error
        else:
            if value:
                return value
            last = value
        pause_s = following()
        if pause_s is None:
            raise _too_late(timeout_s, what, last)
        pause.wait(pause_s)


async def eventually_async(predicate: Callable[[], Awaitable[Value]], timeout_s: float, what: str) -> Value:
    """``eventually`` for a predicate that has to be awaited; the loop runs on between two looks."""
    following = _pauses(timeout_s)
    last: object = None
    while True:
        try:
            value = await predicate()
        except AssertionError as error:
            last = error
        else:
            if value:
                return value
            last = value
        pause_s = following()
        if pause_s is None:
            raise _too_late(timeout_s, what, last)
        await asyncio.sleep(pause_s)
