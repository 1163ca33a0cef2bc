"""Blocking calls of the daemon (store, mounts, files) on a named, bounded set of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Runs blocking functions; more than ``threads`` at once wait for their turn."""

    def __init__(self, threads: int = 4) -> None:
        self._executor = ThreadPoolExecutor(threads, "blocking")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of ``function``. A cancelled caller goes on when it has ended or was never begun: an undo comes after it."""
        work = self._executor.submit(lambda: function(*args, **kwargs))
        future = asyncio.wrap_future(work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not work.cancel():
                await asyncio.wait([future])
            raise

    def close(self) -> None:
        """Wait for what runs and end the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)
