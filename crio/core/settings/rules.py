"""The rules that values obey, as predicates on text or ranges of numbers, each with the words for its error message.

Only what can be judged without looking at the machine: that a file exists or a program can be found is judged by the
daemon when it starts. Source: crio-interfaces §2.3–§2.8, §2.14.
"""

from __future__ import annotations

import re
from typing import Final

from crio.core.settings.known import CAPABILITIES, CIPHER_SUITES, RLIMITS
from crio.core.settings.schema import Rule
from crio.core.settings.units import parse_duration

_CPU_LIST: Final = r"\d+(-\d+)?(,\d+(-\d+)?)*"
_SYSCTL: Final = r"(?s)[^\s=]+=(\S|\S.*\S)?"
_ULIMIT: Final = r"([a-z]+)=(-1|\d+)(?::(-1|\d+))?"
_DEVICE: Final = r"(/[^:]*)(?::(/[^:]*))?(?::([rwm]{1,3}))?"
_ID_MAPPINGS: Final = r"\d+:\d+:\d+(,\d+:\d+:\d+)*"
_SERVICE: Final = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_TIME_ZONE: Final = r"[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+)*"
_FULL_REFERENCE: Final = (
    r"(?a)(?=[^/]*[.:]|localhost/)"  # the first component is a host: it has a dot or a port, or is localhost
    r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d+)?"
    r"(/[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*)+"
    r"(:\w[\w.-]{0,127})?"
    r"(@[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-f]{32,})?"
)


def is_cpu_list(text: str) -> bool:
    """Whether ``text`` is a list of CPUs such as ``0-3,8`` whose ranges do not run backwards."""
    if not re.fullmatch(_CPU_LIST, text):
        return False
    ranges = (part.split("-") for part in text.split(","))
    return all(int(bounds[0]) <= int(bounds[-1]) for bounds in ranges)


def _is_ulimit(text: str) -> bool:
    match = re.fullmatch(_ULIMIT, text)
    if match is None or match[1] not in RLIMITS:
        return False
    soft, hard = int(match[2]), int(match[3] or match[2])
    return hard == -1 or -1 < soft <= hard


def _is_device(text: str) -> bool:
    match = re.fullmatch(_DEVICE, text)
    if match is None:
        return False
    target = match[2] or match[1]
    return target.startswith("/dev/") and len(set(match[3] or "")) == len(match[3] or "")


def _is_duration(text: str) -> bool:
    try:
        parse_duration(text)
    except ValueError:
        return False
    return True


def _is_regexp(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _is_port_or_service(text: str) -> bool:
    return int(text) < 65536 if text.isdecimal() else re.fullmatch(_SERVICE, text) is not None


def _without_prefix(text: str) -> str:
    return text.upper().removeprefix("CAP_")


ABSOLUTE_PATH: Final = Rule("an absolute path", lambda text: text.startswith("/"))
ABSOLUTE_PATH_OR_EMPTY: Final = Rule("an absolute path", lambda text: not text or text.startswith("/"))
CAPABILITY: Final = Rule("a capability such as NET_BIND_SERVICE", lambda text: not text or _without_prefix(text) in CAPABILITIES)
CIPHER_SUITE: Final = Rule("the IANA name of a TLS 1.2 cipher suite", CIPHER_SUITES.__contains__)
CPU_LIST: Final = Rule("a list of CPUs such as 0-3,8", lambda text: not text or is_cpu_list(text))
DEVICE: Final = Rule("HOST[:CONTAINER][:rwm] with a container path below /dev/", _is_device)
DURATION_OR_EMPTY: Final = Rule("a duration such as 30m", lambda text: not text or _is_duration(text))
FULL_IMAGE_REFERENCE: Final = Rule(
    "an image reference with its registry, such as registry.example/name:tag",
    lambda text: re.fullmatch(_FULL_REFERENCE, text) is not None,
)
ID_MAPPINGS: Final = Rule("CONTAINER:HOST:SIZE[,...]", lambda text: not text or re.fullmatch(_ID_MAPPINGS, text) is not None)
NOT_NEGATIVE: Final = Rule("0 or more", minimum=0)
PER_MILLION: Final = Rule("0 to 1000000", minimum=0, maximum=1_000_000)
PORT: Final = Rule("0 to 65535", minimum=0, maximum=65535)
PORT_OR_SERVICE: Final = Rule("a port or the name of a service", _is_port_or_service)
REGEXP: Final = Rule("a regular expression", _is_regexp)
SYSCTL: Final = Rule("KEY=VALUE without spaces around the equals sign", lambda text: not text or re.fullmatch(_SYSCTL, text) is not None)
TIME_ZONE: Final = Rule(
    "a time zone such as Europe/Prague, or Local",
    lambda text: not text or re.fullmatch(_TIME_ZONE, text) is not None,
)
ULIMIT: Final = Rule("NAME=SOFT[:HARD] with a known limit, such as nofile=1024:2048", _is_ulimit)
