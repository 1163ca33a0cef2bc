"""The sub-commands of ``crio``: names, aliases, flags, one sentence each. Source: crio-interfaces §1.2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from crio.core.settings.schema import Flag, Kind, Reload, Setting, Value, kind_of

DAEMON: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. ``name`` is its full name, with a space between a command and its sub-command; "" is the daemon.

    ``argument`` names the positional arguments in the usage line, "" if there are none.
    """

    name: str
    doc: str
    aliases: tuple[str, ...] = ()
    options: tuple[Setting, ...] = ()
    argument: str = ""
    is_hidden: bool = False
    commands: tuple[Command, ...] = ()

    @property
    def word(self) -> str:
        """The last word of the name, as it is typed."""
        return self.name.rpartition(" ")[2]

    def sub_command(self, word: str) -> Command | None:
        """The command below this one that ``word`` names, or None."""
        return next((one for one in self.commands if word == one.word or word in one.aliases), None)


def option(name: str, default: Value, doc: str, *, short: str = "", hidden: bool = False) -> Setting:
    """Declare a flag of one command."""
    return Setting(
        table=(),
        key=name,
        kind=kind_of(default),
        default=default,
        doc=doc,
        flag=Flag(name, short=short, hidden=hidden),
        reload=Reload.NEVER,
        rule=None,
        deprecated="",
    )


def is_switch(setting: Setting) -> bool:
    """Whether the flag of ``setting`` stands alone, without a value."""
    return setting.kind is Kind.BOOL


_STATUS_COMMANDS: Final = (
    Command(name="status config", aliases=("c",), doc="Print the configuration that the daemon runs with."),
    Command(
        name="status containers",
        aliases=("container", "cs", "s"),
        doc="Print what the daemon knows about one container.",
        options=(option("id", "", "Full id of the container; required.", short="i"),),
    ),
    Command(name="status info", aliases=("i",), doc="Print cgroup driver, storage and id mappings of the daemon."),
    Command(name="status goroutines", aliases=("g",), doc="Print what every task and thread of the daemon is doing."),
    Command(
        name="status heap",
        aliases=("hp",),
        doc="Write a picture of the daemon's memory.",
        options=(option("file", "", "File to write, - for standard output; empty makes a name from the time.", short="f"),),
    ),
)

ROOT: Final = Command(
    name=DAEMON,
    doc="Run the daemon.",
    commands=(
        Command(
            name="check",
            doc="Check the container storage, and repair it on request.",
            options=(
                option("age", "24h", "Highest age of layers that nothing refers to.", short="a"),
                option("force", False, "Remove damaged containers as well.", short="f"),
                option("repair", False, "Remove or rebuild what is damaged.", short="r"),
                option("quick", False, "Leave the slow checks out.", short="q"),
                option("wipe", False, "Remove the whole storage when it cannot be repaired.", short="w"),
                option("host", False, "Say what this host can do instead, and what follows from it."),
            ),
        ),
        Command(
            name="complete",
            aliases=("completion",),
            doc="Print completion code for a shell: bash, fish or zsh.",
            argument="[SHELL]",
        ),
        Command(
            name="config",
            doc="Print the configuration as a commented file.",
            options=(option("default", False, "Print the built-in configuration with every key in effect."),),
        ),
        Command(name="help", aliases=("h",), doc="Explain the program or one command.", argument="[COMMAND]"),
        Command(
            name="load",
            doc="Bring an image from a file or folder into the storage: oci:, oci-archive:, docker-archive: or dir:PATH.",
            argument="SOURCE",
            options=(option("name", "", "Name that the image gets; empty takes the names that the source has for it.", short="n"),),
        ),
        Command(name="man", doc="Print a manual page: crio, crio.conf or crio.conf.d.", argument="[PAGE]"),
        Command(name="markdown", aliases=("md",), doc="Print a manual page as Markdown.", argument="[PAGE]"),
        Command(
            name="publish",
            doc="Accept the events of a shim, and ignore them.",
            is_hidden=True,
            argument="[EVENT]",
            options=(
                option("topic", "", "Topic of the event.", hidden=True),
                option("namespace", "", "Namespace of the event.", hidden=True),
            ),
        ),
        Command(
            name="status",
            doc="Ask a running daemon.",
            options=(option("socket", "/var/run/crio/crio.sock", "Socket of the daemon.", short="s"),),
            commands=_STATUS_COMMANDS,
        ),
        Command(
            name="version",
            doc="Print the version.",
            options=(
                option("json", False, "Print JSON.", short="j"),
                option("verbose", False, "Print the dependencies as well.", short="v"),
            ),
        ),
        Command(
            name="wipe",
            doc="Remove containers and images after a reboot or an upgrade.",
            options=(option("force", False, "Remove them in any case.", short="f"),),
        ),
    ),
)


def walk_commands() -> Iterator[Command]:
    """Every command below the daemon, parents before their sub-commands."""
    for command in ROOT.commands:
        yield command
        yield from command.commands
