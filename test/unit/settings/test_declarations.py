"""Every key and flag that upstream documents is declared, once, with the same kind; nothing else is without a reason."""

from __future__ import annotations

import collections
import dataclasses
import enum
import typing
from collections.abc import Mapping
from datetime import timedelta

import pytest

from crio.cli.flags import global_settings
from crio.core.settings.catalogue import by_flag, find_setting, walk
from crio.core.settings.schema import Kind, Reload, Rule, Setting, SubTable, TableSchema, Value, kind_of, schema_of
from crio.core.settings.values import TABLES, ProcessOptions, RuntimeHandler, Settings, Workload
from test.unit.settings.reference import FLAGS, KEYS

KINDS = {
    "s": Kind.STRING,
    "b": Kind.BOOL,
    "i": Kind.INTEGER,
    "d": Kind.DURATION,
    "l": Kind.LIST,
    "m": Kind.MAP,
}
OURS = {"strict-config"}
RUNTIMES = ("crio", "runtime", "runtimes", "NAME")
WORKLOADS = ("crio", "runtime", "workloads", "NAME")


def _tables() -> dict[str, tuple[type[object], TableSchema]]:
    found: dict[str, tuple[type[object], TableSchema]] = {}

    def visit(table_type: type[object], path: tuple[str, ...]) -> None:
        schema = schema_of(table_type, path)
        found[".".join(path)] = (table_type, schema)
        for sub in schema.sub_tables:
            visit(sub.entry_type, sub.path if sub.is_single else (*sub.path, "NAME"))

    for path, table in TABLES.items():
        visit(table.table_type, path)
    return found


def _declared_keys() -> dict[str, str]:
    letters = {kind: letter for letter, kind in KINDS.items()}
    keys: dict[str, str] = {}
    for table, (_, schema) in _tables().items():
        for setting in schema.settings:
            reload = " R" if setting.reload else ""
            keys[f"{table} {setting.key}"] = letters[setting.kind] + reload
        for sub in schema.sub_tables:
            if not sub.is_single:
                keys[f"{table} {sub.key}"] = "m" + (" R" if sub.reload else "")
    return keys


def test_the_declared_keys_are_the_documented_ones() -> None:
    documented = {}
    for line in KEYS.split("\n")[1:-1]:
        table, key, rest = line.split(" ", 2)
        if "." in key:
            table, key = f"{table}.{key.split('.')[0]}", key.split(".")[1]
        documented[f"{table} {key}"] = rest
    assert _declared_keys() == documented


def test_the_declared_flags_are_the_documented_ones() -> None:
    documented = {}
    for line in FLAGS.split("\n")[1:-1]:
        names, kind, env, *hidden = line.split(" ")
        documented[names] = (KINDS[kind], env, bool(hidden))
    declared = {
        ",".join(one.flag.spellings): (one.kind, one.flag.env or "-", one.flag.hidden)
        for one in global_settings()
        if one.flag is not None and one.flag.name not in OURS
    }
    assert declared == documented


def test_no_flag_and_no_variable_is_used_twice() -> None:
    flags = [one.flag for one in global_settings() if one.flag is not None]
    names = collections.Counter(name for flag in flags for name in flag.spellings)
    variables = collections.Counter(name for flag in flags for name in flag.variables)
    assert [name for name, count in (names + variables).items() if count > 1] == []


@pytest.mark.parametrize("name", sorted(_tables()))
def test_the_type_of_every_attribute_fits_its_default(name: str) -> None:
    table_type, schema = _tables()[name]
    hints = typing.get_type_hints(table_type)
    wanted = {
        Kind.STRING: str,
        Kind.BOOL: bool,
        Kind.INTEGER: int,
        Kind.DURATION: timedelta,
        Kind.LIST: tuple[str, ...],
        Kind.MAP: Mapping[str, str],
    }
    for setting in schema.settings:
        expected = type(setting.default) if setting.choices else wanted[setting.kind]
        assert hints[setting.key] == expected, setting.key
    for sub in schema.sub_tables:
        hint = hints[sub.key] if sub.is_single else typing.get_args(hints[sub.key])[1]
        assert hint is sub.entry_type


