"""Feeding a child's standard input from the event loop, without a copy in between.

The pipe is made as big as the kernel allows an ordinary process, so that one turn of the loop moves a large piece.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from types import TracebackType
from typing import Protocol

PIPE_BYTES = 1024 * 1024


class ReaderGone(Exception):
    """The child has closed its standard input; its own words say why."""


class BlobFeed(Protocol):
    """Where a blob goes."""

    async def write(self, data: bytes | memoryview) -> None:
        """Takes all of ``data``."""


class PipeFeed:
    """The writing end of a pipe to a child. ``read_fd`` goes to the child and is closed by ``hand_over``."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            # A user over the soft limit of pipe pages keeps the small pipe; it works all the same.
            fcntl.fcntl(self._write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self._write_fd, False)

    def __enter__(self) -> PipeFeed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.hand_over()
        self.finish()

    @property
    def write_fd(self) -> int:
        """The non-blocking end that this side writes to."""
        return self._write_fd

    def hand_over(self) -> None:
        """Closes the reading end here, after the child got its own."""
        if self.read_fd >= 0:
            os.close(self.read_fd)
            self.read_fd = -1

    def finish(self) -> None:
        """Closes the writing end: the child reads the end of the stream."""
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    async def write(self, data: bytes | memoryview) -> None:
        """Writes all of ``data``, waiting while the pipe is full.

        :raises ReaderGone: nobody reads any more
        """
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._write_fd, view)
            except BlockingIOError:
                await self.wait_writable()
            except BrokenPipeError as error:
                raise ReaderGone from error
            else:
                view = view[written:]

    async def wait_writable(self) -> None:
        """Waits until the pipe takes more."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._write_fd, _set_done, ready)
        try:
            await ready
        finally:
            loop.remove_writer(self._write_fd)


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
