"""What a registry demands when it answers 401, and the token that its token server hands out.

Source: RFC 9110 section 11.6.1; Docker token authentication; specification E.2.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crio.core.image.document import parse_object
from crio.core.image.errors import BadDocument

TOKEN_REPLY_LIMIT_BYTES = 1024 * 1024
MIN_TOKEN_LIFE_S = 60

_PARAMETER = re.compile(r"""\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)""")


class Scheme(enum.Enum):
    """The two ways in which registries want to be asked."""

    BASIC = "basic"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Challenge:
    """One supported challenge."""

    scheme: Scheme
    realm: str
    service: str = ""
    scope: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and how long it is good for from the moment it was asked for."""

    text: str
    life_s: int


def first_challenge(headers: Iterable[str]) -> Challenge | None:
    """The first supported challenge among the ``WWW-Authenticate`` header lines, or None."""
    for header in headers:
        word, _, rest = header.strip().partition(" ")
        parameters = _parameters(rest)
        if word.lower() == "basic":
            return Challenge(Scheme.BASIC, parameters.get("realm", ""))
        if word.lower() == "bearer" and parameters.get("realm"):
            return Challenge(
                Scheme.BEARER,
                parameters["realm"],
                parameters.get("service", ""),
                parameters.get("scope", ""),
                parameters.get("error", ""),
            )
    return None


def _parameters(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    position = 0
    while (match := _PARAMETER.match(text, position)) is not None:
        quoted, bare = match.group(2), match.group(3)
        found[match.group(1).lower()] = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = match.end()
    return found


def pull_scope(path: str) -> str:
    """The scope that a pull from repository ``path`` needs."""
    return f"repository:{path}:pull"


def parse_token_reply(body: bytes) -> Token:
    """The token of a token server's reply; a life under a minute counts as a minute.

    :raises BadDocument: malformed, too big, or without a token
    """
    fields = parse_object(body, "token reply", limit_bytes=TOKEN_REPLY_LIMIT_BYTES)
    text = fields.text("token") or fields.text("access_token")
    if not text:
        raise BadDocument("token reply: has neither token nor access_token")
    if not text.isprintable():
        raise BadDocument("token reply: the token has characters that no header may carry")
    return Token(text, max(fields.whole("expires_in", MIN_TOKEN_LIFE_S), MIN_TOKEN_LIFE_S))
