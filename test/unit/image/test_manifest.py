"""Manifests of every kind, platforms, configurations, and what contradicts itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import pytest

from crio.core.image.digest import digest_of
from crio.core.image.document import Fields, parse_object
from crio.core.image.errors import BadDocument
from crio.core.image.imageconfig import ImageUser, image_user, parse_image_config
from crio.core.image.manifest import ImageIndex, ImageManifest, parse_manifest
from crio.core.image.mediatypes import (
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1,
    SCHEMA1_SIGNED,
    is_encrypted_layer,
    is_foreign_layer,
    is_layer,
)
from crio.core.image.platform import (
    ZSTD_ANNOTATION,
    Candidate,
    Platform,
    choose_entry,
    platform_of_machine,
    wanted_variants,
)
from crio.core.image.schema1 import SchemaOneManifest, parse_schema_one

DIGEST = "sha256:" + "ab" * 32
DESCRIPTOR = {"mediaType": OCI_CONFIG, "digest": DIGEST, "size": 7}
IMAGE = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": DESCRIPTOR, "layers": [DESCRIPTOR]}
INDEX = {"schemaVersion": 2, "manifests": [{**DESCRIPTOR, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}]}


def body(document: object) -> bytes:
    return json.dumps(document).encode()


def test_an_image_is_parsed() -> None:
    parsed = parse_manifest(body({**IMAGE, "annotations": {"a": "b"}}), "application/json; charset=utf-8")
    assert isinstance(parsed, ImageManifest)
    assert (parsed.config.size_bytes, len(parsed.layers), parsed.annotations, parsed.is_artifact) == (7, 1, {"a": "b"}, False)


def test_an_index_is_guessed_from_its_members() -> None:
    parsed = parse_manifest(body(INDEX))
    assert isinstance(parsed, ImageIndex)
    assert parsed.media_type == OCI_INDEX
    assert parsed.manifests[0].platform == Platform("linux", "arm", "v7")
    assert parsed.manifests[0].as_candidate().platform == Platform("linux", "arm", "v7")


def test_an_image_is_guessed_from_its_members() -> None:
    parsed = parse_manifest(body({**IMAGE, "mediaType": None}), "text/plain")
    assert isinstance(parsed, ImageManifest)
    assert parsed.media_type == OCI_MANIFEST


def test_artifacts_are_told_from_images() -> None:
    for change in ({"artifactType": "x/y"}, {"config": {**DESCRIPTOR, "mediaType": "application/vnd.oci.empty.v1+json"}}):
        parsed = parse_manifest(body({**IMAGE, **change}))
        assert isinstance(parsed, ImageManifest)
        assert parsed.is_artifact


def test_embedded_data_is_checked() -> None:
    data = b"{}"
    config = {"mediaType": OCI_CONFIG, "digest": str(digest_of(data)), "size": 2, "data": base64.b64encode(data).decode()}
    parsed = parse_manifest(body({**IMAGE, "config": config}))
    assert isinstance(parsed, ImageManifest)
    assert parsed.config.data == data
    for wrong in ({"data": "e30x"}, {"data": "*"}, {"size": 3}):
        with pytest.raises(BadDocument, match="data"):
            parse_manifest(body({**IMAGE, "config": {**config, **wrong}}))


WRONG = {
    "an image with manifests": ({**IMAGE, "manifests": []}, "", "manifests: ambiguous"),
    "an index with layers": ({**INDEX, "layers": []}, OCI_INDEX, "layers: ambiguous"),
    "an image with fsLayers": ({**IMAGE, "fsLayers": []}, "", "fsLayers: ambiguous"),
    "type and header differ": (IMAGE, DOCKER_MANIFEST, "ambiguous, the document says"),
    "header says index, content says image": ({**IMAGE, "mediaType": None}, OCI_INDEX, "ambiguous"),
    "an unknown type": ({**IMAGE, "mediaType": "text/html"}, "", "not a manifest type"),
    "an unknown version": ({"schemaVersion": 3, "manifests": []}, "", "not a known kind"),
    "version 2 of nothing": ({"schemaVersion": 2}, "", "not a known kind"),
    "the wrong version for its type": ({**IMAGE, "schemaVersion": 1}, OCI_MANIFEST, "schemaVersion: expected 2"),
    "no configuration": ({"schemaVersion": 2, "layers": []}, OCI_MANIFEST, "config: expected a descriptor"),
    "a negative size": ({**IMAGE, "config": {**DESCRIPTOR, "size": -1}}, "", "size: expected a number"),
    "no size": ({**IMAGE, "config": {"digest": DIGEST}}, "", "size: expected a number of bytes, got nothing"),
    "a size that is true": ({**IMAGE, "config": {**DESCRIPTOR, "size": True}}, "", "whole number"),
    "a digest with a path in it": ({**IMAGE, "config": {**DESCRIPTOR, "digest": "sha256:../../x"}}, "", "lower-case hex"),
    "too many layers": ({**IMAGE, "layers": [DESCRIPTOR] * 501}, "", "501 layers"),
    "too many entries": ({**INDEX, "manifests": [DESCRIPTOR] * 10_001}, "", "10001 entries"),
    "layers that are no list": ({**IMAGE, "layers": {}}, "", "layers: expected a list"),
    "a layer that is no object": ({**IMAGE, "layers": [1]}, "", r"layers\[0\]"),
    "a type that is no string": ({**IMAGE, "mediaType": 5}, "", "mediaType: expected a string, got 5"),
    "annotations that are no strings": ({**IMAGE, "annotations": {"a": 1}}, "", r"annotations\.a: expected a string"),
    "urls that are no strings": ({**IMAGE, "config": {**DESCRIPTOR, "urls": [1]}}, "", "urls"),
    "a configuration that is a list": ({**IMAGE, "config": []}, "", "config: expected an object"),
    "a list": ([], "", "expected a JSON object"),
}


@pytest.mark.parametrize(("document", "content_type", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_manifest_is_refused(document: object, content_type: str, says: str) -> None:
    with pytest.raises(BadDocument, match=says):
        parse_manifest(body(document), content_type)


@pytest.mark.parametrize("text", [b"\xff", b"{", b"[" * 100_000, b""], ids=["not UTF-8", "cut", "deep", "empty"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(BadDocument, match="not valid JSON"):
        parse_manifest(text)


def test_documents_are_bounded_and_keys_can_be_unique() -> None:
    with pytest.raises(BadDocument, match="limit of 3"):
        parse_object(b"{   }", "x", limit_bytes=3)
    with pytest.raises(BadDocument, match="appears twice"):
        parse_object(b'{"a":1,"a":2}', "x", unique_keys=True)
    assert parse_object(b'{"a":true,"b":null}', "x", unique_keys=True).flag("a")
    with pytest.raises(BadDocument, match=r"x\.a: expected true or false"):
        parse_object(b'{"a":1}', "x").flag("a")
    assert Fields("", {}).flag("a", True)


LAYERS = {
    "application/vnd.oci.image.layer.v1.tar": (True, False, False),
    "application/vnd.oci.image.layer.v1.tar+zstd": (True, False, False),
    "application/vnd.docker.image.rootfs.diff.tar.gzip": (True, False, False),
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": (True, True, False),
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": (True, True, False),
    "application/vnd.oci.image.layer.v1.tar+gzip+encrypted": (True, False, True),
    "application/vnd.oci.image.layer.v1.tar+rot13": (False, False, False),
    "application/wasm": (False, False, False),
}


@pytest.mark.parametrize(("media_type", "kinds"), LAYERS.items())
def test_layer_types(media_type: str, kinds: tuple[bool, bool, bool]) -> None:
    assert (is_layer(media_type), is_foreign_layer(media_type), is_encrypted_layer(media_type)) == kinds


def _entry(os: str, architecture: str, variant: str = "", zstd: bool = False) -> Candidate:
    return Candidate(Platform(os, architecture, variant), {ZSTD_ANNOTATION: "true"} if zstd else {})


AMD, ARM7, ARM8 = Platform("linux", "amd64"), Platform("linux", "arm", "v7"), Platform("linux", "arm64", "v8")
CHOICES: Mapping[str, tuple[tuple[Candidate, ...], Platform, int | None]] = {
    "the equal one": ((_entry("linux", "arm64"), _entry("linux", "amd64")), AMD, 1),
    "the first of equals": ((_entry("linux", "amd64"), _entry("linux", "amd64")), AMD, 0),
    "zstd before gzip": ((_entry("linux", "amd64"), _entry("linux", "amd64", zstd=True)), AMD, 1),
    "another system": ((_entry("windows", "amd64"),), AMD, None),
    "the best variant": ((_entry("linux", "arm", "v5"), _entry("linux", "arm", "v7"), _entry("linux", "arm", "v6")), ARM7, 1),
    "a lower variant": ((_entry("linux", "arm", "v5"), _entry("linux", "arm", "v6")), ARM7, 1),
    "never a higher variant": ((_entry("linux", "arm", "v8"),), ARM7, None),
    "no variant at last": ((_entry("linux", "arm"), _entry("linux", "arm", "v5")), ARM7, 1),
    "arm64 without a variant": ((_entry("linux", "arm64"),), ARM8, 0),
    "an entry without platform at last": ((Candidate(None, {}), _entry("linux", "amd64")), AMD, 1),
    "an entry without platform alone": ((Candidate(None, {}),), AMD, 0),
    "nothing": ((), AMD, None),
}


@pytest.mark.parametrize(("entries", "wanted", "position"), CHOICES.values(), ids=CHOICES)
def test_the_entry_for_a_platform(entries: tuple[Candidate, ...], wanted: Platform, position: int | None) -> None:
    assert choose_entry(entries, wanted) == position


def test_platforms_and_variants() -> None:
    assert platform_of_machine("x86_64") == AMD
    assert platform_of_machine("mips") == Platform("linux", "mips")
    assert wanted_variants(Platform("linux", "arm")) == ("", "v8", "v7", "v6", "v5")
    assert wanted_variants(Platform("linux", "amd64", "v3")) == ("v3", "")
    assert str(ARM7) == "architecture 'arm', variant 'v7', OS 'linux'"


def test_a_configuration_is_parsed() -> None:
    parsed = parse_image_config(
        body(
            {
                "os": "linux",
                "architecture": "amd64",
                "created": "2024-01-01T00:00:00Z",
                "author": "me",
                "config": {
                    "Entrypoint": ["/e"],
                    "Cmd": "word",
                    "Env": ["A=b"],
                    "WorkingDir": "/w",
                    "User": "1:2",
                    "StopSignal": "SIGINT",
                    "Volumes": {"/v": {}, "/a": {}},
                    "ExposedPorts": {"80/tcp": {}},
                    "Labels": {"l": "m"},
                },
                "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
            }
        )
    )
    assert (parsed.os, parsed.architecture, parsed.entrypoint, parsed.cmd) == ("linux", "amd64", ("/e",), ("word",))
    assert (parsed.volumes, parsed.labels, str(parsed.diff_ids[0])) == (("/a", "/v"), {"l": "m"}, DIGEST)
    assert parse_image_config(b'{"config":{"Cmd":""}}').cmd == ()


@pytest.mark.parametrize(
    "text", [b'{"rootfs":{"type":"x"}}', b'{"rootfs":{"diff_ids":["x"]}}', b'{"config":{"Env":"x"}}', b'{"config":[]}']
)
def test_a_wrong_configuration_is_refused(text: bytes) -> None:
    with pytest.raises(BadDocument):
        parse_image_config(text)


USERS = {"": (None, ""), "0": (0, ""), "1000:1000": (1000, ""), "www-data:1": (None, "www-data"), "9" * 30: (None, "9" * 30)}


@pytest.mark.parametrize(("user", "found"), USERS.items())
def test_users(user: str, found: tuple[int | None, str]) -> None:
    assert image_user(user) == ImageUser(*found)


def _v1(number: int, parent: int | None, **more: object) -> dict[str, str]:
    ids = {"id": f"{number:064x}"} | ({"parent": f"{parent:064x}"} if parent is not None else {})
    return {"v1Compatibility": json.dumps({**ids, "created": f"2024-01-0{number}T00:00:00Z", **more})}


SCHEMA_ONE = {
    "schemaVersion": 1,
    "name": "a/b",
    "tag": "1",
    "fsLayers": [{"blobSum": "sha256:" + "33" * 32}, {"blobSum": "sha256:" + "22" * 32}, {"blobSum": "sha256:" + "11" * 32}],
    "history": [
        _v1(3, 2, config={"Cmd": ["/run"]}, os="linux", architecture="amd64"),
        _v1(2, 1, throwaway=True, container_config={"Cmd": ["ENV", "A=b"]}),
        _v1(1, None, author="me", comment="base"),
    ],
}


def _signed(document: object) -> bytes:
    text = json.dumps(document, indent=1).encode()
    length = len(text) - 2
    header = {"formatLength": length, "formatTail": base64.urlsafe_b64encode(text[length:]).decode().rstrip("=")}
    protected = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return text[:length] + b',\n "signatures": [{"protected": "' + protected.encode() + b'"}]\n}'


def test_schema_one_is_turned_and_gets_a_configuration() -> None:
    parsed = parse_manifest(body(SCHEMA_ONE), SCHEMA1)
    assert isinstance(parsed, SchemaOneManifest)
    assert [layer.hex[:2] for layer in parsed.layers] == ["11", "33"]
    config = parse_image_config(parsed.configuration((DIGEST, DIGEST)))
    assert (config.cmd, config.os, len(config.diff_ids)) == (("/run",), "linux", 2)
    history = json.loads(parsed.configuration((DIGEST, DIGEST)))["history"]
    assert [step.get("empty_layer", False) for step in history] == [False, True, False]
    assert history[0]["author"] == "me"


def test_the_digest_of_a_signed_schema_one_covers_the_text_before_the_signatures() -> None:
    text = _signed(SCHEMA_ONE)
    parsed = parse_manifest(text, SCHEMA1_SIGNED)
    assert isinstance(parsed, SchemaOneManifest)
    assert parsed.payload_digest == digest_of(json.dumps(SCHEMA_ONE, indent=1).encode())
    assert isinstance(parse_manifest(text), SchemaOneManifest)
    assert isinstance(parse_manifest(body(SCHEMA_ONE)), SchemaOneManifest)


WRONG_SCHEMA_ONE = {
    "no layers": {**SCHEMA_ONE, "fsLayers": [], "history": []},
    "lists of different length": {**SCHEMA_ONE, "fsLayers": []},
    "an id that is none": {**SCHEMA_ONE, "history": [{"v1Compatibility": '{"id":"x"}'}] * 3},
    "ids that are not chained": {**SCHEMA_ONE, "history": [_v1(3, 1), _v1(2, 1), _v1(1, None)]},
    "history that is no JSON": {**SCHEMA_ONE, "history": [{"v1Compatibility": "x"}] * 3},
    "a blob that is no digest": {**SCHEMA_ONE, "fsLayers": [{"blobSum": "x"}] * 3},
    "a header that is not base64": {**SCHEMA_ONE, "signatures": [{"protected": "*"}]},
    "a length beyond the end": {
        **SCHEMA_ONE,
        "signatures": [{"protected": base64.urlsafe_b64encode(b'{"formatLength":999999}').decode()}],
    },
    "signatures over different texts": {
        **SCHEMA_ONE,
        "signatures": [
            {"protected": base64.urlsafe_b64encode(text).decode()}
            for text in (b'{"formatLength":1,"formatTail":"fQ"}', b'{"formatLength":2,"formatTail":"fQ"}')
        ],
    },
}


@pytest.mark.parametrize("document", WRONG_SCHEMA_ONE.values(), ids=WRONG_SCHEMA_ONE)
def test_a_wrong_schema_one_is_refused(document: object) -> None:
    text = body(document)
    with pytest.raises(BadDocument):
        parse_manifest(text, SCHEMA1)


def test_an_unsigned_payload_is_the_whole_text() -> None:
    text = body(SCHEMA_ONE)
    assert parse_schema_one(text, parse_object(text, "x")).payload_digest == digest_of(text)
