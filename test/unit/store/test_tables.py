"""Look-ups, sizes, deletion and repair plans on tables."""

from __future__ import annotations

import pytest

from crio.core.storage.deletion import (
    InUse,
    layers_of_image_only,
    needed_layers,
    plan_left,
    refuse_image_in_use,
    refuse_layer_in_use,
)
from crio.core.storage.findings import Damage, Finding, Kind
from crio.core.storage.lookup import find_image, repo_digests, repo_tags, split_reference
from crio.core.storage.records import ContainerRecord, ImageRecord, LayerRecord
from crio.core.storage.repair import plan_repair
from crio.core.storage.sizes import image_size
from crio.core.storage.tables import ContainerTable, ImageTable, LayerTable


def name_id(letter: str) -> str:
    return letter * 64


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def layer(letter: str, parent: str = "", **more: object) -> LayerRecord:
    return LayerRecord(id=name_id(letter), parent=name_id(parent) if parent else None, **more)  # type: ignore[arg-type]


LAYERS = LayerTable([(layer("a", diff_size=1), layer("b", "a", diff_size=2), layer("c", "b", diff_size=4), layer("d", "a", diff_size=8))])
IMAGE = ImageRecord(
    id="1" * 64,
    digest=digest("1"),
    names=("docker.io/library/a:1", "localhost:5000/b@" + digest("1")),
    layer=name_id("c"),
    big_data_names=("manifest", f"manifest-{digest('2')}", "x"),
    big_data_sizes={"manifest": 10, f"manifest-{digest('2')}": 20, "x": 30},
    big_data_digests={"manifest": digest("1"), f"manifest-{digest('2')}": digest("2"), "x": digest("3")},
)
BARE = ImageRecord(id="12" * 32, digest=digest("4"), names_history=("localhost:5000/b:x",), layer=name_id("d"))
IMAGES = ImageTable([(IMAGE, BARE)])
NO_CONTAINERS = ContainerTable([()])

FOUND = {
    "a name": ("docker.io/library/a:1", IMAGE),
    "an id": (IMAGE.id, IMAGE),
    "an id with an at sign": ("@" + BARE.id, BARE),
    "a prefix of one": ("121", BARE),
    "a prefix of none": ("fff", None),
    "a prefix that is too short": ("12", None),
    "a digest of any manifest in the repository": ("docker.io/library/a@" + digest("2"), IMAGE),
    "a digest with a tag, which is ignored": ("docker.io/library/a:7@" + digest("1"), IMAGE),
    "a stored digest name asked for with a tag": ("localhost:5000/b:7@" + digest("1"), IMAGE),
    "a digest in another repository": ("docker.io/library/z@" + digest("2"), None),
    "a digest of an image that lost its names": ("localhost:5000/b@" + digest("4"), BARE),
    "nothing": ("docker.io/library/a:2", None),
}


@pytest.mark.parametrize("sentence", FOUND)
def test_find_image(sentence: str) -> None:
    text, expected = FOUND[sentence]
    assert find_image([IMAGES], text) is expected


def test_a_prefix_of_several_is_none() -> None:
    table = ImageTable([(ImageRecord("a" * 64), ImageRecord("a" * 63 + "b"))])
    assert table.find_by_prefix("aaa") is None


def test_the_own_store_comes_first() -> None:
    other = ImageRecord(id="9" * 64, names=IMAGE.names)
    assert find_image([IMAGES, ImageTable([(other,)])], "docker.io/library/a:1") is IMAGE
    assert find_image([ImageTable([()]), ImageTable([(other,)])], "999") is other


REFERENCES = {
    "tag": ("a/b:1", ("a/b", "1", "")),
    "port": ("h:5000/b", ("h:5000/b", "", "")),
    "both and digest": ("h:5000/b:1@sha256:00", ("h:5000/b", "1", "sha256:00")),
}


@pytest.mark.parametrize("sentence", REFERENCES)
def test_split_reference(sentence: str) -> None:
    text, expected = REFERENCES[sentence]
    assert split_reference(text) == expected


