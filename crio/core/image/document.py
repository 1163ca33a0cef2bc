"""Reading JSON that somebody else wrote: bounded, typed, and with errors that name the place.

``parse_object`` turns bytes into ``Fields``; every getter of ``Fields`` checks the type of one member, treats JSON null
like an absent member (as the Go tools do) and raises ``BadDocument`` with the path of the member.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from crio.core.image.errors import BadDocument

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

DOCUMENT_LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fields:
    """The members of one JSON object and the path at which it stood."""

    path: str
    values: Mapping[str, JsonValue]

    def has(self, key: str) -> bool:
        """Whether the member is there and not null."""
        return self.values.get(key) is not None

    def text(self, key: str, default: str = "") -> str:
        """The string at ``key``."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(key, "a string")
        return value

    def whole(self, key: str, default: int = 0) -> int:
        """The whole number at ``key``; true and false are not numbers."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(key, "a whole number")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """The boolean at ``key``."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def child(self, key: str) -> Fields:
        """The object at ``key``; an empty one when it is absent."""
        value = self.values.get(key)
        if value is None:
            return Fields(self._at(key), {})
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return Fields(self._at(key), value)

    def children(self, key: str) -> tuple[Fields, ...]:
        """The objects of the list at ``key``; a list member that is no object is an error."""
        found: list[Fields] = []
        for number, item in enumerate(self.items(key)):
            if not isinstance(item, dict):
                raise self.wrong(f"{key}[{number}]", "an object")
            found.append(Fields(f"{self._at(key)}[{number}]", item))
        return tuple(found)

    def items(self, key: str) -> list[JsonValue]:
        """The list at ``key``; empty when it is absent."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """The strings of the list at ``key``."""
        found: list[str] = []
        for number, item in enumerate(self.items(key)):
            if not isinstance(item, str):
                raise self.wrong(f"{key}[{number}]", "a string")
            found.append(item)
        return tuple(found)

    def text_map(self, key: str) -> dict[str, str]:
        """The object of strings at ``key``; null values read as empty."""
        child = self.child(key)
        return {name: child.text(name) for name in child.values}

    def only(self, allowed: frozenset[str]) -> None:
        """Raises when the object has a member that is not in ``allowed``."""
        for key in self.values:
            if key not in allowed:
                raise BadDocument(f"{self._at(key)}: unknown key, expected one of {', '.join(sorted(allowed))}")

    def wrong(self, key: str, expected: str) -> BadDocument:
        """The error for a member that is not what was expected."""
        value = self.values.get(key)
        shown = json.dumps(value)[:60] if value is not None else "nothing"
        return BadDocument(f"{self._at(key)}: expected {expected}, got {shown}")

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def parse_object(body: bytes, what: str, *, limit_bytes: int = DOCUMENT_LIMIT_BYTES, unique_keys: bool = False) -> Fields:
    """Parses a JSON object.

    :param what: what the document is, the first word of every error's path
    :param unique_keys: refuse an object that names a member twice
    :raises BadDocument: too long, not UTF-8, not JSON, nested too deep, not an object, or a repeated member
    """
    if len(body) > limit_bytes:
        raise BadDocument(f"{what}: {len(body)} bytes, more than the limit of {limit_bytes}")
    hook = _refuse_duplicates if unique_keys else None
    try:
        value: JsonValue = json.loads(body.decode("utf-8"), object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        raise BadDocument(f"{what}: not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadDocument(f"{what}: expected a JSON object, got {type(value).__name__}")
    return Fields(what, value)


def _refuse_duplicates(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    seen: dict[str, JsonValue] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"key {key!r} appears twice")
        seen[key] = value
    return seen
