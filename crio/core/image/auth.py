"""Credentials for registries: what a request carries, and what an auth file says about a repository.

Source: containers-auth.json(5); specification D.8; CRI ``AuthConfig``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from crio.core.errors import InvalidArgument
from crio.core.image.document import Fields, parse_object
from crio.core.image.errors import BadConfigFile, BadDocument

TOKEN_USER = "<token>"
_HUB = "docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to introduce ourselves; ``repr`` never shows a secret."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it, which means anonymous."""
        return not (self.username or self.password or self.identity_token or self.registry_token)

    def basic(self) -> str:
        """The value of an ``Authorization: Basic`` header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class AuthFields:
    """The members of a CRI ``AuthConfig``."""

    username: str = ""
    password: str = field(default="", repr=False)
    auth: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)


def credentials_of_request(fields: AuthFields) -> Credentials | None:
    """The credentials of a pull request, or None when it brings none.

    :raises InvalidArgument: ``auth`` is not base64 of ``user:password``
    """
    username, password = fields.username, fields.password
    if fields.auth and not username:
        try:
            username, password = decode_auth(fields.auth)
        except ValueError as error:
            raise InvalidArgument("auth.auth: expected base64 of user:password") from error
    found = Credentials(username, password, fields.identity_token, fields.registry_token)
    return None if found.is_empty else found


def decode_auth(text: str) -> tuple[str, str]:
    """Splits base64 of ``user:password``; some writers pad the password with NUL bytes.

    :raises ValueError: not base64, not UTF-8, no colon
    """
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not base64 of UTF-8") from error
    user, colon, password = decoded.partition(":")
    if not colon:
        raise ValueError("no colon between user and password")
    return user, password.rstrip("\0")


@dataclass(frozen=True, slots=True)
class AuthFile:
    """A parsed auth file: entries by key, and the helper program for a host."""

    source: str
    entries: Mapping[str, Credentials]
    helpers: Mapping[str, str]


def parse_auth_file(body: bytes, source: str, *, flat: bool = False) -> AuthFile:
    """Parses an auth file.

    :param flat: the oldest format, ``.dockercfg``: the entries without ``auths`` around them
    :raises BadConfigFile: names the file and the member, never the secret
    """
    if not body.strip():
        return AuthFile(source, {}, {})
    try:
        fields = parse_object(body, "")
        table = fields if flat else fields.child("auths")
        entries = {key: _entry(table.child(key)) for key in table.values}
        return AuthFile(source, entries, {} if flat else fields.text_map("credHelpers"))
    except BadDocument as error:
        raise BadConfigFile(f"{source}: {error.message}") from error


def _entry(fields: Fields) -> Credentials:
    token = fields.text("identitytoken")
    text = fields.text("auth")
    if not text:
        return Credentials(identity_token=token)
    try:
        user, password = decode_auth(text)
    except ValueError as error:
        raise BadDocument(f"{fields.path}.auth: expected base64 of user:password") from error
    return Credentials(user, password, token)


def helper_for(file: AuthFile, host: str) -> str | None:
    """The suffix of the helper program that knows the credentials of ``host``."""
    return file.helpers.get(host)


def find_entry(file: AuthFile, host: str, path: str) -> Credentials | None:
    """The entry for a repository: ``host/path`` first, then each parent, then the host in any of its spellings."""
    key = f"{host}/{path}"
    while True:
        if key in file.entries:
            return _useful(file.entries[key])
        shorter, slash, _ = key.rpartition("/")
        if not slash:
            break
        key = shorter
    wanted = normalised_host(host)
    for other, credentials in file.entries.items():
        if normalised_host(other) == wanted and not _is_namespaced(other):
            return _useful(credentials)
    return None


def _useful(credentials: Credentials) -> Credentials | None:
    return None if credentials.is_empty else credentials


def _is_namespaced(key: str) -> bool:
    """Whether a key names a path below a host, so that it does not speak for the whole host."""
    path = key.partition("://")[2] if "://" in key else key
    return path.partition("/")[2].strip("/") not in {"", "v1", "v2"}


def normalised_host(key: str) -> str:
    """The host of a key as old tools wrote it (``https://index.docker.io/v1/``); Docker Hub's names are one."""
    bare = key.partition("://")[2] if "://" in key else key
    host = bare.partition("/")[0]
    return _HUB if host in _HUB_NAMES else host


def parse_helper_reply(body: bytes, helper: str) -> Credentials | None:
    """The answer of a credential helper. Source: docker-credential-helpers protocol, ``get``.

    :raises BadConfigFile: the helper printed something else
    """
    try:
        fields = parse_object(body, f"docker-credential-{helper}")
        user, secret = fields.text("Username"), fields.text("Secret")
    except BadDocument as error:
        raise BadConfigFile(f"docker-credential-{helper}: did not print a JSON object of strings") from error
    found = Credentials(identity_token=secret) if user == TOKEN_USER else Credentials(user, secret)
    return None if found.is_empty else found
