"""``crio version``: what this program is and what it is made of."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence

import orjson

from crio import __version__
from crio.cli.flags import CommandLine

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def version_members(*, verbose: bool) -> dict[str, object]:
    """The members of ``crio version --json``; those that are empty are left out."""
    machine = os.uname().machine
    members: dict[str, object] = {
        "version": __version__,
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": f"linux/{_ARCHITECTURES.get(machine, machine)}",
        "linkmode": "dynamic",
        "seccompEnabled": True,
        "appArmorEnabled": os.path.exists("/sys/kernel/security/apparmor"),
    }
    if verbose:
        members["dependencies"] = sorted(f"{item.name} {item.version}" for item in importlib.metadata.distributions())
    return members


def version_text(members: Mapping[str, object]) -> str:
    """Aligned ``Name:  value`` lines; lists follow on indented lines."""
    lines = []
    width = max(len(name) for name in members) + 2
    for name, value in members.items():
        title = f"{name[0].upper()}{name[1:]}:"
        if isinstance(value, Sequence) and not isinstance(value, str):
            lines.append(title)
            lines += [f"  {item}" for item in value]
        else:
            lines.append(f"{title:<{width}}{str(value).lower() if isinstance(value, bool) else value}")
    return "\n".join(lines)


def run_version(line: CommandLine) -> int:
    """Print the version; the result is the exit code."""
    members = version_members(verbose=line.options.get("verbose") is True)
    if line.options.get("json") is True:
        print(orjson.dumps(members, option=orjson.OPT_INDENT_2).decode())
    else:
        print(version_text(members))
    return 0
