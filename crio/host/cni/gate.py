"""Many attach at once, or one collects garbage: never both.

A plugin that collects garbage drops what is not on the list it was given. An attachment that begins while it works would be on
no list, so it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Shared entry for attachments, exclusive entry for the collection; a waiting collection goes first."""

    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Enter along with others."""
        if self._closed:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._closed)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if self._closed:
                async with self._changed:
                    self._changed.notify_all()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Keep newcomers out, wait for those inside, enter alone. One at a time; the caller sees to that."""
        assert not self._closed
        self._closed = True
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: self._inside == 0)
            yield
        finally:
            self._closed = False
            async with self._changed:
                self._changed.notify_all()
