"""A small uploader: a finished image into a registry over plain HTTP. Source: OCI distribution-spec, pushing."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from test.images.build import Built, Document
from test.images.layers import sha256

TIMEOUT_S = 60.0


class PushError(Exception):
    """The registry's answer to an upload was not the one that the protocol promises."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry said to one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Registry:
    """A connection to one registry, kept open over many requests; close it with ``close`` or a with statement."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """One request and its whole answer."""
        self._connection.request(method, path, body or None, dict(headers or {}))
        response = self._connection.getresponse()
        data = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, data)

    def _expect(self, answer: Answer, status: int, what: str) -> Answer:
        if answer.status != status:
            words = answer.body[:300].decode(errors="replace")
            raise PushError(f"{self.address}: {what}: expected status {status}, got {answer.status}: {words}")
        return answer

    def put_blob(self, repository: str, data: bytes) -> None:
        """Upload a blob, unless the repository has it."""
        digest = sha256(data)
        if self.request("HEAD", f"/v2/{repository}/blobs/{digest}").status == 200:
            return
        what = f"blob {digest} of {repository}"
        started = self._expect(self.request("POST", f"/v2/{repository}/blobs/uploads/"), 202, what)
        place = urllib.parse.urlsplit(started.headers["location"])
        query = "&".join(filter(None, [place.query, urllib.parse.urlencode({"digest": digest})]))
        headers = {"Content-Type": "application/octet-stream"}
        self._expect(self.request("PUT", f"{place.path}?{query}", data, headers), 201, what)

    def put_manifest(self, repository: str, name: str, document: Document) -> None:
        """Upload a manifest or list under a tag or its digest."""
        headers = {"Content-Type": document.media_type}
        answer = self.request("PUT", f"/v2/{repository}/manifests/{name}", document.data, headers)
        self._expect(answer, 201, f"manifest {name} of {repository}")

    def push(self, repository: str, tags: tuple[str, ...], built: Built) -> None:
        """Upload everything of an image, what is referred to before what refers to it, then its tags."""
        for data in built.blobs.values():
            self.put_blob(repository, data)
        for manifest in built.manifests:
            self.put_manifest(repository, manifest.digest, manifest)
        for tag in tags:
            self.put_manifest(repository, tag, built.top)
