"""The JSON values of a specification and the result of building one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

JsonValue: TypeAlias = "None | bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue]"
Document: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class BuiltSpec:
    """An OCI ``config.json`` and one sentence for each value that the host made us clamp or drop."""

    document: Document
    warnings: tuple[str, ...] = ()


def without_empty(members: Mapping[str, JsonValue]) -> Document:
    """The members whose value is not None and not an empty text, list or object; numbers and false stay."""
    return {key: value for key, value in members.items() if value is not None and value not in ("", (), [], {})}
