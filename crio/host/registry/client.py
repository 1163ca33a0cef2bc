"""One registry during one pull: authentication, manifests and blobs.

The ping decides between HTTPS and HTTP (only for a registry marked insecure) and brings the challenge, so that an ordinary pull
sees one 401. Tokens are kept per scope until they expire; a 401 later on is answered once with a fresh token for the scope that
the registry then asks for.

Source: OCI distribution specification; specification E.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from yarl import URL

from crio.core.errors import CriError
from crio.core.image import mediatypes
from crio.core.image.auth import Credentials
from crio.core.image.challenge import (
    TOKEN_REPLY_LIMIT_BYTES,
    Challenge,
    Scheme,
    Token,
    first_challenge,
    parse_token_reply,
    pull_scope,
)
from crio.core.image.digest import Digest
from crio.core.image.document import DOCUMENT_LIMIT_BYTES
from crio.core.image.errors import BadDocument, DigestMismatch, RegistryUnauthorized
from crio.core.image.reference import DEFAULT_HOST, Reference
from crio.core.image.replies import content_range_start, error_for_status
from crio.host.registry.ahead import RangeBudget
from crio.host.registry.http import Request, Web, read_bounded

HUB_API_HOST = "registry-1.docker.io"
CLIENT_ID = "containers/image"
ERROR_BODY_LIMIT_BYTES = 64 * 1024
_VERSION_HEADER = ("Docker-Distribution-Api-Version", "registry/2.0")
_MANIFEST_HEADERS = tuple(("Accept", media_type) for media_type in mediatypes.ACCEPTED_MANIFESTS)


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """The bytes of a manifest and what the registry called them."""

    body: bytes
    content_type: str


class RegistryClient:
    """Talks to the registry of one endpoint."""

    def __init__(self, web: Web, reference: Reference, credentials: Credentials | None, *, insecure: bool) -> None:
        self._web = web
        self._reference = reference
        self._credentials = credentials or Credentials()
        self._insecure = insecure
        self._base = ""
        self._challenge: Challenge | None = None
        self._tokens: dict[str, tuple[Token, float]] = {}
        self._token_lock = asyncio.Lock()

    @property
    def host(self) -> str:
        """The host as the reference names it."""
        return self._reference.host

    @property
    def stall_s(self) -> float:
        """How long the registry may send nothing."""
        return self._web.stall_s

    @property
    def ranges(self) -> RangeBudget:
        """What large blobs may take besides their connection."""
        return self._web.ranges

    async def ping(self) -> None:
        """Finds the scheme and the challenge; must come first.

        :raises RegistryUnavailable: nobody there
        :raises CriError: somebody there who is no registry, or who wants TLS that fails
        """
        api_host = HUB_API_HOST if self.host == DEFAULT_HOST else self.host
        failure: CriError | None = None
        for scheme in ("https", "http") if self._insecure else ("https",):
            base = f"{scheme}://{api_host}/v2/"
            try:
                await self._ping(base)
            except CriError as error:
                failure = failure or error
            else:
                self._base = base
                return
        assert failure is not None
        raise failure

    async def _ping(self, base: str) -> None:
        request = Request(base, self.host, self._insecure, (_VERSION_HEADER,))
        async with self._web.open(request) as response:
            body = await read_bounded(response, ERROR_BODY_LIMIT_BYTES)
            if response.status not in {200, 401}:
                raise error_for_status(response.status, body, f"registry {self.host!r}, ping")
            if response.status == 401:
                self._challenge = first_challenge(response.headers.getall("WWW-Authenticate", []))

    async def manifest(self, selector: str) -> FetchedManifest:
        """The manifest of a tag or digest, as bytes that nobody has checked yet.

        :raises ManifestUnknown: the registry does not have it
        :raises RegistryUnauthorized: it wants other credentials
        """
        asked = f"reading manifest {selector} in {self._reference.repository}"
        url = f"{self._base}{self._reference.path}/manifests/{selector}"
        async with self._open(url, _MANIFEST_HEADERS) as response:
            await _expect(response, 200, asked)
            body = await read_bounded(response, DOCUMENT_LIMIT_BYTES)
            return FetchedManifest(body, response.headers.get("Content-Type", ""))

    async def small_blob(self, digest: Digest, limit_bytes: int = DOCUMENT_LIMIT_BYTES) -> bytes:
        """A blob that fits in memory, its digest checked.

        :raises DigestMismatch: the registry sent something else
        """
        asked = f"reading blob {digest} in {self._reference.repository}"
        async with self._open(self._blob_url(digest), ()) as response:
            await _expect(response, 200, asked)
            body = await read_bounded(response, limit_bytes)
        if not digest.matches(body):
            raise DigestMismatch(f"{asked}: the content has another digest")
        return body

    @contextlib.asynccontextmanager
    async def blob(self, digest: Digest, offset: int = 0, last: int | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response with a blob from byte ``offset`` on (to byte ``last``), its body unread and unchecked.

        :raises CannotResume: the registry does not continue at the offset that it was asked for
        """
        asked = f"reading blob {digest} in {self._reference.repository}"
        async with self._open(self._blob_url(digest), _range_headers(offset, last)) as response:
            await _expect_part(response, offset, asked)
            yield response

    def elsewhere(self, url: str) -> ElsewhereClient:
        """Reads a blob from an address outside of the registry, without credentials."""
        return ElsewhereClient(self._web, url)

    def _blob_url(self, digest: Digest) -> str:
        return f"{self._base}{self._reference.path}/blobs/{digest}"

    @contextlib.asynccontextmanager
    async def _open(self, url: str, headers: tuple[tuple[str, str], ...]) -> AsyncIterator[aiohttp.ClientResponse]:
        scope = pull_scope(self._reference.path)
        async with contextlib.AsyncExitStack() as stack:
            secret = await self._authorization(scope)
            response = await stack.enter_async_context(self._web.open(self._request(url, headers, secret)))
            challenge = self._new_challenge(response, secret)
            if challenge is not None:
                await stack.aclose()
                self._challenge = challenge
                self._tokens.pop(scope, None)
                secret = await self._authorization(challenge.scope or scope)
                response = await stack.enter_async_context(self._web.open(self._request(url, headers, secret)))
            yield response

    def _request(self, url: str, headers: tuple[tuple[str, str], ...], secret: str) -> Request:
        return Request(url, self.host, self._insecure, (_VERSION_HEADER, *headers), secret)

    def _new_challenge(self, response: aiohttp.ClientResponse, secret: str) -> Challenge | None:
        """The challenge of a 401 that is worth another try: the registry's own, and something not tried yet."""
        if response.status != 401 or response.url.origin() != URL(self._base).origin():
            return None
        challenge = first_challenge(response.headers.getall("WWW-Authenticate", []))
        if challenge is None or self._credentials.registry_token:
            return None
        if challenge.scheme is Scheme.BASIC and (secret or not self._credentials.username):
            return None
        return challenge

    async def _authorization(self, scope: str) -> str:
        """The Authorization header for ``scope``; empty when none is needed or none can be had."""
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        challenge = self._challenge
        if challenge is None:
            return ""
        if challenge.scheme is Scheme.BASIC:
            return self._credentials.basic() if self._credentials.username else ""
        async with self._token_lock:
            kept = self._tokens.get(scope)
            if kept is None or kept[1] <= time.monotonic():
                asked_at = time.monotonic()
                token = await self._fetch_token(challenge, scope)
                kept = (token, asked_at + token.life_s)
                self._tokens[scope] = kept
        return f"Bearer {kept[0].text}"

    async def _fetch_token(self, challenge: Challenge, scope: str) -> Token:
        asked = f"registry {self.host!r}: asking {challenge.realm} for a token"
        async with self._web.open(self._token_request(challenge, scope)) as response:
            body = await read_bounded(response, TOKEN_REPLY_LIMIT_BYTES)
            if response.status != 200:
                raise error_for_status(response.status, body, asked)
        return parse_token_reply(body)

    def _token_request(self, challenge: Challenge, scope: str) -> Request:
        credentials = self._credentials
        try:
            realm = URL(challenge.realm)
        except ValueError as error:
            raise BadDocument(f"registry {self.host!r}: token realm {challenge.realm[:200]!r} is no URL") from error
        if realm.scheme != "https" and not (self._insecure and realm.scheme == "http"):
            raise RegistryUnauthorized(f"registry {self.host!r}: token realm {challenge.realm[:200]!r} is not https")
        # An insecure registry may have any certificate; its token server elsewhere is judged by its own name.
        host = self.host if realm.authority == URL(self._base or "http://-").authority else realm.authority
        if credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": credentials.identity_token,
                "service": challenge.service,
                "scope": scope,
                "client_id": CLIENT_ID,
            }
            return Request(str(realm), host, self._insecure, form=form)
        query = [("scope", scope)]
        if challenge.service:
            query.append(("service", challenge.service))
        if credentials.username:
            query.insert(0, ("account", credentials.username))
        secret = credentials.basic() if credentials.username else ""
        return Request(str(realm.update_query(query)), host, self._insecure, secret=secret)


