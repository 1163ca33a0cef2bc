"""Reading JSON of unknown origin into typed values.

The store's indexes are written by several programs of several ages. A reader accepts unknown keys (and keeps them), keys in
another case (Go decodes case-insensitively) and ``null`` for "empty"; it refuses a value of the wrong type with a sentence
that names the file, the record and the key. Nothing inward of this module sees a plain dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

from crio.core.errors import Internal

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = Mapping[str, JsonValue]

EMPTY: JsonObject = {}

_Scalar = TypeVar("_Scalar", str, int)


class DamagedStore(Internal):
    """A file of the store does not hold what its format says; the file is left as it is."""


class Fields:
    """The keys of one JSON object, taken one by one; what nobody took is ``rest()``."""

    __slots__ = ("_left", "_what")

    def __init__(self, value: JsonValue, known: frozenset[str], what: str) -> None:
        if not isinstance(value, dict):
            raise DamagedStore(f"{what}: expected a JSON object, found {type(value).__name__}")
        self._what = what
        self._left: dict[str, JsonValue] = {
            (key if key in known or key.lower() not in known else key.lower()): item for key, item in value.items()
        }

    def rest(self) -> JsonObject:
        """Everything that was not taken: keys of newer or other programs, to be written back unchanged."""
        return self._left

    def text(self, key: str) -> str:
        """A string; absent and null mean the empty one."""
        value = self._left.pop(key, None)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        return value

    def needed_text(self, key: str) -> str:
        """A string that must be there and not be empty."""
        value = self.text(key)
        if not value:
            raise DamagedStore(f"{self._what}: key {key!r} is missing or empty, expected a string")
        return value

    def number(self, key: str) -> int:
        """An integer; absent and null mean 0."""
        value = self._left.pop(key, None)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, value, "an integer")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of strings; absent and null mean the empty one."""
        return tuple(self._item(key, item, str) for item in self._array(key))

    def numbers(self, key: str) -> tuple[int, ...]:
        """An array of integers; absent and null mean the empty one."""
        return tuple(self._item(key, item, int) for item in self._array(key))

    def objects(self, key: str) -> list[JsonValue]:
        """An array whose items the caller decodes."""
        return self._array(key)

    def text_map(self, key: str) -> Mapping[str, str]:
        """An object of strings."""
        return {name: self._item(key, item, str) for name, item in self.object(key).items()}

    def number_map(self, key: str) -> Mapping[str, int]:
        """An object of integers."""
        return {name: self._item(key, item, int) for name, item in self.object(key).items()}

    def object(self, key: str) -> JsonObject:
        """A free-form object, kept as it is; absent and null mean the empty one."""
        value = self._left.pop(key, None)
        if value is None:
            return EMPTY
        if not isinstance(value, dict):
            raise self._wrong(key, value, "an object")
        return value

    def _array(self, key: str) -> list[JsonValue]:
        value = self._left.pop(key, None)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, value, "an array")
        return value

    def _item(self, key: str, value: JsonValue, kind: type[_Scalar]) -> _Scalar:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._wrong(key, value, f"{kind.__name__} items")
        return value

    def _wrong(self, key: str, value: JsonValue, expected: str) -> DamagedStore:
        return DamagedStore(f"{self._what}: key {key!r} is {value!r}, expected {expected}")
