"""Moving the body of a plain-HTTP answer from its socket into a pipe inside the kernel.

A layer is hundreds of megabytes; read into Python and written out again it would cost two copies and a turn of the event loop per
piece. ``take_socket`` takes the connection of a response away from the HTTP library once the headers are read, and ``Splice``
lets the kernel hand the pages over. TLS and chunked bodies cannot be taken; they go through the library.

Source: splice(2).
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from crio.core.errors import DeadlineExceeded
from crio.host.registry.ahead import Pace
from crio.host.registry.http import BrokenDownload
from crio.host.registry.pipe import PIPE_BYTES, PipeFeed, ReaderGone


@dataclass(frozen=True, slots=True)
class TakenBody:
    """A body whose connection was taken: what had been read already, the socket, and how much is still to come."""

    first: bytes
    socket_fd: int
    remaining_bytes: int


def take_socket(response: aiohttp.ClientResponse) -> TakenBody | None:
    """Takes the connection of ``response`` from the library, or returns None when its body cannot be read from the socket.

    The socket belongs to the caller, who has to close it. The response is closed.
    """
    length = response.content_length
    connection = response.connection
    if length is None or response.url.scheme != "http" or connection is None or response.headers.get("Transfer-Encoding"):
        return None
    transport = connection.transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    if transport is None or sock is None or transport.get_extra_info("sslcontext") is not None:
        return None
    # Nothing can arrive between these lines: bytes come in only when the event loop turns.
    first = response.content.read_nowait(-1)
    transport.pause_reading()
    socket_fd = os.dup(sock.fileno())
    response.close()
    return TakenBody(first, socket_fd, length - len(first))


@dataclass(frozen=True, slots=True)
class Splice:
    """A body on its way from a socket to ``feed``, as long as ``left`` says that something is to come.

    ``on_bytes`` is told of every piece after it has moved; ``pace`` learns how long the peer kept us waiting.
    """

    socket_fd: int
    feed: PipeFeed
    left: Callable[[], int]
    on_bytes: Callable[[int], None]
    pace: Pace

    async def run(self, stall_s: float) -> None:
        """Moves the body.

        :raises BrokenDownload: the connection ended before
        :raises DeadlineExceeded: nothing arrived for ``stall_s`` seconds
        :raises ReaderGone: the reader of the pipe stopped reading
        """
        flags = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
        while (left := self.left()) > 0:
            try:
                moved = os.splice(self.socket_fd, self.feed.write_fd, min(left, PIPE_BYTES), flags=flags)
            except BlockingIOError:
                await self._wait(stall_s)
                continue
            except BrokenPipeError as error:
                raise ReaderGone from error
            except OSError as error:
                raise BrokenDownload(f"connection lost: {error.strerror}") from error
            if moved == 0:
                raise BrokenDownload(f"connection ended early, {left} bytes are missing")
            self.on_bytes(moved)

    async def _wait(self, stall_s: float) -> None:
        """Waits for whichever side holds things up; only the peer's side counts as a stall."""
        poll = select.poll()
        poll.register(self.feed.write_fd, select.POLLOUT)
        if not poll.poll(0):
            await self.feed.wait_writable()
            return
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self.socket_fd, _set_done, ready)
        asked_s = self.pace.clock()
        try:
            async with asyncio.timeout(stall_s):
                await ready
        except TimeoutError as error:
            raise DeadlineExceeded(f"no byte arrived for {stall_s:g} s") from error
        finally:
            loop.remove_reader(self.socket_fd)
            self.pace.waited_s += self.pace.clock() - asked_s


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
