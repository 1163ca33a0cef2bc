"""Downloading one blob into a pipe, and going on where a broken connection stopped.

Nobody checks the content here: the reader of the pipe hashes what it gets, and resuming continues the same stream. Large blobs whose
connection is slower than their reader come over several connections (``ahead``).

Source: specification E.5.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

from crio.core.image.digest import Digest
from crio.core.image.errors import DigestMismatch
from crio.core.image.replies import ResumeRule
from crio.host.registry.ahead import PROBE_BYTES, RANGE_BYTES, WORTHWHILE_BYTES, Ahead, Pace, RangeBudget
from crio.host.registry.bodies import Splice, take_socket
from crio.host.registry.http import BrokenDownload
from crio.host.registry.pipe import BlobFeed, PipeFeed

RESUME_PAUSE_S = 1.0
UNKNOWN_SIZE = -1


class BlobClient(Protocol):
    """Who can open a blob at an offset, or a part of it."""

    @property
    def stall_s(self) -> float: ...

    @property
    def ranges(self) -> RangeBudget: ...

    def blob(self, digest: Digest, offset: int = 0, last: int | None = None) -> AbstractAsyncContextManager[aiohttp.ClientResponse]: ...


@dataclass(slots=True)
class Download:
    """One blob on its way into ``feed``; ``size_bytes`` may be unknown.

    ``offset`` is the number of bytes written; a connection is read up to byte ``end``, behind which ranges come from elsewhere.
    """

    client: BlobClient
    digest: Digest
    size_bytes: int
    feed: BlobFeed
    on_bytes: Callable[[int], None]
    offset: int = 0
    end: int = field(init=False, default=0)
    _pace: Pace = field(init=False)
    _ahead: Ahead | None = field(init=False, default=None)
    _may_look_ahead: bool = field(init=False, default=True)

    async def run(self) -> None:
        """Downloads to the end.

        :raises BrokenDownload: cut, and resuming is not allowed (again)
        :raises DigestMismatch: more or fewer bytes than were promised
        :raises ReaderGone: the reader of the pipe stopped reading
        """
        self.client.ranges.streams += 1
        try:
            await (self._run() if self.size_bytes < WORTHWHILE_BYTES else self._run_with_help())
        finally:
            self.client.ranges.streams -= 1

    async def _run_with_help(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._ahead = Ahead(group, self.client.ranges, self._fetch_range, self.size_bytes)
                try:
                    await self._run()
                finally:
                    await self._ahead.stop()
        except BaseExceptionGroup as failures:
            # The ranges keep their failures to themselves: there is one, and it is that of the stream.
            raise failures.exceptions[0] from failures

    async def _run(self) -> None:
        rule = ResumeRule()
        while True:
            if not self._diverted:
                self.end = self.size_bytes
            try:
                async with self.client.blob(self.digest, self.offset) as response:
                    self._check_length(response)
                    await self._pump(response)
                if await self._write_ranges():
                    break
            except BrokenDownload:
                if self.offset == self.size_bytes:
                    break
                now_s = time.monotonic()
                if not rule.allows(self.offset, now_s):
                    raise
                rule = rule.after(self.offset, now_s)
                await asyncio.sleep(RESUME_PAUSE_S)
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
        self._pace = Pace(time.monotonic)
        taken = take_socket(response) if isinstance(self.feed, PipeFeed) else None
        if taken is None:
            await self._read(response.content)
            return
        try:
            if self.end == UNKNOWN_SIZE:
                self.end = self.offset + len(taken.first) + taken.remaining_bytes
            await self._pass_on(taken.first)
            assert isinstance(self.feed, PipeFeed)
            splice = Splice(taken.socket_fd, self.feed, self._left, self._arrived, self._pace)
            await splice.run(self.client.stall_s)
        finally:
            os.close(taken.socket_fd)

    async def _read(self, content: aiohttp.StreamReader) -> None:
        """The same for a body that only the library can read; all of it, since only so a body that is too long shows."""
        while not (self._diverted and self._left() <= 0):
            asked_s = time.monotonic()
            chunk = await content.readany()
            self._pace.waited_s += time.monotonic() - asked_s
            if not chunk:
                return
            await self._pass_on(chunk[: self._left()] if self._diverted else chunk)

    @property
    def _diverted(self) -> bool:
        """Whether the end of the blob comes in ranges."""
        return 0 < self.end < self.size_bytes

    def _left(self) -> int:
        """How much of the connection's part is still to come."""
        return self.end - self.offset

    async def _pass_on(self, chunk: bytes | memoryview) -> None:
        if self.size_bytes != UNKNOWN_SIZE and self.offset + len(chunk) > self.size_bytes:
            raise DigestMismatch(f"blob {self.digest}: more than the promised {self.size_bytes} bytes")
        await self.feed.write(chunk)
        self._arrived(len(chunk))

    def _arrived(self, count: int) -> None:
        self.offset += count
        self.on_bytes(count)
        ahead = self._ahead
        if ahead is None or self._diverted or not self._may_look_ahead or self.offset < PROBE_BYTES:
            return
        if ahead.start is None:
            start = self.offset + RANGE_BYTES
            # A blob that is nearly there is left alone.
            if self.size_bytes - start >= RANGE_BYTES and self.client.ranges.helps and self._pace.starved:
                ahead.begin(start)
        elif self.offset > ahead.start:
            self._may_look_ahead = False
            ahead.abandon()

    async def _write_ranges(self) -> bool:
        """Writes the ranges behind ``end`` as they come in order. False when the rest has to come over one connection again."""
        ahead = self._ahead
        if ahead is None or not self._diverted:
            return True
        while self.offset < self.size_bytes and (body := await ahead.take()) is not None:
            try:
                with memoryview(body) as view:
                    await self._pass_on(view)
            finally:
                ahead.used(body)
        self.end = self.size_bytes
        if self.offset < self.size_bytes:
            # A range that fails says little about the blob, but enough about asking for ranges.
            self._may_look_ahead = False
            await ahead.stop()
        return self.offset == self.size_bytes

    async def _fetch_range(self, first: int, last: int) -> mmap.mmap:
        body = mmap.mmap(-1, last + 1 - first)
        try:
            async with self.client.blob(self.digest, first, last) as response:
                # The registry gives ranges: the connection need not go further than to the first of them, if it is not there yet.
                if self._ahead is not None and first == self._ahead.start and self.offset <= first:
                    self.end = first
                filled = 0
                while chunk := await response.content.readany():
                    filled += len(chunk)
                    if filled <= len(body):
                        body.write(chunk)
            if filled != len(body):
                raise BrokenDownload(f"blob {self.digest}: bytes {first} to {last}: got {filled}")
        except BaseException:
            body.close()
            raise
        return body
