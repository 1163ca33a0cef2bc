"""What is left when a process dies in the middle, a machine restarts, a disk is full: nothing that harms, and never a wipe."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crio.core.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from crio.host.store import ContainerCreate, LayerCommit, Store
from crio.host.store.staging import PREFIX
from test.integration.store.kit import (
    Image,
    Tools,
    busybox_layers,
    commit,
    commit_layers,
    layer,
    loop_mount,
    make_tools,
    unpack,
    write_tar_split,
)
from test.support.waiting import eventually

A = "localhost/a:1"


def staging_areas(tools: Tools) -> list[str]:
    return [str(path) for glob in (f"{PREFIX}*", f"*/{PREFIX}*") for path in Path(tools.root).glob(glob)]


def test_an_incomplete_layer_is_dropped_with_its_files(tools: Tools) -> None:
    store = tools.open()
    image = commit(store, Image(busybox_layers()), A)
    store.shutdown()
    dead = "d" * 64
    path = Path(tools.root, "overlay-layers/layers.json")
    records = json.loads(path.read_text())
    records.append({"id": dead, "parent": image.layer, "created": "2026-01-01T00:00:00Z", "flags": {"incomplete": True}})
    path.write_text(json.dumps(records))
    shutil.copytree(f"{tools.root}/overlay/{image.layer}", f"{tools.root}/overlay/{dead}", symlinks=True)
    Path(tools.root, "overlay-layers", f"{dead}.tar-split.gz").write_bytes(b"x")
    os.mkdir(f"{tools.root}/overlay-layers/{dead}")
    store = tools.open()
    assert store.layer(dead) is None
    assert store.wait_removed()
    assert dead not in os.listdir(f"{tools.root}/overlay")
    assert not any(name.startswith(dead) for name in os.listdir(f"{tools.root}/overlay-layers"))
    assert len(json.loads(path.read_text())) == 2
    store.shutdown()


@pytest.mark.parametrize("split", [False, True], ids=["one root", "an image store of its own"])
def test_layers_that_were_left_go_with_all_their_files_and_what_is_needed_stays(tools: Tools, split: bool) -> None:
    store = tools.open(**({"imagestore": f"{tools.home}/images"} if split else {}))
    root = f"{tools.home}/images" if split else tools.root
    image = commit(store, Image(busybox_layers()), A)
    left = commit_layers(store, (*busybox_layers("left"), layer({"on": b"top"})))
    needed = {record.id for record in store.layers()} - {left}
    wanted = {record.id: record.created_at_ns for record in store.layers()}
    assert store.delete_left_layers({left: wanted[left] + 1}) == set()
    assert store.layer(left) is not None, "another layer under the same id"
    below = store.layer(left).parent  # type: ignore[union-attr]
    assert store.delete_left_layers({str(below): wanted[str(below)]}) == {below}
    assert store.delete_left_layers(wanted) == set()
    assert store.wait_removed()
    assert {record.id for record in store.layers()} == needed - {below} == store.needed_layers()
    assert {name for name in os.listdir(f"{root}/overlay") if len(name) == 64} == needed - {below}
    assert sorted(name[:64] for name in os.listdir(f"{root}/overlay-layers") if "tar-split" in name) == sorted(needed - {below})
    assert store.check(quick=False) == ()
    assert store.image(image.id) == image
    store.shutdown()


def test_a_reader_that_meets_an_incomplete_layer_drops_it(store: Store, tools: Tools) -> None:
    commit(store, Image(busybox_layers()), A)
    path = Path(tools.root, "overlay-layers/layers.json")
    records = json.loads(path.read_text())
    records.append({"id": "e" * 64, "created": "2026-01-01T00:00:00Z", "flags": {"incomplete": True}})
    path.write_text(json.dumps(records))
    assert len(store.layers()) == 2
    assert len(json.loads(path.read_text())) == 2


def test_garbage_is_collected_and_the_rest_stays(store: Store, tools: Tools) -> None:
    image = commit(store, Image(busybox_layers()), A)
    dead = "d" * 64
    for place in ("overlay", "overlay-layers", "overlay-images", "overlay-containers"):
        os.makedirs(f"{tools.root}/{place}/{dead}/deep/er")
    Path(tools.root, "overlay-layers", f"{'e' * 64}.tar-split.gz").write_bytes(b"x")
    os.makedirs(f"{tools.runroot}/overlay-containers/{dead}/userdata")
    os.makedirs(f"{tools.root}/overlay/not-an-id")
    assert [finding.id for finding in store.check(quick=True)] == [dead]
    assert len(store.garbage_collect()) == 5
    assert store.garbage_collect() == []
    assert store.check(quick=False) == ()
    assert os.path.isdir(f"{tools.root}/overlay/not-an-id")
    assert store.image(image.id) == image


def test_staging_of_a_dead_process_goes_and_of_a_living_one_stays(store: Store, tools: Tools) -> None:
    staged = store.stage_layer(None)
    Path(staged.diff_path, "file").write_text("x")
    dead = f"{tools.root}/overlay/{PREFIX}0123"
    os.makedirs(f"{dead}/1/diff/a/b")
    Path(dead, "lock").write_text("")
    second = tools.open()
    assert not os.path.exists(dead)
    assert os.path.exists(f"{staged.diff_path}/file")
    second.shutdown()
    staged.discard()
    staged.discard()
    assert not os.path.exists(staged.diff_path)


def test_nothing_that_is_staged_can_be_taken_for_a_layer(store: Store, tools: Tools) -> None:
    image = commit(store, Image(busybox_layers()), A)
    staged = store.stage_layer(image.layer)
    layers = {one.id for one in store.layers()}
    assert set(os.listdir(f"{tools.root}/overlay")) == {".has-mount-program", "l", *layers}
    staged.discard()


def test_a_home_on_a_disk_of_its_own_has_its_staging_inside(folder: str) -> None:
    tools = make_tools(folder)
    os.makedirs(f"{tools.root}/overlay")
    subprocess.run(["mount", "-t", "tmpfs", "none", f"{tools.root}/overlay"], check=True)
    store = tools.open()
    image = commit(store, Image(busybox_layers()), A)
    assert tools.podman("run", "--rm", A, "cat", "/etc/mark") == "one\n"
    store.delete_image(image.id)
    assert store.wait_removed()
    assert store.check(quick=True) == ()
    store.shutdown()
    assert staging_areas(tools) == []


def test_what_a_dead_process_placed_but_did_not_record_goes_with_its_staging(tools: Tools) -> None:
    store = tools.open()
    image = commit(store, Image(busybox_layers()), A)
    store.shutdown()
    lost = "f" * 64
    shutil.copytree(f"{tools.root}/overlay/{image.layer}", f"{tools.root}/overlay/{lost}", symlinks=True)
    Path(tools.root, "overlay-layers", f"{lost}.tar-split.gz").write_bytes(b"x")
    Path(tools.root, "overlay-layers", ".tmp-layers.json123").write_text("[")
    dead = Path(tools.root, "overlay", f"{PREFIX}0123")
    dead.mkdir()
    (dead / "lock").write_text("")
    store = tools.open()
    assert store.wait_removed()
    assert not list(Path(tools.root).glob(f"*/{lost}*"))
    assert not list(Path(tools.root).glob("*/.tmp-*"))
    assert store.image(image.id) == image
    assert store.check(quick=False) == ()
    store.shutdown()


def test_deep_trees_and_mounts_inside_are_removed_safely(store: Store, tools: Tools, folder: str) -> None:
    image = commit(store, Image(busybox_layers()), A)
    container = os.urandom(32).hex()
    store.create_container(ContainerCreate(container, ("deep",), image.id, "{}"))
    here = os.open(store.mount(container), os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    precious = Path(folder, "precious")
    precious.mkdir()
    (precious / "data").write_text("stays")
    inside = Path(store.run_dir(container), "volume")
    inside.mkdir()
    subprocess.run(["mount", "--bind", precious, inside], check=True)
    store.delete_container(container)
    assert store.wait_removed()
    assert (precious / "data").read_text() == "stays"
    assert str(folder) + "/n" not in Path("/proc/self/mountinfo").read_text()
    assert [name for area in staging_areas(tools) for name in os.listdir(area)] in (["lock"], ["lock"] * 2, ["lock"] * 3, ["lock"] * 4)


def test_after_a_reboot_counts_begin_at_zero(tools: Tools) -> None:
    store = tools.open()
    image = commit(store, Image(busybox_layers()), A)
    container = os.urandom(32).hex()
    record = store.create_container(ContainerCreate(container, ("one",), image.id, "{}"))
    merged = store.mount(container)
    store.shutdown()
    subprocess.run(["umount", "-l", merged], check=True)
    subprocess.run(["umount", "-l", f"{tools.root}/overlay"], check=True)
    # The kernel leaves this mark in the work directory of a volatile overlay that was not unmounted in order.
    os.makedirs(f"{tools.root}/overlay/{record.layer}/work/work/incompat/volatile", exist_ok=True)
    assert json.loads(Path(tools.runroot, "overlay-layers/mountpoints.json").read_text())[0]["count"] == 1
    store = tools.open()
    assert store.mount_path(container) is None
    assert os.path.exists(f"{store.mount(container)}/etc/mark")
    assert json.loads(Path(tools.runroot, "overlay-layers/mountpoints.json").read_text())[0]["count"] == 1
    store.unmount(container)
    store.shutdown()
    shutil.rmtree(tools.runroot)
    store = tools.open()
    assert store.container("one") == record
    store.mount(container)
    store.delete_container(container)
    store.shutdown()


_PULL = """
import sys
from crio.host.store import StoreOptions, open_store
from test.integration.store.kit import Image, busybox_layers, commit
store = open_store(StoreOptions(sys.argv[1], sys.argv[2]))
print("open", flush=True)
number = 0
while True:
    image = commit(store, Image(busybox_layers(f"{sys.argv[3]}-{number}")), f"localhost/killed:{number}")
    if number % 2:
        store.delete_image(image.id)
    number += 1
