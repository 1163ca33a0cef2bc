"""Seccomp profiles as values: read from a file, or built in; and their OCI form for one container.

A profile file is either in the form of the container engines (``archMap``, rules with ``includes`` and ``excludes``) or in that
of the OCI specification (``architectures``). Rules that depend on capabilities, on the architecture or on the kernel are decided
when the form for a container is made. Source: OCI runtime specification, ``linux.seccomp``; seccomp.json of the engines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from crio.core.errors import InvalidArgument
from crio.core.oci.document import Document, JsonValue, without_empty

PROFILE_LIMIT_BYTES = 4 << 20
# Go's names to libseccomp's, the native one first. x32 is left out: kernels have it turned off, and each architecture costs the
# runtime 6 ms of CPU time per container. Source: seccomp_arch_add(3).
ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    "amd64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"),
    "arm64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "riscv64": ("SCMP_ARCH_RISCV64",),
}
ACTIONS = frozenset(
    "SCMP_ACT_" + name for name in ("KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY")
)
OPERATORS = frozenset("SCMP_CMP_" + name for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"))
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Argument:
    """A condition on one argument of a system call."""

    index: int
    value: int
    op: str
    value_two: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """When a rule applies; empty parts say nothing. ``min_kernel`` is (major, minor)."""

    capabilities: frozenset[str] = frozenset()
    architectures: frozenset[str] = frozenset()
    min_kernel: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to some system calls. ``names`` are the kernel's; ``errno`` None is the runtime's EPERM."""

    names: tuple[str, ...]
    action: str
    args: tuple[Argument, ...] = ()
    errno: int | None = None
    includes: Condition = Condition()
    excludes: Condition = Condition()


@dataclass(frozen=True, slots=True)
class SeccompProfile:
    """A whole profile. ``architectures`` empty means those that ``arch_map`` has for the host, or else the usual ones."""

    default_action: str
    rules: tuple[Rule, ...] = ()
    default_errno: int | None = None
    architectures: tuple[str, ...] = ()
    arch_map: tuple[tuple[str, ...], ...] = ()
    flags: tuple[str, ...] = ()
    listener_path: str = ""
    listener_metadata: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The container that a profile is made for: Go's architecture name, its capabilities, the kernel."""

    architecture: str
    capabilities: frozenset[str]
    kernel: tuple[int, int]


def to_document(profile: SeccompProfile, target: Target) -> Document:
    """The ``linux.seccomp`` object for one container."""
    rules = [_rule_document(rule) for rule in profile.rules if _applies(rule, target)]
    return without_empty(
        {
            "defaultAction": profile.default_action,
            "defaultErrnoRet": profile.default_errno,
            "architectures": profile.architectures or _architectures(profile, target),
            "flags": list(profile.flags),
            "listenerPath": profile.listener_path,
            "listenerMetadata": profile.listener_metadata,
            "syscalls": rules,
        }
    )


def _architectures(profile: SeccompProfile, target: Target) -> tuple[str, ...]:
    usual = ARCHITECTURES.get(target.architecture, ())
    return next((names for names in profile.arch_map if names[0] in usual[:1]), usual)


def _applies(rule: Rule, target: Target) -> bool:
    wanted, unwanted = rule.includes, rule.excludes
    if wanted.architectures and target.architecture not in wanted.architectures:
        return False
    if not wanted.capabilities <= target.capabilities:
        return False
    if wanted.min_kernel is not None and target.kernel < wanted.min_kernel:
        return False
    if target.architecture in unwanted.architectures or unwanted.capabilities & target.capabilities:
        return False
    return unwanted.min_kernel is None or target.kernel < unwanted.min_kernel


def _rule_document(rule: Rule) -> Document:
    args: list[Document] = [{"index": arg.index, "value": arg.value, "valueTwo": arg.value_two, "op": arg.op} for arg in rule.args]
    return without_empty({"names": rule.names, "action": rule.action, "errnoRet": rule.errno, "args": args})


def parse_profile(body: bytes, path: str) -> SeccompProfile:
    """Reads a profile file; ``path`` is for the error only.

    :raises InvalidArgument: not JSON, too large, a member of the wrong kind, an unknown action or operator
    """
    if len(body) > PROFILE_LIMIT_BYTES:
        raise InvalidArgument(f"seccomp profile {path!r} is larger than {PROFILE_LIMIT_BYTES} bytes")
    try:
        value: JsonValue = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"seccomp profile {path!r} is not JSON: {error}") from error
    return _Reader(path).profile(value)


