"""HTTP as registries need it: redirects under our control, 429, bounded bodies, and errors that say what happened.

A ``Web`` lives as long as one pull. It never follows a redirect with the credentials of another host (CVE-2020-15157), never
decompresses (digests are over the bytes that were sent), never keeps cookies and never reads ~/.netrc.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import aiohttp
from yarl import URL

from crio.core.errors import CriError, DeadlineExceeded
from crio.core.image.errors import CONNECTION_REFUSED, CONNECTION_TIMEOUT, BadDocument, RegistryUnavailable
from crio.core.image.replies import retry_after_s
from crio.host.registry.ahead import RangeBudget
from crio.host.registry.options import WebOptions
from crio.host.registry.tls import registry_context

CONNECT_S = 30.0
MAX_REDIRECTS = 10
MAX_TRIES_429 = 5
ERROR_WORDS_MAX = 300
READ_BUFFER_BYTES = 512 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONNECTIONS = {errno.ECONNREFUSED: CONNECTION_REFUSED, errno.ETIMEDOUT: CONNECTION_TIMEOUT}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """A request; ``form`` makes it a POST. ``secret`` is the Authorization header, sent to the host of ``url`` only."""

    url: str
    host: str
    insecure: bool
    headers: tuple[tuple[str, str], ...] = ()
    secret: str = field(default="", repr=False)
    form: Mapping[str, str] | None = None


class Web:
    """One HTTP session; use it as an async context manager. ``ranges`` is what large blobs may take besides their connection."""

    def __init__(self, options: WebOptions, ranges: RangeBudget | None = None) -> None:
        self._options = options
        self.ranges = ranges or RangeBudget(0)
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def stall_s(self) -> float:
        """How long a peer may send nothing."""
        return self._options.stall_s

    async def __aenter__(self) -> Web:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=self._options.stall_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
            max_field_size=32 * 1024,
            headers={"User-Agent": self._options.user_agent, "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Sends a request, follows redirects, waits out 429, and gives the response with its body unread.

        :raises RegistryUnavailable: no connection, or the connection broke before the answer
        :raises DeadlineExceeded: connected, but no answer came in time
        """
        with _translated(request.host):
            response = await self._until_not_busy(request)
        try:
            with _translated(request.host):
                yield response
        finally:
            # The connection can be used again only when the body was read to its end.
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    async def _until_not_busy(self, request: Request) -> aiohttp.ClientResponse:
        for attempt in range(MAX_TRIES_429):
            response = await self._follow(request)
            if response.status != 429 or request.form is not None or attempt == MAX_TRIES_429 - 1:
                break
            wait_s = retry_after_s(response.headers.get("Retry-After", ""), attempt, time.time())
            response.close()
            _log.debug("registry %r is busy, waiting %.1f s", request.host, wait_s)
            await asyncio.sleep(wait_s)
        return response

    async def _follow(self, request: Request) -> aiohttp.ClientResponse:
        url, secret = URL(request.url, encoded=True), request.secret
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(request, url, secret)
            location = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not location:
                return response
            response.close()
            target = _joined(url, location)
            if target.scheme not in {"http", "https"} or (target.scheme < url.scheme and not request.insecure):
                raise CriError(f"{request.host}: redirect from {url.scheme} to {target.scheme!r} refused")
            if target.origin() != url.origin():
                secret = ""
            url = target
        raise CriError(f"{request.host}: more than {MAX_REDIRECTS} redirects")

    async def _send(self, request: Request, url: URL, secret: str) -> aiohttp.ClientResponse:
        assert self._session is not None
        headers = [*request.headers, ("Authorization", secret)] if secret else list(request.headers)
        return await self._session.request(
            "GET" if request.form is None else "POST",
            url,
            headers=headers,
            data=request.form,
            allow_redirects=False,
            ssl=await self._context(request, url) if url.scheme == "https" else True,
            proxy=_proxy_for(url),
        )

    async def _context(self, request: Request, url: URL) -> ssl.SSLContext:
        """The context of the registry for the registry itself; strangers it redirects to get no client certificate."""
        host = request.host if url.authority == URL(request.url, encoded=True).authority else ""
        key = (host, request.insecure)
        if key not in self._contexts:
            folders: Sequence[Path] = self._options.certs_dirs if host else ()
            self._contexts[key] = await asyncio.to_thread(registry_context, host, folders, insecure=request.insecure)
        return self._contexts[key]


async def read_bounded(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """Reads the body of ``response``.

    :raises BadDocument: it is longer than ``limit_bytes``
    """
    declared = response.content_length
    if declared is not None and declared > limit_bytes:
        raise BadDocument(f"{response.url.path}: {declared} bytes, more than the limit of {limit_bytes}")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise BadDocument(f"{response.url.path}: more than the limit of {limit_bytes} bytes")
    return bytes(body)


def _proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for ``url``."""
    host = url.host or ""
    proxies = urllib.request.getproxies_environment()
    # urllib keeps no_proxy among the proxies; the function that reads it lacks a type in typeshed for this form.
    if not proxies or urllib.request.proxy_bypass(host):
        return None
    return proxies.get(url.scheme) or None


def _joined(url: URL, location: str) -> URL:
    try:
        return url.join(URL(location, encoded=True))
    except ValueError as error:
        raise BadDocument(f"{url.host}: redirect to {location[:200]!r}, which is no URL") from error


def _reason(error: OSError) -> str:
    """The kernel's words for a failed connection; asyncio puts its own in front."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno).lower()


def _bounded(words: str) -> str:
    """The first line of an error; the words of a parser repeat what the peer sent, which may be anything and any amount of it."""
    line = words.strip().partition("\n")[0][:ERROR_WORDS_MAX]
    return "".join(letter if letter.isprintable() else "?" for letter in line).rstrip(":")


@contextlib.contextmanager
def _translated(host: str) -> Iterator[None]:
    """Turns the failures of the HTTP library into sentences."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise CriError(f"registry {host!r}: its certificate is not trusted: {error.certificate_error}") from error
    except aiohttp.ClientConnectorSSLError as error:
        raise CriError(f"registry {host!r}: no TLS there: {error.os_error}") from error
    except aiohttp.ClientConnectorError as error:
        words = f"registry {host!r} cannot be reached: {_reason(error.os_error)}"
        raise RegistryUnavailable(words, _CONNECTIONS.get(error.os_error.errno or 0, "")) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise RegistryUnavailable(f"registry {host!r} does not accept the connection within {CONNECT_S:g} s", CONNECTION_TIMEOUT) from error
    except (aiohttp.ServerTimeoutError, TimeoutError) as error:
        raise DeadlineExceeded(f"registry {host!r} sent no byte for too long") from error
    except aiohttp.ClientPayloadError as error:
        raise BrokenDownload(f"registry {host!r} ended the transfer early: {error}") from error
    except aiohttp.ClientOSError as error:
        raise BrokenDownload(f"registry {host!r}: connection lost: {error.strerror or error}") from error
    except aiohttp.ServerDisconnectedError as error:
        raise BrokenDownload(f"registry {host!r} closed the connection") from error
    except aiohttp.ClientResponseError as error:
        raise CriError(f"registry {host!r}: its answer is no HTTP: {_bounded(error.message)}") from error
    except aiohttp.ClientError as error:
        raise CriError(f"registry {host!r}: {_bounded(str(error)) or type(error).__name__}") from error


class BrokenDownload(RegistryUnavailable):
    """The connection ended in the middle; what came may be continued."""