"""


def test_killed_at_any_instant_the_store_is_sound(tools: Tools) -> None:
    chance = random.Random(7)
    for round_number in range(12):
        command = [sys.executable, "-c", _PULL, tools.root, tools.runroot, str(round_number)]
        puller = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert puller.stdout is not None
        assert puller.stdout.readline() == b"open\n"
        with pytest.raises(subprocess.TimeoutExpired):
            puller.wait(chance.uniform(0.005, 0.25))
        puller.send_signal(signal.SIGKILL)
        puller.wait()
        puller.stdout.close()
        store = tools.open()
        assert [one for one in store.check(quick=False) if one.fatal] == []
        commit(store, Image(busybox_layers(f"{round_number}-0")), A)
        store.garbage_collect()
        assert store.check(quick=True) == ()
        store.shutdown()
        assert staging_areas(tools) == []
    assert tools.podman("run", "--rm", A, "cat", "/etc/mark") == f"{round_number}-0\n"


def fill(disk: str) -> str:
    """Leave no byte free; returns the file that takes them."""
    filler = f"{disk}/filler"
    for size_bytes in (1 << 16, 1 << 10):
        with open(filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(size_bytes))
    return filler


def test_a_full_disk_leaves_the_old_state(folder: str) -> None:
    disk = loop_mount(folder, ("mkfs.ext4", "-q"), 16)
    tools = make_tools(disk)
    store = tools.open()
    image = commit(store, Image(busybox_layers()), A)
    filler = fill(disk)
    before = Path(tools.root, "overlay-images/images.json").read_bytes()
    with pytest.raises(ResourceExhausted, match="No space left"):
        for number in range(2000):
            store.add_name(image.id, f"localhost/full:{number}")
            before = Path(tools.root, "overlay-images/images.json").read_bytes()
    assert Path(tools.root, "overlay-images/images.json").read_bytes() == before
    assert not list(Path(tools.root).rglob(".tmp-*"))
    os.unlink(filler)
    assert store.add_name(image.id, "localhost/again:1").names[0] == "localhost/again:1"
    store.shutdown()


def test_what_is_removed_needs_no_room_on_a_full_disk(folder: str) -> None:
    disk = loop_mount(folder, ("mkfs.ext4", "-q"), 16)
    tools = make_tools(disk)
    store = tools.open()
    image = commit(store, Image(busybox_layers()), A)
    ids = [os.urandom(32).hex() for _ in range(8)]
    for one in ids:
        store.create_container(ContainerCreate(one, (one,), image.id, "{}" * 2000))
        store.mount(one)
    assert Path(tools.root, "overlay-containers/containers.json").stat().st_size > 16 << 10, "more than one removal gives back"
    fill(disk)
    with pytest.raises(ResourceExhausted, match="No space left"):
        store.create_container(ContainerCreate(os.urandom(32).hex(), (), image.id, "{}" * 2000))
    for one in ids[:4]:
        fill(disk)
        store.delete_container(one)
        assert store.wait_removed()
    fill(disk)
    store.shutdown()
    store = tools.open()
    assert {one.id for one in store.containers()} == set(ids[4:])
    for one in ids[4:]:
        fill(disk)
        store.delete_container(one)
        assert store.wait_removed()
    filler = fill(disk)
    store.delete_image(image.id)
    os.unlink(filler)
    assert (store.layers(), store.images(), store.containers()) == ((), (), ())
    assert store.check(quick=False) == ()
    assert not list(Path(tools.root).rglob(".tmp-*"))
    commit(store, Image(busybox_layers()), A)
    assert tools.podman("run", "--rm", A, "cat", "/etc/mark") == "one\n"
    store.shutdown()


def test_a_parent_that_goes_meanwhile_stops_the_commit(store: Store, tools: Tools) -> None:
    base, top = busybox_layers()
    image = commit(store, Image((base,)), A)
    staged = store.stage_layer(image.layer)
    unpack(top.tar, staged.diff_path)
    write_tar_split(top.tar, staged.tar_split_path)
    store.delete_image(image.id)
    with pytest.raises(NotFound, match="commit the parent first"):
        store.commit_layer(staged, LayerCommit(image.layer, top.diff_id, len(top.tar)))
    staged.discard()
    assert store.layers() == ()


def test_equal_layers_committed_at_once_are_one(store: Store, tools: Tools) -> None:
    one = layer({"file": b"x"})
    staged = [store.stage_layer(None) for _ in range(3)]
    for each in staged:
        unpack(one.tar, each.diff_path)
        write_tar_split(one.tar, each.tar_split_path)
    ids = {store.commit_layer(each, LayerCommit(None, one.diff_id, len(one.tar))) for each in staged}
    assert len(ids) == 1
    assert len(store.layers()) == 1
    assert eventually(lambda: store.check(quick=False) == (), 5, "a sound store")


BAD_ROOTS = {
    "a relative root": (InvalidArgument, {"root": "x"}, "expected an absolute path"),
    "a root with dots": (InvalidArgument, {"root": "/var/../x"}, "expected an absolute path"),
    "no run root": (InvalidArgument, {"runroot": ""}, "are needed"),
    "a removed driver": (InvalidArgument, {"driver": "devicemapper"}, "was removed upstream"),
    "another removed driver": (InvalidArgument, {"driver": "aufs"}, "set storage_driver to overlay"),
    "a driver that never was": (InvalidArgument, {"driver": "zzz"}, "expected one of btrfs, overlay, vfs"),
    "a root that cannot be": (FailedPrecondition, {"root": "/proc/x"}, "cannot open the store"),
    "btrfs elsewhere": (FailedPrecondition, {"driver": "btrfs"}, "needs a btrfs file system"),
    "a quota that the file system does not have": (FailedPrecondition, {"options": ("overlay.size=1G",)}, "prjquota"),
    "an additional store that is not there": (InvalidArgument, {"additional_stores": ("/nowhere",)}, "is not a directory"),
    "an image store at the root": (InvalidArgument, {"imagestore": "same"}, "expected another directory"),
}


@pytest.mark.parametrize("sentence", BAD_ROOTS)
def test_what_cannot_be_opened(tools: Tools, sentence: str) -> None:
    kind, changes, words = BAD_ROOTS[sentence]
    given = {"root": tools.root, "runroot": tools.runroot, **changes}
    if given.get("imagestore") == "same":
        given["imagestore"] = tools.root
    from crio.host.store import StoreOptions, open_store

    with pytest.raises(kind, match=words):
        open_store(StoreOptions(**given))  # type: ignore[arg-type]
