"""``crio``: the daemon and its subcommands.

Each subcommand's code is imported when it is asked for. An expected error ends with one sentence on stderr and exit code 1.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from crio.cli.flags import CommandLine, parse_command_line, registries_files
from crio.core.errors import CriError
from crio.core.settings.findings import Severity


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit code."""
    try:
        line = parse_command_line(sys.argv[1:] if argv is None else argv, os.environ)
        command = COMMANDS.get(line.command.split(" ")[0], _unknown)
        return command(line, os.environ)
    except CriError as error:
        print(f"crio: {error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        reason = f"{error.filename!r} cannot be used: {error.strerror}" if error.filename else str(error)
        print(f"crio: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _unknown(line: CommandLine, _: Mapping[str, str]) -> int:
    print(f"crio: command {line.command!r} is not available in this version", file=sys.stderr)
    return 1


def _daemon(line: CommandLine, environ: Mapping[str, str]) -> int:
    from crio.core.settings.render import Style, render
    from crio.core.settings.values import LogFormat
    from crio.host import logs
    from crio.host.config.load import LoadedSettings, load_settings
    from crio.main import Start, serve, version_line

    def load() -> LoadedSettings:
        return load_settings(line.config_sources(environ))

    loaded = load()
    settings = loaded.require()
    options = line.process
    logs.set_up(
        str(settings.runtime.log_level),
        json_lines=options.log_format is LogFormat.JSON,
        path=options.log,
        message_filter=settings.runtime.log_filter,
    )
    os.umask(0o022)
    _announce(line, loaded, version_line())
    start = Start(loaded, registries_files(line, environ), load, lambda found: render(found.settings, Style.BARE))
    try:
        return asyncio.run(serve(start))
    except BaseExceptionGroup as group:
        error = group.exceptions[0]
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def _announce(line: CommandLine, loaded: object, version: str) -> None:
    import logging

    from crio.host.config.load import LoadedSettings

    assert isinstance(loaded, LoadedSettings)
    log = logging.getLogger("crio")
    log.info("%s", version)
    for name, value in line.flags.items():
        log.info('FLAG: --%s="%s"', name, value)
    for finding in loaded.findings:
        if finding.severity is Severity.WARNING:
            log.warning("%s", finding)


def _config(line: CommandLine, environ: Mapping[str, str]) -> int:
    from crio.cli.config_cmd import run_config

    return run_config(line, environ)


def _help(line: CommandLine, _: Mapping[str, str]) -> int:
    from crio.cli.help import help_text

    print(help_text(line.arguments))
    return 0


def _man(line: CommandLine, _: Mapping[str, str]) -> int:
    from crio.cli.man import page, to_roff

    print(to_roff(page(line.arguments[0] if line.arguments else "crio")))
    return 0


def _markdown(line: CommandLine, _: Mapping[str, str]) -> int:
    from crio.cli.man import page, to_markdown

    print(to_markdown(page(line.arguments[0] if line.arguments else "crio")))
    return 0


def _complete(line: CommandLine, _: Mapping[str, str]) -> int:
    from crio.cli.completion import completion

    print(completion(line.arguments[0] if line.arguments else "bash"))
    return 0


def _check(line: CommandLine, environ: Mapping[str, str]) -> int:
    from crio.cli.check import run_check

    return run_check(line, environ)


def _wipe(line: CommandLine, environ: Mapping[str, str]) -> int:
    from crio.cli.wipe import run_wipe

    return run_wipe(line, environ)


def _load(line: CommandLine, environ: Mapping[str, str]) -> int:
    from crio.cli.load import run_load

    return run_load(line, environ)


def _publish(line: CommandLine, environ: Mapping[str, str]) -> int:
    """Shims report their events here; nobody needs them."""
    return 0


def _version(line: CommandLine, _: Mapping[str, str]) -> int:
    from crio.cli.version import run_version

    return run_version(line)


def _status(line: CommandLine, _: Mapping[str, str]) -> int:
    from crio.cli.status import run_status

    return run_status(line)


Command = Callable[[CommandLine, Mapping[str, str]], int]
COMMANDS: Mapping[str, Command] = {
    "": _daemon,
    "check": _check,
    "load": _load,
    "publish": _publish,
    "wipe": _wipe,
    "config": _config,
    "help": _help,
    "man": _man,
    "markdown": _markdown,
    "complete": _complete,
    "version": _version,
    "status": _status,
}
