"""Settings as TOML: bare for the status API, commented for people. Source: crio-interfaces §1.2 (config), §3.1."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from crio.core.settings.schema import Path, Setting, SubTable, TableSchema, schema_of
from crio.core.settings.units import format_duration
from crio.core.settings.values import TABLES, Settings

_WIDTH: Final = 100
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}
_INTRODUCTION: Final = (
    "Configuration of crio, crio.conf(5). A line that starts with a number sign and a key shows the value that is in"
    " effect without it. Files in the drop-in directory are read after this one, in lexical order; a later value replaces"
    " an earlier one. Flags and environment variables win over all files."
)


class Style(enum.Enum):
    """How much is written: keys alone, or sentences with keys that are commented out when they say nothing new."""

    BARE = "bare"
    COMMENTED = "commented"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class _Writer:
    style: Style

    def comment(self, text: str) -> Iterator[str]:
        if self.style is not Style.BARE:
            yield from textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)

    def is_shown(self, value: object, baseline: object) -> bool:
        return self.style is not Style.COMMENTED or value != baseline

    def blank(self) -> Iterator[str]:
        if self.style is not Style.BARE:
            yield ""


def render(settings: Settings, style: Style = Style.BARE, baseline: Settings | None = None) -> str:
    """The whole configuration as TOML that reads back to the same settings.

    With ``Style.COMMENTED`` a key is commented out when its value equals that of ``baseline`` (the built-in settings
    unless given); ``Style.EVERYTHING`` has the same sentences, and every key in effect.
    """
    writer = _Writer(style)
    below = baseline or Settings()
    lines = [*writer.comment(_INTRODUCTION), *writer.blank()]
    for table in TABLES.values():
        schema = schema_of(table.table_type, table.path)
        lines += writer.comment(table.doc)
        lines.append(f"[{_dotted(table.path)}]")
        lines += writer.blank()
        lines += _table(writer, schema, getattr(settings, table.attribute), getattr(below, table.attribute))
        lines += [""] if style is Style.BARE else []
    return "\n".join(lines).rstrip() + "\n"


def toml_value(value: object) -> str:
    """A value in TOML's spelling. Raises TypeError for what no setting can be."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, timedelta):
        return toml_value(format_duration(value))
    if isinstance(value, str):
        return '"' + "".join(_escape(char) for char in value) + '"'
    if isinstance(value, tuple):
        return _list(value)
    if isinstance(value, Mapping):
        entries = [f"{_key(str(key))} = {toml_value(one)}" for key, one in value.items()]
        return "{ " + ", ".join(entries) + " }" if entries else "{}"
    raise TypeError(f"no setting has the type {type(value).__name__}")


def _list(value: tuple[object, ...]) -> str:
    entries = [toml_value(one) for one in value]
    flat = "[" + ", ".join(entries) + "]"
    return flat if len(flat) <= _WIDTH - 20 else "[\n" + "".join(f"    {one},\n" for one in entries) + "]"


def _table(writer: _Writer, schema: TableSchema, values: object, baseline: object) -> Iterator[str]:
    for setting in schema.settings:
        value: object = getattr(values, setting.key)
        yield from writer.comment(sentence(setting))
        is_shown = writer.is_shown(value, getattr(baseline, setting.key))
        yield from _assignment(setting.key, value, is_shown)
        yield from writer.blank()
    for sub in schema.sub_tables:
        inner: object = getattr(values, sub.key)
        below: object = getattr(baseline, sub.key)
        if sub.is_single:
            yield from writer.comment(sub.doc)
            yield f"[{_dotted(sub.path)}]"
            yield from writer.blank()
            yield from _table(writer, schema_of(sub.entry_type, sub.path), inner, below)
        else:
            yield from _named_tables(writer, sub, inner, below)


def _named_tables(writer: _Writer, sub: SubTable, entries: object, baseline: object) -> Iterator[str]:
    assert isinstance(entries, Mapping) and isinstance(baseline, Mapping)
    yield from writer.comment(f"{sub.doc} Each is a table [{_dotted(sub.path)}.NAME] with the keys:")
    for line in _key_list(schema_of(sub.entry_type, sub.path)):
        yield from writer.comment(line)
    yield from writer.blank()
    for name, entry in entries.items():
        # An entry replaces one of the same name as a whole, so its keys are compared with those of an empty entry.
        is_shown = writer.is_shown(entry, baseline.get(name))
        path = (*sub.path, str(name))
        yield from _entry(writer, schema_of(sub.entry_type, path), entry, sub.entry_type(), is_shown)
        yield from writer.blank()


def _key_list(schema: TableSchema, prefix: str = "") -> Iterator[str]:
    for setting in schema.settings:
        yield f"{prefix}{setting.key}: {sentence(setting)}"
    for sub in schema.sub_tables:
        yield from _key_list(schema_of(sub.entry_type, sub.path), f"{sub.key}.")


def _entry(writer: _Writer, schema: TableSchema, values: object, empty: object, is_shown: bool) -> Iterator[str]:
    path = schema.settings[0].table
    yield from _commented([f"[{_dotted(path)}]"], is_shown)
    for setting in schema.settings:
        value: object = getattr(values, setting.key)
        yield from _assignment(setting.key, value, is_shown and writer.is_shown(value, getattr(empty, setting.key)))
    for sub in schema.sub_tables:
        inner = schema_of(sub.entry_type, sub.path)
        yield from _entry(writer, inner, getattr(values, sub.key), getattr(empty, sub.key), is_shown)


def _assignment(key: str, value: object, is_shown: bool) -> Iterator[str]:
    yield from _commented(f"{_key(key)} = {toml_value(value)}".split("\n"), is_shown)


def _commented(lines: list[str], is_shown: bool) -> Iterator[str]:
    yield from lines if is_shown else [f"# {line}" for line in lines]


def sentence(setting: Setting) -> str:
    """What a setting is for, with its choices and what replaces it if it is an old one."""
    choices = ""
    if setting.choices is not None:
        choices = " One of: " + ", ".join(one.value or '""' for one in setting.choices) + "."
    return setting.doc + choices + (f" Deprecated: {setting.deprecated}." if setting.deprecated else "")


def _dotted(path: Path) -> str:
    return ".".join(_key(part) for part in path)


def _key(key: str) -> str:
    is_bare = key != "" and all(char.isascii() and (char.isalnum() or char in "_-") for char in key)
    return key if is_bare else toml_value(key)


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return f"\\u{ord(char):04x}" if ord(char) < 0x20 or ord(char) == 0x7F else char
