"""Damage is found, told, mended in place or removed; and what is sound is never touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crio.core.errors import InvalidArgument, NotFound
from crio.host.store import ContainerCreate, Damage, ImageRecord, LayerCommit, Store
from test.integration.store.kit import Image, Tools, busybox_layers, commit, unpack, write_tar_split

A = "localhost/a:1"


def diff(tools: Tools, record: ImageRecord) -> Path:
    return Path(tools.root, "overlay", record.layer, "diff")


def rewrite(path: Path, change: Callable[[list[dict[str, object]]], None]) -> None:
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))


DAMAGES: dict[str, tuple[Damage, bool, Callable[[Tools, ImageRecord], object]]] = {
    "a file with another content": (
        Damage.LAYER_DIGEST, False, lambda tools, image: (diff(tools, image) / "etc/mark").write_text("xxx\n")),
    "a file that is gone": (
        Damage.LAYER_CONTENT, False, lambda tools, image: (diff(tools, image) / "etc/mark").unlink()),
    "a file that is shorter": (
        Damage.LAYER_CONTENT, False, lambda tools, image: (diff(tools, image) / "etc/mark").write_text("")),
    "a file that became a link": (
        Damage.LAYER_CONTENT, False,
        lambda tools, image: ((diff(tools, image) / "etc/mark").unlink(), (diff(tools, image) / "etc/mark").symlink_to("/etc/passwd"))),
    "a layer directory that is gone": (
        Damage.LAYER_DATA_MISSING, True, lambda tools, image: shutil.rmtree(diff(tools, image).parent)),
    "a link file that is gone": (
        Damage.LAYER_DATA_MISSING, True, lambda tools, image: (diff(tools, image).parent / "link").unlink()),
    "a recipe that is gone": (
        Damage.LAYER_RECIPE_MISSING, True,
        lambda tools, image: Path(tools.root, "overlay-layers", f"{image.layer}.tar-split.gz").unlink()),
    "a recipe that is cut": (
        Damage.LAYER_CONTENT, False,
        lambda tools, image: os.truncate(f"{tools.root}/overlay-layers/{image.layer}.tar-split.gz", 40)),
    "a size that is not the recorded one": (
        Damage.LAYER_SIZE, False,
        lambda tools, image: rewrite(Path(tools.root, "overlay-layers/layers.json"), lambda all: all[1].update({"diff-size": 7}))),
    "a parent without record": (
        Damage.LAYER_PARENT_MISSING, True,
        lambda tools, image: rewrite(Path(tools.root, "overlay-layers/layers.json"), lambda all: all.pop(0))),
    "an old layer that nobody needs": (
        Damage.LAYER_UNUSED, True,
        lambda tools, image: rewrite(Path(tools.root, "overlay-layers/layers.json"), lambda all: all.append(
            {**all[0], "id": "d" * 64, "created": "2020-01-01T00:00:00Z"}))),
    "a top layer without record": (
        Damage.IMAGE_LAYER_MISSING, True,
        lambda tools, image: rewrite(Path(tools.root, "overlay-layers/layers.json"), lambda all: all.pop())),
    "a manifest that is gone": (
        Damage.IMAGE_DATA, True, lambda tools, image: Path(tools.root, "overlay-images", image.id, "manifest").unlink()),
    "a manifest with another size": (
        Damage.IMAGE_DATA, True,
        lambda tools, image: Path(tools.root, "overlay-images", image.id, "manifest").write_text("{}")),
    "a manifest with other bytes": (
        Damage.IMAGE_DATA, False,
        lambda tools, image: Path(tools.root, "overlay-images", image.id, "manifest").write_bytes(
            Path(tools.root, "overlay-images", image.id, "manifest").read_bytes().replace(b"vnd.oci", b"vnd.oco"))),
    "a container whose layer has no record": (
        Damage.CONTAINER_LAYER_MISSING, True,
        lambda tools, image: Path(tools.root, "overlay-containers/containers.json").write_text(
            json.dumps([{"id": "c" * 64, "image": image.id, "layer": "f" * 64}]))),
    "a container whose image has no record": (
        Damage.CONTAINER_IMAGE_MISSING, True,
        lambda tools, image: Path(tools.root, "overlay-containers/containers.json").write_text(
            json.dumps([{"id": "c" * 64, "image": "f" * 64, "layer": ""}]))),
    "container data that is gone": (
        Damage.CONTAINER_DATA, True,
        lambda tools, image: Path(tools.root, "overlay-containers/containers.json").write_text(
            json.dumps([{"id": "c" * 64, "image": image.id, "layer": "", "big-data-names": ["x"], "big-data-sizes": {"x": 1}}]))),
}  # fmt: skip


@pytest.mark.parametrize("sentence", DAMAGES)
def test_damage_is_found_and_repaired(store: Store, tools: Tools, sentence: str) -> None:
    damage, quick, harm = DAMAGES[sentence]
    image = commit(store, Image(busybox_layers()), A)
    untouched = commit(store, Image(busybox_layers()[:1]), "localhost/other:1")
    harm(tools, image)
    assert (damage in [finding.damage for finding in store.check(quick=True)]) == quick
    findings = store.check(quick=False)
    assert damage in [finding.damage for finding in findings], findings
    store.repair(findings)
    store.wait_removed()
    assert [finding for finding in store.check(quick=False) if finding.damage is not Damage.LAYER_RECIPE_MISSING] == []
    if damage is not Damage.LAYER_PARENT_MISSING:
        assert store.image(untouched.id) == untouched
    commit(store, Image(busybox_layers()), A)
    assert tools.podman("run", "--rm", A, "cat", "/etc/mark") == "one\n"


def test_a_sound_store_of_the_tools_has_no_findings(store: Store, tools: Tools) -> None:
    layout = Image(busybox_layers()).write_layout(f"{tools.home}/oci")
    tools.skopeo("copy", f"oci:{layout}:latest", tools.reference(A))
    tools.podman("create", A, "true")
    assert store.check(quick=False) == ()
    assert store.repair(()) == ()


@pytest.mark.parametrize("lost", ["file", "directory"])
def test_one_layer_is_mended_under_its_children(store: Store, tools: Tools, lost: str) -> None:
    image = Image(busybox_layers())
    record = commit(store, image, A)
    base = store.layer(record.layer).parent or ""  # type: ignore[union-attr]
    container = os.urandom(32).hex()
    store.create_container(ContainerCreate(container, ("one",), image.id, "{}"))
    place = Path(tools.root, "overlay", base)
    if lost == "file":
        (place / "diff/bin/busybox").write_bytes(b"broken")
    else:
        shutil.rmtree(place)
    assert [finding.id for finding in store.check(quick=False)] == [base]
    staged = store.stage_layer(None)
    tar = image.layers[0].tar
    unpack(tar, staged.diff_path)
    write_tar_split(tar, staged.tar_split_path)
    fresh = LayerCommit(None, image.layers[0].diff_id, len(tar))
    with pytest.raises(InvalidArgument, match="cannot be mended with"):
        store.mend_layer(record.layer, staged, fresh)
    with pytest.raises(NotFound):
        store.mend_layer("0" * 64, staged, fresh)
    store.mend_layer(base, staged, fresh)
    assert store.check(quick=False) == ()
    assert os.path.exists(f"{store.mount(container)}/bin/busybox")
    assert tools.podman("run", "--rm", A, "cat", "/etc/mark") == "one\n"
    store.delete_container(container)


def test_a_mounted_container_is_not_repaired_away(store: Store, tools: Tools) -> None:
    image = commit(store, Image(busybox_layers()), A)
    container = os.urandom(32).hex()
    store.create_container(ContainerCreate(container, ("one",), image.id, "{}"))
    store.mount(container)
    (diff(tools, image) / "etc/mark").write_text("xxx\n")
    done = store.repair(store.check(quick=False))
    assert done[0] == f"container {container} is mounted and was left as it is"
    assert f"image {image.id} was left as it is: image {image.id} is used by container {container}" in done[1]
    assert store.container(container) is not None
    store.delete_container(container)
