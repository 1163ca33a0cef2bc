"""Sources of settings on top of each other: defaults, storage.conf, files, environment and flags.

Rules: a later source replaces the value of an earlier one, lists included; ``storage_option`` of a file is added to
what is there, without duplicates, the last of which stays; an empty ``root``, ``runroot`` or ``storage_driver`` inherits
what is below. Every value keeps the name of the source that it came from. Source: crio-interfaces §2.1.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from crio.core.settings.catalogue import find_setting
from crio.core.settings.convert import describe
from crio.core.settings.decode import Assignment
from crio.core.settings.findings import Finding, Severity
from crio.core.settings.schema import Path

STORAGE_OPTION: Final = ("crio", "storage_option")
_INHERITED_WHEN_EMPTY: Final = frozenset((("crio", "root"), ("crio", "runroot"), ("crio", "storage_driver")))


class SourceKind(enum.Enum):
    """Where a value can come from, from the weakest to the strongest."""

    HOST = "host"
    STORAGE_CONF = "storage.conf"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Source:
    """One place that settings come from; ``name`` is a path, a variable or a flag."""

    kind: SourceKind
    name: str

    def __str__(self) -> str:
        return self.name if self.kind in (SourceKind.FILE, SourceKind.STORAGE_CONF) else f"{self.kind.value} {self.name}"


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says."""

    source: Source
    assignments: Sequence[Assignment]


@dataclass(slots=True)
class Merged:
    """The effective values, the source of each, and notes about values that another source covers."""

    effective: dict[Path, object] = field(default_factory=dict)
    provenance: dict[Path, Source] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def merge(layers: Sequence[Layer]) -> Merged:
    """Put ``layers`` on top of each other, the first at the bottom."""
    merged = Merged()
    for layer in layers:
        for assignment in layer.assignments:
            _put(merged, layer.source, assignment)
    merged.findings += [finding for path in merged.effective for finding in _deprecation(path, merged)]
    return merged


def _put(merged: Merged, source: Source, assignment: Assignment) -> None:
    path, value = assignment.path, assignment.value
    if path in _INHERITED_WHEN_EMPTY and not value:
        return
    earlier = merged.effective.get(path)
    if path == STORAGE_OPTION and source.kind is SourceKind.FILE:
        assert isinstance(value, tuple) and (earlier is None or isinstance(earlier, tuple))
        value = _without_duplicates((*(earlier or ()), *value))
    elif earlier is not None and earlier != value and merged.provenance[path].kind is SourceKind.FILE:
        merged.findings.append(_shadowed(path, merged.provenance[path], source, earlier))
    merged.effective[path] = value
    merged.provenance[path] = source


def _without_duplicates(entries: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(reversed(dict.fromkeys(reversed(entries))))


def _shadowed(path: Path, earlier: Source, later: Source, value: object) -> Finding:
    shown = describe(value) if find_setting(path) is not None else None
    return Finding(severity=Severity.NOTE, path=path, problem=f"replaced by {later}, which is read later:", value=shown, file=earlier.name)


def _deprecation(path: Path, merged: Merged) -> list[Finding]:
    setting = find_setting(path)
    source = merged.provenance[path]
    is_ours = source.kind in (SourceKind.HOST, SourceKind.STORAGE_CONF)
    if setting is None or not setting.deprecated or is_ours or merged.effective[path] == setting.default:
        return []
    return [Finding(severity=Severity.WARNING, path=path, problem=f"deprecated: {setting.deprecated}")]
