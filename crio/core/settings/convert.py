"""Texts and TOML values to values of a setting's kind, and back to text.

Nothing here knows the rules of a setting, except the enumeration that its type implies.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from crio.core.settings.findings import nearest_name
from crio.core.settings.schema import Kind, Setting, Value
from crio.core.settings.units import format_duration, parse_duration

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
_TRUE: Final = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class RefusedValueError(ValueError):
    """The value is not of the setting's kind: ``value`` as text, what was ``expected``, and the ``nearest`` choice."""

    def __init__(self, value: str, expected: str, nearest: str = "") -> None:
        super().__init__(f'bad value "{value}", expected {expected}')
        self.value = value
        self.expected = expected
        self.nearest = nearest


def from_text(setting: Setting, text: str) -> Value:
    """Read the value of a flag or variable. A list is split at commas and trimmed. Raises RefusedValueError."""
    match setting.kind:
        case Kind.BOOL:
            return _bool_from_text(text)
        case Kind.INTEGER:
            return _integer_from_text(text)
        case Kind.DURATION:
            return _duration(text)
        case Kind.LIST:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        case Kind.STRING:
            return _choice(setting, text)
        case _:
            raise RefusedValueError(text, "a table, which only the configuration file can hold")


def from_toml(setting: Setting, raw: object) -> Value:
    """Take a value that TOML parsed, if it is of the setting's kind. Raises RefusedValueError."""
    match setting.kind, raw:
        case Kind.BOOL, bool():
            return raw
        case Kind.INTEGER, int() if not isinstance(raw, bool):
            return _int64(raw)
        case Kind.DURATION, int() if not isinstance(raw, bool):
            return timedelta(microseconds=_int64(raw) / 1000)
        case Kind.DURATION, str():
            return _duration(raw)
        case Kind.STRING, str():
            return _choice(setting, raw)
        case Kind.LIST, list() if all(isinstance(one, str) for one in raw):
            return tuple(one for one in raw if isinstance(one, str))
        case Kind.MAP, dict() if all(isinstance(one, str) for one in raw.values()):
            return MappingProxyType({str(key): one for key, one in raw.items() if isinstance(one, str)})
    raise RefusedValueError(describe(raw), _EXPECTED[setting.kind])


_EXPECTED: Final[Mapping[Kind, str]] = {
    Kind.BOOL: "true or false without quotes",
    Kind.INTEGER: "an integer without quotes",
    Kind.DURATION: 'a duration such as "30s"',
    Kind.STRING: "a string in quotes",
    Kind.LIST: "a list of strings in quotes",
    Kind.MAP: "a table of strings in quotes",
}


def describe(value: object) -> str:
    """A value as short text for messages: TOML's spelling for scalars, comma-separated entries for lists."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={describe(one)}" for key, one in value.items())
    if isinstance(value, tuple | list):
        return ",".join(describe(one) for one in value)
    return str(value)


def _bool_from_text(text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise RefusedValueError(text, "true or false")


def _integer_from_text(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        raise RefusedValueError(text, "an integer") from None
    return _int64(number)


def _int64(number: int) -> int:
    if INT64_MIN <= number <= INT64_MAX:
        return number
    raise RefusedValueError(str(number), "an integer of 64 bits")


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:
        raise RefusedValueError(text, "a duration such as 30s or 1h30m") from None


def _choice(setting: Setting, text: str) -> str:
    choices: type[enum.StrEnum] | None = setting.choices
    if choices is None:
        return text
    try:
        return choices(text)
    except ValueError:
        names = [one.value for one in choices if one.value]
        raise RefusedValueError(text, "one of " + ", ".join(names), nearest_name(text, names)) from None
