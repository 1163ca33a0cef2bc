"""One store, several programs: what theirs write we read, what ours write they read, and nobody loses anything."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from crio.core.errors import AlreadyExists, InvalidArgument, NotFound
from crio.host.store import ContainerCreate, InUse, Store, repo_digests, repo_tags
from test.integration.store.kit import Image, Tools, busybox_layers, commit, layer, sha256

A, B = "localhost/a:1", "localhost/b:1"


def new_container(store: Store, image_id: str, number: int = 0, volatile: bool = True) -> str:
    container_id = os.urandom(32).hex()
    store.create_container(ContainerCreate(container_id, (f"k8s_c{number}",), image_id, "{}", volatile))
    return container_id


def copy_in(tools: Tools, image: Image, name: str) -> None:
    layout = image.write_layout(f"{tools.home}/{name.rsplit('/', 1)[-1].replace(':', '-')}")
    tools.skopeo("copy", f"oci:{layout}:latest", tools.reference(name))


def test_what_skopeo_and_podman_write_is_seen_at_once(store: Store, tools: Tools) -> None:
    image = Image(busybox_layers())
    copy_in(tools, image, A)
    record = store.find_image(A)
    assert record is not None
    assert record.id == image.id
    assert repo_tags(record) == (A,)
    assert repo_digests(record) == (f"localhost/a@{sha256(image.manifest)}",)
    assert json.loads(store.image_config(image.id)) == json.loads(image.config)
    assert store.image_manifest(image.id) == image.manifest
    documents = len(image.config) + 2 * len(image.manifest)
    assert store.image_size(record) == documents + sum(len(one.tar) for one in image.layers)

    tools.podman("tag", A, "localhost/second:2")
    assert store.find_image("localhost/second:2") == store.find_image(image.id[:12])
    tools.podman("untag", A)
    again = store.image(image.id)
    assert again is not None
    assert again.names == ()
    assert repo_digests(again) == (f"localhost/second@{sha256(image.manifest)}",)
    tools.podman("rmi", image.id)
    assert store.image(image.id) is None
    assert store.layers() == ()


def test_what_we_write_podman_runs_and_skopeo_copies_out(store: Store, tools: Tools, folder: str) -> None:
    image = Image(busybox_layers())
    commit(store, image, A)
    listed = json.loads(tools.podman("images", "--format", "json"))
    assert [(one["Id"], one["Names"]) for one in listed] == [(image.id, [A])]
    assert tools.podman("run", "--rm", A, "cat", "/etc/link") == "one\n"
    inspected = json.loads(tools.podman("image", "inspect", A))[0]
    assert inspected["RootFS"]["Layers"] == [one.diff_id for one in image.layers]
    tools.skopeo("copy", tools.reference(A), f"dir:{folder}/out")
    manifest = json.loads(Path(folder, "out/manifest.json").read_text())
    copied = [one["digest"] for one in manifest["layers"]]
    assert copied == [one.diff_id for one in image.layers]
    assert [sha256(Path(folder, "out", one.partition(":")[2]).read_bytes()) for one in copied] == copied


def test_layer_and_image_ids_are_those_of_the_tools(store: Store, tools: Tools, folder: str) -> None:
    image = Image(busybox_layers())
    commit(store, image, A)
    ours = {(one.id, one.parent, one.diff_digest, one.compressed_digest, one.compression) for one in store.layers()}
    store.delete_image(image.id)
    copy_in(tools, image, A)
    assert {(one.id, one.parent, one.diff_digest, one.compressed_digest, one.compression) for one in store.layers()} == ours


def test_buildah_builds_on_our_image_and_we_run_theirs(store: Store, tools: Tools) -> None:
    commit(store, Image(busybox_layers()), A)
    working = tools.buildah("from", A).strip()
    tools.buildah("config", "--label", "made=there", working)
    mounted = Path(tools.buildah("mount", working).strip())
    (mounted / "etc/mark").unlink()
    (mounted / "etc/built").write_text("there\n")
    tools.buildah("umount", working)
    tools.buildah("commit", "--rm", working, B)
    theirs = store.find_image(B)
    assert theirs is not None
    container = new_container(store, theirs.id)
    root = Path(store.mount(container))
    assert (root / "etc/built").read_text() == "there\n"
    assert not (root / "etc/mark").exists()
    store.delete_container(container)


def test_their_containers_are_seen_and_left_alone(store: Store, tools: Tools) -> None:
    image = Image(busybox_layers())
    commit(store, image, A)
    theirs = tools.podman("create", "--name", "theirs", A, "true").strip()
    found = store.container("theirs")
    assert found is not None
    assert found.id == theirs
    with pytest.raises(InUse, match=f"used by container {theirs}"):
        store.delete_image(image.id)
    assert store.garbage_collect() == []
    assert tools.podman("start", "--attach", "theirs") == ""
    tools.podman("rm", "theirs")
    store.delete_image(image.id)
    assert store.wait_removed()
    assert os.listdir(f"{tools.root}/overlay/l") == []
    leftovers = {name for name in os.listdir(f"{tools.root}/overlay-layers") if len(name) >= 64}
    assert leftovers == set()


def test_they_do_not_take_an_image_from_our_container(store: Store, tools: Tools) -> None:
    image = Image(busybox_layers())
    commit(store, image, A)
    ours = new_container(store, image.id)
    assert "in use" in tools.podman("rmi", A, check=False)
    assert ours[:12] in tools.podman("ps", "-a", "--external")
    store.delete_container(ours)
    tools.podman("rmi", A)


def test_they_do_not_unmount_our_running_container_when_they_end(store: Store, tools: Tools) -> None:
    image = Image(busybox_layers())
    commit(store, image, A)
    root = store.mount(new_container(store, image.id))
    for _ in range(2):
        tools.podman("run", "--rm", A, "true")
        tools.podman("system", "prune", "--force")
        assert os.path.exists(f"{root}/etc/mark")


def test_volatile_records_have_files_of_their_own(tools: Tools) -> None:
    store = tools.open(stable_records=False)
    image = commit(store, Image(busybox_layers()), A)
    ours = new_container(store, image.id)
    store.shutdown()
    store = tools.open()
    assert [one.id for one in store.containers()] == [ours]
    assert [one["id"] for one in json.loads(Path(tools.root, "overlay-containers/volatile-containers.json").read_text())] == [ours]
    assert len(json.loads(Path(tools.root, "overlay-layers/layers.json").read_text())) == 2
    store.delete_container(ours)
    assert json.loads(Path(tools.root, "overlay-layers/volatile-layers.json").read_text()) == []
    store.shutdown()


def test_losing_a_container_to_podman_is_survived(store: Store, tools: Tools) -> None:
    image = Image(busybox_layers())
    commit(store, image, A)
    ours = new_container(store, image.id)
    store.mount(ours)
    tools.podman("rmi", "-f", A)
    assert store.container(ours) is None
    store.unmount(ours)
    store.delete_container(ours)
    with pytest.raises(NotFound, match="is not in the store"):
        store.mount(ours)


def test_mount_counts_are_shared(store: Store, tools: Tools) -> None:
    image = Image(busybox_layers())
    commit(store, image, A)
    theirs = tools.podman("create", A, "true").strip()
    path = tools.podman("mount", theirs).strip()
    assert store.mount(theirs) == path
    store.unmount(theirs, force=False)
    assert os.path.exists(f"{path}/etc/mark")
    tools.podman("unmount", theirs)
    assert not os.path.exists(f"{path}/etc/mark")
    assert store.mount_path(theirs) is None
    store.mount(theirs)
    assert os.path.exists(f"{path}/etc/mark")
    store.unmount(theirs)
    tools.podman("rm", theirs)


def test_images_are_mounted_read_only(store: Store, tools: Tools) -> None:
    for image in (Image(busybox_layers()), Image(busybox_layers()[:1])):
        commit(store, image, A)
        path = store.mount_image(image.id)
        assert os.path.exists(f"{path}/bin/busybox")
        with pytest.raises(OSError, match="Read-only"):
            Path(path, "new").write_text("x")
        store.unmount_image(image.id)
        assert not os.path.exists(f"{path}/bin/busybox")


def test_names_move_and_history_stays(store: Store, tools: Tools) -> None:
    one, two = Image(busybox_layers("one")), Image(busybox_layers("two"))
    commit(store, one, A)
    commit(store, two, B)
    store.add_name(two.id, A)
    assert [store.image(image.id).names for image in (one, two)] == [(), (A, B)]  # type: ignore[union-attr]
    assert tools.podman("images", "--format", "{{.ID}} {{.Repository}}").split().count(two.id[:12]) == 2
    store.remove_name(two.id, B)
    assert store.set_names(two.id, [A, B, A]).names == (A, B)
    assert store.set_names(one.id, []).names_history == (A,)
    with pytest.raises(NotFound, match="not in the store"):
        store.add_name("0" * 64, A)


def test_an_image_committed_again_keeps_names_and_gains_manifests(store: Store, tools: Tools) -> None:
    image = Image(busybox_layers())
    first = commit(store, image, A)
    assert commit(store, image, B).names == (B, A)
    assert store.image(image.id).created == first.created  # type: ignore[union-attr]
    assert len(store.layers()) == 2
    assert tools.podman("run", "--rm", B, "cat", "/etc/mark") == "one\n"


def test_unknown_keys_survive_our_writes(store: Store, tools: Tools) -> None:
    image = Image(busybox_layers())
    commit(store, image, A)
    path = Path(tools.root, "overlay-images/images.json")
    records = json.loads(path.read_text())
    records[0]["of-the-future"] = {"deep": [1, None]}
    path.write_text(json.dumps(records, indent=2))
    store.add_name(image.id, B)
    assert json.loads(path.read_text())[0]["of-the-future"] == {"deep": [1, None]}
    tools.podman("image", "inspect", B)


def test_many_layers_mount_here_and_there(store: Store, tools: Tools) -> None:
    layers = (*busybox_layers(), *(layer({f"f{number}": b"x"}) for number in range(120)))
    image = Image(layers)
    commit(store, image, A)
    container = new_container(store, image.id)
    root = store.mount(container)
    assert all(os.path.exists(f"{root}/f{number}") for number in range(120))
    line = next(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{root} " in line)
    assert "shared:" not in line
    assert tools.podman("run", "--rm", A, "ls", "/f119") == "/f119\n"
    store.delete_container(container)


def test_links_that_somebody_deleted_come_back(tools: Tools) -> None:
    store = tools.open()
    image = Image(busybox_layers())
    commit(store, image, A)
    store.shutdown()
    for name in os.listdir(f"{tools.root}/overlay/l"):
        os.unlink(f"{tools.root}/overlay/l/{name}")
    store = tools.open()
    container = new_container(store, image.id)
    assert os.path.exists(f"{store.mount(container)}/etc/mark")
    store.delete_container(container)
    store.shutdown()


def test_modes_and_shapes_on_disk(store: Store, tools: Tools) -> None:
    image = Image(busybox_layers())
    commit(store, image, A)
    container = new_container(store, image.id)
    store.run_dir(container)
    store.container_dir(container)
    modes = {
        "overlay": 0o700, "overlay/l": 0o755, "overlay-layers": 0o700, "overlay-layers/layers.json": 0o600,
        "overlay-layers/layers.lock": 0o644, "overlay-images/images.json": 0o600,
        "overlay-containers/containers.json": 0o600, f"overlay-containers/{container}/userdata": 0o700,
        f"overlay-images/{image.id}/manifest": 0o600, f"overlay-images/{image.id}": 0o700,
    }  # fmt: skip
    for one in store.layers():
        modes[f"overlay/{one.id}"] = 0o700
        if one.diff_digest:
            modes[f"overlay-layers/{one.id}.tar-split.gz"] = 0o600
            modes[f"overlay/{one.id}/diff"] = 0o555
    found = {path: stat.S_IMODE(os.stat(f"{tools.root}/{path}").st_mode) for path in modes}
    assert found == modes
    links = os.listdir(f"{tools.root}/overlay/l")
    assert all(re.fullmatch("[A-Z2-7]{26}", link) for link in links)
    assert len(links) == len(store.layers()) == 3
    for one in store.layers():
        lower = Path(tools.root, "overlay", one.id, "lower")
        parent = Path(tools.root, "overlay", one.parent or "", "link")
        assert (lower.read_text().split(":")[0] == f"l/{parent.read_text()}") if one.parent else not lower.exists()
    for path in ("overlay-layers/layers.json", "overlay-images/images.json"):
        text = Path(tools.root, path).read_bytes()
        assert b": " not in text
        assert text.startswith(b"[{")


REFUSED = {
    "a container of an unknown image": (NotFound, lambda store, image: new_container(store, "0" * 64)),
    "a name that is taken": (AlreadyExists, lambda store, image: (new_container(store, image), new_container(store, image))),
    "an image that is not there": (NotFound, lambda store, image: store.delete_image("0" * 64)),
    "data that is not there": (NotFound, lambda store, image: store.image_big_data(image, "nothing")),
    "a short container id": (InvalidArgument, lambda store, image: store.run_dir("../x")),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_refusals(store: Store, sentence: str) -> None:
    kind, attempt = REFUSED[sentence]
    image = commit(store, Image(busybox_layers()), A)
    with pytest.raises(kind):
        attempt(store, image.id)  # type: ignore[no-untyped-call]
    assert store.check(quick=True) == ()
