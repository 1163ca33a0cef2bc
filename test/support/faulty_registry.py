"""A registry that misbehaves on request: a proxy in front of a real one, driven by a script.

It listens on a loopback port, remembers what it was asked, and forwards to the real registry unless a rule of the script answers.
Rules are functions from a request to an ``Answer`` or None ("not mine"); the first that answers wins. An answer can stop in the
middle, lie about its length, or hang until the test is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

from test.support.waiting import eventually_async

MAX_HEAD_BYTES = 64 * 1024
HOLD_S = 60.0
TLS_HANDSHAKE = b"\x16"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    accepts: tuple[str, ...]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Hold:
    """The body stops after ``at`` bytes until something has happened: ``until`` says up to which byte it may go on, 0 for "not yet"."""

    at: int
    until: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. ``cut_at``: close after so many bytes of the body. ``hang_at``: say no more after so many.

    ``length`` is the Content-Length when it is to be a lie. ``trickle``: the body comes in so many pieces, one every ``pause_s``.
    ``hold``: it waits for something in the middle, and hangs where it may go on to, unless that is the end.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    cut_at: int | None = None
    hang_at: int | None = None
    length: int | None = None
    trickle: int = 0
    pause_s: float = 0.0
    hold: Hold | None = None


Rule = Callable[[Seen], Answer | None]


@dataclass(slots=True)
class FaultyRegistry:
    """A running proxy. Tests append to ``rules`` and read ``seen``."""

    backend: str
    address: str = ""
    rules: list[Rule] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    _release: asyncio.Event = field(default_factory=asyncio.Event)

    def forward(self, request: Seen) -> Answer:
        """What the real registry says; for rules that change it a little. Blocks."""
        connection = http.client.HTTPConnection(self.backend, timeout=20)
        try:
            headers = {name: value for name, value in request.headers.items() if name not in {"host", "accept", "connection"}}
            if request.accepts:
                headers["Accept"] = ", ".join(request.accepts)
            connection.request(request.method, request.target, request.body or None, headers)
            response = connection.getresponse()
            kept = tuple(
                (name, value)
                for name, value in response.getheaders()
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}
            )
            return Answer(response.status, kept, response.read())
        finally:
            connection.close()

    def on(self, pattern: str, answer: Answer | Callable[[Seen], Answer], times: int = 1) -> None:
        """Adds a rule for paths that contain ``pattern`` (a regular expression); it holds ``times`` times (0: always)."""
        left = [times]

        def rule(request: Seen) -> Answer | None:
            if not re.search(pattern, request.target) or left[0] < 0:
                return None
            if times:
                left[0] -= 1
                if left[0] == 0:
                    left[0] = -1
            return answer(request) if callable(answer) else answer

        self.rules.append(rule)

    def change(self, pattern: str, times: int = 1, **changes: object) -> None:
        """Adds a rule that forwards and then changes fields of the answer."""
        self.on(pattern, lambda request: replace(self.forward(request), **changes), times)  # type: ignore[arg-type]

    def asked(self, pattern: str) -> list[Seen]:
        """The requests whose target contains ``pattern``."""
        return [request for request in self.seen if re.search(pattern, request.target)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        try:
            while (request := await _read_request(reader)) is not None:
                self.seen.append(request)
                answer = await self._decide(request)
                if not await self._send(writer, answer):
                    if answer.hang_at is not None or answer.hold is not None:
                        await self._hang(reader)
                    break
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _decide(self, request: Seen) -> Answer:
        for rule in self.rules:
            answer = await asyncio.to_thread(rule, request)
            if answer is not None:
                return answer
        return await asyncio.to_thread(self.forward, request)

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> bool:
        """Whether the connection can serve another request."""
        length = len(answer.body) if answer.length is None else answer.length
        head = [f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, 'Odd')}"]
        head += [f"{name}: {value}" for name, value in answer.headers]
        head += [f"Content-Length: {length}", "", ""]
        writer.write("\r\n".join(head).encode())
        if answer.hold is not None:
            return await self._send_held(writer, answer.body, answer.hold)
        stop = min(one for one in (answer.cut_at, answer.hang_at, len(answer.body)) if one is not None)
        for piece in _pieces(answer.body[:stop], answer.trickle):
            writer.write(piece)
            await writer.drain()
            if answer.pause_s:
                # A trickle ends early when the test is over.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(answer.pause_s):
                        await self._release.wait()
        return answer.cut_at is None and answer.hang_at is None and answer.length is None

    async def _send_held(self, writer: asyncio.StreamWriter, body: bytes, hold: Hold) -> bool:
        writer.write(body[: hold.at])
        await writer.drain()
        stop = await eventually_async(lambda: self._may_go_on(hold), HOLD_S, "what an answer is held for")
        writer.write(body[hold.at : stop])
        await writer.drain()
        return stop >= len(body)

    async def _may_go_on(self, hold: Hold) -> int:
        return hold.at if self._release.is_set() else hold.until()

    async def _hang(self, reader: asyncio.StreamReader) -> None:
        """Until the test says so or the client has gone."""
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(self._release.wait()), group.create_task(reader.read(1))]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()

    def release(self) -> None:
        """Lets hanging answers end."""
        self._release.set()


def _pieces(body: bytes, count: int) -> list[bytes]:
    size = max(1, -(-len(body) // count)) if count else max(1, len(body))
    return [body[at : at + size] for at in range(0, len(body), size)]


async def _read_request(reader: asyncio.StreamReader) -> Seen | None:
    try:
        first_byte = await reader.readexactly(1)
        if first_byte == TLS_HANDSHAKE:
            return None
        head = first_byte + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
    headers = dict(pairs)
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    accepts = tuple(value for name, value in pairs if name == "accept")
    return Seen(method, target, headers, accepts, body)


@contextlib.asynccontextmanager
async def faulty(backend: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultyRegistry]:
    """A proxy in front of the registry at ``backend`` (host:port), on a port of its own; with ``tls`` it speaks HTTPS."""
    registry = FaultyRegistry(backend)
    connections: set[asyncio.Task[None]] = set()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await registry.serve(reader, writer)
        finally:
            connections.discard(task)

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0, limit=MAX_HEAD_BYTES, ssl=tls)
    host, port = server.sockets[0].getsockname()[:2]
    registry.address = f"{host}:{port}"
    try:
        yield registry
    finally:
        server.close()
        registry.release()
        for task in list(connections):
            task.cancel()
        if connections:
            await asyncio.wait(connections)
        await server.wait_closed()
