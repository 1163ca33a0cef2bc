"""What registries and helpers say: challenges, tokens, errors, waits, ranges, auth files, unpacker reports, names, pins."""

from __future__ import annotations

import base64
import json

import pytest

from crio.core.errors import CriError, DeadlineExceeded, Internal, InvalidArgument, ResourceExhausted
from crio.core.image.auth import (
    AuthFields,
    Credentials,
    credentials_of_request,
    find_entry,
    helper_for,
    normalised_host,
    parse_auth_file,
    parse_helper_reply,
)
from crio.core.image.challenge import Challenge, Scheme, Token, first_challenge, parse_token_reply, pull_scope
from crio.core.image.digest import parse_digest
from crio.core.image.errors import (
    BadConfigFile,
    BadDocument,
    BadLayer,
    DigestMismatch,
    ManifestUnknown,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnavailable,
    SignatureValidationFailed,
)
from crio.core.image.names import NamedImage, find_by_id, find_by_name, repo_digests, repo_tags
from crio.core.image.pinned import pinned_images
from crio.core.image.reference import parse_reference
from crio.core.image.replies import ResumeRule, content_range_start, error_for_status, retry_after_s
from crio.core.image.unpacked import parse_report

HEX = "ab" * 32
DIGEST = f"sha256:{HEX}"

CHALLENGES = {
    "basic": (['Basic realm="x"'], Challenge(Scheme.BASIC, "x")),
    "bearer": (
        ['Bearer realm="https://a/t",service="s",scope="repository:a:pull",error="insufficient_scope"'],
        Challenge(Scheme.BEARER, "https://a/t", "s", "repository:a:pull", "insufficient_scope"),
    ),
    "spaces and no quotes": (["bearer realm = https://a/t , service = s"], Challenge(Scheme.BEARER, "https://a/t", "s")),
    "an escaped quote": ([r'Basic realm="a\"b"'], Challenge(Scheme.BASIC, 'a"b')),
    "the first that is supported": (["Negotiate", "Bearer", 'Basic realm="x"'], Challenge(Scheme.BASIC, "x")),
    "none": (["Digest realm=x"], None),
}


@pytest.mark.parametrize(("headers", "found"), CHALLENGES.values(), ids=CHALLENGES)
def test_challenges(headers: list[str], found: Challenge | None) -> None:
    assert first_challenge(headers) == found


def test_tokens() -> None:
    assert pull_scope("a/b") == "repository:a/b:pull"
    assert parse_token_reply(b'{"token":"t","expires_in":300}') == Token("t", 300)
    assert parse_token_reply(b'{"access_token":"t","expires_in":1}') == Token("t", 60)
    for wrong in (b"{}", b'{"token":"a\\nb"}', b"[]"):
        with pytest.raises(BadDocument):
            parse_token_reply(wrong)


ERRORS = {
    401: RegistryUnauthorized,
    403: RegistryDenied,
    404: ManifestUnknown,
    429: RegistryUnavailable,
    502: RegistryUnavailable,
    418: CriError,
}


@pytest.mark.parametrize(("status", "kind"), ERRORS.items())
def test_a_status_is_an_error(status: int, kind: type[CriError]) -> None:
    body = b'{"errors":[{"code":"CODE","message":"line\\none"}]}'
    error = error_for_status(status, body, "asked")
    assert type(error) is kind
    assert "CODE: line one" in error.message
    assert "(" not in error_for_status(status, b"<html>", "asked").message
    assert "(" not in error_for_status(status, b'{"errors":[]}', "asked").message


def test_errors_that_the_kubelet_knows_by_their_first_word() -> None:
    assert str(RegistryUnavailable("x")) == "RegistryUnavailable: x"
    assert str(SignatureValidationFailed("x")) == "SignatureValidationFailed: x"
    assert RegistryUnavailable.code.value == SignatureValidationFailed.code.value == "UNKNOWN"


WAITS = {
    "seconds": ("7", 0, 7.0),
    "too many seconds": ("9999999999999", 0, 60.0),
    "a date": ("Thu, 01 Jan 1970 00:01:40 GMT", 0, 10.0),
    "a date that is over": ("Thu, 01 Jan 1970 00:00:40 GMT", 0, 0.0),
    "nonsense": ("soon", 1, 4.0),
    "nothing, at first": ("", 0, 2.0),
    "nothing, at last": ("", 9, 60.0),
}


