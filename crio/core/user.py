"""Who a container's first process is: from the request, the image and the image's passwd and group files.

Both files were written by a stranger. They are taken as bounded bytes; a line that is too long or has fields of the wrong kind
names nobody, as in the C library; an id must fit the kernel's 32 bits. Entries that the daemon adds are made of checked fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crio.core.config import GroupsPolicy, Security
from crio.core.errors import InvalidArgument

FILE_LIMIT_BYTES = 1 << 20
LINE_LIMIT_BYTES = 1 << 16
GROUPS_LIMIT = 65536
MAX_ID = (1 << 32) - 2


@dataclass(frozen=True, slots=True)
class PasswdEntry:
    """One line of /etc/passwd. Source: passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """One line of /etc/group. Source: group(5)."""

    name: str
    gid: int
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class ResolvedUser:
    """The identity of a process. ``username`` is empty when the number has no name; ``additional_gids`` include ``gid``."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = (0,)
    username: str = ""
    home: str = "/"


def parse_passwd(body: bytes) -> tuple[PasswdEntry, ...]:
    """The usable entries, in order; raises InvalidArgument when the file is larger than ``FILE_LIMIT_BYTES``."""
    entries = []
    for fields in _lines(body, "/etc/passwd", 7):
        uid, gid = parse_id(fields[2]), parse_id(fields[3])
        if fields[0] and uid is not None and gid is not None:
            entries.append(PasswdEntry(fields[0], uid, gid, fields[5] or "/", fields[6]))
    return tuple(entries)


def parse_group(body: bytes) -> tuple[GroupEntry, ...]:
    """The usable entries, in order; raises InvalidArgument when the file is larger than ``FILE_LIMIT_BYTES``."""
    entries = []
    for fields in _lines(body, "/etc/group", 4):
        gid = parse_id(fields[2])
        if fields[0] and gid is not None:
            entries.append(GroupEntry(fields[0], gid, frozenset(filter(None, fields[3].split(",")))))
    return tuple(entries)


def parse_id(text: str) -> int | None:
    """A user or group number that the kernel can hold, or None."""
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    value = int(text)
    return value if value <= MAX_ID else None


def resolve_user(security: Security, image_user: str, passwd: bytes, group: bytes) -> ResolvedUser:
    """The user that a container runs as: the request's name, else its number, else the image's user, else root.

    ``run_as_group`` replaces the primary group. Supplemental groups are the request's alone (STRICT) or these and those
    whose members include the user (MERGE); the primary group is among them either way.

    :raises InvalidArgument: a group without a user, a name that the image does not know, a number out of range
    """
    name, group_name = _wanted(security, image_user)
    users, groups = parse_passwd(passwd), parse_group(group)
    entry = _find_user(users, name)
    gid = entry.gid
    if security.run_as_group is not None:
        gid = _checked_id(security.run_as_group, "run_as_group")
    elif group_name:
        gid = _find_group(groups, group_name)
    extra = [_checked_id(number, "supplemental_groups") for number in security.supplemental_groups]
    if security.groups_policy is GroupsPolicy.MERGE and entry.name:
        extra += [found.gid for found in groups if entry.name in found.members]
    if len(extra) > GROUPS_LIMIT:
        raise InvalidArgument(f"user {name!r} has {len(extra)} supplemental groups: expected at most {GROUPS_LIMIT}")
    return ResolvedUser(entry.uid, gid, tuple(dict.fromkeys([gid, *extra])), entry.name, entry.home)


def passwd_with(body: bytes, user: ResolvedUser, home: str) -> bytes | None:
    """The passwd file with a line for the user's number, or None when it has one.

    ``home`` may come from the environment of a stranger's image; raises InvalidArgument when it cannot stand in a line.
    """
    if any(entry.uid == user.uid for entry in parse_passwd(body)):
        return None
    name = user.username or str(user.uid)
    for what, text in (("user name", name), ("home directory", home)):
        if ":" in text or any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in text):
            raise InvalidArgument(f"{what} {text!r} cannot stand in /etc/passwd: expected no colon and no control characters")
    return _joined(body, f"{name}:x:{user.uid}:{user.gid}:{name} user:{home}:/sbin/nologin\n")


def group_with(body: bytes, gid: int) -> bytes | None:
    """The group file with a line for ``gid``, or None when it has one."""
    if any(entry.gid == gid for entry in parse_group(body)):
        return None
    return _joined(body, f"{gid}:x:{gid}:\n")


def _joined(body: bytes, line: str) -> bytes:
    return body + (b"\n" if body and not body.endswith(b"\n") else b"") + line.encode()


def _lines(body: bytes, path: str, count: int) -> Iterator[list[str]]:
    if len(body) > FILE_LIMIT_BYTES:
        raise InvalidArgument(f"{path} of the image is larger than {FILE_LIMIT_BYTES} bytes")
    for line in body.split(b"\n"):
        if len(line) > LINE_LIMIT_BYTES or line.startswith(b"#"):
            continue
        fields = line.strip().decode(errors="replace").split(":")
        if len(fields) >= count - 1:
            # A trailing field may be missing: a group without members, a user without a shell.
            yield fields + [""] * (count - len(fields))


def _wanted(security: Security, image_user: str) -> tuple[str, str]:
    """The user and the image's group as written; only the image's own user brings its own group."""
    if security.run_as_username:
        return security.run_as_username, ""
    if security.run_as_user is not None:
        return str(_checked_id(security.run_as_user, "run_as_user")), ""
    if security.run_as_group is not None:
        raise InvalidArgument(f"run_as_group {security.run_as_group} without a user: expected run_as_user or run_as_username with it")
    name, _, group_name = image_user.partition(":")
    return name or "0", group_name


def _checked_id(number: int, field: str) -> int:
    if not 0 <= number <= MAX_ID:
        raise InvalidArgument(f"{field} {number} is not an id: expected 0 to {MAX_ID}")
    return number


def _find_user(users: Sequence[PasswdEntry], wanted: str) -> PasswdEntry:
    for entry in users:
        if entry.name == wanted:
            return entry
    uid = parse_id(wanted)
    if uid is None:
        raise InvalidArgument(f"user {wanted!r} is neither a name in the image's /etc/passwd nor a number up to {MAX_ID}")
    for entry in users:
        if entry.uid == uid:
            return entry
    return PasswdEntry("", uid, 0, "/", "")


def _find_group(groups: Sequence[GroupEntry], wanted: str) -> int:
    for entry in groups:
        if entry.name == wanted:
            return entry.gid
    gid = parse_id(wanted)
    if gid is None:
        raise InvalidArgument(f"group {wanted!r} is neither a name in the image's /etc/group nor a number up to {MAX_ID}")
    return gid
