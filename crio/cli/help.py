"""``crio --help`` and ``crio help COMMAND``: short help for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crio.cli.commands import ROOT, Command
from crio.cli.flags import HELP, VERSION, UsageError, global_settings
from crio.cli.man import flag_line, flag_text
from crio.core.settings.schema import Setting


def help_text(words: Sequence[str]) -> str:
    """Help for the command that ``words`` name, or for the program. Raises UsageError if there is no such command."""
    command = ROOT
    for word in words:
        found = command.sub_command(word)
        if found is None:
            raise UsageError(f'command "{word}" not supported')
        command = found
    return "\n".join(_lines(command)) + "\n"


def _lines(command: Command) -> Iterator[str]:
    name = f"crio {command.name}".rstrip()
    has_commands = " COMMAND" if command.commands else ""
    yield f"{name} - {command.doc}"
    yield ""
    yield f"usage: {name} [FLAGS]{has_commands} {command.argument}".rstrip()
    visible = [one for one in command.commands if not one.is_hidden]
    if visible:
        yield ""
        yield "commands:"
        for one in visible:
            yield f"  {', '.join((one.word, *one.aliases)):<32} {one.doc}"
    settings = (*global_settings(), HELP, VERSION) if command is ROOT else (*command.options, HELP)
    yield ""
    yield "flags:"
    yield from _flags([one for one in settings if one.flag is not None and not one.flag.hidden])


def _flags(settings: Sequence[Setting]) -> Iterator[str]:
    for setting in settings:
        yield f"  {flag_line(setting)}"
        yield f"        {flag_text(setting)}"
