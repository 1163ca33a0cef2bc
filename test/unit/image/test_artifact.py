"""The index of artifacts and what a layer may be called."""

from __future__ import annotations

import json

import pytest

from crio.core.image.artifact import (
    Artifact,
    encode_artifact_index,
    file_name_of,
    new_entry,
    parse_artifact_index,
    with_entry,
)
from crio.core.image.digest import digest_of
from crio.core.image.errors import BadDocument
from crio.core.image.manifest import Descriptor

D1, D2 = digest_of(b"1"), digest_of(b"2")


def test_an_index_survives_a_round_trip_with_what_it_does_not_know() -> None:
    text = json.dumps(
        {"schemaVersion": 2, "manifests": [{"mediaType": "m/t", "digest": str(D1), "size": 1, "x": [1], "annotations": {}}]}
    ).encode()
    (entry,) = parse_artifact_index(text)
    assert (entry.descriptor.digest, entry.reference) == (D1, "")
    assert json.loads(encode_artifact_index((entry,))) == json.loads(text)
    assert parse_artifact_index(b'{"schemaVersion":2,"manifests":null}') == ()


def test_a_reference_has_one_artifact() -> None:
    one, two = new_entry("m/t", D1, 1, "q.io/a:1"), new_entry("m/t", D2, 1, "q.io/a:1")
    other = new_entry("m/t", D1, 1, "q.io/b:1")
    assert with_entry((one, other), two) == (other, two)


@pytest.mark.parametrize("text", [b"[]", b'{"manifests":[{"digest":"x","size":1}]}'])
def test_a_wrong_index_is_refused(text: bytes) -> None:
    with pytest.raises(BadDocument):
        parse_artifact_index(text)


NAMES = {
    "a tag": ("q.io/a:1", ("q.io/a:1",), (f"q.io/a@{D1}",)),
    "a digest": (f"q.io/a@{D1}", (), (f"q.io/a@{D1}",)),
    "no name": ("", (), ()),
    "a name of another tool": ("Not A Name", ("Not A Name",), ()),
}


@pytest.mark.parametrize(("reference", "tags", "digests"), NAMES.values(), ids=NAMES)
def test_what_an_artifact_is_called(reference: str, tags: tuple[str, ...], digests: tuple[str, ...]) -> None:
    artifact = Artifact(D1, reference, 1, (), {})
    assert (artifact.artifact_id, artifact.repo_tags, artifact.repo_digests) == (D1.hex, tags, digests)


def _named(**annotations: str) -> Descriptor:
    return Descriptor("m/t", D1, 1, annotations={key.replace("_", "."): value for key, value in annotations.items()})


def test_a_layer_is_called_by_its_title_or_its_digest() -> None:
    assert file_name_of(_named()) == D1.hex
    assert file_name_of(_named(org_opencontainers_image_title="a/b.txt")) == "a/b.txt"
    assert file_name_of(_named(org_cncf_model_filepath="m")) == "m"


@pytest.mark.parametrize("title", ["../x", "/x", "a/../b", "a\0b", "a//b", "a" * 300])
def test_a_title_is_never_a_way_out(title: str) -> None:
    with pytest.raises(BadDocument, match="title"):
        file_name_of(_named(org_opencontainers_image_title=title))
