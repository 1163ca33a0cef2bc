"""``crio config``: print the configuration in effect, or the built-in one, as a commented file."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from crio.cli.flags import CommandLine
from crio.core.settings.findings import Severity
from crio.core.settings.render import Style, render
from crio.host.config.load import LoadedSettings, load_settings


def run_config(command_line: CommandLine, environ: Mapping[str, str]) -> int:
    """Print it on standard output, warnings on standard error; the result is the exit code.

    Raises ConfigError when the files cannot be used.
    """
    loaded = load_settings(command_line.config_sources(environ))
    loaded.require()
    for finding in loaded.findings:
        if finding.severity is Severity.WARNING:
            print(f"warning: {finding}", file=sys.stderr)
    sys.stdout.write(config_text(loaded, is_default=command_line.options["default"] is True))
    return 0


def config_text(loaded: LoadedSettings, *, is_default: bool) -> str:
    """The commented file: keys that equal what this host has without any file are commented out, except in the built-in
    configuration, which shows every key in effect.
    """
    baseline = loaded.inherited()
    if is_default:
        return render(baseline, Style.EVERYTHING)
    return render(loaded.settings, Style.COMMENTED, baseline)
