"""A parsed TOML document to assignments of typed values, and assignments to ``Settings``.

A document never becomes settings directly: it becomes a list of assignments, which ``layers`` puts on top of those of
other documents. Unknown keys and values of the wrong kind become findings; the rest of the document still counts, so
that one start shows every mistake.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from crio.core.settings.convert import RefusedValueError, describe, from_toml
from crio.core.settings.findings import UNKNOWN_KEY, Finding, Severity, nearest_name
from crio.core.settings.schema import Path, Setting, SubTable, TableSchema, schema_of
from crio.core.settings.values import TABLES, Settings

T = TypeVar("T")
_TOP: Final = "crio"


@dataclasses.dataclass(frozen=True, slots=True)
class Assignment:
    """One key with its typed value; for ``runtimes`` and ``workloads`` one entry with its whole table."""

    path: Path
    value: object


@dataclasses.dataclass(slots=True)
class Decoded:
    """What a document says: assignments in file order, and what was found wrong with it."""

    assignments: list[Assignment] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)


def decode(document: Mapping[str, object]) -> Decoded:
    """Read a whole document; everything valid is below ``[crio]``."""
    decoded = Decoded()
    for key, raw in document.items():
        if key != _TOP:
            decoded.findings.append(_unknown((key,), (_TOP,)))
        elif not isinstance(raw, dict):
            decoded.findings.append(_not_a_table((key,), raw))
        else:
            _decode_table(_table_schema((_TOP,)), (_TOP,), raw, decoded)
    return decoded


def assemble(effective: Mapping[Path, object]) -> Settings:
    """The built-in settings with the values of ``effective`` in their places; named tables are added or replaced."""
    settings = Settings()
    changes: dict[str, object] = {}
    for table in TABLES.values():
        current: object = getattr(settings, table.attribute)
        assembled = _replace(current, schema_of(table.table_type, table.path), effective)
        if assembled is not current:
            changes[table.attribute] = assembled
    return with_fields(settings, changes)


def _table_schema(path: Path) -> TableSchema:
    return schema_of(TABLES[path].table_type, path)


def _decode_table(schema: TableSchema, path: Path, raw: Mapping[str, object], decoded: Decoded) -> None:
    for key, value in raw.items():
        here = (*path, key)
        setting, sub_table = schema.setting(key), schema.sub_table(key)
        if setting is not None:
            if (typed := _decode_value(setting, here, value, decoded)) is not None:
                decoded.assignments.append(Assignment(here, typed))
        elif sub_table is None and here not in TABLES:
            decoded.findings.append(_unknown(here, _keys_in(path, schema)))
        elif not isinstance(value, dict):
            decoded.findings.append(_not_a_table(here, value))
        elif sub_table is None:
            _decode_table(_table_schema(here), here, value, decoded)
        elif sub_table.is_single:
            _decode_table(schema_of(sub_table.entry_type, here), here, value, decoded)
        else:
            _decode_entries(sub_table, value, decoded)


def _decode_entries(sub_table: SubTable, raw: Mapping[str, object], decoded: Decoded) -> None:
    for name, entry in raw.items():
        here = (*sub_table.path, name)
        if isinstance(entry, dict):
            value = _decode_entry(sub_table.entry_type, here, entry, decoded)
            decoded.assignments.append(Assignment(here, value))
        else:
            decoded.findings.append(_not_a_table(here, entry))


def _decode_entry(entry_type: type[T], path: Path, raw: Mapping[str, object], decoded: Decoded) -> T:
    """One named table as a value: what it does not say has the entry type's defaults, not an earlier file's values."""
    inner = Decoded()
    schema = schema_of(entry_type, path)
    _decode_table(schema, path, raw, inner)
    decoded.findings += inner.findings
    values = {assignment.path: assignment.value for assignment in inner.assignments}
    return _replace(entry_type(), schema, values)


def _replace(current: T, schema: TableSchema, effective: Mapping[Path, object]) -> T:
    changes: dict[str, object] = {setting.key: effective[setting.path] for setting in schema.settings if setting.path in effective}
    for sub in schema.sub_tables:
        inner: object = getattr(current, sub.key)
        if sub.is_single:
            replaced = _replace(inner, schema_of(sub.entry_type, sub.path), effective)
            if replaced is not inner:
                changes[sub.key] = replaced
        elif entries := {path[-1]: value for path, value in effective.items() if path[:-1] == sub.path}:
            assert isinstance(inner, Mapping)
            changes[sub.key] = MappingProxyType({**inner, **entries})
    return with_fields(current, changes) if changes else current


def with_fields(current: T, changes: Mapping[str, object]) -> T:
    """A copy with other values in some fields; the decoder has seen to their types."""
    assert dataclasses.is_dataclass(current) and not isinstance(current, type)
    return dataclasses.replace(current, **changes)


def _decode_value(setting: Setting, path: Path, raw: object, decoded: Decoded) -> object:
    try:
        return from_toml(setting, raw)
    except RefusedValueError as refused:
        decoded.findings.append(
            Finding(
                severity=Severity.ERROR,
                path=path,
                problem="bad value",
                value=refused.value,
                expected=refused.expected,
                nearest=refused.nearest,
            )
        )
        return None


def _keys_in(path: Path, schema: TableSchema) -> Iterator[str]:
    yield from schema.keys
    yield from (table_path[-1] for table_path in TABLES if table_path[:-1] == path)


def _unknown(path: Path, candidates: Iterator[str] | Path) -> Finding:
    nearest = nearest_name(path[-1], candidates) or _same_key_elsewhere(path[-1])
    return Finding(severity=Severity.WARNING, path=path, problem=UNKNOWN_KEY, nearest=nearest)


def _same_key_elsewhere(key: str) -> str:
    """The table in which a key is valid when it stands in another one, the mistake that a missing header makes."""
    for path, table in TABLES.items():
        if schema_of(table.table_type, path).setting(key) is not None:
            return f"[{'.'.join(path)}] {key}"
    return f"[{_TOP}.{key}]" if (_TOP, key) in TABLES else ""


def _not_a_table(path: Path, raw: object) -> Finding:
    name = ".".join(path)
    return Finding(severity=Severity.ERROR, path=path, problem="bad value", value=describe(raw), expected=f"the table [{name}]")
