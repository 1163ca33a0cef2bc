"""The built-in profile, made from the tables in ``names``.

Its decisions beyond the tables: a container without CAP_SYS_ADMIN may clone processes and threads but not namespaces, and is told
that ``clone3`` does not exist (its flags lie behind a pointer that a filter cannot read), so that libraries use ``clone``;
audit sockets need CAP_AUDIT_WRITE; ``personality`` only takes the values of the normal and the 32-bit personality.
"""

from __future__ import annotations

import errno

from crio.core.seccomp.names import ALLOWED, BY_ARCHITECTURE, BY_CAPABILITY
from crio.core.seccomp.profile import Argument, Condition, Rule, SeccompProfile

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. Source: clone(2).
NAMESPACE_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
# PER_LINUX, PER_LINUX32, UNAME26, both, and the query. Source: personality(2).
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
AF_NETLINK = 16
NETLINK_AUDIT = 9


def _holding(*capabilities: str) -> Condition:
    return Condition(capabilities=frozenset(capabilities))


def _capability_rules() -> list[Rule]:
    rules = [Rule(names, ALLOW, includes=_holding(capability)) for capability, names in BY_CAPABILITY.items()]
    keys: dict[str, set[str]] = {}
    for capability, names in BY_CAPABILITY.items():
        for name in names:
            keys.setdefault(name, set()).add(capability)
    for holders in sorted({tuple(sorted(found)) for found in keys.values()}):
        names = tuple(name for name, found in keys.items() if tuple(sorted(found)) == holders)
        rules.append(Rule(names, ERRNO, errno=errno.EPERM, excludes=_holding(*holders)))
    return rules


def _clone_rules() -> list[Rule]:
    admin = _holding("CAP_SYS_ADMIN")
    # s390 has the first two arguments of clone in the other order.
    orders = (
        (0, Condition(admin.capabilities, frozenset({"s390x"})), Condition()),
        (1, admin, Condition(architectures=frozenset({"s390x"}))),
    )
    rules = [Rule(("clone", "clone3"), ALLOW, includes=admin), Rule(("clone3",), ERRNO, errno=errno.ENOSYS, excludes=admin)]
    for index, excludes, includes in orders:
        plain = Argument(index, sum(NAMESPACE_FLAGS), "SCMP_CMP_MASKED_EQ", 0)
        rules.append(Rule(("clone",), ALLOW, (plain,), includes=includes, excludes=excludes))
        for flag in NAMESPACE_FLAGS:
            refused = Argument(index, flag, "SCMP_CMP_MASKED_EQ", flag)
            rules.append(Rule(("clone",), ERRNO, (refused,), errno.EPERM, includes, excludes))
    return rules


def _socket_rules() -> list[Rule]:
    audit = _holding("CAP_AUDIT_WRITE")
    family, protocol = Argument(0, AF_NETLINK, "SCMP_CMP_EQ"), Argument(2, NETLINK_AUDIT, "SCMP_CMP_EQ")
    return [
        Rule(("socket",), ALLOW, includes=audit),
        Rule(("socket",), ERRNO, (family, protocol), errno.EINVAL, excludes=audit),
        Rule(("socket",), ALLOW, (Argument(0, AF_NETLINK, "SCMP_CMP_NE"),), excludes=audit),
        Rule(("socket",), ALLOW, (Argument(2, NETLINK_AUDIT, "SCMP_CMP_NE"),), excludes=audit),
    ]


def _build() -> SeccompProfile:
    rules = [Rule(ALLOWED, ALLOW)]
    rules += [
        Rule(names, ALLOW, includes=Condition(architectures=frozenset({architecture}))) for architecture, names in BY_ARCHITECTURE.items()
    ]
    rules += [Rule(("personality",), ALLOW, (Argument(0, value, "SCMP_CMP_EQ"),)) for value in PERSONALITIES]
    rules += _capability_rules() + _clone_rules() + _socket_rules()
    return SeccompProfile("SCMP_ACT_ERRNO", tuple(rules), errno.ENOSYS)


BUILTIN = _build()
