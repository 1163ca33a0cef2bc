"""Names of images: the grammar, and the one normal form that everything inward uses.

A user writes ``busybox``, ``quay.io/a/b:1`` or ``host:5000/x@sha256:…``. ``parse_user_reference`` keeps the difference
between a name with a host (``Reference``) and one without (``ShortName``), because the second has to be resolved by the
short-name rules; ``parse_reference`` applies Docker's old defaults (``docker.io``, ``library/``), as names in the store
were written by them.

Source: the reference grammar of the OCI distribution specification and its Docker predecessor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from crio.core.image.digest import Digest, parse_digest
from crio.core.image.errors import BadReference

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
LEGACY_HOST = "index.docker.io"
MAX_NAME_LENGTH = 255

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_BARE_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name with a host; ``str()`` gives the form in which the store keeps it."""

    host: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @property
    def repository(self) -> str:
        """``host/path``."""
        return f"{self.host}/{self.path}"

    def __str__(self) -> str:
        return self.repository + _suffix(self.tag, self.digest)

    @property
    def selector(self) -> str:
        """What a registry is asked for: the digest when there is one, else the tag, else ``latest``."""
        return str(self.digest) if self.digest is not None else self.tag or DEFAULT_TAG

    def settled(self) -> Reference:
        """The form to pull and to store: a digest drops the tag, nothing at all becomes ``latest``."""
        if self.digest is not None:
            return replace(self, tag=None)
        return replace(self, tag=self.tag or DEFAULT_TAG)


@dataclass(frozen=True, slots=True)
class ShortName:
    """A name without a host, as the user wrote it."""

    path: str
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        return self.path + _suffix(self.tag, self.digest)

    def below(self, prefix: str) -> Reference:
        """The full reference when ``prefix`` (host, or host and path) is put in front."""
        return parse_reference(f"{prefix}/{self}")

    def renamed(self, repository: str) -> Reference:
        """The full reference when an alias says that this name means ``repository``; tag and digest are kept."""
        base = parse_reference(repository)
        return replace(base, tag=self.tag, digest=self.digest)


def parse_user_reference(text: str) -> Reference | ShortName:
    """Parses what a user wrote, without guessing a host.

    :raises BadReference: names the text and the rule that it breaks
    """
    name, tag, digest = _split(text)
    first, slash, rest = name.partition("/")
    if slash and _is_host(first):
        host, path = _canonical(_checked_host(first, text), rest)
        return Reference(host, _checked_path(path, text, len(host) + 1), tag, digest)
    return ShortName(_checked_path(name, text, 0), tag, digest)


def parse_reference(text: str) -> Reference:
    """Parses a name and applies the default host ``docker.io`` (and ``library/``) when it has none.

    :raises BadReference: names the text and the rule that it breaks
    """
    parsed = parse_user_reference(text)
    if isinstance(parsed, Reference):
        return parsed
    host, path = _canonical(DEFAULT_HOST, parsed.path)
    return Reference(host, path, parsed.tag, parsed.digest)


def _split(text: str) -> tuple[str, str | None, Digest | None]:
    if not text:
        raise BadReference("image: expected a reference such as registry.example/name:tag, got an empty string")
    if len(text) > 1024:
        raise BadReference(f"image {text[:80]!r}…: {len(text)} characters, more than any reference has")
    if _BARE_ID.fullmatch(text):
        raise BadReference(f"image {text!r}: 64 hex digits are an image id, expected a name")
    name, at, digest_text = text.partition("@")
    digest = parse_digest(digest_text, f"image {text!r}: digest") if at else None
    tag: str | None = None
    colon = name.rfind(":")
    if colon > name.rfind("/"):
        name, tag = name[:colon], name[colon + 1 :]
        if _TAG.fullmatch(tag) is None:
            raise BadReference(f"image {text!r}: tag {tag!r} must be 1 to 128 of A-Z a-z 0-9 _ . - and not start with . or -")
    return name, tag, digest


def _is_host(component: str) -> bool:
    """A first component is a host when it cannot be the start of a path. Source: specification D.3."""
    return component == "localhost" or any(mark in component for mark in ".:") or component != component.lower()


def _checked_host(host: str, text: str) -> str:
    if _HOST.fullmatch(host) is None:
        raise BadReference(f"image {text!r}: {host!r} is not a host name with an optional port")
    return host


def _checked_path(path: str, text: str, used: int) -> str:
    for component in path.split("/"):
        if _COMPONENT.fullmatch(component) is None:
            raise BadReference(
                f"image {text!r}: component {component!r} must be lower-case letters and digits, joined by one of . _ __ or dashes"
            )
    if len(path) + used > MAX_NAME_LENGTH:
        raise BadReference(f"image {text[:80]!r}…: the name is longer than {MAX_NAME_LENGTH} characters")
    return path


def _canonical(host: str, path: str) -> tuple[str, str]:
    if host == LEGACY_HOST:
        host = DEFAULT_HOST
    if host == DEFAULT_HOST and "/" not in path:
        path = f"library/{path}"
    return host, path


def _suffix(tag: str | None, digest: Digest | None) -> str:
    return (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