def test_what_an_image_is_called() -> None:
    assert repo_tags(IMAGE) == ("docker.io/library/a:1",)
    assert repo_digests(IMAGE) == tuple(
        sorted(f"{repository}@{digest(n)}" for repository in ("docker.io/library/a", "localhost:5000/b") for n in "12")
    )
    assert repo_digests(BARE) == (f"localhost:5000/b@{digest('4')}",)
    assert repo_digests(ImageRecord("5" * 64)) == ()


def test_a_size_is_data_plus_layers() -> None:
    assert image_size(IMAGE, LAYERS.by_id.get) == 60 + 7


SIZELESS = {
    "a layer of unknown size": [layer("c", diff_size=None)],
    "a missing layer": [],
    "layers in a ring": [layer("c", "b", diff_size=1), layer("b", "c", diff_size=1)],
}


@pytest.mark.parametrize("sentence", SIZELESS)
def test_no_size(sentence: str) -> None:
    table = LayerTable([tuple(SIZELESS[sentence])])
    assert image_size(IMAGE, table.by_id.get) is None


def test_chains_end() -> None:
    assert [one.id[0] for one in LAYERS.chain(name_id("c")) or ()] == ["c", "b", "a"]
    assert LAYERS.chain(name_id("f")) is None
    assert LayerTable([(layer("b", "c"), layer("c", "b"))]).chain(name_id("c")) is None


def test_the_first_file_wins() -> None:
    table = LayerTable([(layer("a", diff_size=1),), (layer("a", diff_size=2), layer("b"))])
    assert table.by_id[name_id("a")].diff_size == 1
    assert table.source_of(name_id("b")) == 1
    assert table.source_of(name_id("a")) == 0
    assert table.source_of("x") is None
    assert len(table.records) == 2


def test_content_is_found_under_another_id() -> None:
    table = LayerTable([(layer("e", "a", diff_digest=digest("7")), layer("f", "a", diff_digest=digest("8"), flags={"incomplete": True}))])
    found = table.by_content(name_id("a"), digest("7"))
    assert found is not None
    assert found.id == name_id("e")
    assert table.by_content(None, digest("7")) is None
    assert table.by_content(name_id("a"), digest("8")) is None


def test_an_image_takes_what_nobody_else_needs() -> None:
    assert layers_of_image_only(IMAGE, LAYERS, IMAGES, NO_CONTAINERS) == (name_id("c"), name_id("b"))


def test_an_image_alone_takes_everything() -> None:
    table = LayerTable([(layer("a"), layer("b", "a"), layer("c", "b"))])
    assert layers_of_image_only(IMAGE, table, ImageTable([(IMAGE,)]), NO_CONTAINERS) == tuple(map(name_id, "cba"))


def test_mapped_copies_go_first() -> None:
    image = ImageRecord("1" * 64, layer=name_id("b"), mapped_layers=(name_id("m"), name_id("x")))
    table = LayerTable([(layer("a"), layer("b", "a"), layer("m", "a"))])
    assert layers_of_image_only(image, table, ImageTable([(image,)]), NO_CONTAINERS) == tuple(map(name_id, "mba"))


def test_a_chain_into_a_read_only_store_ends_there() -> None:
    table = LayerTable([(layer("c", "b"),)])
    assert layers_of_image_only(IMAGE, table, ImageTable([(IMAGE,)]), NO_CONTAINERS) == (name_id("c"),)


def test_a_container_keeps_its_image() -> None:
    containers = ContainerTable([(ContainerRecord("9" * 64, names=("web",), image=IMAGE.id, layer=name_id("d")),)])
    with pytest.raises(InUse, match=r"used by container 9{64} \(web\)"):
        refuse_image_in_use(IMAGE, containers)
    refuse_image_in_use(BARE, containers)
    with pytest.raises(InUse, match=f"is the layer of container {'9' * 64}"):
        refuse_layer_in_use(name_id("d"), LAYERS, ImageTable([()]), containers)


LAYER_USERS = {"a child": ("a", "is below layer"), "an image": ("c", "is the top layer of image")}