@dataclass(frozen=True, slots=True)
class _Reader:
    path: str

    def profile(self, value: JsonValue) -> SeccompProfile:
        members = self._object(value, "the profile")
        return SeccompProfile(
            default_action=self._action(members, "defaultAction"),
            rules=tuple(self._rule(entry) for entry in self._list(members, "syscalls")),
            default_errno=self._number(members, "defaultErrnoRet"),
            architectures=self._texts(members, "architectures"),
            arch_map=tuple(self._family(entry) for entry in self._list(members, "archMap")),
            flags=self._texts(members, "flags"),
            listener_path=self._text(members, "listenerPath"),
            listener_metadata=self._text(members, "listenerMetadata"),
        )

    def _family(self, value: JsonValue) -> tuple[str, ...]:
        names = self._object(value, "archMap entry")
        return (self._text(names, "architecture"), *self._texts(names, "subArchitectures"))

    def _rule(self, value: JsonValue) -> Rule:
        members = self._object(value, "syscalls entry")
        single = self._text(members, "name")
        return Rule(
            names=((single,) if single else ()) + self._texts(members, "names"),
            action=self._action(members, "action"),
            args=tuple(self._argument(entry) for entry in self._list(members, "args")),
            errno=self._number(members, "errnoRet"),
            includes=self._condition(members.get("includes")),
            excludes=self._condition(members.get("excludes")),
        )

    def _argument(self, value: JsonValue) -> Argument:
        members = self._object(value, "args entry")
        op = self._text(members, "op")
        if op not in OPERATORS:
            raise self._wrong(f"op {op!r}", "one of " + ", ".join(sorted(OPERATORS)))
        return Argument(
            index=self._number(members, "index") or 0,
            value=self._number(members, "value") or 0,
            op=op,
            value_two=self._number(members, "valueTwo") or 0,
        )

    def _condition(self, value: JsonValue) -> Condition:
        members = self._object(value or {}, "includes or excludes")
        kernel = self._text(members, "minKernel")
        parts = kernel.split(".")
        if kernel and not (len(parts) == 2 and all(part.isdigit() for part in parts)):
            raise self._wrong(f"minKernel {kernel!r}", "MAJOR.MINOR")
        return Condition(
            frozenset(self._texts(members, "caps")),
            frozenset(self._texts(members, "arches")),
            (int(parts[0]), int(parts[1])) if kernel else None,
        )

    def _action(self, members: Mapping[str, JsonValue], key: str) -> str:
        action = self._text(members, key)
        if action not in ACTIONS:
            raise self._wrong(f"{key} {action!r}", "one of " + ", ".join(sorted(ACTIONS)))
        return action

    def _object(self, value: JsonValue, what: str) -> Mapping[str, JsonValue]:
        if not isinstance(value, Mapping):
            raise self._wrong(what, "an object")
        return value

    def _list(self, members: Mapping[str, JsonValue], key: str) -> tuple[JsonValue, ...]:
        value = members.get(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return tuple(value)

    def _texts(self, members: Mapping[str, JsonValue], key: str) -> tuple[str, ...]:
        texts = []
        for item in self._list(members, key):
            if not isinstance(item, str):
                raise self._wrong(key, "a list of texts")
            texts.append(item)
        return tuple(texts)

    def _text(self, members: Mapping[str, JsonValue], key: str) -> str:
        value = members.get(key)
        return self._kind(value, key, "a text", lambda item: item if isinstance(item, str) else None) or ""

    def _number(self, members: Mapping[str, JsonValue], key: str) -> int | None:
        def number(item: JsonValue) -> int | None:
            return item if isinstance(item, int) and not isinstance(item, bool) and item >= 0 else None

        return self._kind(members.get(key), key, "a number", number)

    def _kind(self, value: JsonValue, key: str, expected: str, convert: Callable[[JsonValue], T | None]) -> T | None:
        if value is None:
            return None
        converted = convert(value)
        if converted is None:
            raise self._wrong(key, expected)
        return converted

    def _wrong(self, what: str, expected: str) -> InvalidArgument:
        return InvalidArgument(f"seccomp profile {self.path!r}: {what} is not usable: expected {expected}")