class ElsewhereClient:
    """One blob at a plain address, for foreign layers."""

    def __init__(self, web: Web, url: str) -> None:
        self._web = web
        self._url = url

    @property
    def stall_s(self) -> float:
        """How long the server may send nothing."""
        return self._web.stall_s

    @property
    def ranges(self) -> RangeBudget:
        """What large blobs may take besides their connection."""
        return self._web.ranges

    @contextlib.asynccontextmanager
    async def blob(self, digest: Digest, offset: int = 0, last: int | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response with the blob from byte ``offset`` on (to byte ``last``)."""
        headers = _range_headers(offset, last)
        host = URL(self._url).authority
        async with self._web.open(Request(self._url, host, self._url.startswith("http:"), headers)) as response:
            await _expect_part(response, offset, f"reading layer {digest} at {host}")
            yield response


def _range_headers(offset: int, last: int | None) -> tuple[tuple[str, str], ...]:
    if not offset and last is None:
        return ()
    return (("Range", f"bytes={offset}-{'' if last is None else last}"),)


async def _expect_part(response: aiohttp.ClientResponse, offset: int, asked: str) -> None:
    if offset and response.status == 200:
        raise CannotResume(f"{asked}: cut at byte {offset}, and the registry cannot resume")
    await _expect(response, 206 if offset else 200, asked)
    if offset and content_range_start(response.headers.get("Content-Range", "")) != offset:
        raise CannotResume(f"{asked}: the registry resumed at another byte than {offset}")


async def _expect(response: aiohttp.ClientResponse, status: int, asked: str) -> None:
    if response.status != status:
        raise error_for_status(response.status, await read_bounded(response, ERROR_BODY_LIMIT_BYTES), asked)


class CannotResume(CriError):
    """The registry cannot give the rest of a blob whose transfer broke; the next transfer may not break."""

    passing = True
