"""Items 31 to 64 of the checklist that need no daemon: what our puller writes, the tools read, run, push and remove."""

from __future__ import annotations

import asyncio
import base64
import bz2
import gzip
import json
import lzma
import os
import pathlib
import re
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from crio.core.errors import CriError
from crio.core.image.errors import SignatureValidationFailed
from crio.host.store import ContainerCreate, IdMap, InUse, StoreOptions, open_store
from test.integration.interop.kit import Peer, Side, base, diff_ids, layer, mark, runnable, verified, write_dir
from test.integration.pull.kit import open_bench
from test.integration.pull.test_trust import Signer
from test.support.registry import RunningRegistry
from test.support.smallimages import OCI_INDEX, ImageWish, Layer, Pusher, SmallImage, image_of, index_of
from test.support.tarbytes import CHARACTER, DIRECTORY, END, FIFO, HARDLINK, SYMLINK, Member, archive, gnu_long

LINK = re.compile("[A-Z2-7]{26}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def test_31_after_our_pull_images_inspect_history_and_tree_succeed(side: Side) -> None:
    image = runnable("31")
    name = side.push("i31", image)
    side.pull(name)
    peer = side.peer
    assert peer.images() == {(image.image_id, name)}
    inspected = peer.inspected(name)
    assert inspected["Digest"] == image.digest
    assert inspected["RepoTags"] == [name]
    assert f"{side.registry}/i31@{image.digest}" in inspected["RepoDigests"]
    assert inspected["RootFS"]["Layers"] == diff_ids(image)
    peer.podman("history", name)
    tree = peer.podman("image", "tree", name)
    assert image.image_id[:12] in tree


def test_32_podman_runs_what_we_pulled(every_side: Side) -> None:
    name = every_side.push("i32", runnable("32"))
    every_side.pull(name)
    assert every_side.peer.podman("run", "--rm", name, "cat", "/etc/link") == "32\n"


def test_33_skopeo_copies_out_what_we_pulled_and_all_blobs_verify(every_side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("33")
    name = every_side.push("i33", image)
    every_side.pull(name)
    every_side.peer.skopeo("copy", every_side.peer.reference(name), f"dir:{tmp_path}/out")
    assert verified(tmp_path / "out") == diff_ids(image)


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive"])
def test_34_copied_to_an_archive_and_loaded_elsewhere_it_is_the_same_image(
    side: Side, elsewhere: Peer, tmp_path: pathlib.Path, transport: str
) -> None:
    image = runnable("34")
    name = side.push("i34", image)
    side.pull(name)
    place = f"{transport}:{tmp_path}/out:localhost/loaded:1"
    side.peer.skopeo("copy", side.peer.reference(name), place)
    if transport == "oci":
        elsewhere.copy_in(place, "localhost/loaded:1")
    else:
        elsewhere.podman("load", "--input", f"{tmp_path}/out")
    # Docker's format has no media types: the configuration, hence the id, is the same, the manifest is not.
    assert {one for one, _ in elsewhere.images()} == {image.image_id}


def test_35_pushed_again_plain_layers_keep_the_digest(side: Side) -> None:
    image = image_of((plain(base()), plain(mark("35"))))
    side.pull(side.push("i35", image))
    target = f"docker://{side.registry}/i35-again:1"
    side.peer.skopeo("copy", "--preserve-digests", side.peer.reference(f"{side.registry}/i35:1"), target)
    assert json.loads(side.peer.skopeo("inspect", target))["Digest"] == image.digest


def test_35_pushed_again_packed_layers_keep_the_configuration(side: Side) -> None:
    image = runnable("35")
    name = side.push("i35b", image)
    side.pull(name)
    side.peer.podman("push", name, f"docker://{side.registry}/i35b-again:1")
    raw = json.loads(side.peer.skopeo("inspect", "--raw", f"docker://{side.registry}/i35b-again:1"))
    assert raw["config"]["digest"] == f"sha256:{image.image_id}"
    config = side.peer.skopeo("inspect", "--config", "--raw", f"docker://{side.registry}/i35b-again:1")
    assert json.loads(config)["rootfs"]["diff_ids"] == diff_ids(image)


def plain(one: Layer) -> Layer:
    return Layer(one.archive, one.archive, "application/vnd.oci.image.layer.v1.tar")


LONG = "d" * 90 + "/" + "e" * 90 + "/" + "f" * 60
ODD: dict[str, Callable[[], bytes]] = {
    "PAX attributes and times": lambda: archive(
        Member("odd", b"x", pax={"SCHILY.xattr.user.colour": "blue", "mtime": "1600000000.123456789", "comment": "hello"})),
    "hard links": lambda: archive(
        Member("one", b"data"), Member("two", kind=HARDLINK, link="one"), Member("three", kind=HARDLINK, link="two")),
    "long names in PAX": lambda: archive(Member("d/", kind=DIRECTORY, mode=0o755), Member("short", b"y", pax={"path": LONG})),
    "long names of GNU": lambda: archive(
        gnu_long(LONG.encode()), Member("short", b"y"), gnu_long(link=LONG.encode()), Member("l", kind=SYMLINK, link="x")),
    "devices and pipes": lambda: archive(Member("null", kind=CHARACTER, major=1, minor=3), Member("pipe", kind=FIFO, mode=0o622)),
    "owners beyond the octal field": lambda: archive(Member("far", b"z", uid=3_000_000, gid=70_000, binary_numbers=True)),
    "whiteouts": lambda: archive(
        Member("etc/.wh.mark"), Member("etc/", kind=DIRECTORY, mode=0o755), Member("etc/.wh..wh..opq"), Member("etc/new", b"n")),
    "no mode and a name that is not UTF-8": lambda: archive(Member(b"caf\xe9", b"latin", mode=0)),
}  # fmt: skip


@pytest.mark.parametrize("sentence", ODD)
def test_36_odd_members_are_copied_out_byte_for_byte(side: Side, elsewhere: Peer, tmp_path: pathlib.Path, sentence: str) -> None:
    copied_out_is_the_same(side, elsewhere, tmp_path, ODD[sentence]())


ENDINGS: dict[str, Callable[[], bytes]] = {
    "garbage after the end blocks": lambda: archive(Member("a", b"1")) + b"garbage" * 300,
    "no end blocks": lambda: archive(Member("a", b"1"), end=b""),
    "one end block": lambda: archive(Member("a", b"1"), end=END[:512]),
    "many end blocks": lambda: archive(Member("a", b"1"), end=END * 20),
    "an empty archive": lambda: archive(),
}


@pytest.mark.parametrize("sentence", ENDINGS)
def test_37_odd_ends_are_copied_out_byte_for_byte(side: Side, elsewhere: Peer, tmp_path: pathlib.Path, sentence: str) -> None:
    copied_out_is_the_same(side, elsewhere, tmp_path, ENDINGS[sentence]())


def copied_out_is_the_same(side: Side, elsewhere: Peer, folder: pathlib.Path, tar: bytes) -> None:
    image = image_of((base(), mark("odd"), Layer(gzip.compress(tar, 1, mtime=0), tar)))
    name = side.push("odd", image)
    side.pull(name)
    side.peer.skopeo("copy", side.peer.reference(name), f"dir:{folder}/out")
    assert verified(folder / "out") == diff_ids(image)
    assert side.store.check(quick=False) == ()
    elsewhere.podman("pull", "--quiet", name)
    assert side.peer.complaints() == elsewhere.complaints()


def test_38_system_check_finds_no_damage(every_side: Side) -> None:
    more = layer({"data": None, "data/file": b"x" * 70_000, "etc": None, "etc/.wh.link": b""})
    every_side.pull(every_side.push("i38", runnable("38", more)))
    every_side.pull(every_side.push("i38b", runnable("38b")))
    every_side.sound()


@pytest.mark.parametrize("every_tools", ["debian13", "new"], indirect=True)
def test_38_a_repair_by_podman_takes_nothing_from_a_pull_of_ours(every_side: Side) -> None:
    side = every_side
    side.pull(side.push("i38", runnable("38")))
    staged = side.store.stage_layer(side.records("layers")[-1]["id"])
    pathlib.Path(staged.diff_path, "file").write_text("being unpacked")
    side.peer.podman("system", "check", "--repair", "--force")
    assert pathlib.Path(staged.diff_path, "file").read_text() == "being unpacked"
    assert pathlib.Path(staged.tar_split_path).parent.is_dir()
    staged.discard()
    assert side.peer.podman("run", "--rm", f"{side.registry}/i38:1", "cat", "/etc/mark") == "38\n"


def test_39_buildah_builds_on_what_we_pulled(side: Side) -> None:
    name = side.push("i39", runnable("39"))
    side.pull(name)
    working = side.peer.buildah("from", name).strip()
    side.peer.buildah("run", "--isolation", "chroot", working, "sh", "-c", "echo built > /etc/built; rm /etc/mark")
    side.peer.buildah("commit", "--rm", working, "localhost/built:1")
    script = "cat /etc/built; find /etc/mark /etc/link; true"
    assert side.peer.podman("run", "--rm", "localhost/built:1", "sh", "-c", script) == "built\n/etc/link\n"
    built = side.here("localhost/built:1")
    root = pathlib.Path(side.store.mount_image(built.id))
    assert ((root / "etc/built").read_text(), (root / "etc/mark").exists()) == ("built\n", False)
    side.store.unmount_image(built.id)
    side.sound()


def test_40_names_that_we_give_move_and_take_podman_sees(side: Side) -> None:
    one, two = runnable("40a"), runnable("40b")
    first, second = side.push("i40a", one), side.push("i40b", two)
    side.pull(first)
    side.pull(second)
    side.store.add_name(one.image_id, "localhost/moving:1")
    assert ("localhost/moving:1") in side.peer.inspected(one.image_id)["RepoTags"]
    side.store.add_name(two.image_id, "localhost/moving:1")
    assert side.peer.images() == {(one.image_id, first), (two.image_id, second), (two.image_id, "localhost/moving:1")}
    assert side.peer.inspected(one.image_id)["RepoTags"] == [first]
    side.store.remove_name(two.image_id, "localhost/moving:1")
    assert side.peer.images() == {(one.image_id, first), (two.image_id, second)}
    assert "localhost/moving:1" in side.peer.inspected(two.image_id)["NamesHistory"]


def test_41_removed_by_us_nothing_is_left_behind(side: Side) -> None:
    image = runnable("41")
    side.pull(side.push("i41", image))
    side.store.delete_image(image.image_id)
    assert side.store.wait_removed(10)
    assert side.peer.images() == set()
    for folder in ("overlay/l", "overlay", "overlay-layers", "overlay-images"):
        assert [name for name in os.listdir(side.root / folder) if len(name) >= 64 or LINK.fullmatch(name)] == []
    side.sound()


def test_42_layers_that_an_image_of_theirs_needs_stay(side: Side, tmp_path: pathlib.Path) -> None:
    ours, theirs = runnable("42"), runnable("42", layer({"more": b"theirs\n"}))
    side.pull(side.push("i42", ours))
    side.peer.copy_in(write_dir(theirs, tmp_path / "dir"), "localhost/theirs:1")
    side.store.delete_image(ours.image_id)
    assert side.peer.podman("run", "--rm", "localhost/theirs:1", "cat", "/etc/mark", "/more") == "42\ntheirs\n"
    side.sound()


def test_43_an_image_of_theirs_that_a_container_of_theirs_uses_is_not_removed(side: Side) -> None:
    image = runnable("43")
    name = side.push("i43", image)
    side.pull(name)
    theirs = side.peer.podman("create", "--name", "user", name, "true").strip()
    with pytest.raises(InUse, match=f"used by container {theirs} \\(user\\)"):
        side.store.delete_image(image.image_id)
    assert side.peer.podman("start", "--attach", "user") == ""
    side.sound()
    side.peer.podman("rm", "user")


def test_57_ids_of_layers_and_images_are_those_that_podman_computes(side: Side, elsewhere: Peer) -> None:
    image = runnable("57", layer({"more": b"x"}), plain(layer({"plain": b"y"})))
    name = side.push("i57", image)
    side.pull(name)
    elsewhere.podman("pull", "--quiet", name)
    keys = ("id", "parent", "compressed-diff-digest", "compressed-size", "diff-digest", "diff-size", "compression", "uidset", "gidset")
    theirs = json.loads(pathlib.Path(elsewhere.root, "overlay-layers/layers.json").read_text())
    ours = side.records("layers")
    assert [{key: one.get(key) for key in keys} for one in ours] == [{key: one.get(key) for key in keys} for one in theirs]
    same_images(side, elsewhere)
    shapes = [shape(pathlib.Path(peer.root)) for peer in (side.peer, elsewhere)]
    assert shapes[0] == shapes[1]


def same_images(side: Side, elsewhere: Peer) -> None:
    """The records of images are the same, but for the empty signature that the oldest generation keeps."""
    records = [side.records("images"), json.loads(pathlib.Path(elsewhere.root, "overlay-images/images.json").read_text())]
    for record in (one for side_s in records for one in side_s):
        del record["metadata"]
        for key in ("big-data-sizes", "big-data-digests"):
            record[key] = {name: value for name, value in record[key].items() if not name.startswith("signature-")}
        record["big-data-names"] = sorted(name for name in record["big-data-names"] if not name.startswith("signature-"))
    assert records[0] == records[1]


def shape(root: pathlib.Path) -> dict[str, str]:
    """Kind and mode of what is in the layers' directories and the images' data, without the random short names."""
    found = {}
    for place in (*root.glob("overlay/" + "[0-9a-f]" * 64), *root.glob("overlay-images/" + "[0-9a-f]" * 64)):
        for path in (place, *(path for path in place.iterdir() if not path.name.startswith("=c2lnbmF0dXJl"))):
            # The mount points come and go, the working directory is the kernel's; lower-layers is lower in other words,
            # written beside it by the newest generation.
            if path.name not in ("merged", "work", "lower-layers"):
                found[str(path.relative_to(root))] = stat.filemode(path.lstat().st_mode)
    for path in root.glob("overlay-layers/*.tar-split.gz"):
        found[str(path.relative_to(root))] = stat.filemode(path.lstat().st_mode)
    return found


def test_58_the_indexes_are_what_the_strictest_reader_wants(side: Side) -> None:
    side.pull(side.push("i58", runnable("58")))
    create_container(side, side.here(f"{side.registry}/i58:1").id)
    for kind in ("layers", "images", "containers"):
        path = side.root / f"overlay-{kind}" / f"{kind}.json"
        text = path.read_bytes()
        assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE((path.parent / f"{kind}.lock").stat().st_mode) == 0o644
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        records = json.loads(text)
        assert records != []
        for record in records:
            assert TIME.fullmatch(record["created"])
            assert re.fullmatch("[0-9a-f]{64}", record["id"])
            assert None not in record.values()
            assert all(value or key in ("layer", "image", "id") for key, value in record.items()), "empty keys are left out"
    assert side.peer.images() != set()


def test_59_short_names_and_lower_chains_match_the_parents(side: Side) -> None:
    side.pull(side.push("i59", runnable("59", *(layer({f"f{number}": b"x"}) for number in range(5)))))
    records = {one["id"]: one for one in side.records("layers")}
    links = {one: (side.root / "overlay" / one / "link").read_text() for one in records}
    assert sorted(os.listdir(side.root / "overlay/l")) == sorted(links.values())
    for one, record in records.items():
        assert LINK.fullmatch(links[one])
        assert os.readlink(side.root / "overlay/l" / links[one]) == f"../{one}/diff"
        chain = []
        while record.get("parent"):
            chain.append(f"l/{links[record['parent']]}")
            record = records[record["parent"]]
        lower = side.root / "overlay" / one / "lower"
        assert (lower.read_text() if lower.exists() else "") == ":".join(chain)


def test_60_short_names_that_are_gone_come_back(every_side: Side) -> None:
    side = every_side
    name = side.push("i60", runnable("60"))
    side.pull(name)
    create_container(side, side.here(name).id)
    folder = side.root / "overlay/l"
    before = sorted(os.listdir(folder))
    for link in before:
        (folder / link).unlink()
    if side.peer.generation.name == "new":
        # The newest podman does not make them again, not even in a store of its own; we do when we open the store.
        assert "no such file" in side.peer.refused("run", "--rm", name, "true")
        open_store(StoreOptions(side.peer.root, side.peer.runroot)).shutdown()
    assert side.peer.podman("run", "--rm", name, "cat", "/etc/mark") == "60\n"
    assert set(before) <= set(os.listdir(folder))


def test_61_artifacts_that_we_pulled_are_listed_and_copied_out(side: Side, tmp_path: pathlib.Path) -> None:
    side.bench.options = replace(side.bench.options, artifacts_dir=str(side.root / "artifacts"))
    one = Layer(b"content", b"content", "text/plain")
    wish = ImageWish(manifest={"artifactType": "application/vnd.test"})
    descriptor = {**one.descriptor(), "annotations": {"org.opencontainers.image.title": "note.txt"}}
    image = image_of((one,), ImageWish(manifest={**wish.manifest, "layers": [descriptor]}))
    name = side.push("i61", image)
    side.pull(name)
    side.peer.skopeo("copy", f"oci:{side.root}/artifacts:{name}", f"dir:{tmp_path}/out")
    assert verified(tmp_path / "out")
    if side.peer.generation.name == "new":
        assert name.rpartition(":")[0] in side.peer.podman("artifact", "ls")
        side.peer.podman("artifact", "extract", name, str(tmp_path))
        assert (tmp_path / "note.txt").read_bytes() == b"content"


@pytest.fixture
def signer() -> Iterator[Signer]:
    """An OpenPGP key; the path of its agent's socket must be short."""
    with tempfile.TemporaryDirectory(prefix="g", dir="/tmp") as home:
        made = Signer(pathlib.Path(home), "signer@example.test")
        made.create()
        yield made
        made.end()


def test_62_a_signature_that_we_stored_is_copied_out_with_the_image(side: Side, signer: Signer, tmp_path: pathlib.Path) -> None:
    # With packed layers the tools write another manifest on the way out, and no signature fits that.
    image = image_of((plain(base()), plain(mark("62"))))
    name = side.push("i62", image)
    critical = {"image": {"docker-manifest-digest": image.digest}, "identity": {"docker-reference": name}}
    payload = {"critical": {"type": "atomic container signature", **critical}, "optional": {"creator": "test"}}
    signature = signer.sign(json.dumps(payload).encode())
    folder = side.bench.folder / "lookaside" / f"i62@{image.digest.replace(':', '=')}"
    folder.mkdir(parents=True)
    (folder / "signature-1").write_bytes(signature)
    (side.bench.folder / "registries.d").mkdir()
    lookaside = f"default-docker:\n  lookaside: file://{side.bench.folder}/lookaside\n"
    (side.bench.folder / "registries.d/default.yaml").write_text(lookaside)
    key = base64.b64encode(signer.public()).decode()
    side.bench.policy({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyData": key}]})
    side.pull(name)
    side.peer.skopeo("copy", side.peer.reference(name), f"dir:{tmp_path}/out")
    assert (tmp_path / "out/signature-1").read_bytes() == signature
    assert (tmp_path / "out/manifest.json").read_bytes() == image.manifest
    side.sound()


@pytest.mark.parametrize("tools", ["new"], indirect=True)
def test_105_a_sigstore_signature_of_skopeo_lets_the_image_in_and_another_key_does_not(side: Side, tmp_path: pathlib.Path) -> None:
    image = image_of((plain(base()), plain(mark("105"))))
    (tmp_path / "passphrase").write_text("open\n")
    for key in ("own", "other"):
        side.peer.skopeo("generate-sigstore-key", "--output-prefix", f"{tmp_path}/{key}", "--passphrase-file", f"{tmp_path}/passphrase")
    folder = side.bench.folder / "registries.d"
    folder.mkdir()
    (folder / "default.yaml").write_text("default-docker:\n  use-sigstore-attachments: true\n")
    name = f"{side.registry}/i105:1"
    signing = ("--sign-by-sigstore-private-key", f"{tmp_path}/own.private", "--sign-passphrase-file", f"{tmp_path}/passphrase")
    source = write_dir(image, tmp_path / "dir")
    side.peer.skopeo("--registries.d", str(folder), "copy", "--quiet", "--preserve-digests", *signing, source, f"docker://{name}")
    side.bench.policy({"default": [{"type": "sigstoreSigned", "keyPath": f"{tmp_path}/other.pub"}]})
    with pytest.raises(SignatureValidationFailed, match="none of the keys"):
        side.pull(name)
    side.bench.policy({"default": [{"type": "sigstoreSigned", "keyPath": f"{tmp_path}/own.pub"}]})
    side.pull(name)
    side.peer.skopeo("copy", side.peer.reference(name), f"dir:{tmp_path}/out")
    assert (tmp_path / "out/signature-1").read_bytes().startswith(b"\0sigstore-json\n")
    assert (tmp_path / "out/manifest.json").read_bytes() == image.manifest
    side.sound()


def test_65_a_file_system_that_cannot_have_layers_gets_none(store_registry: RunningRegistry, tmp_path: pathlib.Path) -> None:
    # It has no attributes, hence no opaque directories, and says that it has no space.
    subprocess.run(["mount", "-t", "ramfs", "none", tmp_path], check=True)
    try:
        with open_bench(tmp_path, store_registry.address) as bench:
            opaque = layer([Member("etc/", kind=DIRECTORY, mode=0o755), Member("etc/.wh..wh..opq")])
            Pusher(store_registry.address).image("i65", "1", runnable("65", opaque))
            with pytest.raises(CriError, match="layer sha256:"):
                asyncio.run(bench.pull(f"{store_registry.address}/i65:1"))
            bench.assert_empty()
            assert bench.store.check(quick=False) == ()
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_63_an_empty_signature_item_is_accepted_by_both(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("63")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i63:1")
    record = side.here("localhost/i63:1")
    assert json.loads(record.metadata).get("signatures-sizes", {}) in ({}, {image.digest: []})
    keys = [key for key in record.big_data_names if key.startswith("signature-")]
    assert all(side.store.image_big_data(record.id, key) == b"" for key in keys)
    side.pull(side.push("i63", image))
    assert side.peer.podman("run", "--rm", f"{side.registry}/i63:1", "cat", "/etc/mark") == "63\n"
    side.sound()


def test_64_one_image_under_two_manifests_is_found_by_both_digests(side: Side) -> None:
    packed = runnable("64")
    spaced = packed.manifest.replace(b'{"schemaVersion"', b'{ "schemaVersion"', 1)
    other = SmallImage(spaced, packed.media_type, packed.config, packed.layers)
    assert other.digest != packed.digest
    side.pull(side.push("i64", packed))
    side.pull(side.push("i64", other, "2"))
    for image in (packed, other):
        assert side.peer.inspected(f"{side.registry}/i64@{image.digest}")["Id"] == packed.image_id
    side.sound()


def test_57_an_index_is_kept_with_the_image_as_podman_keeps_it(side: Side, elsewhere: Peer) -> None:
    image = runnable("57i")
    Pusher(side.registry).image("i57i", "plain", image)
    index = index_of([(image, {"os": "linux", "architecture": "amd64"})])
    Pusher(side.registry).manifest("i57i", "1", index, OCI_INDEX)
    name = f"{side.registry}/i57i:1"
    side.pull(name)
    elsewhere.podman("pull", "--quiet", name)
    same_images(side, elsewhere)
    assert sorted(side.peer.inspected(name)["RepoDigests"]) == sorted(elsewhere.inspected(name)["RepoDigests"])


def test_56_a_container_with_id_maps_is_listed_and_its_layer_has_them(side: Side) -> None:
    name = side.push("i56", runnable("56"))
    side.pull(name)
    maps = (IdMap(0, 100_000, 65_536),)
    record = create_container(side, side.here(name).id, maps)
    assert record[:12] in side.peer.podman("ps", "-a", "--external")
    shape_of_maps = [{"container_id": 0, "host_id": 100_000, "size": 65_536}]
    own = next(one for one in side.records("layers") if one.get("names") == ["c56-layer"])
    assert (own["uidmap"], own["gidmap"]) == (shape_of_maps, shape_of_maps)
    side.store.delete_container(record)
    assert all("mapped-layers" not in one for one in side.records("images"))
    side.sound()


def create_container(side: Side, image_id: str, maps: tuple[IdMap, ...] = ()) -> str:
    container_id = os.urandom(32).hex()
    side.store.create_container(ContainerCreate(container_id, ("c56",), image_id, "{}", uid_map=maps, gid_map=maps))
    return container_id


PACKED: dict[str, tuple[int, str, Callable[[bytes], bytes] | None]] = {
    "gzip": (2, "+gzip", None),
    "plain": (0, "", lambda tar: tar),
    "bzip2": (1, "", bz2.compress),
    "xz": (3, "", lzma.compress),
}


def test_33_every_compression_is_copied_out(side: Side, tmp_path: pathlib.Path) -> None:
    layers = [base(), *(layer({name: name.encode()}, pack, kind) for name, (_, kind, pack) in PACKED.items())]
    image = image_of(layers)
    name = side.push("i33c", image)
    side.pull(name)
    assert [one.get("compression", 0) for one in side.records("layers")][1:] == [code for code, _, _ in PACKED.values()]
    side.peer.skopeo("copy", side.peer.reference(name), f"dir:{tmp_path}/out")
    assert verified(tmp_path / "out") == diff_ids(image)
    assert side.peer.podman("run", "--rm", name, "cat", "/xz", "/plain") == "xzplain"


def test_15_an_image_of_130_layers_runs_here_and_there(side: Side) -> None:
    # The oldest generation has a limit of 128, the container's own layer included: that is a limit of its, not of the format.
    count = 120 if side.peer.generation.old else 128
    image = runnable("15", *(layer({f"f{number}": f"{number}\n".encode()}) for number in range(count)))
    name = side.push("i15", image)
    side.pull(name)
    last = count - 1
    assert side.peer.podman("run", "--rm", name, "cat", "/f0", f"/f{last}") == f"0\n{last}\n"
    container = create_container(side, image.image_id)
    root = pathlib.Path(side.store.mount(container))
    assert (root / f"f{last}").read_text() == f"{last}\n"
    side.store.delete_container(container)
    assert side.store.check(quick=False) == ()
    side.peer.check("--quick")