@pytest.mark.parametrize(("header", "attempt", "wait_s"), WAITS.values(), ids=WAITS)
def test_waiting_after_429(header: str, attempt: int, wait_s: float) -> None:
    assert retry_after_s(header, attempt, 90.0) == wait_s


def test_content_ranges() -> None:
    assert content_range_start("bytes 5-9/10") == content_range_start("bytes 5-9/*") == 5
    assert content_range_start("bytes */10") is content_range_start("") is None


def test_when_a_cut_download_goes_on() -> None:
    first = ResumeRule()
    assert first.allows(0, 0.0)
    later = first.after(1000, 10.0)
    assert not later.allows(1000 + 1024 * 1024 - 1, 11.0)
    assert later.allows(1000 + 1024 * 1024, 11.0)
    assert later.allows(1000, 70.0)


AUTH = base64.b64encode(b"user:pa:ss\0\0").decode()


def test_credentials_of_a_request() -> None:
    assert credentials_of_request(AuthFields()) is None
    assert credentials_of_request(AuthFields(auth=AUTH)) == Credentials("user", "pa:ss")
    assert credentials_of_request(AuthFields("u", "p", AUTH)) == Credentials("u", "p")
    assert credentials_of_request(AuthFields(registry_token="t")) == Credentials(registry_token="t")
    for wrong in ("*", base64.b64encode(b"nocolon").decode(), base64.b64encode(b"\xff:").decode()):
        with pytest.raises(InvalidArgument, match="base64 of user:password"):
            credentials_of_request(AuthFields(auth=wrong))


def test_a_password_becomes_a_basic_header() -> None:
    assert Credentials("user", "pa:ss").basic() == "Basic dXNlcjpwYTpzcw=="


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(Credentials("u", "secret", "secret", "secret"))
    assert "secret" not in repr(AuthFields("u", "secret", "secret", "secret", "secret"))


def test_entries_of_an_auth_file_are_found_nearest_first() -> None:
    def entry(user: str) -> dict[str, str]:
        return {"auth": base64.b64encode(f"{user}:p".encode()).decode()}

    text = json.dumps(
        {
            "auths": {
                "q.io": entry("host"),
                "q.io/ns": entry("parent"),
                "q.io/ns/repo": entry("repo"),
                "https://index.docker.io/v1/": entry("hub"),
                "other.io/ns": entry("never"),
                "token.io": {"identitytoken": "t"},
                "empty.io": {},
            },
            "credHelpers": {"helped.io": "trial"},
        }
    )
    file = parse_auth_file(text.encode(), "auth.json")

    def user(host: str, path: str) -> str | None:
        found = find_entry(file, host, path)
        return None if found is None else found.username

    assert [user("q.io", path) for path in ("ns/repo", "ns/x", "x")] == ["repo", "parent", "host"]
    assert user("docker.io", "library/a") == "hub"
    assert user("other.io", "x") is user("empty.io", "x") is None
    assert find_entry(file, "token.io", "x") == Credentials(identity_token="t")
    assert (helper_for(file, "helped.io"), helper_for(file, "q.io")) == ("trial", None)
    assert normalised_host("registry-1.docker.io") == "docker.io"


def test_auth_files_of_every_age_and_broken_ones() -> None:
    assert parse_auth_file(b" ", "x").entries == {}
    assert parse_auth_file(json.dumps({"q.io": {"auth": AUTH}}).encode(), "x", flat=True).entries["q.io"].username == "user"
    for wrong in (b"{", b'{"auths":{"q.io":{"auth":"*"}}}', b'{"auths":1}'):
        with pytest.raises(BadConfigFile, match=r"^x: "):
            parse_auth_file(wrong, "x")


def test_helper_replies() -> None:
    assert parse_helper_reply(b'{"Username":"u","Secret":"s"}', "h") == Credentials("u", "s")
    assert parse_helper_reply(b'{"Username":"<token>","Secret":"s"}', "h") == Credentials(identity_token="s")
    assert parse_helper_reply(b"{}", "h") is None
    with pytest.raises(BadConfigFile, match="docker-credential-h"):
        parse_helper_reply(b"nope", "h")


REPORT = {"digest": DIGEST, "size": 1, "diff_id": DIGEST, "diff_size": 2, "compression": "gzip", "uids": [0, 5], "gids": []}


