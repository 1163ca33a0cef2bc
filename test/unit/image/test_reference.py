"""The grammar and the normal form of image names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crio.core.image.digest import Digest, digest_of, parse_digest
from crio.core.image.errors import BadReference
from crio.core.image.reference import Reference, ShortName, parse_reference, parse_user_reference

HEX = "ab" * 32
DIGEST = f"sha256:{HEX}"

NORMAL = {
    "a bare name belongs to Docker Hub's library": ("busybox", "docker.io/library/busybox"),
    "a tag stays": ("busybox:1.36", "docker.io/library/busybox:1.36"),
    "two components belong to Docker Hub": ("a/b", "docker.io/a/b"),
    "a dot makes a host": ("quay.io/a/b", "quay.io/a/b"),
    "a port makes a host": ("reg:5000/a", "reg:5000/a"),
    "localhost is a host": ("localhost/a:t", "localhost/a:t"),
    "a capital letter makes a host": ("Reg/a", "Reg/a"),
    "an IPv6 address is a host": ("[::1]:5000/a", "[::1]:5000/a"),
    "a digest stays": (f"a@{DIGEST}", f"docker.io/library/a@{DIGEST}"),
    "tag and digest stay until the name is settled": (f"q.io/a:t@{DIGEST}", f"q.io/a:t@{DIGEST}"),
    "the old name of the hub": ("index.docker.io/a", "docker.io/library/a"),
    "separators inside of a component": ("q.io/a.b/c__d/e---f_g", "q.io/a.b/c__d/e---f_g"),
}


@pytest.mark.parametrize(("text", "normal"), NORMAL.values(), ids=NORMAL)
def test_names_have_one_normal_form(text: str, normal: str) -> None:
    assert str(parse_reference(text)) == normal
    assert str(parse_reference(normal)) == normal


BAD = {
    "empty": "",
    "only a tag": ":x",
    "capital letter in the path": "q.io/A",
    "two dots": "q.io/a..b",
    "ends with a separator": "q.io/a-",
    "empty component": "q.io/a//b",
    "leading slash": "/a",
    "bare image id": HEX,
    "tag with a slash": "q.io/a:b/c:d!",
    "empty tag": "q.io/a:",
    "tag too long": "q.io/a:" + "t" * 129,
    "tag begins with a dot": "q.io/a:.t",
    "unknown digest": "q.io/a@md5:abcd",
    "short digest": "q.io/a@sha256:abcd",
    "capital digest": "q.io/a@sha256:" + "AB" * 32,
    "two digests": f"q.io/a@{DIGEST}@{DIGEST}",
    "name too long": "q.io/" + "a" * 256,
    "absurdly long": "a" * 2000,
    "host with an underscore": "a_b.c/d",
    "a scheme": "https://q.io/a",
    "a newline": "q.io/a\n",
    "path traversal": "q.io/../a",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_not_a_name_is_refused(text: str) -> None:
    with pytest.raises(BadReference):
        parse_reference(text)


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_a_refusal(text: str) -> None:
    try:
        parsed = parse_reference(text)
    except BadReference:
        return
    assert parse_reference(str(parsed)) == parsed


def test_short_names_are_told_from_full_ones() -> None:
    assert parse_user_reference("a/b:t") == ShortName("a/b", "t")
    assert parse_user_reference("q.io/b:t") == Reference("q.io", "b", "t")


def test_a_short_name_keeps_tag_and_digest_when_it_is_expanded() -> None:
    name = ShortName("a", "t", parse_digest(DIGEST))
    assert str(name.below("q.io/x")) == f"q.io/x/a:t@{DIGEST}"
    assert str(name.renamed("q.io/other")) == f"q.io/other:t@{DIGEST}"


def test_a_settled_name_has_a_tag_or_a_digest() -> None:
    assert str(parse_reference("q.io/a").settled()) == "q.io/a:latest"
    assert str(parse_reference(f"q.io/a:t@{DIGEST}").settled()) == f"q.io/a@{DIGEST}"
    assert [parse_reference(text).selector for text in ("q.io/a", "q.io/a:t", f"q.io/a:t@{DIGEST}")] == ["latest", "t", DIGEST]


def test_digests_match_content() -> None:
    assert digest_of(b"x").matches(b"x")
    assert not Digest("sha512", "0" * 128).matches(b"x")
