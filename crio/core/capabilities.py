"""Capability sets: the kernel's names, the request's changes and what this host can give.

"All" means what the daemon itself may hand on: asking a kernel for a capability that is not in the bounding set is refused,
and runtimes treat that as fatal. A name that the request adds and the kernel has never heard of is the client's mistake.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crio.core.config import Capabilities
from crio.core.errors import InvalidArgument

# In the order of their numbers. Source: capabilities(7).
_KERNEL_ORDER = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
NAMES = tuple("CAP_" + name for name in _KERNEL_ORDER.split())
_KNOWN = frozenset(NAMES)
ALL = "ALL"


@dataclass(frozen=True, slots=True)
class CapabilitySet:
    """The capabilities of a process in the kernel's order; ``dropped`` were asked for but this host cannot give them."""

    names: tuple[str, ...]
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def full_name(name: str) -> str:
    """``net_admin`` and ``CAP_NET_ADMIN`` are both ``CAP_NET_ADMIN``; raises InvalidArgument for an unknown name."""
    upper = name.upper()
    found = upper if upper.startswith("CAP_") else "CAP_" + upper
    if found not in _KNOWN:
        raise InvalidArgument(f"capability {name!r} is unknown: expected a name of capabilities(7) or {ALL}")
    return found


def privileged_set(bounding: frozenset[str], inheritable: bool = False) -> CapabilitySet:
    """Every capability that this host can give."""
    names = _ordered(bounding & _KNOWN)
    return CapabilitySet(names, names if inheritable else ())


def resolve_capabilities(
    defaults: Iterable[str], changes: Capabilities, bounding: frozenset[str], inheritable: bool = False
) -> CapabilitySet:
    """``defaults`` plus ``add`` minus ``drop``; ``ALL`` in either leaves the defaults out.

    A name to drop that nobody knows has nothing to take away; one to add raises InvalidArgument.
    """
    add, add_all = _names(changes.add)
    drop_all = any(name.upper() == ALL for name in changes.drop)
    drop = {name.upper().removeprefix("CAP_") for name in changes.drop}
    wanted: set[str] = set()
    if add_all:
        wanted |= bounding & _KNOWN
    if not add_all and not drop_all:
        wanted |= {full_name(name) for name in defaults}
    if drop_all:
        wanted.clear()
    wanted = {name for name in wanted | add if name.removeprefix("CAP_") not in drop}
    ambient, _ = _names(changes.add_ambient)
    granted = wanted & bounding
    return CapabilitySet(
        _ordered(granted),
        _ordered(granted) if inheritable else _ordered(ambient & granted),
        _ordered(ambient & granted),
        _ordered(wanted - bounding),
    )


def _names(names: Iterable[str]) -> tuple[set[str], bool]:
    named = [name for name in names if name.upper() != ALL]
    return {full_name(name) for name in named}, len(named) != len(tuple(names))


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=NAMES.index))
