"""Bind mounts: read-only, recursive, propagation, missing sources, files."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.integration.cri.kit import Ctr, Pod, Pods, refused
from test.support.waiting import eventually

MOUNT_TIMEOUT_S = 10


def mount(*words: str) -> None:
    """Run mount(8)."""
    subprocess.run(["mount", *words], check=True, timeout=MOUNT_TIMEOUT_S)


def bound(source: pathlib.Path, **fields: object) -> dict[str, object]:
    """A configuration with the source mounted on /data."""
    return {"mounts": [{"container_path": "/data", "host_path": str(source), **fields}]}


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder of the host with one file."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "file").write_text("from the host\n")
    return folder


@pytest.fixture
def shared(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A shared mount of our own, since a host's root may be private."""
    folder = tmp_path / "shared"
    folder.mkdir()
    mount("-t", "tmpfs", "ring", str(folder))
    mount("--make-shared", str(folder))
    (folder / "sub").mkdir()
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--recursive", str(folder)], check=True, timeout=MOUNT_TIMEOUT_S)


@pytest.fixture
def pod(pods: Pods) -> Pod:
    """A pod."""
    return pods.run()


def test_both_sides_see_what_the_other_writes(pod: Pod, source: pathlib.Path) -> None:
    assert pod.once("cat /data/file; echo back > /data/back", **bound(source)) == ["from the host"]
    assert (source / "back").read_text() == "back\n"


def test_a_read_only_mount_cannot_be_written(pod: Pod, source: pathlib.Path) -> None:
    assert pod.once("touch /data/x 2>/dev/null || echo refused", **bound(source, readonly=True)) == ["refused"]
    assert not (source / "x").exists()


def test_a_single_file_can_be_mounted(pod: Pod, source: pathlib.Path) -> None:
    mounts = [{"container_path": "/etc/motd", "host_path": str(source / "file")}]
    assert pod.once("cat /etc/motd", mounts=mounts) == ["from the host"]


def test_a_mount_inside_a_mount(pod: Pod, source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "deep").touch()
    mounts = [
        {"container_path": "/data/inner", "host_path": str(inner)},
        {"container_path": "/data", "host_path": str(source)},
    ]
    assert pod.once("ls /data/inner", mounts=mounts) == ["deep"]


def test_a_link_as_a_source_is_followed(pod: Pod, source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(source)
    assert pod.once("cat /data/file", **bound(link)) == ["from the host"]


@pytest.mark.parametrize("handler", ["runc", "crun"])
@pytest.mark.inside
def test_a_recursive_read_only_mount_covers_what_is_mounted_below_or_is_refused(pods: Pods, shared: pathlib.Path, handler: str) -> None:
    mount("-t", "tmpfs", "ring", str(shared / "sub"))
    script = "touch /data/sub/x 2>/dev/null && echo written || echo refused"
    pod = pods.run(handler)
    assert pod.once(script, **bound(shared, readonly=True)) == ["written"]
    features = {item.name: item.features for item in pods.cri.runtime.Status(pb.StatusRequest()).runtime_handlers}
    wanted = bound(shared, readonly=True, recursive_read_only=True)
    if features[handler].recursive_read_only_mounts:
        assert pod.once(script, **wanted) == ["refused"]
    else:
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "'/data'", "no recursive read-only mounts"):
            pod.create(**wanted)


def _has_mount(container: Ctr, path: str) -> bool:
    return container.exec("grep", "-q", f" {path} ", "/proc/self/mountinfo").exit_code == 0


PROPAGATION = {"PROPAGATION_PRIVATE": False, "PROPAGATION_HOST_TO_CONTAINER": True, "PROPAGATION_BIDIRECTIONAL": True}


@pytest.mark.parametrize("kind", PROPAGATION)
def test_a_later_mount_of_the_host_is_seen_as_the_propagation_says(pods: Pods, shared: pathlib.Path, kind: str) -> None:
    privileged = {"linux": {"security_context": {"privileged": True}}}
    container = pods.run(**privileged).start(**privileged, **bound(shared, propagation=kind))
    mount("-t", "tmpfs", "ring", str(shared / "sub"))
    if PROPAGATION[kind]:
        eventually(lambda: _has_mount(container, "/data/sub"), MOUNT_TIMEOUT_S, "the mount comes through")
    else:
        assert not _has_mount(container, "/data/sub")


def test_a_mount_of_the_container_reaches_the_host_when_it_is_bidirectional(pods: Pods, shared: pathlib.Path) -> None:
    privileged = {"linux": {"security_context": {"privileged": True}}}
    container = pods.run(**privileged).start(**privileged, **bound(shared, propagation="PROPAGATION_BIDIRECTIONAL"))
    container.says("mount -t tmpfs ring /data/sub && touch /data/sub/mark")
    eventually((shared / "sub" / "mark").exists, MOUNT_TIMEOUT_S, "the mount reaches the host")


@pytest.mark.inside
def test_propagation_from_a_private_mount_is_refused(pod: Pod, shared: pathlib.Path) -> None:
    mount("--make-private", str(shared))
    with refused(grpc.StatusCode.FAILED_PRECONDITION, str(shared), "is not on a shared mount"):
        pod.create(**bound(shared, propagation="PROPAGATION_BIDIRECTIONAL"))


@pytest.mark.inside
def test_a_missing_source_is_made_as_a_folder(pod: Pod, tmp_path: pathlib.Path) -> None:
    missing = tmp_path / "not" / "there"
    assert pod.once("stat -c '%F %a' /data", **bound(missing)) == ["directory 755"]
    assert missing.is_dir()


@pytest.mark.inside
def test_a_folder_made_for_a_create_that_fails_goes_again(pod: Pod, tmp_path: pathlib.Path) -> None:
    missing, way = tmp_path / "made" / "first", tmp_path / "file"
    way.touch()
    mounts = [{"container_path": "/a", "host_path": str(missing)}, {"container_path": "/b", "host_path": str(way / "below")}]
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "config.mounts[1].host_path", "cannot be made: Not a directory"):
        pod.create(mounts=mounts)
    assert not (tmp_path / "made").exists()


def test_the_request_s_own_etc_hosts_wins(pod: Pod, source: pathlib.Path) -> None:
    mounts = [{"container_path": "/etc/hosts", "host_path": str(source / "file")}]
    assert pod.once("cat /etc/hosts", mounts=mounts) == ["from the host"]


def test_a_target_that_is_a_link_in_the_image_stays_inside(pod: Pod, source: pathlib.Path) -> None:
    """The container's own /data may be a link to somewhere on the host: the mount must not follow it there."""
    container = pod.create("sh", "-c", "ls /proc/self/cwd/file", mounts=[{"container_path": "/../../data", "host_path": str(source)}])
    container.start()
    with contextlib.suppress(AssertionError):
        container.ended()
    assert not pathlib.Path("/data").exists()
