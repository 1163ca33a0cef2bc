"""Kernel parameters of a pod: which are safe is decided by the namespace in which they land.

A parameter of a namespace that the pod shares with the host would change the host: it is left out with a warning. Names and
values are handed on as separate words, and their letters are limited, so that nothing in them can become a second setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crio.core.config import IdMapping, NamespaceMode, NamespaceOptions
from crio.core.errors import InvalidArgument

PING_GROUP_RANGE = "net.ipv4.ping_group_range"
_NAME = re.compile(r"[A-Za-z0-9_-]+([./][A-Za-z0-9_:@-]+)+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_SWAP = str.maketrans("./", "/.")
_IPC = ("kernel.shm", "kernel.msg", "fs.mqueue.")


@dataclass(frozen=True, slots=True)
class Sysctls:
    """What to set, in order, and one sentence for each parameter that was left out."""

    values: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()


def parse_default_sysctls(entries: Iterable[str]) -> dict[str, str]:
    """``default_sysctls`` as a map; empty entries are skipped.

    :raises InvalidArgument: an entry without ``=`` or with spaces around it
    """
    values: dict[str, str] = {}
    for entry in filter(None, entries):
        name, equals, value = entry.partition("=")
        if not equals or name != name.strip() or value != value.strip() or not name:
            raise InvalidArgument(f"default_sysctls entry {entry!r} is not usable: expected NAME=VALUE without spaces around '='")
        values[name] = value
    return values


def pod_sysctls(defaults: Mapping[str, str], wanted: Mapping[str, str], namespaces: NamespaceOptions) -> Sysctls:
    """The parameters to set in the pod's new namespaces: ``defaults``, then those of the request.

    :raises InvalidArgument: a name or value with letters that no parameter has
    """
    values: dict[str, str] = {}
    warnings: list[str] = []
    for name, value in {**defaults, **wanted}.items():
        reason = refusal(name, value, namespaces)
        if reason:
            warnings.append(f"sysctl {name} is left out: {reason}")
        else:
            values[_dotted(name)] = value
    if namespaces.userns is not None and namespaces.userns.mode is NamespaceMode.POD and PING_GROUP_RANGE in values:
        values[PING_GROUP_RANGE] = _mapped_range(values[PING_GROUP_RANGE], namespaces.userns.gids)
    return Sysctls(tuple(values.items()), tuple(warnings))


def refusal(name: str, value: str, namespaces: NamespaceOptions) -> str:
    """Why a parameter may not be set for a pod with these namespaces, or an empty text."""
    if _NAME.fullmatch(name) is None:
        raise InvalidArgument(f"sysctl {name!r} is not a name: expected words joined by dots")
    if _VALUE.fullmatch(value) is None:
        raise InvalidArgument(f"sysctl {name} has the value {value!r}: expected one line of printable letters")
    dotted = _dotted(name)
    if dotted.startswith("net."):
        return "the pod uses the host's network" if namespaces.network is NamespaceMode.NODE else ""
    if dotted == "kernel.sem" or dotted.startswith(_IPC):
        return "the pod uses the host's ipc namespace" if namespaces.ipc is NamespaceMode.NODE else ""
    return "it belongs to no namespace of a pod"


def _dotted(name: str) -> str:
    """The form that begins with a dot: ``net/ipv4/conf/eth0.1/mtu`` is ``net.ipv4.conf.eth0/1.mtu``. Source: sysctl(8)."""
    slash, dot = name.find("/"), name.find(".")
    if slash < 0 or 0 <= dot < slash:
        return name
    return name.translate(_SWAP)


def _mapped_range(value: str, gids: tuple[IdMapping, ...]) -> str:
    """The group range, its end not above the last group that the pod's user namespace knows."""
    last = max((item.container_id + item.length - 1 for item in gids), default=0)
    words = value.split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return value
    return f"{min(int(words[0]), last)} {min(int(words[1]), last)}"
