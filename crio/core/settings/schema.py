"""How a setting is declared, and how its declaration is read back.

A setting is one field of one frozen dataclass: the field's name is the TOML key, the class is the TOML table, and
``setting(...)`` states the default and everything else that there is to know: the flag, the environment variable, the
rule that values obey, the class of live reload, and one sentence. The decoder, the command line, the commented TOML,
the man page and the completions all walk ``settings_of(table)``; none of them knows a key by name.

What this is not: a validator of settings against each other (``check``), or a reader of files (``crio.host.config``).
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final, TypeVar

Scalar = str | bool | int | timedelta
Value = Scalar | tuple[str, ...] | Mapping[str, str]
Path = tuple[str, ...]
T = TypeVar("T")

_METADATA_KEY: Final = "crio.setting"


class Kind(enum.Enum):
    """The type of a setting; the value is the word that help texts and error messages use."""

    STRING = "string"
    BOOL = "boolean"
    INTEGER = "integer"
    DURATION = "duration"
    LIST = "list of strings"
    MAP = "table of strings"


class Reload(enum.IntEnum):
    """The class of live reload: the members are in the order in which a reload applies them.

    Source: crio-interfaces §2.15 (SIGHUP).
    """

    NEVER = 0
    LOG = 1
    PAUSE_IMAGE = 2
    PINNED_IMAGES = 3
    DECRYPTION_KEYS = 4
    SECCOMP = 5
    APPARMOR = 6
    BLOCKIO = 7
    RDT = 8
    RUNTIMES = 9
    CDI = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Flag:
    """The command-line face of a setting: ``--name``, other spellings, and the environment variable that counts like it."""

    name: str
    env: str = ""
    short: str = ""
    aliases: tuple[str, ...] = ()
    env_aliases: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every accepted name without dashes, the canonical one first."""
        return (self.name, *self.aliases, *((self.short,) if self.short else ()))

    @property
    def variables(self) -> tuple[str, ...]:
        """Every environment variable that sets it, the canonical one first."""
        return (*((self.env,) if self.env else ()), *self.env_aliases)


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What a value has to be beyond its kind; a list or a map is judged entry by entry.

    ``expected`` completes the sentence "expected …". Text is judged by ``accepts_text``, an integer by the range.
    """

    expected: str
    accepts_text: Callable[[str], bool] | None = None
    minimum: int | None = None
    maximum: int | None = None

    def offenders(self, value: Value) -> tuple[str, ...]:
        """The parts of ``value`` that break the rule, as text; empty if there are none."""
        if isinstance(value, bool):
            return ()
        if isinstance(value, int):
            return () if self._accepts_number(value) else (str(value),)
        if isinstance(value, timedelta):
            return () if self._accepts_number(int(value.total_seconds())) else (f"{value.total_seconds():g}s",)
        texts = (value,) if isinstance(value, str) else tuple(value)
        return tuple(text for text in texts if self.accepts_text is not None and not self.accepts_text(text))

    def _accepts_number(self, number: int) -> bool:
        above = self.minimum is None or number >= self.minimum
        return above and (self.maximum is None or number <= self.maximum)


@dataclasses.dataclass(frozen=True, slots=True)
class Declaration:
    """What ``setting`` was told, kept in the metadata of the dataclass field."""

    doc: str
    flag: Flag | None
    reload: Reload
    rule: Rule | None
    deprecated: str
    default: Value | None
    entry_type: type[object] | None = None
    is_single_table: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the generators see it."""

    table: Path
    key: str
    kind: Kind
    default: Value
    doc: str
    flag: Flag | None
    reload: Reload
    rule: Rule | None
    deprecated: str

    @property
    def path(self) -> Path:
        """The key below the tables that hold it, for example ``("crio", "api", "listen")``."""
        return (*self.table, self.key)

    @property
    def choices(self) -> type[enum.StrEnum] | None:
        """The enumeration that a value has to belong to, if there is one."""
        return type(self.default) if isinstance(self.default, enum.StrEnum) else None


@dataclasses.dataclass(frozen=True, slots=True)
class SubTable:
    """A field that is a table itself (``is_single``), or a table of named tables of one type."""

    table: Path
    key: str
    entry_type: type[object]
    is_single: bool
    doc: str
    flag: Flag | None
    reload: Reload

    @property
    def path(self) -> Path:
        """The key below the tables that hold it, for example ``("crio", "runtime", "runtimes")``."""
        return (*self.table, self.key)


