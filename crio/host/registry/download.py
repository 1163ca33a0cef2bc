"""Downloading one blob into a pipe, and going on where a broken connection stopped.

Nobody checks the content here: the reader of the pipe hashes what it gets, and resuming continues the same stream.

Source: specification E.5.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from crio.core.image.digest import Digest
from crio.core.image.errors import DigestMismatch
from crio.core.image.replies import ResumeRule
from crio.host.registry.bodies import splice_body, take_socket
from crio.host.registry.http import BrokenDownload
from crio.host.registry.pipe import BlobFeed, PipeFeed

RESUME_PAUSE_S = 1.0
UNKNOWN_SIZE = -1


class BlobClient(Protocol):
    """Who can open a blob at an offset."""

    @property
    def stall_s(self) -> float: ...

    def blob(self, digest: Digest, offset: int = 0) -> AbstractAsyncContextManager[aiohttp.ClientResponse]: ...


@dataclass(slots=True)
class Download:
    """One blob on its way into ``feed``; ``size_bytes`` may be unknown."""

    client: BlobClient
    digest: Digest
    size_bytes: int
    feed: BlobFeed
    on_bytes: Callable[[int], None]
    offset: int = 0

    async def run(self) -> None:
        """Downloads to the end.

        :raises BrokenDownload: cut, and resuming is not allowed (again)
        :raises DigestMismatch: more or fewer bytes than were promised
        :raises ReaderGone: the reader of the pipe stopped reading
        """
        rule = ResumeRule()
        while True:
            try:
                async with self.client.blob(self.digest, self.offset) as response:
                    self._check_length(response)
                    await self._pump(response)
            except BrokenDownload:
                if self.offset == self.size_bytes:
                    break
                now_s = time.monotonic()
                if not rule.allows(self.offset, now_s):
                    raise
                rule = rule.after(self.offset, now_s)
                await asyncio.sleep(RESUME_PAUSE_S)
            else:
                break
        if self.size_bytes not in {UNKNOWN_SIZE, self.offset}:
            raise DigestMismatch(f"blob {self.digest}: got {self.offset} bytes, expected {self.size_bytes}")

    def _check_length(self, response: aiohttp.ClientResponse) -> None:
        """A wrong length is known before the first byte; nothing of such a blob is unpacked."""
        declared = response.content_length
        if declared is None or self.size_bytes == UNKNOWN_SIZE:
            return
        if declared + self.offset != self.size_bytes:
            raise DigestMismatch(f"blob {self.digest}: the registry announces {declared + self.offset} bytes, expected {self.size_bytes}")

    async def _pump(self, response: aiohttp.ClientResponse) -> None:
        taken = take_socket(response) if isinstance(self.feed, PipeFeed) else None
        if taken is None:
            async for chunk in response.content.iter_any():
                await self._pass_on(chunk)
            return
        try:
            await self._pass_on(taken.first)
            assert isinstance(self.feed, PipeFeed)
            await splice_body(taken, self.feed, self._arrived, self.client.stall_s)
        finally:
            os.close(taken.socket_fd)

    async def _pass_on(self, chunk: bytes) -> None:
        if self.size_bytes != UNKNOWN_SIZE and self.offset + len(chunk) > self.size_bytes:
            raise DigestMismatch(f"blob {self.digest}: more than the promised {self.size_bytes} bytes")
        await self.feed.write(chunk)
        self._arrived(len(chunk))

    def _arrived(self, count: int) -> None:
        self.offset += count
        self.on_bytes(count)
