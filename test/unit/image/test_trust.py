"""Policies, identities, signature payloads, lookaside places: the rules without keys."""

from __future__ import annotations

import base64
import json

import pytest

from crio.core.image.digest import digest_of, parse_digest
from crio.core.image.errors import BadConfigFile, BadDocument
from crio.core.image.identity import (
    COSIGN_TYPE,
    SIMPLE_TYPE,
    Identity,
    IdentityKind,
    default_identity,
    identity_accepts,
    parse_claim,
)
from crio.core.image.lookaside import attachment_tag, merge_registries_d, signature_url
from crio.core.image.policy import (
    AcceptAnything,
    Pki,
    Reject,
    SignedBy,
    SigstoreSigned,
    docker_scopes,
    parse_policy,
    path_scopes,
)
from crio.core.image.reference import parse_reference
from crio.core.image.sigstoreblob import SigstoreBlob, entry_is_about, parse_rekor_bundle, parse_sigstore_blob

DIGEST = "sha256:" + "ab" * 32
ACCEPT = {"type": "insecureAcceptAnything"}
KEY = base64.b64encode(b"key").decode()


def _policy(*requirements: object) -> bytes:
    return json.dumps({"default": list(requirements)}).encode()


def test_scopes_come_nearest_first() -> None:
    assert list(docker_scopes(parse_reference("a.b.example.com:5000/x/y:1"))) == [
        "a.b.example.com:5000/x/y:1",
        "a.b.example.com:5000/x/y",
        "a.b.example.com:5000/x",
        "a.b.example.com:5000",
        "*.b.example.com",
        "*.example.com",
        "*.com",
    ]
    assert next(docker_scopes(parse_reference(f"q.io/a:1@{DIGEST}"))) == f"q.io/a@{DIGEST}"
    assert list(docker_scopes(parse_reference("localhost/a")))[-1] == "localhost"
    assert list(path_scopes("/")) == ["/"]
    assert list(path_scopes("/a/b", "v1")) == ["/a/b:v1", "/a/b", "/a", "/"]


def test_the_nearest_scope_then_the_transport_then_the_default_decides() -> None:
    policy = parse_policy(
        json.dumps(
            {"default": [{"type": "reject"}], "transports": {"docker": {"q.io": [ACCEPT], "": [ACCEPT, ACCEPT]}, "dir": {}}}
        ).encode(),
        "p.json",
    )
    assert policy.requirements("docker", iter(["q.io/a", "q.io"])) == (AcceptAnything(),)
    assert policy.requirements("docker", iter(["z.io"])) == (AcceptAnything(), AcceptAnything())
    assert policy.requirements("dir", iter(["/x"])) == (Reject(),)
    assert policy.requirements("oci", iter([])) == (Reject(),)


GOOD = {
    "paths of keys": {"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/a", "/b"]},
    "a path": {"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/a", "signedIdentity": {"type": "matchRepository"}},
    "sigstore key": {"type": "sigstoreSigned", "keyPath": "/k"},
    "sigstore keys and logs": {"type": "sigstoreSigned", "keyDatas": [KEY], "rekorPublicKeyDatas": [KEY, KEY]},
    "fulcio": {
        "type": "sigstoreSigned",
        "fulcio": {"caPath": "/ca", "oidcIssuer": "i", "subjectEmail": "m"},
        "rekorPublicKeyPath": "/r",
    },
    "pki": {"type": "sigstoreSigned", "pki": {"caRootsData": KEY, "caIntermediatesPath": "/i", "subjectHostname": "h"}},
}


@pytest.mark.parametrize("requirement", GOOD.values(), ids=GOOD)
def test_a_requirement_is_parsed(requirement: object) -> None:
    (parsed,) = parse_policy(_policy(requirement), "p").default
    assert isinstance(parsed, SignedBy | SigstoreSigned)


def test_what_cannot_be_checked_rejects() -> None:
    base = {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}
    old = {"type": "signedBy", "keyType": "X509Certificates", "keyPath": "/k"}
    assert all(isinstance(parsed, Reject) for parsed in parse_policy(_policy(base, old), "p").default)


def test_pki_without_intermediates() -> None:
    (parsed,) = parse_policy(_policy({"type": "sigstoreSigned", "pki": {"caRootsPath": "/r", "subjectEmail": "m"}}), "p").default
    assert isinstance(parsed, SigstoreSigned)
    assert parsed.pki == Pki("/r", None, "m", "")


