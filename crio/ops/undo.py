"""What was taken is given back when an operation fails.

Every resource's undo is pushed before the resource is taken, so each undo must be harmless when the taking never happened. They run
last first; one that fails is logged and the others still run. ``commit`` forgets them all.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType

log = logging.getLogger(__name__)


class Undo:
    """An asynchronous context manager holding the undos of one operation."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], Awaitable[object] | object]]] = []

    def push(self, what: str, step: Callable[[], Awaitable[object] | object]) -> None:
        """Register an undo; ``what`` completes the sentence "cannot undo ..."."""
        self._steps.append((what, step))

    def commit(self) -> None:
        """The operation succeeded: nothing is to be undone."""
        self._steps.clear()

    async def __aenter__(self) -> Undo:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None:
            return
        while self._steps:
            what, step = self._steps.pop()
            try:
                result = step()
                if inspect.isawaitable(result):
                    await result
            except Exception as failure:  # one failed undo must not keep the others from running
                log.error("cannot undo %s: %s", what, failure)
