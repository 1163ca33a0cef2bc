"""Items 43 to 52, 79, 80, 82 and 84: running containers of ours and of theirs in one store, and what each may do to the other's."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import time

import grpc
import pytest

from crio.cri import api_pb2 as pb
from crio.host.store import ContainerCreate
from test.integration.cri.kit import Ctr, fails_with, refused
from test.integration.interop.kit import Side, Together, edit, layer, runnable, write_dir
from test.support.daemon import Daemon, Options

MANY = 300


def started(together: Together, name: str) -> Ctr:
    """A running container of an image that our daemon pulls first."""
    together.cri.pull(name)
    return together.pods.run().start(image={"image": name})


def ended(container: Ctr) -> None:
    """Stop and remove a container and its pod; each step must succeed."""
    container.stop(0)
    container.remove()
    container.pod.stop()
    container.pod.remove()


def merged(together: Together, container: Ctr) -> pathlib.Path:
    """Where the root of a container is mounted."""
    found = json.loads(pathlib.Path(together.peer.root, "overlay-containers/containers.json").read_text())
    record = next(one for one in found if one["id"] == container.id)
    return pathlib.Path(together.peer.root, "overlay", record["layer"], "merged")


def test_43_an_image_that_a_container_of_podman_uses_is_not_removed(together: Together) -> None:
    name = together.push("c43", runnable("c43"))
    together.cri.pull(name)
    theirs = together.peer.podman("create", name, "cat", "/etc/mark").strip()
    image = together.status(name)
    assert image is not None
    with refused(grpc.StatusCode.FAILED_PRECONDITION, theirs):
        together.remove(image.id)
    assert together.peer.podman("start", "--attach", theirs) == "c43\n"
    together.peer.podman("rm", theirs)
    together.remove(name)
    assert together.status(name) is None
    assert name not in {one for _, one in together.peer.images()}


def test_44_45_46_podman_lists_our_containers_and_takes_no_image_from_them(together: Together) -> None:
    name = together.push("c44", runnable("c44"))
    container = started(together, name)
    peer = together.peer
    assert container.id[:12] in peer.podman("ps", "--all", "--external")
    assert container.id[:12] not in peer.podman("ps", "--all")
    image = together.status(name)
    assert image is not None
    assert "in use" in peer.refused("rmi", image.id)
    peer.attempt("skopeo", "delete", peer.reference(name))
    peer.attempt("buildah", "--root", peer.root, "--runroot", peer.runroot, "--storage-driver", "overlay", "rmi", image.id)
    assert container.says("cat /etc/mark; echo new > /etc/new; cat /etc/new") == "c44\nnew"
    assert image.id in together.listed()
    ended(container)


def test_47_our_daemon_survives_that_podman_removes_a_container_of_ours(together: Together) -> None:
    name = together.push("c47", runnable("c47"))
    container = started(together, name)
    together.peer.podman("rmi", "--force", name)
    assert together.status(name) is None
    container.status()
    ended(container)
    assert list(together.cri.runtime.ListContainers(pb.ListContainersRequest()).containers) == []
    again = started(together, name)
    assert again.says("cat /etc/mark") == "c47"
    ended(again)


def test_48_podman_does_not_remove_a_mounted_container_of_ours(together: Together) -> None:
    container = started(together, together.push("c48", runnable("c48")))
    together.peer.refused("rm", container.id)
    assert (merged(together, container) / "etc/mark").read_text() == "c48\n"
    assert container.says("cat /etc/mark") == "c48"
    ended(container)


def test_49_podman_may_unmount_a_container_of_ours_and_it_still_ends_in_order(together: Together) -> None:
    container = started(together, together.push("c49", runnable("c49")))
    together.peer.attempt(*together.peer.podman_words, "unmount", "--force", container.id)
    assert container.says("cat /etc/mark") == "c49"
    ended(container)
    assert together.prints(f"{together.registry}/c49:1", "cat /etc/mark") == ["c49"]


def test_50_podman_sees_in_a_container_of_ours_what_we_see(together: Together) -> None:
    container = started(together, together.push("c50", runnable("c50")))
    container.says("echo written > /etc/written; rm /etc/link")
    path = pathlib.Path(together.peer.podman("mount", container.id).strip())
    assert path == merged(together, container)
    assert ((path / "etc/written").read_text(), (path / "etc/link").exists()) == ("written\n", False)
    together.peer.podman("unmount", container.id)
    assert container.says("cat /etc/written") == "written"
    ended(container)


def test_51_52_prune_takes_what_nobody_uses_and_nothing_of_a_running_container(together: Together) -> None:
    used, unused = together.push("c51", runnable("c51")), together.push("c52", runnable("c52", layer({"more": b"x"})))
    container = started(together, used)
    for command in (("image", "prune", "--all", "--force"), ("system", "prune", "--all", "--force")):
        together.cri.pull(unused)
        together.peer.podman(*command)
        assert together.status(unused) is None
        assert together.status(used) is not None
        assert container.says("cat /etc/mark; ls /bin/sh") == "c51\n/bin/sh"
        assert (merged(together, container) / "etc/mark").exists()
    together.cri.pull(unused)
    assert together.prints(unused, "cat /more /etc/mark") == ["xc52"]
    ended(container)


def test_53_the_same_image_is_shown_the_same_whoever_pulled_it(together: Together) -> None:
    image = runnable("c53", config={"config": {"User": "7:8", "Labels": {"a": "b"}, "Cmd": ["true"]}})
    name = together.push("c53", image)
    together.cri.pull(name)
    ours = together.status(name)
    together.peer.podman("rmi", name)
    together.peer.podman("pull", "--quiet", name)
    theirs = together.status(name)
    assert ours is not None
    # The oldest generation keeps an empty signature with it, which has no size either.
    assert ours == theirs
    together.remove(name)


def test_79_after_a_reboot_both_sides_start(own_together: Together) -> None:
    name = own_together.push("c79", runnable("c79"))
    container = started(own_together, name)
    pod = container.pod
    theirs = own_together.peer.podman("create", name, "cat", "/etc/mark").strip()
    container.stop(0)
    pod.stop()
    own_together.daemon.kill()
    own = pathlib.Path(own_together.peer.runroot)
    for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
        point = line.split()[4]
        if point.startswith(str(own_together.daemon.layout.root)):
            subprocess.run(["umount", "--lazy", point], check=True)
    subprocess.run(["rm", "-rf", str(own), str(own.parent / "version"), f"{own_together.peer.home}/tmp"], check=True)
    pathlib.Path(own_together.peer.home, "tmp").mkdir()
    own_together.daemon.start()
    assert container.status().state == pb.CONTAINER_EXITED
    container.remove()
    pod.remove()
    assert own_together.prints(name, "cat /etc/mark") == ["c79"]
    assert own_together.peer.podman("start", "--attach", theirs) == "c79\n"
    own_together.peer.podman("rm", theirs)
    left = json.loads(pathlib.Path(own_together.peer.runroot, "overlay-layers/mountpoints.json").read_text())
    assert left == []


def test_80_an_index_that_is_cut_off_is_reported_and_not_overwritten(own_together: Together) -> None:
    name = own_together.push("c80", runnable("c80"))
    own_together.cri.pull(name)
    path = pathlib.Path(own_together.peer.root, "overlay-images/images.json")
    before = path.read_bytes()
    path.write_bytes(b"")
    own_together.peer.attempt(*own_together.peer.podman_words, "images")
    with refused(grpc.StatusCode.INTERNAL, "images.json"):
        own_together.listed()
    code, words = fails_with(lambda: own_together.cri.pull(own_together.push("c80b", runnable("c80b"))))
    assert (code, "images.json" in words) == (grpc.StatusCode.INTERNAL, True)
    assert path.read_bytes() == b""
    path.write_bytes(before)
    assert own_together.status(name) is not None


def test_82_a_second_daemon_on_the_same_store_is_refused_and_the_first_goes_on(own_together: Together) -> None:
    first = own_together
    tables = {"crio": {"root": first.peer.root, "runroot": first.peer.runroot}}
    container = started(first, first.push("c82", runnable("c82")))
    second = Daemon(Options(registries_conf=first.daemon.options.registries_conf, tables=tables))
    with pytest.raises(RuntimeError, match="another daemon uses the store"):
        second.start()
    subprocess.run(["rm", "-rf", second.layout.root], check=True)
    assert container.says("cat /etc/mark") == "c82"
    ended(container)


def test_84_lists_stay_fast_with_many_containers(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("84")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i84:1")
    for number in range(MANY):
        side.store.create_container(ContainerCreate(os.urandom(32).hex(), (f"many-{number}",), image.image_id, "{}"))
    began_s = time.monotonic()
    assert len(side.peer.podman("ps", "--all", "--external", "--quiet").split()) == MANY
    theirs_s = time.monotonic() - began_s
    began_s = time.monotonic()
    assert len(side.store.containers()) == MANY
    assert time.monotonic() - began_s < 0.5
    # Two seconds on an idle machine; what must not be is that they wait for a lock of ours.
    assert theirs_s < 10
    for one in side.store.containers():
        side.store.delete_container(one.id)
    side.sound()


@pytest.mark.parametrize("kind", ["images", "layers"])
def test_68_69_edits_by_hand_are_seen_by_the_running_daemon(together: Together, tmp_path: pathlib.Path, kind: str) -> None:
    image = runnable(f"c68{kind}")
    together.peer.copy_in(write_dir(image, tmp_path / "dir"), f"localhost/c68{kind}:1")
    before = together.status(f"localhost/c68{kind}:1")
    assert before is not None
    if kind == "images":
        edit(together.peer, kind, lambda found: found[-1]["names"].append("localhost/hand:1"))
        found = together.status("localhost/hand:1")
        assert found is not None
        assert found.id == image.image_id
    else:
        edit(together.peer, kind, lambda found: found[-1].update({"diff-size": found[-1]["diff-size"] + 5}), token=False)
        after = together.status(f"localhost/c68{kind}:1")
        assert after is not None
        assert after.size == before.size + 5
        edit(together.peer, kind, lambda found: found[-1].update({"diff-size": found[-1]["diff-size"] - 5}))
