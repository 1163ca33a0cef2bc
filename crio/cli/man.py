"""``crio man`` and ``crio markdown``: manual pages from the declarations, as roff and as Markdown.

A page is built once as a list of sections of paragraphs and terms; two small writers turn it into text. The pages are
crio(8), crio.conf(5) and crio.conf.d(5). Source: man-pages(7), crio-interfaces §1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from crio.cli.commands import Command, is_switch, walk_commands
from crio.cli.flags import global_settings
from crio.core.errors import InvalidArgument
from crio.core.settings.convert import describe
from crio.core.settings.process import ProcessOptions
from crio.core.settings.render import sentence, toml_value
from crio.core.settings.schema import Kind, Setting, TableSchema, schema_of
from crio.core.settings.values import TABLES


@dataclass(frozen=True, slots=True)
class Term:
    """A name with its explanation; ``name`` is set in bold."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with paragraphs and terms; level 2 is a sub-section."""

    title: str
    parts: tuple[str | Term, ...]
    level: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """One manual page."""

    name: str
    number: int
    summary: str
    sections: tuple[Section, ...]


_FILES: Final = (
    Term("/etc/crio/crio.conf", "The configuration file, crio.conf(5)."),
    Term("/etc/crio/crio.conf.d", "Configuration files that are read after it, crio.conf.d(5)."),
    Term("/etc/containers/storage.conf", "Places and driver of the store, unless the configuration names others."),
    Term("/etc/containers/registries.conf", "Registries, their mirrors, and short names."),
    Term("/etc/containers/policy.json", "Which signatures an image needs."),
)
_PRECEDENCE: Final = (
    "A flag wins over its environment variable, a variable over the files of the drop-in directory, these over the"
    " configuration file, and that over the built-in value. Within the directory files are read in lexical order, those of"
    " sub-directories included, and a later file wins. A list replaces the earlier list, but storage_option is added to"
    " it. A table of runtimes or workloads replaces the earlier one of the same name as a whole."
)


def page(name: str) -> Page:
    """The page called ``name``: crio, crio.conf or crio.conf.d. Raises InvalidArgument for another one."""
    if name not in _PAGES:
        raise InvalidArgument(f'no manual page "{name}", expected one of {", ".join(_PAGES)}')
    return _PAGES[name]()


def to_roff(page: Page) -> str:
    """The page as roff for man(1)."""
    lines = [
        f'.TH "{page.name.upper()}" {page.number}',
        ".SH NAME",
        _roff(f"{page.name} - {page.summary}"),
    ]
    for section in page.sections:
        lines.append(f".{'SH' if section.level == 1 else 'SS'} {_roff(section.title)}")
        for part in section.parts:
            if isinstance(part, Term):
                lines += [".TP", f"\\fB{_roff(part.name)}\\fR", _roff(part.text)]
            else:
                lines += [".PP", _roff(part)]
    return "\n".join(lines) + "\n"


def to_markdown(page: Page) -> str:
    """The page as Markdown."""
    lines = [f"# {page.name} {page.number}", "", "## NAME", "", f"{page.name} - {_markdown(page.summary)}", ""]
    for section in page.sections:
        lines += [f"{'#' * (section.level + 1)} {_markdown(section.title)}", ""]
        for part in section.parts:
            text = f"**{_code(part.name)}**: {_markdown(part.text)}" if isinstance(part, Term) else _markdown(part)
            lines += [text, ""]
    return "\n".join(lines).rstrip() + "\n"


def flag_line(setting: Setting) -> str:
    """The spellings of a flag with a word for its value: ``--log-level, -l LEVEL``."""
    assert setting.flag is not None
    spellings = ", ".join(f"--{name}" if len(name) > 1 else f"-{name}" for name in setting.flag.spellings)
    return spellings if is_switch(setting) else f"{spellings} {_VALUE_WORDS[setting.kind]}"


def flag_text(setting: Setting) -> str:
    """What a flag does, its default, its variable, and its key in the file."""
    text = sentence(setting)
    if setting.default not in ("", (), False):
        text += f" Default: {describe(setting.default)}."
    if setting.flag is not None and setting.flag.env:
        text += f" Variable: {setting.flag.env}."
    if setting.table:
        text += f" Key: {'.'.join(setting.path)}."
    return text


_VALUE_WORDS: Final[Mapping[Kind, str]] = {
    Kind.STRING: "TEXT",
    Kind.INTEGER: "NUMBER",
    Kind.DURATION: "DURATION",
    Kind.LIST: "ENTRY[,ENTRY...]",
    Kind.BOOL: "",
    Kind.MAP: "",
}


