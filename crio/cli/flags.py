"""The command line: ``crio [GLOBAL FLAGS] [COMMAND [FLAGS] [ARGUMENTS]]``, in the manner of Go's flag package.

A flag is written ``--name value`` or ``--name=value``, with one dash or two; a switch stands alone or takes ``=false``;
a list is repeated, or split at commas. A variable counts like its flag, which wins over it. After a command, its own
flags are looked up first, then the global ones. Everything is generated from the declarations of the settings and of
``crio.cli.commands``. Source: crio-interfaces §1.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from crio.cli.commands import DAEMON, ROOT, Command, is_switch, option, walk_commands
from crio.core.errors import InvalidArgument
from crio.core.settings.catalogue import walk
from crio.core.settings.convert import RefusedValueError, from_text
from crio.core.settings.decode import with_fields
from crio.core.settings.findings import nearest_name
from crio.core.settings.process import ProcessOptions
from crio.core.settings.schema import Flag, Kind, Setting, SubTable, Value, schema_of
from crio.host.config.load import ConfigSources

if TYPE_CHECKING:
    from crio.host.registry.conffiles import RegistriesFiles

HELP: Final = option("help", False, "Show this help.", short="h")
VERSION: Final = option("version", False, "Print the version.", short="v")


class UsageError(InvalidArgument):
    """The command line cannot be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """What was asked for.

    ``command`` is the full name of the command ("" for the daemon, "status info"), ``options`` its flags with their
    defaults filled in, ``arguments`` what stood behind it. ``flags`` holds the global flags that were set, by canonical
    name, ``origins`` the variable of those that the environment set, ``process`` those that are no configuration keys.
    """

    command: str
    options: Mapping[str, Value]
    arguments: tuple[str, ...]
    flags: Mapping[str, Value]
    origins: Mapping[str, str]
    process: ProcessOptions

    def config_sources(self, environ: Mapping[str, str]) -> ConfigSources:
        """Where the settings of this command line come from; ``environ`` is asked for storage.conf only."""
        return ConfigSources(
            config=self.process.config,
            config_dir=self.process.config_dir,
            is_config_required="config" in self.flags and bool(self.process.config),
            is_strict=self.process.strict_config,
            flags=self.flags,
            origins=self.origins,
            environ=environ,
        )


def parse_command_line(argv: Sequence[str], environ: Mapping[str, str]) -> CommandLine:
    """Understand ``argv`` (without the program's name) and the variables of ``environ``. Raises UsageError."""
    parser = _Parser(argv)
    parser.run()
    values, origins = _from_environment(environ)
    for name in parser.global_values:
        origins.pop(name, None)
    values.update(parser.global_values)
    command, arguments = parser.command, tuple(parser.arguments)
    if parser.is_help_wanted and command.name != "help":
        arguments = tuple(command.name.split())
        command = _known_command("help")
    elif parser.is_version_wanted:
        command = _known_command("version")
    declared = [*command.options]
    for parent in walk_commands():
        declared += parent.options if command in parent.commands else ()
    options = {one.key: parser.command_values.get(one.key, one.default) for one in declared}
    process = with_fields(
        ProcessOptions(),
        {one.key: values[one.flag.name] for one in _process_settings() if one.flag and one.flag.name in values},
    )
    return CommandLine(
        command=command.name,
        options=MappingProxyType(options),
        arguments=arguments,
        flags=MappingProxyType(values),
        origins=MappingProxyType(origins),
        process=process,
    )


def registries_files(line: CommandLine, environ: Mapping[str, str]) -> RegistriesFiles:
    """Where registries.conf and its drop-ins are, as the command line says or in their usual places.

    A directory of drop-ins on the command line is the only one.
    """
    from crio.host.registry.conffiles import usual_registries_files

    usual, asked = usual_registries_files(environ), line.process
    if asked.registries_conf:
        usual = dataclasses.replace(usual, conf=asked.registries_conf)
    if asked.registries_conf_dir:
        usual = dataclasses.replace(usual, conf_dir=asked.registries_conf_dir, user_conf_dir="")
    return usual


@functools.cache
def global_settings() -> tuple[Setting, ...]:
    """Every setting that has a global flag, sorted by its name; ``runtimes`` counts as a list."""
    settings = [*_process_settings()]
    for one in walk():
        if one.flag is None:
            continue
        settings.append(_as_list(one, one.flag) if isinstance(one, SubTable) else one)
    return tuple(sorted(settings, key=lambda setting: setting.flag.name if setting.flag else ""))


def _process_settings() -> tuple[Setting, ...]:
    return schema_of(ProcessOptions, ()).settings