BAD = {
    "no default": b"{}",
    "empty default": b'{"default":[]}',
    "an unknown key": b'{"default":[{"type":"reject"}],"x":1}',
    "a repeated key": b'{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}',
    "an empty scope list": b'{"default":[{"type":"reject"}],"transports":{"docker":{"a":[]}}}',
    "an unknown type": _policy({"type": "maybe"}),
    "accept with more": _policy({**ACCEPT, "keyPath": "/x"}),
    "reject with more": _policy({"type": "reject", "keyPath": "/x"}),
    "an unknown key type": _policy({"type": "signedBy", "keyType": "PEM", "keyPath": "/x"}),
    "no key": _policy({"type": "signedBy", "keyType": "GPGKeys"}),
    "two keys": _policy({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/x", "keyData": KEY}),
    "an empty path": _policy({"type": "signedBy", "keyType": "GPGKeys", "keyPath": ""}),
    "no paths": _policy({"type": "signedBy", "keyType": "GPGKeys", "keyPaths": []}),
    "key data that is not base64": _policy({"type": "signedBy", "keyType": "GPGKeys", "keyData": "*"}),
    "an unknown identity": _policy({"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "x"}}),
    "an identity with more": _policy({"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "matchExact", "prefix": "a"}}),
    "an identity with less": _policy({"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "remapIdentity"}}),
    "an identity with a wrong name": _policy(
        {"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "exactReference", "dockerReference": "A A"}}
    ),
    "sigstore without key": _policy({"type": "sigstoreSigned"}),
    "sigstore with two kinds": _policy({"type": "sigstoreSigned", "keyPath": "/k", "keyData": KEY}),
    "two kinds of log keys": _policy({"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r", "rekorPublicKeyData": KEY}),
    "fulcio without log": _policy({"type": "sigstoreSigned", "fulcio": {"caPath": "/c", "oidcIssuer": "i", "subjectEmail": "m"}}),
    "fulcio without authority": _policy(
        {"type": "sigstoreSigned", "fulcio": {"oidcIssuer": "i", "subjectEmail": "m"}, "rekorPublicKeyPath": "/r"}
    ),
    "pki with log": _policy({"type": "sigstoreSigned", "pki": {"caRootsPath": "/r", "subjectEmail": "m"}, "rekorPublicKeyPath": "/r"}),
    "pki without subject": _policy({"type": "sigstoreSigned", "pki": {"caRootsPath": "/r"}}),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_wrong_policy_is_an_error_that_names_the_file(text: bytes) -> None:
    with pytest.raises(BadConfigFile, match=r"^p\.json: "):
        parse_policy(text, "p.json")


def _kind(kind: str, *members: str) -> Identity:
    return Identity(IdentityKind(kind), *members)


IDENTITIES = {
    "exact, equal": (_kind("matchExact"), "q.io/a:1", "q.io/a:1", True),
    "exact, another tag": (_kind("matchExact"), "q.io/a:1", "q.io/a:2", False),
    "exact, no tag": (_kind("matchExact"), "q.io/a", "q.io/a", False),
    "default, tag": (default_identity(), "q.io/a:1", "q.io/a:1", True),
    "default, tag and digest": (default_identity(), "q.io/a:1", f"q.io/a@{DIGEST}", False),
    "default, a digest wants the repository": (default_identity(), f"q.io/a@{DIGEST}", "q.io/a:9", True),
    "default, a digest of another repository": (default_identity(), f"q.io/a@{DIGEST}", "q.io/b:9", False),
    "repository": (_kind("matchRepository"), "q.io/a:1", "q.io/a:2", True),
    "another repository": (_kind("matchRepository"), "q.io/a:1", "q.io/b:1", False),
    "exact reference": (_kind("exactReference", "v.io/a:1"), "q.io/a:1", "v.io/a:1", True),
    "another reference": (_kind("exactReference", "v.io/a:1"), "q.io/a:1", "q.io/a:1", False),
    "exact repository": (_kind("exactRepository", "v.io/a"), "q.io/a:1", "v.io/a:7", True),
    "another exact repository": (_kind("exactRepository", "v.io/a"), "q.io/a:1", "q.io/a:1", False),
    "remapped": (_kind("remapIdentity", "mirror.io/q", "q.io"), "mirror.io/q/a:1", "q.io/a:1", True),
    "not below the remapped prefix": (_kind("remapIdentity", "mirror.io/q", "q.io"), "mirror.io/qq/a:1", "q.io/a:1", False),
    "a wildcard does not remap": (_kind("remapIdentity", "*.io", "q.io"), "m.io/a:1", "q.io/a:1", False),
    "remapped to nonsense": (_kind("remapIdentity", "mirror.io", "Q Q"), "mirror.io/a:1", "q.io/a:1", False),
    "a signed name that is none": (default_identity(), "q.io/a:1", "A A", False),
}


@pytest.mark.parametrize(("identity", "asked", "signed", "good"), IDENTITIES.values(), ids=IDENTITIES)
def test_identities(identity: Identity, asked: str, signed: str, good: bool) -> None:
    assert identity_accepts(identity, parse_reference(asked), signed) is good


def _claim(**changes: object) -> bytes:
    critical = {
        "type": SIMPLE_TYPE,
        "image": {"docker-manifest-digest": DIGEST},
        "identity": {"docker-reference": "q.io/a:1"},
        **changes,
    }
    return json.dumps({"critical": critical, "optional": {"creator": "x"}}).encode()


def test_a_claim_is_parsed() -> None:
    claim = parse_claim(_claim(), SIMPLE_TYPE)
    assert (claim.reference, str(claim.digest)) == ("q.io/a:1", DIGEST)


@pytest.mark.parametrize(
    "payload",
    [
        _claim(type=COSIGN_TYPE),
        _claim(more=1),
        _claim(image={}),
        _claim(image={"docker-manifest-digest": "x"}),
        _claim(identity={"docker-reference": "a", "x": "y"}),
        b'{"critical":{},"optional":[]}',
        b'{"critical":{},"x":1}',
    ],
)
def test_a_claim_must_be_exact(payload: bytes) -> None:
    with pytest.raises(BadDocument):
        parse_claim(payload, SIMPLE_TYPE)


def test_registries_d_is_looked_up_nearest_first_and_each_setting_alone() -> None:
    conf = merge_registries_d(
        [
            ("a.yaml", {"default-docker": {"sigstore": "file:///default"}}),
            (
                "b.yaml",
                {"docker": {"q.io": {"use-sigstore-attachments": True}, "q.io/a": {"lookaside": "https://l.io/x/"}}},
            ),
        ]
    )
    near, wide = parse_reference("q.io/a/b:1"), parse_reference("z.io/a")
    assert (conf.lookaside(near), conf.attachments(near)) == ("https://l.io/x/", True)
    assert (conf.lookaside(wide), conf.attachments(wide)) == ("file:///default", False)
    assert signature_url("https://l.io/x/", near, parse_digest(DIGEST), 2) == f"https://l.io/x/a/b@sha256={'ab' * 32}/signature-2"
    assert attachment_tag(parse_digest(DIGEST)) == f"sha256-{'ab' * 32}.sig"
    assert merge_registries_d([]).lookaside(near) is None


@pytest.mark.parametrize(
    "files",
    [
        [("a.yaml", {"x": 1})],
        [("a.yaml", {"docker": {"q.io": {"x": 1}}})],
        [("b.yaml", {"docker": {"q.io": {}}}), ("a.yaml", {"docker": {"q.io": {}}})],
        [("b.yaml", {"default-docker": {}}), ("a.yaml", {"default-docker": {"lookaside": "x"}})],
        [("a.yaml", {"default-docker": {"lookaside": 1}})],
    ],
)
def test_a_wrong_registries_d_names_the_file(files: list[tuple[str, dict[str, object]]]) -> None:
    with pytest.raises(BadConfigFile, match=r"^a\.yaml: "):
        merge_registries_d(files)  # type: ignore[arg-type]


def test_a_stored_sigstore_signature_survives_a_round_trip() -> None:
    blob = SigstoreBlob("m/t", b"payload", {"dev.cosignproject.cosign/signature": base64.b64encode(b"sig").decode()})
    assert parse_sigstore_blob(blob.encode()) == blob
    assert blob.signature == b"sig"
    assert parse_sigstore_blob(b"\x90openpgp") is None
    with pytest.raises(BadDocument, match="missing"):
        _ = SigstoreBlob("m/t", b"p", {}).signature


def _bundle(entry: object, **changes: object) -> str:
    payload = {"body": base64.b64encode(json.dumps(entry).encode()).decode(), "integratedTime": 7, "logIndex": 1, "logID": "x"}
    return json.dumps({"SignedEntryTimestamp": KEY, "Payload": {**payload, **changes}})


BODY = {
    "kind": "hashedrekord",
    "apiVersion": "0.0.1",
    "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": digest_of(b"payload").hex}},
        "signature": {"content": KEY, "publicKey": {"content": KEY}},
    },
}


def test_a_log_entry_is_parsed() -> None:
    entry = parse_rekor_bundle(_bundle(BODY))
    assert entry.integrated_at_s == 7
    assert entry.signed_bytes.startswith(b'{"body":"')
    assert entry_is_about(entry, b"payload", b"key")
    assert not entry_is_about(entry, b"payload", b"other")


@pytest.mark.parametrize(
    "text",
    [
        _bundle({**BODY, "kind": "intoto"}),
        _bundle({**BODY, "spec": {"data": {"hash": {"algorithm": "sha1"}}}}),
        _bundle(BODY, more=1),
        _bundle(BODY, body="*"),
        "{}",
    ],
)
def test_a_wrong_log_entry_is_refused(text: str) -> None:
    with pytest.raises(BadDocument):
        parse_rekor_bundle(text)