def _crio_page() -> Page:
    described = (
        "crio runs pods and containers for a kubelet. It serves the Container Runtime Interface on a Unix socket. Without"
        " a command it runs as a daemon in the foreground."
    )
    syntax = (
        "A flag is written --name VALUE or --name=VALUE. A switch stands alone, and --name=false turns it off. A list is"
        " given by repeating its flag, or in one value with commas."
    )
    visible = [one for one in global_settings() if one.flag is not None and not one.flag.hidden]
    flags = tuple(Term(flag_line(one), flag_text(one)) for one in visible)
    variables = tuple(Term(one.flag.env, f"The same as --{one.flag.name}.") for one in visible if one.flag is not None and one.flag.env)
    sections = [
        Section("SYNOPSIS", ("crio [GLOBAL FLAGS] [COMMAND [FLAGS] [ARGUMENTS]]",)),
        Section("DESCRIPTION", (described, syntax)),
        Section("GLOBAL FLAGS", flags),
        Section("COMMANDS", ("Each command has a sub-section.",)),
        *(_command_section(command) for command in walk_commands() if not command.is_hidden),
        Section("FILES", _FILES),
        Section("ENVIRONMENT", (*variables, Term("KUBENSMNT", "Path of a mount namespace to enter at start-up."))),
        Section("PRECEDENCE", (_PRECEDENCE,)),
        Section("SEE ALSO", ("crio.conf(5), crio.conf.d(5), containers-storage.conf(5), containers-registries.conf(5)",)),
    ]
    return Page("crio", 8, "container runtime for Kubernetes", tuple(sections))


def _command_section(command: Command) -> Section:
    parts: list[str | Term] = [command.doc]
    if command.aliases:
        parts.append(f"Other names: {', '.join(command.aliases)}.")
    parts += [Term(flag_line(one), flag_text(one)) for one in command.options]
    return Section(f"crio {command.name} {command.argument}".rstrip(), tuple(parts), level=2)


def _conf_page() -> Page:
    format_text = (
        "The file is TOML. All tables are below [crio]. Unknown keys are reported with file, line and the nearest valid"
        " name; with --strict-config they are errors. Durations are texts such as 30s or 1h30m."
    )
    sections = [
        Section("DESCRIPTION", ("crio reads this file when it starts, and again when it gets SIGHUP.", format_text)),
    ]
    for table in TABLES.values():
        schema = schema_of(table.table_type, table.path)
        sections += _table_sections(f"[{'.'.join(table.path)}]", table.doc, schema)
    sections += [
        Section("PRECEDENCE", (_PRECEDENCE,)),
        Section("FILES", _FILES),
        Section("SEE ALSO", ("crio(8), crio.conf.d(5), containers-storage.conf(5)",)),
    ]
    return Page("crio.conf", 5, "configuration of the container runtime crio", tuple(sections))


def _table_sections(title: str, doc: str, schema: TableSchema) -> Iterator[Section]:
    parts = tuple(Term(f"{one.key} = {toml_value(one.default)}", _key_text(one)) for one in schema.settings)
    yield Section(title, (doc, *parts))
    for sub in schema.sub_tables:
        path = sub.path if sub.is_single else (*sub.path, "NAME")
        yield from _table_sections(f"[{'.'.join(path)}]", sub.doc, schema_of(sub.entry_type, path))


def _key_text(setting: Setting) -> str:
    reload = " A reload applies a new value." if setting.reload else ""
    flag = f" Flag: --{setting.flag.name}." if setting.flag is not None else ""
    return sentence(setting) + reload + flag


def _conf_d_page() -> Page:
    defaults = ProcessOptions()
    text = (
        f"Every regular file below {defaults.config_dir} is read after {defaults.config}, whatever its name, in lexical"
        " order. The directory may be missing; --config-dir names another one, and an empty value none."
    )
    sections = (
        Section("DESCRIPTION", (text, _PRECEDENCE)),
        Section("SEE ALSO", ("crio(8), crio.conf(5)",)),
    )
    return Page("crio.conf.d", 5, "drop-in directory for the configuration of crio", sections)


_PAGES: Final = {"crio": _crio_page, "crio.conf": _conf_page, "crio.conf.d": _conf_d_page}


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)


def _code(text: str) -> str:
    return f"`{text}`" if "`" not in text else _markdown(text)