@pytest.mark.parametrize("sentence", LAYER_USERS)
def test_a_needed_layer_stays(sentence: str) -> None:
    letter, words = LAYER_USERS[sentence]
    with pytest.raises(InUse, match=words):
        refuse_layer_in_use(name_id(letter), LAYERS, IMAGES, NO_CONTAINERS)
    refuse_layer_in_use(name_id("z"), LAYERS, IMAGES, NO_CONTAINERS)


def test_repair_goes_from_the_top_down() -> None:
    containers = ContainerTable([(ContainerRecord("9" * 64, image=IMAGE.id, layer=name_id("e")), ContainerRecord("8" * 64))])
    findings = [
        Finding(Kind.LAYER, name_id("b"), Damage.LAYER_CONTENT, ""),
        Finding(Kind.LAYER, name_id("d"), Damage.LAYER_RECIPE_MISSING, "", fatal=False),
        Finding(Kind.FILE, "x", Damage.ORPHAN, "", fatal=False),
    ]
    plan = plan_repair(findings, LAYERS, IMAGES, containers)
    assert plan.containers == ("9" * 64,)
    assert plan.images == (IMAGE.id,)
    assert plan.layers == (name_id("c"), name_id("b"))
    assert plan.orphans


def test_unused_layers_go_without_their_images() -> None:
    findings = [Finding(Kind.LAYER, name_id("d"), Damage.LAYER_UNUSED, "", fatal=False)]
    plan = plan_repair(findings, LAYERS, ImageTable([(IMAGE,)]), NO_CONTAINERS)
    assert (plan.images, plan.layers, plan.orphans) == ((), (name_id("d"),), False)


def test_a_layer_below_two_damaged_ones_goes_once() -> None:
    findings = [Finding(Kind.LAYER, name_id(letter), Damage.LAYER_CONTENT, "") for letter in "acb"]
    plan = plan_repair(findings, LAYERS, ImageTable([()]), NO_CONTAINERS)
    assert sorted(plan.layers) == sorted(map(name_id, "abcd"))


def test_a_whole_id_is_a_prefix_too() -> None:
    assert IMAGES.find_by_prefix(IMAGE.id) is IMAGE
    assert IMAGES.find_by_prefix("no hex") is None
    assert IMAGES.find(IMAGE.names[0]) is IMAGE


def test_layers_are_needed_by_images_and_containers_down_to_the_base() -> None:
    container = ContainerRecord("9" * 64, layer=name_id("d"))
    mapped = ImageRecord("7" * 64, layer=name_id("a"), mapped_layers=(name_id("b"), "not here"))
    no_images = ImageTable([()])
    assert needed_layers(LAYERS, no_images, NO_CONTAINERS) == set()
    assert needed_layers(LAYERS, ImageTable([(IMAGE,)]), NO_CONTAINERS) == {*map(name_id, "abc")}
    assert needed_layers(LAYERS, ImageTable([(mapped,)]), NO_CONTAINERS) == {*map(name_id, "ab")}
    assert needed_layers(LAYERS, no_images, ContainerTable([(container,)])) == {*map(name_id, "ad")}


LEFT = {
    "all of a chain go, from the top down": ("abcd", "", "", "cdba", ""),
    "a layer that was not left stays, with what is below it": ("abd", "", "", "d", "ab"),
    "what an image has is left alone": ("abcd", "c", "", "d", ""),
    "what a container has is left alone": ("abcd", "", "d", "cb", ""),
    "somebody else's layer under the same id is left alone": ("abcD", "", "", "cb", "a"),
    "one that is gone already is no matter": ("cx", "", "", "c", ""),
}


@pytest.mark.parametrize("sentence", LEFT)
def test_layers_that_were_left(sentence: str) -> None:
    """Letters are layers that were left; a capital one has another time of creation."""
    left, image, container, gone, waiting = LEFT[sentence]
    wanted = {name_id(letter.lower()): 5 if letter.isupper() else 0 for letter in left}
    images = ImageTable([(ImageRecord("7" * 64, layer=name_id(image)),) if image else ()])
    containers = ContainerTable([(ContainerRecord("9" * 64, layer=name_id(container)),) if container else ()])
    plan = plan_left(wanted, LAYERS, images, containers)
    assert plan.gone == tuple(map(name_id, gone))
    assert plan.waiting == {*map(name_id, waiting)}