def test_reports_of_the_unpacker() -> None:
    report = parse_report(json.dumps({**REPORT, "root_in_tar": True}).encode(), "layer")
    assert (report.compression, report.uids, report.root_in_tar) == (2, (0, 5), True)
    assert parse_report(json.dumps({**REPORT, "compression": 4}).encode(), "layer").compression == 4
    for wrong in ({"compression": "rar"}, {"uids": ["x"]}, {"digest": "x"}):
        with pytest.raises(Internal):
            parse_report(json.dumps({**REPORT, **wrong}).encode(), "layer")
    with pytest.raises(Internal):
        parse_report(b"Segmentation fault", "layer")


CODES = {
    "digest_mismatch": DigestMismatch,
    "diffid_mismatch": DigestMismatch,
    "truncated": BadLayer,
    "hostile_entry": BadLayer,
    "no_space": ResourceExhausted,
    "io": Internal,
}


@pytest.mark.parametrize(("code", "kind"), CODES.items())
def test_failures_of_the_unpacker(code: str, kind: type[CriError]) -> None:
    with pytest.raises(kind, match="layer: said"):
        parse_report(json.dumps({"error": code, "message": "said"}).encode(), "layer")


def test_budgets_of_the_unpacker() -> None:
    for message, kind in (("more seconds than", DeadlineExceeded), ("more entries than", ResourceExhausted)):
        with pytest.raises(kind):
            parse_report(json.dumps({"error": "budget", "message": message}).encode(), "layer")


D1, D2 = parse_digest("sha256:" + "11" * 32), parse_digest("sha256:" + "22" * 32)
TAGGED = NamedImage("aa" * 32, ("q.io/a:2", "q.io/a:1", f"r.io/b@{D1}", "not a name!"), (), (D1, D2))
NAMELESS = NamedImage("ab" * 32, (), ("host:5000/c:1", "z.io/d:1"), (D1,))


def test_tags_and_digests_of_an_image() -> None:
    assert repo_tags(TAGGED) == ("q.io/a:1", "q.io/a:2")
    assert repo_digests(TAGGED) == (f"q.io/a@{D1}", f"q.io/a@{D2}", f"r.io/b@{D1}", f"r.io/b@{D2}")
    assert (repo_tags(NAMELESS), repo_digests(NAMELESS)) == ((), (f"host:5000/c@{D1}",))


def test_looking_up_by_id() -> None:
    images = (TAGGED, NAMELESS)
    assert find_by_id("aaa", images) is TAGGED
    assert find_by_id("sha256:" + "ab" * 32, images) is NAMELESS
    assert find_by_id("ab" * 32, (NAMELESS, NamedImage("ab" * 32, ()))) is NAMELESS
    assert find_by_id("a", images) is find_by_id("zzz", images) is find_by_id("fff", images) is None
    assert find_by_id("aaa", (TAGGED, NamedImage("aaab" * 16, ()))) is None


def test_looking_up_by_name() -> None:
    def find(*texts: str) -> NamedImage | None:
        return find_by_name([parse_reference(text) for text in texts], (TAGGED, NAMELESS))

    assert find("q.io/a:1") is TAGGED
    assert find("q.io/none", "q.io/a:2") is TAGGED
    assert find(f"q.io/a:anything@{D2}") is TAGGED
    assert find(f"host:5000/c@{D1}") is NAMELESS
    assert find(f"q.io/other@{D1}") is find("q.io/a") is None


PINS = {
    "exact": ("q.io/a:1", "Q.io/a:1", True),
    "exact, more": ("q.io/a:1", "q.io/a:12", False),
    "prefix": ("q.io/a*", "q.io/abc:1", True),
    "prefix anywhere": ("a/b*", "q.io/a/b:1", True),
    "keyword": ("*pause*", "q.io/my-Pause:1", True),
    "keyword elsewhere": ("*pause*", "q.io/a:1", False),
    "a dot is a dot": ("*a.b*", "q.io/axb:1", False),
    "everything": ("*", "q.io/a:1", True),
    "nothing": ("", "q.io/a:1", False),
}


@pytest.mark.parametrize(("pattern", "name", "pinned"), PINS.values(), ids=PINS)
def test_pins(pattern: str, name: str, pinned: bool) -> None:
    assert pinned_images([pattern]).matches([name]) is pinned


def test_the_pause_image_is_always_pinned() -> None:
    assert pinned_images([], "k8s.io/pause:3").matches(["x", "k8s.io/pause:3"])
    assert not pinned_images([]).matches([])