@pytest.mark.parametrize("name", sorted(_tables()))
def test_every_declaration_is_a_sentence_and_obeys_its_own_rule(name: str) -> None:
    table_type, schema = _tables()[name]
    instance = table_type()
    for one in schema.declared:
        assert one.doc[0].isupper() and one.doc.endswith(".") and "  " not in one.doc
    for setting in schema.settings:
        assert getattr(instance, setting.key) == setting.default
        if setting.rule is not None and setting.key != "activation_annotation":
            assert setting.rule.offenders(setting.default) == ()


def test_tables_are_frozen_and_hold_no_dictionary() -> None:
    for table_type in (Settings, ProcessOptions, RuntimeHandler, Workload, *(one.table_type for one in TABLES.values())):
        instance = table_type()
        assert not hasattr(instance, "__dict__")
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(instance, dataclasses.fields(instance)[0].name, "x")


def test_the_sections_of_the_file_are_the_attributes_of_settings() -> None:
    assert [table.attribute for table in TABLES.values()] == [field.name for field in dataclasses.fields(Settings)]


def test_walk_sees_single_sub_tables_from_inside_and_named_ones_from_outside() -> None:
    paths = [one.path for one in walk()]
    assert ("crio", "nri", "default_validator", "nri_validator_required_plugins") in paths
    assert ("crio", "runtime", "runtimes") in paths
    assert ("crio", "nri", "default_validator") not in paths
    assert isinstance(by_flag()["runtimes"], SubTable)
    assert isinstance(by_flag()["log-level"], Setting)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("crio", "root"), "root"),
        (("crio", "api", "listen"), "listen"),
        (("crio", "nri", "default_validator", "nri_enable_default_validator"), "nri_enable_default_validator"),
        (("crio", "runtime", "runtimes", "crun", "runtime_path"), "runtime_path"),
        (("crio", "runtime", "workloads", "x", "annotation_prefix"), "annotation_prefix"),
        (("crio", "runtime", "runtimes"), None),
        (("crio", "runtime", "runtimes", "crun"), None),
        (("crio", "nothing", "here"), None),
    ],
)
def test_a_setting_is_found_by_its_path(path: tuple[str, ...], key: str | None) -> None:
    found = find_setting(path)
    assert (found.key if found else None) == key


def test_a_reload_has_an_order() -> None:
    assert next(iter(Reload)) is Reload.NEVER and not Reload.NEVER
    assert [one.value for one in Reload] == list(range(len(Reload)))


def test_kinds_follow_from_defaults() -> None:
    class Word(enum.StrEnum):
        A = "a"

    cases: dict[Value, Kind] = {"": Kind.STRING, Word.A: Kind.STRING, True: Kind.BOOL, 3: Kind.INTEGER, (): Kind.LIST}
    assert all(kind_of(default) is kind for default, kind in cases.items())
    assert kind_of(timedelta(0)) is Kind.DURATION
    assert kind_of({}) is Kind.MAP


RULE = Rule("short", lambda text: len(text) < 3, minimum=1, maximum=5)


@pytest.mark.parametrize(
    ("value", "offenders"),
    [
        ("ab", ()),
        ("abc", ("abc",)),
        (("a", "abcd", "b", "xyz"), ("abcd", "xyz")),
        ({"ab": "x", "abc": "y"}, ("abc",)),
        (3, ()),
        (0, ("0",)),
        (6, ("6",)),
        (True, ()),
        (timedelta(seconds=2), ()),
        (timedelta(seconds=9), ("9s",)),
    ],
)
def test_a_rule_names_what_breaks_it(value: object, offenders: tuple[str, ...]) -> None:
    assert RULE.offenders(value) == offenders  # type: ignore[arg-type]


def test_a_rule_without_bounds_accepts_any_number_and_any_text() -> None:
    assert Rule("anything").offenders(-(2**62)) == ()
    assert Rule("anything").offenders("text") == ()
    assert Rule("at most", maximum=3).offenders(-5) == ()
