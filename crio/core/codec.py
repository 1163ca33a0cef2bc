"""Frozen dataclasses to JSON values and back, driven by their type hints.

Used for records on disk that only this program writes. Reading is strict about types and lenient about members: an unknown
member is ignored (a newer version wrote it), an absent one takes the field's default, and anything else raises ``ValueError``
that names the path of the bad member.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

Json = Union[None, bool, int, float, str, list["Json"], dict[str, "Json"]]  # noqa: UP007 (recursive alias)
T = TypeVar("T")


def encode(value: object) -> Json:
    """The JSON value of a dataclass tree; members equal to their default are left out."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        members: dict[str, Json] = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if field.default is dataclasses.MISSING or item != field.default:
                members[field.name] = encode(item)
        return members
    raise TypeError(f"{type(value).__name__} has no JSON form")


def decode(kind: type[T], value: Json, path: str = "") -> T:
    """The dataclass of ``kind`` that ``value`` describes; raises ValueError naming the member that does not fit."""
    decoded = _decode(kind, value, path or kind.__name__)
    return typing.cast(T, decoded)


@functools.cache
def _hints(kind: type) -> dict[str, object]:
    return get_type_hints(kind)


def _decode(kind: object, value: Json, path: str) -> object:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = [option for option in get_args(kind) if option is not type(None)]
        return None if value is None else _decode(inner[0], value, path)
    if origin is tuple:
        return _decode_tuple(get_args(kind), value, path)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise ValueError(f"{path}: expected an object, found {value!r}")
        inner_kind = get_args(kind)[1]
        return types.MappingProxyType({key: _decode(inner_kind, item, f"{path}.{key}") for key, item in value.items()})
    kind = getattr(kind, "__supertype__", kind)
    assert isinstance(kind, type)
    if issubclass(kind, enum.Enum):
        if not isinstance(value, str) or value not in kind.__members__:
            raise ValueError(f"{path}: {value!r} is none of {', '.join(kind.__members__)}")
        return kind[value]
    if dataclasses.is_dataclass(kind):
        return _decode_members(kind, value, path)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{path}: expected {kind.__name__}, found {value!r}")
    return value


def _decode_tuple(kinds: tuple[object, ...], value: Json, path: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{path}: expected a list, found {value!r}")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{path}: expected {len(kinds)} items, found {len(value)}")
    return tuple(_decode(kind, item, f"{path}[{index}]") for index, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _decode_members(kind: type, value: Json, path: str) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected an object, found {value!r}")
    hints = _hints(kind)
    members = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            members[field.name] = _decode(hints[field.name], value[field.name], f"{path}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{path}.{field.name} is missing")
    return kind(**members)
