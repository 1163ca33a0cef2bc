"""Every setting in the order of the file: what generators, flags and messages look up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crio.core.settings.schema import Path, Setting, SubTable, TableSchema, schema_of
from crio.core.settings.values import TABLES


def walk() -> Iterator[Setting | SubTable]:
    """Every setting and every table of named tables; the fields of a single sub-table come in its place."""
    for table in TABLES.values():
        yield from _walk_table(schema_of(table.table_type, table.path))


def by_flag() -> Mapping[str, Setting | SubTable]:
    """The settings that have a flag, by its canonical name."""
    return {one.flag.name: one for one in walk() if one.flag is not None}


def find_setting(path: Path) -> Setting | None:
    """The declaration of the key at ``path``, or None; keys inside of named tables are found by any entry name."""
    for table_path, table in TABLES.items():
        schema = schema_of(table.table_type, table_path)
        if path[:-1] == table_path:
            return schema.setting(path[-1])
        for sub in schema.sub_tables:
            inner = path[len(sub.path) + (0 if sub.is_single else 1) :]
            if path[: len(sub.path)] == sub.path and len(inner) == 1:
                return schema_of(sub.entry_type, path[:-1]).setting(inner[0])
    return None


def _walk_table(schema: TableSchema) -> Iterator[Setting | SubTable]:
    for one in schema.declared:
        if isinstance(one, SubTable) and one.is_single:
            yield from _walk_table(schema_of(one.entry_type, one.path))
        else:
            yield one
