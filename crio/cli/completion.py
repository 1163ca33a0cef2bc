"""``crio complete SHELL``: completion code for bash, fish and zsh, from the declarations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from crio.cli.commands import ROOT, Command, is_switch
from crio.cli.flags import HELP, VERSION, UsageError, global_settings
from crio.core.settings.schema import Setting


def completion(shell: str) -> str:
    """The code for ``shell``; empty means bash. Raises UsageError for a shell that it does not know."""
    writer = _SHELLS.get(shell or "bash")
    if writer is None:
        raise UsageError("only bash, fish or zsh are supported")
    return "\n".join(writer()) + "\n"


def _visible(settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    return tuple(one for one in settings if one.flag is not None and not one.flag.hidden)


def _global() -> tuple[Setting, ...]:
    return _visible((*global_settings(), HELP, VERSION))


def _commands(command: Command) -> tuple[Command, ...]:
    return tuple(one for one in command.commands if not one.is_hidden)


def _nodes() -> Iterator[Command]:
    yield ROOT
    for command in _commands(ROOT):
        yield command
        yield from _commands(command)


def _dashed(setting: Setting) -> tuple[str, ...]:
    assert setting.flag is not None
    return tuple(f"--{name}" if len(name) > 1 else f"-{name}" for name in setting.flag.spellings)


def _own(command: Command) -> tuple[Setting, ...]:
    return _global() if command is ROOT else _visible(command.options)


def _bash() -> Iterator[str]:
    takes_value = sorted({one for node in _nodes() for flag in _own(node) if not is_switch(flag) for one in _dashed(flag)})
    yield "# bash completion for crio"
    yield "_crio() {"
    yield "    local current=${COMP_WORDS[COMP_CWORD]} command='' skip='' word index"
    yield "    for ((index = 1; index < COMP_CWORD; index++)); do"
    yield "        word=${COMP_WORDS[index]}"
    yield "        if [[ -n $skip ]]; then skip=''; continue; fi"
    yield '        case "$word" in'
    yield f"        {'|'.join(takes_value)}) skip=1 ;;"
    yield "        -*|=) ;;"
    yield '        *) command="${command:+$command }$word" ;;'
    yield "        esac"
    yield "    done"
    yield '    if [[ -n $skip ]]; then COMPREPLY=($(compgen -f -- "$current")); return; fi'
    yield '    case "$command" in'
    for node in _nodes():
        words = [one.word for one in _commands(node)] + [name for flag in _own(node) for name in _dashed(flag)]
        words += ["bash", "fish", "zsh"] if node.name == "complete" else []
        yield f"    {_bash_pattern(node)}) COMPREPLY=($(compgen -W '{' '.join(words)}' -- \"$current\")) ;;"
    yield "    esac"
    yield "}"
    yield "complete -F _crio crio"


def _bash_pattern(node: Command) -> str:
    if node is ROOT:
        return "''"
    parent, _, _ = node.name.rpartition(" ")
    prefix = f"{parent} " if parent else ""
    return "|".join(f"'{prefix}{word}'" for word in (node.word, *node.aliases))


def _fish() -> Iterator[str]:
    yield "# fish completion for crio"
    top = " ".join(word for one in _commands(ROOT) for word in (one.word, *one.aliases))
    yield f"set -l crio_commands {top}"
    for node in _nodes():
        if node is ROOT:
            condition = "not __fish_seen_subcommand_from $crio_commands"
        else:
            condition = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in node.name.split())
        for one in _commands(node):
            yield f"complete -c crio -f -n '{condition}' -a {one.word} -d {_quoted(one.doc)}"
        for flag in _own(node):
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in _dashed(flag))
            value = "" if is_switch(flag) else " -r"
            yield f"complete -c crio -n '{condition}' {names}{value} -d {_quoted(flag.doc)}"
    yield "complete -c crio -f -n '__fish_seen_subcommand_from complete completion' -a 'bash fish zsh'"


def _zsh() -> Iterator[str]:
    yield "#compdef crio"
    yield "_crio() {"
    yield "    local -a commands flags"
    yield "    local command='' skip='' word"
    takes_value = sorted({one for node in _nodes() for flag in _own(node) if not is_switch(flag) for one in _dashed(flag)})
    yield "    for word in ${words[2,CURRENT-1]}; do"
    yield "        if [[ -n $skip ]]; then skip=''; continue; fi"
    yield '        case "$word" in'
    yield f"        {'|'.join(takes_value)}) skip=1 ;;"
    yield "        -*) ;;"
    yield '        *) command="${command:+$command }$word" ;;'
    yield "        esac"
    yield "    done"
    yield "    if [[ -n $skip ]]; then _files; return; fi"
    yield '    case "$command" in'
    for node in _nodes():
        commands = [f"{one.word}:{one.doc}" for one in _commands(node)]
        commands += ["bash", "fish", "zsh"] if node.name == "complete" else []
        flags = [f"{name}:{flag.doc}" for flag in _own(node) for name in _dashed(flag)]
        yield f"    {_bash_pattern(node)})"
        yield f"        commands=({' '.join(_quoted(one) for one in commands)})"
        yield f"        flags=({' '.join(_quoted(one) for one in flags)}) ;;"
    yield "    esac"
    yield "    _describe -t commands 'command' commands"
    yield "    _describe -t flags 'flag' flags"
    yield "}"
    yield '_crio "$@"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_SHELLS: Final[Mapping[str, Callable[[], Iterator[str]]]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
