"""Records survive decoding and encoding, whoever wrote them."""

from __future__ import annotations

import pytest

from crio.core.storage.codec import (
    decode_container,
    decode_image,
    decode_layer,
    decode_mount,
    encode_container,
    encode_image,
    encode_layer,
    encode_mount,
    records_of,
)
from crio.core.storage.jsonvalue import DamagedStore, JsonValue

LAYER: JsonValue = {
    "id": "a" * 64,
    "names": ["one-layer"],
    "parent": "b" * 64,
    "metadata": "m",
    "mountlabel": "system_u:object_r:x",
    "created": "2026-11-01T10:00:00.123Z",
    "compressed-diff-digest": "sha256:" + "1" * 64,
    "compressed-size": 10,
    "diff-digest": "sha256:" + "2" * 64,
    "toc-digest": "sha256:" + "3" * 64,
    "diff-size": -1,
    "compression": 4,
    "uidset": [0, 1000],
    "gidset": [0],
    "flags": {"expected-layer-diffid": "x", "of the future": {"deep": [1, None]}},
    "uidmap": [{"container_id": 0, "host_id": 100000, "size": 65536}],
    "gidmap": [{"container_id": 0, "host_id": 100000, "size": 65536}],
    "big-data-names": ["toc"],
    "of another program": {"kept": [True, 1.5, "x"]},
}
IMAGE: JsonValue = {
    "id": "c" * 64,
    "digest": "sha256:" + "4" * 64,
    "names": ["localhost/a:1"],
    "names-history": ["localhost/a:1", "localhost/old:1"],
    "layer": "a" * 64,
    "mapped-layers": ["d" * 64],
    "metadata": "{}",
    "big-data-names": ["manifest"],
    "big-data-sizes": {"manifest": 5},
    "big-data-digests": {"manifest": "sha256:" + "4" * 64},
    "created": "2026-11-01T10:00:00Z",
    "flags": {"x": 1},
    "unknown": 1,
}
CONTAINER: JsonValue = {
    "id": "e" * 64,
    "names": ["k8s_a_b_c_d_0"],
    "image": "c" * 64,
    "layer": "f" * 64,
    "metadata": "{}",
    "big-data-names": ["buildah.json"],
    "big-data-sizes": {"buildah.json": 2},
    "big-data-digests": {"buildah.json": "sha256:" + "5" * 64},
    "created": "2026-11-01T10:00:00Z",
    "uidmap": [{"container_id": 0, "host_id": 1, "size": 2}],
    "flags": {"MountLabel": "", "ProcessLabel": "", "Volatile": True},
    "unknown": [],
}

ROUND_TRIPS = {
    "a layer with everything": (LAYER, decode_layer, encode_layer),
    "a bare layer": ({"id": "a" * 64, "created": "0001-01-01T00:00:00Z"}, decode_layer, encode_layer),
    "an image with everything": (IMAGE, decode_image, encode_image),
    "an image without names": ({"id": "a" * 64}, decode_image, encode_image),
    "a container with everything": (CONTAINER, decode_container, encode_container),
    "a container keeps empty image and layer": (
        {"id": "a" * 64, "image": "", "layer": ""},
        decode_container,
        encode_container,
    ),
    "a mount count": ({"id": "a" * 64, "path": "/x", "count": 2}, decode_mount, encode_mount),
}


@pytest.mark.parametrize("sentence", ROUND_TRIPS)
def test_round_trip(sentence: str) -> None:
    value, decode, encode = ROUND_TRIPS[sentence]
    assert encode(decode(value, "file")) == value  # type: ignore[operator]


REFUSED = {
    "a record that is no object": ([1], "expected a JSON object"),
    "a record without id": ({"created": "x"}, "key 'id' is missing"),
    "an id that is a number": ({"id": 5}, "expected a string"),
    "names that are one string": ({"id": "a", "names": "b"}, "expected an array"),
    "a name that is a number": ({"id": "a", "names": [1]}, "expected str items"),
    "a size that is a string": ({"id": "a", "diff-size": "1"}, "expected an integer"),
    "a size that is a truth value": ({"id": "a", "diff-size": True}, "expected an integer"),
    "an owner that is a truth value": ({"id": "a", "uidset": [True]}, "expected int items"),
    "an owner that is a word": ({"id": "a", "gidset": ["0"]}, "expected int items"),
    "flags that are an array": ({"id": "a", "flags": []}, "expected an object"),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_wrong_shapes_name_the_key(sentence: str) -> None:
    value, words = REFUSED[sentence]
    with pytest.raises(DamagedStore, match=words):
        decode_layer(value, "layers.json")  # type: ignore[arg-type]


def test_keys_in_another_case_are_understood() -> None:
    layer = decode_layer({"ID": "a" * 64, "Diff-Size": 7, "Own Key": 1}, "file")
    assert (layer.id, layer.diff_size) == ("a" * 64, 7)
    assert encode_layer(layer)["Own Key"] == 1


def test_null_means_empty() -> None:
    nulls: JsonValue = {"id": "a", "names": None, "parent": None, "diff-size": None, "flags": None, "created": None}
    layer = decode_layer(nulls, "file")
    assert (layer.names, layer.parent, layer.diff_size, layer.flags) == ((), None, 0, {})


def test_an_index_is_an_array_or_null() -> None:
    assert records_of(None, "file") == []
    assert records_of([1], "file") == [1]
    with pytest.raises(DamagedStore, match="expected a JSON array"):
        records_of({}, "file")


def test_unknown_size_is_none() -> None:
    assert decode_layer(LAYER, "file").diff_size is None


def test_flags_answer_questions() -> None:
    container = decode_container(CONTAINER, "file")
    assert container.volatile
    assert container.mount_label == ""
    assert decode_container({"id": "a", "flags": {"MountLabel": 5}}, "file").mount_label == ""
    assert decode_layer({"id": "a", "flags": {"incomplete": True}}, "file").incomplete
    assert not decode_layer(LAYER, "file").incomplete


def test_maps_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(DamagedStore, match="expected int items"):
        decode_image({"id": "a", "big-data-sizes": {"x": "1"}}, "images.json")
    with pytest.raises(DamagedStore, match="expected str items"):
        decode_image({"id": "a", "big-data-digests": {"x": 1}}, "images.json")
