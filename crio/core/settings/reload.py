"""What a changed configuration means for a running daemon.

Both sides are read from the files alone: a reload must not undo a flag by re-reading a file that says nothing new about
it, and a file that does change a value wins over the flag given at start. Source: crio-interfaces §2.1, §2.15.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crio.core.settings.decode import with_fields
from crio.core.settings.schema import Reload, TableSchema, schema_of
from crio.core.settings.values import TABLES, Settings


@dataclass(frozen=True, slots=True)
class Change:
    """One key whose value in the files is another one now."""

    path: tuple[str, ...]
    reload: Reload
    old: object
    new: object

    @property
    def key(self) -> str:
        """The last part of the path, which is what logs call it."""
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes that can be applied now, in the order in which to apply them, and those that need a restart."""

    live: tuple[Change, ...]
    restart: tuple[Change, ...]


def diff(before: Settings, after: Settings) -> Changes:
    """Compare what the files said at start with what they say now."""
    changes = sorted(_changes(before, after), key=lambda change: change.reload)
    live = tuple(change for change in changes if change.reload is not Reload.NEVER)
    return Changes(live, tuple(change for change in changes if change.reload is Reload.NEVER))


def apply_changes(running: Settings, changes: Sequence[Change]) -> Settings:
    """The running settings with ``changes`` made; a table of named tables is swapped as a whole."""
    built = running
    for change in changes:
        attribute = TABLES[change.path[:-1]].attribute
        table: object = getattr(built, attribute)
        built = with_fields(built, {attribute: with_fields(table, {change.key: change.new})})
    return built


def _changes(before: Settings, after: Settings) -> Iterator[Change]:
    for table in TABLES.values():
        schema = schema_of(table.table_type, table.path)
        yield from _table_changes(schema, getattr(before, table.attribute), getattr(after, table.attribute))


def _table_changes(schema: TableSchema, before: object, after: object) -> Iterator[Change]:
    for declared in schema.declared:
        old: object = getattr(before, declared.key)
        new: object = getattr(after, declared.key)
        if old != new:
            yield Change(declared.path, declared.reload, old, new)
