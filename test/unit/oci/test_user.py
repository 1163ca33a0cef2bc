"""Who a container runs as, from files that strangers wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crio.core.config import GroupsPolicy, Security
from crio.core.errors import InvalidArgument
from crio.core.user import (
    FILE_LIMIT_BYTES,
    MAX_ID,
    ResolvedUser,
    group_with,
    parse_group,
    parse_id,
    parse_passwd,
    passwd_with,
    resolve_user,
)

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
www:x:33:33:www:/var/www
user:x:1000:1001::/home/user:/bin/sh
# comment:x:7:7::/:
short:x:1
bad:x:4294967295:1::/:/bin/sh
neg:x:-1:1::/:/bin/sh
"""
GROUP = b"root:x:0:\nwww:x:33:\nextra:x:50000:user,other\nmore:x:50001:user\nempty:x:50002\n:x:1:user\nbad:x:z:user\n"
ANY = Security()

# sentence: (security, image's user, who it is)
USERS: dict[str, tuple[Security, str, ResolvedUser]] = {
    "nobody says anything": (ANY, "", ResolvedUser(0, 0, (0,), "root", "/root")),
    "the image's name": (ANY, "www", ResolvedUser(33, 33, (33,), "www", "/var/www")),
    "the image's number brings its groups": (ANY, "1000", ResolvedUser(1000, 1001, (1001, 50000, 50001), "user", "/home/user")),
    "the image's number without a name": (ANY, "1234", ResolvedUser(1234, 0, (0,), "", "/")),
    "the image's group by name": (ANY, "1234:extra", ResolvedUser(1234, 50000, (50000,), "", "/")),
    "the image's group by number": (ANY, "www:1004", ResolvedUser(33, 1004, (1004,), "www", "/var/www")),
    "the image's group without a user": (ANY, ":33", ResolvedUser(0, 33, (33,), "root", "/root")),
    "the request's name before its number": (
        Security(run_as_user=1, run_as_username="www"),
        "user",
        ResolvedUser(33, 33, (33,), "www", "/var/www"),
    ),
    "the request's number before the image": (
        Security(run_as_user=1000),
        "33:33",
        ResolvedUser(1000, 1001, (1001, 50000, 50001), "user", "/home/user"),
    ),
    "the request's group replaces the primary one": (
        Security(run_as_user=1000, run_as_group=7),
        "",
        ResolvedUser(1000, 7, (7, 50000, 50001), "user", "/home/user"),
    ),
    "the request's groups are merged with the image's": (
        Security(run_as_user=1000, supplemental_groups=(5, 50000)),
        "",
        ResolvedUser(1000, 1001, (1001, 5, 50000, 50001), "user", "/home/user"),
    ),
    "strictly the request's groups": (
        Security(run_as_user=1000, supplemental_groups=(5,), groups_policy=GroupsPolicy.STRICT),
        "",
        ResolvedUser(1000, 1001, (1001, 5), "user", "/home/user"),
    ),
}


@pytest.mark.parametrize("sentence", USERS)
def test_user(sentence: str) -> None:
    security, image_user, expected = USERS[sentence]
    assert resolve_user(security, image_user, PASSWD, GROUP) == expected


BAD: dict[str, tuple[Security, str, str]] = {
    "a group without a user": (Security(run_as_group=5), "1000", "run_as_group 5 without a user"),
    "an unknown name": (Security(run_as_username="ghost"), "", "'ghost'"),
    "an unknown group of the image": (ANY, "www:ghosts", "group 'ghosts'"),
    "a number that wraps to root": (Security(run_as_user=1 << 32), "", "run_as_user 4294967296"),
    "the number that means no change": (Security(run_as_user=MAX_ID + 1), "", "run_as_user 4294967295"),
    "a negative number": (Security(run_as_user=-1), "", "run_as_user -1"),
    "an image's number that wraps to root": (ANY, "4294967296", "'4294967296'"),
    "an image's long number": (ANY, "0" * 20 + "1", "neither a name"),
    "an image's number in other digits": (ANY, "१०००", "neither a name"),
    "a group out of range": (Security(run_as_user=1, run_as_group=-1), "", "run_as_group -1"),
    "a further group out of range": (Security(supplemental_groups=(1 << 40,)), "", "supplemental_groups"),
    "too many groups": (Security(supplemental_groups=tuple(range(65537))), "", "at most 65536"),
}


@pytest.mark.parametrize("sentence", BAD)
def test_refused(sentence: str) -> None:
    security, image_user, words = BAD[sentence]
    with pytest.raises(InvalidArgument) as caught:
        resolve_user(security, image_user, PASSWD, GROUP)
    assert words in str(caught.value)


def test_large_files_are_refused_and_long_lines_name_nobody() -> None:
    with pytest.raises(InvalidArgument, match="larger"):
        parse_passwd(b"x" * (FILE_LIMIT_BYTES + 1))
    line = b"long:x:5:5::/" + b"a" * 70000 + b":/bin/sh\n"
    assert parse_passwd(line + b"ok:x:6:6::/:/bin/sh\n")[0].name == "ok"


def test_a_missing_user_gets_a_line() -> None:
    user = ResolvedUser(1234, 5, (5,))
    assert passwd_with(PASSWD.rstrip(b"\n"), user, "/h") == PASSWD + b"1234:x:1234:5:1234 user:/h:/sbin/nologin\n"
    assert passwd_with(b"", user, "/") == b"1234:x:1234:5:1234 user:/:/sbin/nologin\n"
    assert passwd_with(PASSWD, ResolvedUser(33, 33, (33,)), "/") is None


def test_a_missing_group_gets_a_line() -> None:
    assert group_with(b"root:x:0:\n", 5) == b"root:x:0:\n5:x:5:\n"
    assert group_with(b"root:x:0:\n", 0) is None


@pytest.mark.parametrize("home", ["/h\nroot2:x:0:0::/:/bin/sh", "/h\r", "/h:0", "/h\0", "/h\x7f"])
def test_the_newline_in_a_home_does_not_become_a_user(home: str) -> None:
    with pytest.raises(InvalidArgument, match="home directory"):
        passwd_with(b"", ResolvedUser(1234, 5, (5,)), home)
    with pytest.raises(InvalidArgument, match="user name"):
        passwd_with(b"", replace(ResolvedUser(1234), username=home), "/")


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(body: bytes) -> None:
    for entry in parse_passwd(body):
        assert 0 <= entry.uid <= MAX_ID and entry.name
    for group in parse_group(body):
        assert 0 <= group.gid <= MAX_ID


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("4294967294", MAX_ID), ("4294967295", None), ("", None), ("-1", None), ("1 ", None)]
)
def test_ids(text: str, number: int | None) -> None:
    assert parse_id(text) == number
