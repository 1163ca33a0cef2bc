"""The other drivers, other places for images, limits and user namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crio.core.errors import FailedPrecondition
from crio.host.store import ContainerCreate, Store, StoreOptions, open_store, quota
from crio.host.store.drivers import btrfs
from test.integration.store.kit import Image, Tools, busybox_layers, commit, layer, loop_mount, make_tools

A, B = "localhost/a:1", "localhost/b:1"


def new_container(store: Store, image_id: str, **more: object) -> str:
    container_id = os.urandom(32).hex()
    store.create_container(ContainerCreate(container_id, (container_id[:8],), image_id, "{}", **more))  # type: ignore[arg-type]
    return container_id


@pytest.fixture(params=["vfs", "btrfs"])
def plain(request: pytest.FixtureRequest, folder: str) -> Iterator[tuple[Store, Tools]]:
    """A store of a driver that has whole trees, and the tools on it."""
    disk = loop_mount(folder, ("mkfs.btrfs", "-q"), 256) if request.param == "btrfs" else folder
    tools = make_tools(disk, request.param)
    store = open_store(StoreOptions(tools.root, tools.runroot, request.param))
    yield store, tools
    store.shutdown()


def test_whole_trees_are_shared_with_the_tools(plain: tuple[Store, Tools], folder: str) -> None:
    store, tools = plain
    assert store.traits.ordered
    image = Image(busybox_layers())
    commit(store, image, A)
    assert tools.podman("run", "--rm", A, "cat", "/etc/link") == "one\n"
    tools.skopeo("copy", tools.reference(A), f"dir:{folder}/out")
    assert all(Path(folder, "out", one.diff_id.partition(":")[2]).exists() for one in image.layers)
    other = Image((*busybox_layers("two"), layer({"more": b"x"})))
    layout = other.write_layout(f"{folder}/oci")
    tools.skopeo("copy", f"oci:{layout}:latest", tools.reference(B))
    theirs = store.find_image(B)
    assert theirs is not None
    container = new_container(store, theirs.id)
    root = Path(store.mount(container))
    assert (root / "etc/mark").read_text() == "two\n"
    (root / "etc/mark").write_text("written\n")
    assert Path(store.layer_diff_path(theirs.layer), "etc/mark").read_text() == "two\n"
    assert os.stat(root / "bin/sh").st_ino == os.stat(root / "bin/busybox").st_ino
    assert store.mount_path(container) == str(root)
    store.unmount(container)
    assert store.mount_path(container) is None
    assert store.check(quick=False) == ()
    store.delete_container(container)
    store.delete_image(theirs.id)
    store.delete_image(image.id)
    assert store.wait_removed()
    assert store.garbage_collect() == []
    sub = {"vfs": "dir", "btrfs": "subvolumes"}[tools.driver]
    assert os.listdir(f"{tools.root}/{tools.driver}/{sub}") == []


def test_whole_trees_cannot_be_limited(plain: tuple[Store, Tools]) -> None:
    store, _ = plain
    image = commit(store, Image(busybox_layers()[:1]), A)
    with pytest.raises(FailedPrecondition, match="needs the overlay driver"):
        new_container(store, image.id, size_bytes=1 << 20)
    assert store.containers() == ()
    assert store.check(quick=True) == ()


def test_a_subvolume_made_by_a_container_goes_with_it(folder: str) -> None:
    disk = loop_mount(folder, ("mkfs.btrfs", "-q"), 256)
    tools = make_tools(disk, "btrfs")
    store = open_store(StoreOptions(tools.root, tools.runroot, "btrfs"))
    image = commit(store, Image(busybox_layers()[:1]), A)
    container = new_container(store, image.id)
    inner = f"{store.mount(container)}/tmp/inner"
    subprocess.run(["btrfs", "-q", "subvolume", "create", inner], check=True)
    subprocess.run(["btrfs", "-q", "subvolume", "create", f"{inner}/deeper"], check=True)
    store.delete_container(container)
    assert subprocess.run(["btrfs", "subvolume", "list", disk], capture_output=True, text=True).stdout.count("path") == 1
    store.shutdown()


def test_a_vfs_tree_is_a_faithful_copy(folder: str) -> None:
    tools = make_tools(folder, "vfs")
    store = open_store(StoreOptions(tools.root, tools.runroot, "vfs"))
    image = commit(store, Image(busybox_layers()[:1]), A)
    tree = Path(store.layer_diff_path(image.layer))
    os.chown(tree / "bin/busybox", 5, 6)
    os.chmod(tree / "bin/busybox", 0o4755)
    os.setxattr(tree / "bin/busybox", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    os.setxattr(tree / "etc", "trusted.own", b"x")
    os.symlink("/nowhere", tree / "etc/link")
    os.mknod(tree / "dev/null", 0o20666, os.makedev(1, 3))
    os.mkfifo(tree / "tmp/pipe")
    os.utime(tree / "etc", ns=(1, 2))
    copy = Path(store.mount(new_container(store, image.id)))
    for path in sorted(tree.rglob("*")):
        there, here = path.lstat(), (copy / path.relative_to(tree)).lstat()
        fields = ("st_mode", "st_uid", "st_gid", "st_rdev", "st_size", "st_nlink", "st_mtime_ns")
        ignored = ("st_size", "st_nlink") if path.is_dir() else ()
        wanted = [name for name in fields if name not in ignored]
        assert [getattr(there, name) for name in wanted] == [getattr(here, name) for name in wanted], path
        names = os.listxattr(path, follow_symlinks=False)
        assert names == os.listxattr(copy / path.relative_to(tree), follow_symlinks=False)
    store.shutdown()


def test_images_of_a_read_only_store(folder: str) -> None:
    other = make_tools(f"{folder}/ro")
    base = Image(busybox_layers())
    layout = base.write_layout(f"{folder}/oci")
    other.skopeo("copy", f"oci:{layout}:latest", other.reference(A))
    os.unlink(f"{other.root}/overlay-images/images.lock")
    tools = make_tools(folder)
    store = tools.open(additional_stores=(other.root,))
    image = store.find_image(A)
    assert image is not None
    assert image.read_only
    assert store.images() == (image,)
    assert store.image_size(image)
    assert store.image_manifest(image.id) == base.manifest
    container = new_container(store, image.id)
    assert Path(store.mount(container), "etc/mark").read_text() == "one\n"
    with pytest.raises(FailedPrecondition, match=f"is in the read-only store {other.root}"):
        store.delete_image(image.id)
    own = commit(store, Image((*base.layers, layer({"more": b"x"}))), B)
    assert [one.id for one in store.layers() if one.diff_digest] == [own.layer]
    assert Path(store.mount(new_container(store, own.id)), "etc/mark").exists()
    tagged = store.add_name(image.id, "localhost/second:1")
    assert not tagged.read_only
    assert store.image_manifest(image.id) == base.manifest
    assert len(store.images()) == 2
    assert not os.path.exists(f"{other.root}/overlay-images/images.lock")
    for one in store.containers():
        store.delete_container(one.id)
    store.delete_image(own.id)
    store.shutdown()


def test_podman_runs_our_image_whose_base_is_in_an_additional_store(folder: str) -> None:
    other = make_tools(f"{folder}/ro")
    base = Image(busybox_layers())
    other.skopeo("copy", f"oci:{base.write_layout(f'{folder}/oci')}:latest", other.reference(A))
    tools = make_tools(folder)
    store = tools.open(additional_stores=(other.root,))
    commit(store, Image((*base.layers, layer({"more": b"x\n"}))), B)
    option = f"overlay.imagestore={other.root}"
    assert tools.podman("--storage-opt", option, "run", "--rm", B, "cat", "/etc/mark", "/more") == "one\nx\n"
    store.shutdown()


def test_images_in_a_root_of_their_own(folder: str) -> None:
    tools = make_tools(folder)
    images = f"{folder}/i"
    store = tools.open(imagestore=images)
    image = commit(store, Image(busybox_layers()), A)
    container = new_container(store, image.id)
    assert Path(store.mount(container), "etc/mark").exists()
    assert len(os.listdir(f"{images}/overlay/l")) == 2
    assert len(os.listdir(f"{tools.root}/overlay/l")) == 1
    path = store.mount_image(image.id)
    assert path.startswith(images)
    store.unmount_image(image.id)
    assert store.check(quick=False) == ()
    store.delete_container(container)
    store.delete_image(image.id)
    assert store.wait_removed()
    assert os.listdir(f"{images}/overlay/l") == []
    store.shutdown()


_NUMBERS = r"""
#include <linux/btrfs.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <stddef.h>
#include <stdio.h>
int main(void) {
    printf("%lx %lx %x %zu %zu\n", (long)FS_IOC_FSGETXATTR, (long)FS_IOC_FSSETXATTR, FS_XFLAG_PROJINHERIT,
           sizeof(struct fsxattr), offsetof(struct fsxattr, fsx_projid));
    printf("%x %x %x %zu %zu %zu\n", ((unsigned)Q_XGETQUOTA << 8) | PRJQUOTA, ((unsigned)Q_XSETQLIM << 8) | PRJQUOTA,
           FS_DQ_LIMIT_MASK & 0xf, sizeof(struct fs_disk_quota), offsetof(struct fs_disk_quota, d_blk_hardlimit),
           offsetof(struct fs_disk_quota, d_bcount));
    printf("%lx %lx %lx %zu\n", (long)BTRFS_IOC_SUBVOL_CREATE, (long)BTRFS_IOC_SNAP_CREATE, (long)BTRFS_IOC_SNAP_DESTROY,
           sizeof(struct btrfs_ioctl_vol_args));
    return 0;
}
"""


def test_the_numbers_are_those_of_the_kernel(folder: str) -> None:
    Path(folder, "numbers.c").write_text(_NUMBERS)
    subprocess.run(["gcc", "-o", f"{folder}/numbers", f"{folder}/numbers.c"], check=True)
    printed = subprocess.run([f"{folder}/numbers"], check=True, capture_output=True, text=True).stdout
    ours = (
        f"{quota._GET_ATTRIBUTES:x} {quota._SET_ATTRIBUTES:x} {quota._INHERIT:x} {quota._ATTRIBUTES.size} 12\n"
        f"{quota._GET_QUOTA:x} {quota._SET_QUOTA:x} {quota._ALL_LIMITS:x} {quota._QUOTA.size} 8 40\n"
        f"{btrfs._SUBVOL_CREATE:x} {btrfs._SNAP_CREATE:x} {btrfs._SNAP_DESTROY:x} {btrfs._ARGS.size}\n"
    )
    assert printed == ours


def test_without_project_quotas_a_limit_is_refused_and_leaves_nothing(store: Store) -> None:
    image = commit(store, Image(busybox_layers()), A)
    with pytest.raises(FailedPrecondition, match="mounted with prjquota"):
        new_container(store, image.id, size_bytes=1 << 20)
    assert store.containers() == ()
    assert store.wait_removed()
    assert store.check(quick=True) == ()
    assert store.garbage_collect() == []
    assert store.writable_usage(new_container(store, image.id)) is None


def test_files_are_shown_with_the_owners_of_a_user_namespace(store: Store, folder: str) -> None:
    image = commit(store, Image(busybox_layers()), A)
    sleeper = subprocess.Popen(["unshare", "--user", "--", "sh", "-c", "echo; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert sleeper.stdout is not None
    sleeper.stdout.readline()
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{sleeper.pid}/{name}").write_text("0 100000 65536")
    container = new_container(store, image.id)
    root = store.mount(container, userns_path=f"/proc/{sleeper.pid}/ns/user")
    assert os.stat(f"{root}/etc/mark").st_uid == 100000
    assert os.stat(f"{store.layer_diff_path(image.layer)}/etc/mark").st_uid == 0
    assert not os.path.exists(f"{os.path.dirname(root)}/mapped")
    store.delete_container(container)
    sleeper.communicate(b"\n")


def test_mount_options_of_the_configuration(folder: str) -> None:
    tools = make_tools(folder)
    store = tools.open(options=("overlay.mountopt=nodev,metacopy=off", "overlay.skip_mount_home=true", "overlay.sync=filesystem"))
    image = commit(store, Image(busybox_layers()), A)
    root = store.mount(new_container(store, image.id))
    line = next(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {root} " in line)
    assert "nodev" in line
    assert "volatile" in line
    assert not [one for one in Path("/proc/self/mountinfo").read_text().splitlines() if f" {tools.root}/overlay " in one]
    store.shutdown()
    shutil.rmtree(f"{tools.home}/tmp")