@dataclasses.dataclass(frozen=True, slots=True)
class TableSchema:
    """All that one dataclass declares, in order of declaration."""

    settings: tuple[Setting, ...]
    sub_tables: tuple[SubTable, ...]

    def setting(self, key: str) -> Setting | None:
        """The setting of that key, or None."""
        return next((one for one in self.settings if one.key == key), None)

    def sub_table(self, key: str) -> SubTable | None:
        """The sub-table of that key, or None."""
        return next((one for one in self.sub_tables if one.key == key), None)

    @property
    def declared(self) -> tuple[Setting | SubTable, ...]:
        """Settings, then sub-tables."""
        both: list[Setting | SubTable] = [*self.settings, *self.sub_tables]
        return tuple(both)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that the table knows."""
        return tuple(one.key for one in self.declared)


def setting(
    default: T,
    doc: str,
    flag: Flag | None = None,
    *,
    reload: Reload = Reload.NEVER,
    rule: Rule | None = None,
    deprecated: str = "",
) -> T:
    """Declare one setting as a dataclass field.

    ``default`` fixes the kind: str, StrEnum, bool, int, timedelta, or tuple of str. ``doc`` is one sentence without
    markup. ``deprecated`` says what to use instead and marks the key as one that is only kept for old files.
    """
    assert isinstance(default, str | bool | int | timedelta | tuple)
    declaration = Declaration(doc, flag, reload, rule, deprecated, default)
    return dataclasses.field(default=default, metadata={_METADATA_KEY: declaration})


def map_setting(doc: str, rule: Rule | None = None) -> Mapping[str, str]:
    """Declare a setting that is a TOML table of strings with free keys, empty by default."""
    empty: Mapping[str, str] = MappingProxyType({})
    declaration = Declaration(doc, None, Reload.NEVER, rule, "", empty)
    return dataclasses.field(default_factory=lambda: empty, metadata={_METADATA_KEY: declaration})


def table(entry: type[T], doc: str) -> T:
    """Declare a field that is a table of its own, with ``entry``'s defaults."""
    declaration = Declaration(doc, None, Reload.NEVER, None, "", None, entry, is_single_table=True)
    return dataclasses.field(default_factory=entry, metadata={_METADATA_KEY: declaration})


def named_tables(
    entry: type[T],
    doc: str,
    default: Mapping[str, T],
    flag: Flag | None = None,
    reload: Reload = Reload.NEVER,
) -> Mapping[str, T]:
    """Declare a field that maps names to tables of type ``entry``; an entry is replaced as a whole."""
    declaration = Declaration(doc, flag, reload, None, "", None, entry)
    return dataclasses.field(default_factory=lambda: MappingProxyType(dict(default)), metadata={_METADATA_KEY: declaration})


_SCHEMAS: Final[dict[tuple[type[object], Path], TableSchema]] = {}


def schema_of(table_type: type[object], table: Path) -> TableSchema:
    """What the dataclass ``table_type`` declares, seen as the TOML table at path ``table``; worked out once."""
    schema = _SCHEMAS.get((table_type, table))
    if schema is None:
        schema = _SCHEMAS[(table_type, table)] = _read_schema(table_type, table)
    return schema


def _read_schema(table_type: type[object], table: Path) -> TableSchema:
    settings: list[Setting] = []
    sub_tables: list[SubTable] = []
    assert dataclasses.is_dataclass(table_type)
    for field in dataclasses.fields(table_type):
        told = field.metadata[_METADATA_KEY]
        assert isinstance(told, Declaration)
        if told.entry_type is not None:
            entry_type, is_single = told.entry_type, told.is_single_table
            sub_tables.append(SubTable(table, field.name, entry_type, is_single, told.doc, told.flag, told.reload))
            continue
        assert told.default is not None
        settings.append(
            Setting(
                table=table,
                key=field.name,
                kind=kind_of(told.default),
                default=told.default,
                doc=told.doc,
                flag=told.flag,
                reload=told.reload,
                rule=told.rule,
                deprecated=told.deprecated,
            )
        )
    return TableSchema(tuple(settings), tuple(sub_tables))


def kind_of(default: Value) -> Kind:
    """The kind that a default value implies; bool is looked at before int, which it is a subtype of."""
    if isinstance(default, bool):
        return Kind.BOOL
    if isinstance(default, int):
        return Kind.INTEGER
    if isinstance(default, timedelta):
        return Kind.DURATION
    if isinstance(default, str):
        return Kind.STRING
    return Kind.LIST if isinstance(default, tuple) else Kind.MAP
