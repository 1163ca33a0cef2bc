"""Items 1 to 30 of the checklist: what podman, skopeo and buildah write, our daemon shows, runs, sizes and leaves alone."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import json
import lzma
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from crio.cri import api_pb2 as pb
from crio.host.store import ContainerCreate, InUse, StoreOptions, open_store
from test.integration.interop.conftest import detach_below, new_together
from test.integration.interop.kit import Generation, Peer, Side, Together, base, diff_ids, edit, layer, make_peer, runnable, write_dir
from test.support.registry import RunningRegistry
from test.support.smallimages import OCI_INDEX, ImageWish, Pusher, SmallImage, image_of, index_of
from test.support.tarbytes import DIRECTORY, Member

NOBODY = "0" * 64


def records(peer: Peer, kind: str) -> dict[str, dict[str, Any]]:
    """The records of an index on disk by id."""
    found = json.loads(pathlib.Path(peer.root, f"{peer.driver}-{kind}", f"{kind}.json").read_text())
    return {one["id"]: one for one in found}


def test_01_an_image_copied_in_is_found_under_its_config_digest(together: Together, tmp_path: pathlib.Path) -> None:
    image = runnable("01")
    together.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i01:1")
    found = together.status("localhost/i01:1")
    assert found is not None
    assert found.id == image.image_id


def test_02_pulled_by_tag_it_has_the_tag_and_the_digest(together: Together) -> None:
    image = runnable("02")
    name = together.push("i02", image)
    together.peer.podman("pull", "--quiet", name)
    found = together.listed()[image.image_id]
    assert list(found.repo_tags) == [name]
    assert list(found.repo_digests) == [f"{together.registry}/i02@{image.digest}"]


def test_03_pulled_by_digest_it_has_no_tag(together: Together) -> None:
    image = runnable("03")
    together.push("i03", image)
    name = f"{together.registry}/i03@{image.digest}"
    together.peer.podman("pull", "--quiet", name)
    found = together.listed()[image.image_id]
    assert (list(found.repo_tags), list(found.repo_digests)) == ([], [name])


def test_04_pulled_through_an_index_it_has_both_digests(together: Together) -> None:
    image, other = runnable("04"), runnable("04 other")
    pusher = Pusher(together.registry)
    for tag, one in (("own", image), ("other", other)):
        pusher.image("i04", tag, one)
    index = index_of([(other, {"os": "linux", "architecture": "s390x"}), (image, {"os": "linux", "architecture": "amd64"})])
    top = pusher.manifest("i04", "1", index, OCI_INDEX)
    together.peer.podman("pull", "--quiet", f"{together.registry}/i04:1")
    found = together.listed()[image.image_id]
    assert set(found.repo_digests) == {f"{together.registry}/i04@{digest}" for digest in (top, image.digest)}


def test_05_06_07_tags_come_and_go_and_the_image_with_podman(together: Together, tmp_path: pathlib.Path) -> None:
    image = runnable("05")
    together.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i05:1")
    together.peer.podman("tag", "localhost/i05:1", "localhost/second:2")
    assert set(together.listed()[image.image_id].repo_tags) == {"localhost/i05:1", "localhost/second:2"}
    together.peer.podman("untag", "localhost/i05:1")
    untagged = together.listed()[image.image_id]
    # The first name of the history gives the repository, since nothing else does.
    assert list(untagged.repo_tags) == []
    assert [one.partition("@")[2] for one in untagged.repo_digests] == [image.digest]
    assert together.status(image.image_id) == untagged
    together.peer.podman("rmi", image.image_id)
    assert together.status(image.image_id) is None


def test_08_the_size_is_the_sum_of_layers_and_documents(together: Together) -> None:
    image = runnable("08", layer({"more": b"x" * 100_000}))
    name = together.push("i08", image)
    together.peer.podman("pull", "--quiet", name)
    record, layers = records(together.peer, "images")[image.image_id], records(together.peer, "layers")
    wanted = sum(record["big-data-sizes"].values())
    above: str | None = record["layer"]
    while above:
        wanted += layers[above]["diff-size"]
        above = layers[above].get("parent")
    assert together.listed()[image.image_id].size == wanted
    assert wanted >= sum(len(one.archive) for one in image.layers)


TREE = "cd /data; find . | sort; find . -type f | sort | while read one; do echo $one; cat $one; done"


def test_09_whiteouts_of_a_build_leave_the_same_tree(together: Together, tmp_path: pathlib.Path) -> None:
    directories = [Member(f"data/{name}", kind=DIRECTORY, mode=0o755) for name in ("", "a/", "b/", "b/deep/")]
    files = [Member(f"data/{name}", f"{name}\n".encode()) for name in ("a/one", "a/two", "b/three", "b/deep/four")]
    together.peer.copy_in(write_dir(runnable("09", layer([*directories, *files])), tmp_path / "dir"), "localhost/i09:1")
    working = together.peer.buildah("from", "--pull-never", "localhost/i09:1").strip()
    script = "cd /data; rm a/one; rm -r b; mkdir b; echo new > b/new; echo five > a/five"
    together.peer.buildah("run", "--isolation", "chroot", working, "sh", "-c", script)
    together.peer.buildah("commit", "--quiet", "--rm", working, "localhost/i09:2")
    theirs = together.peer.podman("run", "--rm", "localhost/i09:2", "sh", "-c", TREE).splitlines()
    assert together.prints("localhost/i09:2", TREE) == theirs
    assert "./b/new" in theirs
    assert not {"./a/one", "./b/three", "./b/deep"} & set(theirs)


USERS = {
    "a number": ("1002", 1002, ""),
    "a name": ("www-data", None, "www-data"),
    "a number and a group": ("1:2", 1, ""),
    "nothing": ("", None, ""),
}


@pytest.mark.parametrize("sentence", USERS)
def test_10_users_are_numbers_or_names(together: Together, tmp_path: pathlib.Path, sentence: str) -> None:
    user, number, name = USERS[sentence]
    image = runnable("10", config={"config": {"User": user, "Cmd": ["true"]}})
    together.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i10:1")
    found = together.listed()[image.image_id]
    assert (found.uid.value if found.HasField("uid") else None, found.username) == (number, name)


def test_11_an_image_without_names_is_listed_and_runs(together: Together, tmp_path: pathlib.Path) -> None:
    image = runnable("11")
    together.peer.skopeo("copy", "--quiet", write_dir(image, tmp_path / "dir"), together.peer.reference(f"@{image.image_id}"))
    assert "names" not in records(together.peer, "images")[image.image_id]
    found = together.listed()[image.image_id]
    assert (list(found.repo_tags), list(found.repo_digests)) == ([], [])
    assert together.prints(image.image_id, "cat /etc/mark") == ["11"]


def test_12_an_image_with_a_manifest_of_schema_1_runs(together: Together, tmp_path: pathlib.Path) -> None:
    together.peer.skopeo("copy", "--quiet", "--format", "v2s1", write_dir(docker("12"), tmp_path / "dir"), f"dir:{tmp_path}/v1")
    manifest = json.loads((tmp_path / "v1/manifest.json").read_text())
    assert manifest["schemaVersion"] == 1
    together.peer.copy_in(f"dir:{tmp_path}/v1", "localhost/i12:1")
    found = together.status("localhost/i12:1")
    assert found is not None
    assert found.size > 0
    assert together.prints("localhost/i12:1", "cat /etc/mark") == ["12"]


def docker(text: str) -> SmallImage:
    plain = runnable(text)
    return image_of(plain.layers, ImageWish(docker=True, config={"history": [{"created_by": "test"} for _ in plain.layers]}))


def test_13_every_compression_of_a_layer_is_read(together: Together, tmp_path: pathlib.Path) -> None:
    packers: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
        "plain": (0, bytes), "bzip2": (1, bz2.compress), "gzip": (2, gzip.compress), "xz": (3, lzma.compress), "zstd": (4, zstd)
    }  # fmt: skip
    ends = {"gzip": "+gzip", "zstd": "+zstd"}
    image = image_of([base(), *(layer({name: f"{name}\n".encode()}, pack, ends.get(name, "")) for name, (_, pack) in packers.items())])
    together.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i13:1")
    by_diff = {one.get("diff-digest"): one.get("compression", 0) for one in records(together.peer, "layers").values()}
    assert [by_diff[one] for one in diff_ids(image)[1:]] == [code for code, _ in packers.values()]
    assert together.prints("localhost/i13:1", f"cat {' '.join(f'/{name}' for name in packers)}") == list(packers)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, check=True, capture_output=True).stdout


def test_14_a_layer_of_unknown_size_is_size_0_and_runs(together: Together, tmp_path: pathlib.Path) -> None:
    image = runnable("14")
    together.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i14:1")
    top = records(together.peer, "images")[image.image_id]["layer"]

    def change(layers: list[dict[str, Any]]) -> None:
        one = next(one for one in layers if one["id"] == top)
        one.update({"diff-size": -1, "toc-digest": "sha256:" + "a" * 64})

    edit(together.peer, "layers", change)
    found = together.status("localhost/i14:1")
    assert found is not None
    assert found.size == 0
    assert together.prints("localhost/i14:1", "cat /etc/mark") == ["14"]
    together.remove("localhost/i14:1")


@pytest.mark.parametrize("tools", ["new"], indirect=True)
def test_14_a_layer_that_podman_fetched_in_parts_is_shown_and_runs(side: Side) -> None:
    packed = side.push("i14", runnable("14p", layer({"more": os.urandom(100_000)})))
    side.peer.podman("pull", "--quiet", packed)
    side.peer.podman("push", "--quiet", "--compression-format", "zstd:chunked", packed, f"docker://{side.registry}/i14:parts")
    side.peer.podman("rmi", "--all", "--force")
    conf = pathlib.Path(side.peer.home, "storage.conf")
    conf.write_text(f'{conf.read_text()}[storage.options]\npull_options = {{enable_partial_images = "true"}}\n')
    name = f"{side.registry}/i14:parts"
    side.peer.podman("pull", "--quiet", name)
    assert [one for one in side.records("layers") if "toc-digest" in one] != []
    found = side.here(name)
    ours = os.urandom(32).hex()
    side.store.create_container(ContainerCreate(ours, ("ours",), found.id, "{}"))
    assert pathlib.Path(side.store.mount(ours), "etc/mark").read_text() == "14p\n"
    side.store.delete_container(ours)
    side.store.image_size(found)
    assert side.pull(name).image_id != ""
    assert side.store.check(quick=False) == ()
    assert side.peer.podman("run", "--rm", name, "cat", "/etc/mark") == "14p\n"


def test_15_an_image_of_theirs_with_130_layers_runs(together: Together, tmp_path: pathlib.Path) -> None:
    image = runnable("15 theirs", *(layer({f"f{number}": f"{number}\n".encode()}) for number in range(128)))
    together.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i15:1")
    assert together.prints("localhost/i15:1", "cat /f0 /f127") == ["0", "127"]


def test_19_20_containers_of_theirs_are_neither_listed_nor_touched(together: Together, tmp_path: pathlib.Path) -> None:
    peer = together.peer
    peer.copy_in(write_dir(runnable("19"), tmp_path / "dir"), "localhost/i19:1")
    peer.podman("create", "--name", "created", "localhost/i19:1", "true")
    peer.podman("run", "--detach", "--name", "running", "localhost/i19:1", "sleep", "1000")
    working = peer.buildah("from", "--pull-never", "localhost/i19:1").strip()
    try:
        together.daemon.restart()
        assert list(together.cri.runtime.ListContainers(pb.ListContainersRequest()).containers) == []
        assert list(together.cri.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items) == []
        assert together.prints("localhost/i19:1", "cat /etc/mark") == ["19"]
        assert peer.podman("exec", "running", "cat", "/etc/mark") == "19\n"
        assert peer.podman("start", "--attach", "created") == ""
        assert peer.buildah("run", "--isolation", "chroot", working, "cat", "/etc/mark") == "19\n"
    finally:
        peer.podman("rm", "--force", "--time", "0", "created", "running")
        peer.buildah("rm", working)


def test_21_a_pod_of_another_runtime_is_left_alone(own_together: Together, tmp_path: pathlib.Path) -> None:
    image = runnable("21")
    own_together.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i21:1")
    own_together.daemon.stop()
    metadata = {"pod-name": "k8s_p_n_u_0", "pod-id": NOBODY, "image-id": image.image_id, "name": "k8s_POD_p_n_u_0", "created-at": 1}
    record = {"id": NOBODY, "names": ["k8s_POD_p_n_u_0"], "image": image.image_id, "layer": "1" * 64, "metadata": json.dumps(metadata)}
    folder = pathlib.Path(own_together.peer.root, "overlay-containers")
    text = json.dumps([{**record, "created": "2026-11-01T00:00:00Z", "flags": {"Volatile": True}}])
    (folder / "volatile-containers.json").write_text(text)
    own_together.daemon.start()
    assert list(own_together.cri.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items) == []
    assert own_together.prints("localhost/i21:1", "cat /etc/mark") == ["21"]


def test_23_a_layer_name_that_is_there_twice_does_not_matter(side: Side, tmp_path: pathlib.Path) -> None:
    side.peer.copy_in(write_dir(runnable("23"), tmp_path / "dir"), "localhost/i23:1")
    edit(side.peer, "layers", lambda found: [one.update({"names": ["twice"]}) for one in found])
    assert len(side.store.layers()) == 2
    side.store.add_name(side.here("localhost/i23:1").id, "localhost/i23:2")
    assert side.peer.podman("run", "--rm", "localhost/i23:2", "cat", "/etc/mark") == "23\n"


def test_24_25_unknown_keys_and_the_order_of_the_history_survive_our_writes(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("24")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i24:1")
    for number in "234":
        side.peer.podman("tag", image.image_id, f"localhost/i24:{number}")
    side.peer.podman("untag", image.image_id, "localhost/i24:2")
    history = side.records("images")[0]["names-history"]
    assert "localhost/i24:2" in history
    edit(side.peer, "images", lambda found: found[0].update({"of-the-future": {"deep": [1, None]}}))
    side.store.add_name(image.image_id, "localhost/i24:5")
    after = side.records("images")[0]
    assert after["of-the-future"] == {"deep": [1, None]}
    # Every name of the list goes to the front of the history in turn; those that are gone keep their order behind them.
    left = [name for name in after["names-history"] if name not in after["names"]]
    assert left == [name for name in history if name not in after["names"]]
    side.peer.podman("tag", image.image_id, "localhost/i24:6")
    theirs = side.records("images")[0]["names-history"]
    assert set(theirs) == {f"localhost/i24:{number}" for number in "123456"}


def test_26_migrate_and_renumber_leave_us_unaffected(together: Together, tmp_path: pathlib.Path) -> None:
    together.peer.copy_in(write_dir(runnable("26"), tmp_path / "dir"), "localhost/i26:1")
    pod = together.pods.run()
    container = pod.start(image={"image": "localhost/i26:1"})
    for command in ("migrate", "renumber"):
        # The newest podman refuses to renumber while anything is mounted; the older ones try to take it away.
        together.peer.attempt(*together.peer.podman_words, "system", command)
        assert container.says("cat /etc/mark") == "26"
    container.stop(0)
    pod.stop()
    pod.remove()
    together.peer.podman("system", "migrate")
    together.peer.podman("system", "renumber")
    assert together.prints("localhost/i26:1", "cat /etc/mark") == ["26"]


def test_27_an_image_that_podman_has_mounted_stays_mounted(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("27")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i27:1")
    theirs = side.peer.podman("image", "mount", "localhost/i27:1").strip()
    assert counts(side.peer) == [1]
    assert side.store.mount_image(image.image_id) == theirs
    assert counts(side.peer) == [2]
    side.store.unmount_image(image.image_id)
    assert counts(side.peer) == [1]
    assert pathlib.Path(theirs, "etc/mark").read_text() == "27\n"
    side.peer.podman("image", "unmount", "localhost/i27:1")
    assert counts(side.peer) == []


def counts(peer: Peer) -> list[int]:
    """How often each layer is counted as mounted."""
    return [int(one["count"]) for one in json.loads(pathlib.Path(peer.runroot, "overlay-layers/mountpoints.json").read_text())]


def test_30_our_mount_and_unmount_of_what_they_have_mounted_changes_nothing(side: Side, tmp_path: pathlib.Path) -> None:
    side.peer.copy_in(write_dir(runnable("30"), tmp_path / "dir"), "localhost/i30:1")
    theirs = side.peer.podman("create", "localhost/i30:1", "true").strip()
    path = side.peer.podman("mount", theirs).strip()
    assert side.store.mount(theirs) == path
    side.store.unmount(theirs, force=False)
    assert pathlib.Path(path, "etc/mark").read_text() == "30\n"
    side.peer.podman("unmount", theirs)
    assert not pathlib.Path(path, "etc/mark").exists()
    side.peer.podman("rm", theirs)
    side.sound()


def test_30_a_container_of_ours_that_they_mount_and_unmount_stays_mounted(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("30b")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i30:2")
    ours = os.urandom(32).hex()
    side.store.create_container(ContainerCreate(ours, ("ours",), image.image_id, "{}"))
    path = side.store.mount(ours)
    assert side.peer.podman("mount", ours).strip() == path
    side.peer.podman("unmount", ours)
    assert pathlib.Path(path, "etc/mark").read_text() == "30b\n"
    assert counts(side.peer) == [1]


def test_16_images_of_an_additional_store_are_listed_run_and_kept(
    tools: Generation, store_registry: RunningRegistry, elsewhere: Peer, tmp_path: pathlib.Path
) -> None:
    image = runnable("16")
    elsewhere.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i16:1")
    tables = {"crio": {"storage_option": [f"overlay.imagestore={elsewhere.root}"]}}
    for together in new_together(tools, store_registry, tables):
        assert list(together.listed()[image.image_id].repo_tags) == ["localhost/i16:1"]
        assert together.prints("localhost/i16:1", "cat /etc/mark") == ["16"]
        with pytest.raises(Exception, match="read-only store"):
            together.remove(image.image_id)
        peer = make_peer(tools, tmp_path, store_registry.address, together.peer.root, together.peer.runroot)
        sharing = Peer(tools, peer.root, peer.runroot, peer.home, more=("--storage-opt", f"overlay.imagestore={elsewhere.root}"))
        sharing.podman("tag", "localhost/i16:1", "localhost/pulled-up:1")
        assert [one.id for one in together.cri.image.ListImages(pb.ListImagesRequest()).images].count(image.image_id) == 1
        assert "localhost/pulled-up:1" in together.listed()[image.image_id].repo_tags
        together.remove("localhost/pulled-up:1")
        assert list(together.listed()[image.image_id].repo_tags) == ["localhost/i16:1"]
        own = pathlib.Path(peer.root, "overlay-images/images.json")
        if json.loads(own.read_text()):
            # The newer generations copy all the names; the oldest only the new one, and with that the copy is gone.
            together.remove(image.image_id)
        assert json.loads(own.read_text()) == []
        assert image.image_id in together.listed()
    assert elsewhere.podman("run", "--rm", "localhost/i16:1", "cat", "/etc/mark") == "16\n"


@pytest.mark.parametrize("tools", ["new"], indirect=True)
def test_17_images_in_a_store_of_their_own_are_found_there(
    tools: Generation, store_registry: RunningRegistry, elsewhere: Peer, tmp_path: pathlib.Path
) -> None:
    for together in new_together(tools, store_registry, {"crio": {"imagestore": elsewhere.root}}):
        peer = together.peer
        split = Peer(tools, peer.root, peer.runroot, peer.home, more=("--imagestore", elsewhere.root))
        name = together.push("i17", runnable("17"))
        split.podman("pull", "--quiet", name)
        assert together.status(name) is not None
        assert together.prints(name, "cat /etc/mark") == ["17"]
        ours = together.push("i17b", runnable("17b"))
        together.cri.pull(ours)
        assert split.podman("run", "--rm", ours, "cat", "/etc/mark") == "17b\n"
        assert len(json.loads(pathlib.Path(elsewhere.root, "overlay-images/images.json").read_text())) == 2
        usage = together.cri.image.ImageFsInfo(pb.ImageFsInfoRequest())
        points = [one.fs_id.mountpoint for kind in (usage.image_filesystems, usage.container_filesystems) for one in kind]
        assert points == [f"{elsewhere.root}/overlay-images", f"{peer.root}/overlay-containers"]


@pytest.mark.parametrize("tools", ["new"], indirect=True)
def test_17_containers_of_a_transient_store_are_seen_by_both_and_gone_after_a_reboot(elsewhere: Peer, tmp_path: pathlib.Path) -> None:
    peer = dataclasses.replace(elsewhere, more=("--transient-store",))
    peer.copy_in(write_dir(runnable("17t"), tmp_path / "dir"), "localhost/i17:1")
    options = StoreOptions(peer.root, peer.runroot, transient=True)
    store = open_store(options)
    image = store.find_image("localhost/i17:1")
    assert image is not None
    theirs = peer.podman("create", "localhost/i17:1", "cat", "/etc/mark").strip()
    ours = os.urandom(32).hex()
    store.create_container(ContainerCreate(ours, ("ours",), image.id, "{}", volatile=False))
    assert {one.id for one in store.containers()} == {theirs, ours}
    assert ours[:12] in peer.podman("ps", "--all", "--external")
    assert pathlib.Path(store.mount(ours), "etc/mark").read_text() == "17t\n"
    with pytest.raises(InUse, match="is used by container"):
        store.delete_image(image.id)
    assert peer.podman("start", "--attach", theirs) == "17t\n"
    assert store.check(quick=False) == ()
    store.unmount(ours)
    store.shutdown()
    for place in (f"{peer.root}/overlay-containers", f"{peer.root}/overlay-layers"):
        assert ours not in "".join(path.read_text() for path in pathlib.Path(place).glob("*.json"))
    detach_below(peer.runroot)
    shutil.rmtree(peer.runroot)
    store = open_store(options)
    assert store.containers() == ()
    # What the lost containers had written is left over then, and nobody's.
    assert [path for path in store.garbage_collect() if path.startswith(f"{peer.root}/overlay/")] != []
    assert store.check(quick=False) == ()
    store.shutdown()


def test_18_a_store_of_full_copies_is_shared_as_well(side: Side, elsewhere: Peer, tmp_path: pathlib.Path) -> None:
    vfs = Peer(elsewhere.generation, elsewhere.root, elsewhere.runroot, elsewhere.home, "vfs")
    image = runnable("18", layer({"etc/.wh.link": b""}))
    vfs.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i18:1")
    store = open_store(StoreOptions(vfs.root, vfs.runroot, "vfs"))
    found = store.find_image("localhost/i18:1")
    assert found is not None
    assert found.id == image.image_id
    ours = os.urandom(32).hex()
    store.create_container(ContainerCreate(ours, ("ours",), image.image_id, "{}"))
    root = pathlib.Path(store.mount(ours))
    assert ((root / "etc/mark").read_text(), (root / "etc/link").is_symlink()) == ("18\n", False)
    store.delete_container(ours)
    assert store.check(quick=False) == ()
    assert vfs.podman("run", "--rm", "localhost/i18:1", "cat", "/etc/mark") == "18\n"
    store.shutdown()


def test_22_what_a_killed_tool_left_unfinished_is_dropped(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("22")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i22:1")
    dead = "d" * 64
    top = side.here("localhost/i22:1").layer
    subprocess.run(["cp", "-a", side.root / "overlay" / top, side.root / "overlay" / dead], check=True)
    (side.root / "overlay" / dead / "link").write_text("A" * 26)
    (side.root / "overlay-layers" / f"{dead}.tar-split.gz").write_bytes(b"x")
    edit(side.peer, "layers", lambda found: found.append({"id": dead, "created": "2026-01-01T00:00:00Z", "flags": {"incomplete": True}}))
    assert len(side.store.layers()) == 2
    assert side.store.wait_removed(10)
    assert not [path for path in side.root.rglob("*") if dead in path.name]
    assert side.peer.podman("run", "--rm", "localhost/i22:1", "cat", "/etc/mark") == "22\n"
    side.sound()


@pytest.mark.parametrize("tools", ["new"], indirect=True)
def test_28_artifacts_of_podman_are_listed_by_their_manifest(together: Together, tmp_path: pathlib.Path) -> None:
    (tmp_path / "note.txt").write_text("content")
    together.peer.podman("artifact", "add", "localhost/note:1", str(tmp_path / "note.txt"))
    index = json.loads(pathlib.Path(together.peer.root, "artifacts/index.json").read_text())
    digest = index["manifests"][0]["digest"]
    found = together.status("localhost/note:1")
    assert found is not None
    assert found.id == digest.partition(":")[2]
    assert found.size == len("content")
    assert list(found.repo_digests) == [f"localhost/note@{digest}"]
    together.peer.podman("artifact", "rm", "localhost/note:1")
    assert together.status("localhost/note:1") is None


def test_29_an_empty_artifact_index_is_accepted(own_together: Together) -> None:
    folder = pathlib.Path(own_together.peer.root, "artifacts")
    folder.mkdir(exist_ok=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text('{"schemaVersion":2,"manifests":null}')
    assert own_together.status("localhost/none:1") is None
    own_together.listed()