def _as_list(sub_table: SubTable, flag: Flag) -> Setting:
    return Setting(
        table=sub_table.table,
        key=sub_table.key,
        kind=Kind.LIST,
        default=(),
        doc=f"{sub_table.doc[:-1]}: NAME:PATH:ROOT[:TYPE[:PRIVILEGED[:CONFIG[:MEMORY]]]].",
        flag=flag,
        reload=sub_table.reload,
        rule=None,
        deprecated="",
    )


def _spellings(settings: Sequence[Setting]) -> dict[str, Setting]:
    return {name: one for one in settings if one.flag is not None for name in one.flag.spellings}


def _known_command(name: str) -> Command:
    return next(command for command in walk_commands() if command.name == name)


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Value], dict[str, str]]:
    values: dict[str, Value] = {}
    origins: dict[str, str] = {}
    for setting in global_settings():
        assert setting.flag is not None
        for variable in setting.flag.variables:
            text = environ.get(variable)
            # An empty variable empties a text; of the other kinds there is no empty value, so it counts as unset.
            if text is None or (not text and setting.kind is not Kind.STRING):
                continue
            values[setting.flag.name] = _convert(setting, text, f"variable {variable}")
            origins[setting.flag.name] = variable
            break
    return values, origins


def _convert(setting: Setting, text: str, place: str) -> Value:
    try:
        value = from_text(setting, text)
    except RefusedValueError as refused:
        hint = f' (did you mean "{refused.nearest}"?)' if refused.nearest else ""
        raise UsageError(f'{place}: bad value "{refused.value}", expected {refused.expected}{hint}') from None
    # The rules of configuration keys are checked with the files; a process option has nobody else to check it.
    if not setting.table and setting.rule is not None and setting.rule.offenders(value):
        raise UsageError(f'{place}: bad value "{text}", expected {setting.rule.expected}')
    return value


class _Parser:
    """Walks over the words once; the fields are the result."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._globals = _spellings((*global_settings(), HELP, VERSION))
        self._own: dict[str, Setting] = {}
        self.command = ROOT
        self.arguments: list[str] = []
        self.global_values: dict[str, Value] = {}
        self.command_values: dict[str, Value] = {}
        self.is_help_wanted = False
        self.is_version_wanted = False

    def run(self) -> None:
        while self._words:
            word = self._words.pop(0)
            if word == "--":
                for rest in self._words:
                    self._on_word(rest)
                break
            if word.startswith("-") and word != "-":
                self._on_flag(word)
            else:
                self._on_word(word)

    def _on_word(self, word: str) -> None:
        if self.command.commands:
            found = self.command.sub_command(word)
            if found is None:
                nearest = nearest_name(word, [one.word for one in self.command.commands if not one.is_hidden])
                hint = f' (did you mean "{nearest}"?)' if nearest else ""
                raise UsageError(f'command "{word}" not supported{hint}')
            self.command = found
            self._own.update(_spellings(found.options))
        elif self.command.argument:
            self.arguments.append(word)
        else:
            raise UsageError(f'argument "{word}" not supported by command "{self.command.name}"')

    def _on_flag(self, word: str) -> None:
        name, equals, text = word.removeprefix("-").removeprefix("-").partition("=")
        setting = self._own.get(name) or self._globals.get(name)
        if setting is None or setting.flag is None:
            nearest = nearest_name(name.replace("_", "-"), [*self._own, *self._globals])
            hint = f' (did you mean "--{nearest}"?)' if nearest else ""
            raise UsageError(f'flag "{word.partition("=")[0]}" not supported{hint}')
        if not equals:
            text = "true" if is_switch(setting) else self._next_word(word)
        value = _convert(setting, text, f"flag --{setting.flag.name}")
        if setting is HELP:
            self.is_help_wanted = bool(value)
        elif setting is VERSION:
            self.is_version_wanted = bool(value)
        else:
            self._keep(setting, setting.flag.name, value)

    def _next_word(self, flag: str) -> str:
        if not self._words:
            raise UsageError(f'flag "{flag}" needs a value')
        return self._words.pop(0)

    def _keep(self, setting: Setting, name: str, value: Value) -> None:
        values = self.command_values if name in self._own else self.global_values
        earlier = values.get(name)
        # A flag given twice counts the second time, but a list grows.
        if isinstance(earlier, tuple) and isinstance(value, tuple):
            value = (*earlier, *value)
        values[name] = value


__all__ = ["DAEMON", "CommandLine", "UsageError", "global_settings", "parse_command_line"]
