"""Images: pull, look up, list, remove; and that podman sees the very same store."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.images.build import native_architecture
from test.images.catalog import BUSYBOX, BUSYBOX_DOCKER, BUSYBOX_OCI, LAYERED, PAUSE, REDIS, STAGING, find
from test.integration.cri.kit import Pods, refused
from test.support.cri import Cri
from test.support.daemon import Daemon

TOOL_TIMEOUT_S = 60
KINDS = {"a Docker manifest": BUSYBOX_DOCKER, "an OCI manifest": BUSYBOX_OCI, "an OCI index": LAYERED, "a Docker list": BUSYBOX}
USERS = {"uid": (1002, ""), "username": (None, "www-data"), "uid-group": (1003, ""), "username-group": (None, "www-data")}


def status(cri: Cri, reference: str) -> pb.Image | None:
    """An image, None when there is none."""
    answer = cri.image.ImageStatus(pb.ImageStatusRequest(image=pb.ImageSpec(image=reference)))
    return answer.image if answer.HasField("image") else None


def known(cri: Cri, reference: str) -> pb.Image:
    """An image that has to be there."""
    found = status(cri, reference)
    assert found is not None, reference
    return found


def remove(cri: Cri, reference: str) -> None:
    """Remove an image or a name of it."""
    cri.image.RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=reference)))


def listed(cri: Cri, reference: str = "") -> dict[str, pb.Image]:
    """The images by id."""
    wanted = pb.ImageFilter(image=pb.ImageSpec(image=reference))
    return {image.id: image for image in cri.image.ListImages(pb.ListImagesRequest(filter=wanted)).images}


@pytest.fixture
def client(warm: Cri) -> Iterator[Cri]:
    """The client; images that the test added are removed after it."""
    before = set(listed(warm))
    yield warm
    for image_id in set(listed(warm)) - before:
        remove(warm, image_id)


@pytest.mark.parametrize("case", KINDS)
def test_an_image_is_pulled_from(client: Cri, case: str) -> None:
    reference = KINDS[case]
    image_id = client.pull(reference)
    wanted = find(reference).built.image_ids[native_architecture()]
    assert image_id.removeprefix("sha256:") == wanted.removeprefix("sha256:")
    image = known(client, reference)
    assert reference in image.repo_tags
    assert image.size > 0


def test_a_second_pull_gives_the_same_image(client: Cri) -> None:
    assert client.pull(BUSYBOX_OCI) == client.pull(BUSYBOX_OCI)


def test_an_image_is_found_by_tag_digest_id_and_the_start_of_the_id(client: Cri) -> None:
    image_id = client.pull(BUSYBOX_OCI)
    image = known(client, BUSYBOX_OCI)
    (digest,) = image.repo_digests
    plain = image_id.removeprefix("sha256:")
    for reference in (BUSYBOX_OCI, digest, plain, f"sha256:{plain}", plain[:12]):
        assert known(client, reference).id == image.id, reference
        assert set(listed(client, reference)) == {image.id}, reference


def test_an_image_can_be_pulled_by_its_digest(client: Cri) -> None:
    first = client.pull(BUSYBOX_OCI)
    (digest,) = known(client, BUSYBOX_OCI).repo_digests
    remove(client, first)
    assert client.pull(digest) == first
    image = known(client, digest)
    assert (list(image.repo_tags), list(image.repo_digests)) == ([], [digest])


def test_an_unknown_image_is_an_empty_answer(client: Cri) -> None:
    for reference in ("registry.k8s.io/crio-test/never:1", "0" * 64, f"registry.k8s.io/crio-test/never@sha256:{'0' * 64}"):
        assert status(client, reference) is None
        assert listed(client, reference) == {}
        remove(client, reference)


@pytest.mark.inside
def test_an_empty_reference_is_refused(client: Cri) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "image.image is empty"):
        status(client, "")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "image.image is empty"):
        remove(client, "")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "image.image is empty"):
        client.pull("")


def test_removing_a_name_leaves_the_others_and_the_last_one_takes_the_image(client: Cri) -> None:
    names = [f"{STAGING}/test-image-tags:{number}" for number in (1, 2, 3)]
    ids = {client.pull(name) for name in names}
    assert len(ids) == 1
    remove(client, names[0])
    assert sorted(known(client, names[1]).repo_tags) == names[1:]
    assert status(client, names[0]) is None
    remove(client, names[1])
    remove(client, names[2])
    assert status(client, ids.pop()) is None


def test_removing_by_id_takes_all_names(client: Cri) -> None:
    names = [f"{STAGING}/test-image-tags:{number}" for number in (1, 2, 3)]
    for name in names:
        image_id = client.pull(name)
    remove(client, image_id)
    assert [name for name in names if status(client, name) is not None] == []


@pytest.mark.inside
def test_an_image_in_use_is_not_removed(client: Cri, pods: Pods) -> None:
    image_id = client.pull(REDIS)
    container = pods.run().create(image={"image": REDIS}, command=[])
    with refused(grpc.StatusCode.FAILED_PRECONDITION, image_id.removeprefix("sha256:"), f"is used by container {container.id}"):
        remove(client, REDIS)
    assert container.start().status().state == pb.CONTAINER_RUNNING
    container.remove()
    remove(client, REDIS)
    assert status(client, REDIS) is None


@pytest.mark.parametrize("name", USERS)
def test_the_user_of_an_image_is_shown(client: Cri, name: str) -> None:
    reference = f"{STAGING}/test-image-user-{name}:latest"
    client.pull(reference)
    image = known(client, reference)
    uid, username = USERS[name]
    assert (image.uid.value if image.HasField("uid") else None, image.username) == (uid, username)


@pytest.mark.inside
def test_the_pause_image_is_pinned(client: Cri) -> None:
    assert known(client, PAUSE).pinned
    assert not known(client, BUSYBOX).pinned


@pytest.mark.inside
def test_the_verbose_status_has_the_configuration(client: Cri) -> None:
    client.pull(BUSYBOX_OCI)
    request = pb.ImageStatusRequest(image=pb.ImageSpec(image=BUSYBOX_OCI), verbose=True)
    info = json.loads(client.image.ImageStatus(request).info["info"])
    assert info["labels"] == {"kind": "oci"}
    assert info["imageSpec"]["config"]["Cmd"] == ["sh"]


def test_the_file_system_of_images_grows_and_shrinks_with_them(client: Cri) -> None:
    answer = client.image.ImageFsInfo(pb.ImageFsInfoRequest())
    (usage,) = answer.image_filesystems
    assert os.path.isdir(usage.fs_id.mountpoint)
    assert usage.used_bytes.value > 0
    assert usage.inodes_used.value > 0
    assert usage.timestamp > 0
    assert len(answer.container_filesystems) == 1


def test_all_layers_of_an_image_are_seen_in_a_container(client: Cri, pods: Pods) -> None:
    client.pull(LAYERED)
    script = "cat /data/file-0 /data/file-7; ls /data | tr '\\n' ' '; echo; ls /old"
    lines = pods.run().once(script, image={"image": LAYERED})
    assert lines == ["layer 8", "layer 7", "file-0 file-2 file-3 file-4 file-5 file-6 file-7 ", "kept"]


@pytest.mark.inside
def test_podman_sees_the_same_images(client: Cri, inside: Daemon) -> None:
    store = ("--root", str(inside.layout.root / "store"), "--runroot", str(inside.layout.root / "run/store"))
    # In mounts of its own: it takes away the store's private mount at its end, which the daemon would make again.
    tool = ("unshare", "--mount", "podman", *store, "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs")
    shown = subprocess.run([*tool, "images", "--format", "json"], check=True, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S).stdout
    ours = {image.id.removeprefix("sha256:"): sorted(image.repo_tags) for image in listed(client).values()}
    assert {image["Id"]: sorted(image.get("Names") or []) for image in json.loads(shown)} == ours
