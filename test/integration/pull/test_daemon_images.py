"""Images and artifacts of a running daemon: what the CRI shows of them, containers that mount them, the policy at each step."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.images.catalog import PAUSE
from test.integration.cri import cgroups
from test.integration.cri.kit import Pods, refused
from test.integration.interop.kit import base, mark, runnable
from test.integration.pull.test_artifacts import EMPTY, FILES, artifact_manifest
from test.support import leaks
from test.support.cri import Cri
from test.support.daemon import Daemon, Options, running
from test.support.registry import RunningRegistry
from test.support.smallimages import OCI_MANIFEST, ImageWish, Pusher, SmallImage, image_of

REJECT = {"default": [{"type": "reject"}]}
ACCEPT = {"default": [{"type": "insecureAcceptAnything"}]}


@dataclass(frozen=True, slots=True)
class Node:
    """A daemon with pods, and a folder for a read-only store of artifacts."""

    daemon: Daemon
    cri: Cri
    pods: Pods
    registry: str
    shared: pathlib.Path

    def pull(self, repository: str, image: SmallImage, namespace: str = "ring") -> str:
        """Push an image and pull it for a pod of this namespace; returns its reference."""
        Pusher(self.registry).image(repository, "1", image)
        reference = f"{self.registry}/{repository}:1"
        pod = pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="p", namespace=namespace))
        self.cri.image.PullImage(pb.PullImageRequest(image=pb.ImageSpec(image=reference), sandbox_config=pod))
        return reference

    def artifact(self, repository: str) -> str:
        """Push an artifact and pull it; returns its reference."""
        pusher = Pusher(self.registry)
        for content in (EMPTY, *FILES.values()):
            pusher.blob(repository, content)
        pusher.manifest(repository, "1", artifact_manifest(FILES), OCI_MANIFEST)
        self.cri.pull(f"{self.registry}/{repository}:1")
        return f"{self.registry}/{repository}:1"

    def status(self, name: str) -> pb.Image | None:
        """The status of an image; None when there is none."""
        answer = self.cri.image.ImageStatus(pb.ImageStatusRequest(image=pb.ImageSpec(image=name)))
        return answer.image if answer.HasField("image") else None

    def listed(self, image_id: str) -> list[pb.Image]:
        """What the list has of an image."""
        return [one for one in self.cri.image.ListImages(pb.ListImagesRequest()).images if one.id == image_id]

    def remove(self, name: str) -> None:
        """RemoveImage."""
        self.cri.image.RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=name)))

    def policy(self, namespace: str, policy: object) -> None:
        """Write the policy of a Kubernetes namespace."""
        folder = self.daemon.layout.root / "policies"
        folder.mkdir(exist_ok=True)
        (folder / f"{namespace}.json").write_text(json.dumps(policy))


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind(leak_scope: leaks.Scope) -> Iterator[None]:
    """The leak check of the suite once for this file: the daemon, and the bridge of its first pod, last as long."""
    with leaks.checked(leak_scope):
        yield


@pytest.fixture(scope="module")
def node(real_registry: RunningRegistry) -> Iterator[Node]:
    """One daemon for this file."""
    real_registry.push(PAUSE)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="n")))
        tables = {
            "crio.runtime": {"additional_artifact_stores": [str(folder / "shared")]},
            "crio.image": {"pinned_images": ["*/pinned-here*"]},
        }
        daemon = stack.enter_context(running(Options(registries_conf=real_registry.registries_conf(), tables=tables)))
        cri = stack.enter_context(Cri(daemon.socket))
        parent = daemon.layout.cgroup_parent
        cgroups.make_parent(parent)
        stack.callback(cgroups.remove_parent, parent)
        pods = Pods(cri, folder / "logs", parent)
        stack.callback(pods.close)
        yield Node(daemon, cri, pods, real_registry.address, folder / "shared")


def mounted(reference: str, sub_path: str = "") -> dict[str, object]:
    """The fields of a container with the image or artifact mounted on /volume."""
    return {"mounts": [{"container_path": "/volume", "image": {"image": reference}, "image_sub_path": sub_path, "readonly": True}]}


def test_the_status_of_an_image_has_the_annotations_of_its_manifest_and_the_list_has_none(node: Node) -> None:
    image = image_of((base(), mark("annotated")), ImageWish(manifest={"annotations": {"org.example.note": "by hand"}}))
    found = node.status(node.pull("node/annotated", image))
    assert found is not None
    assert dict(found.spec.annotations) == {"org.example.note": "by hand"}
    (listed,) = node.listed(found.id)
    assert dict(listed.spec.annotations) == {}


def test_removed_by_its_digest_an_image_goes_with_all_its_names(node: Node) -> None:
    image = runnable("digest")
    reference = node.pull("node/digest", image)
    Pusher(node.registry).image("node/digest", "2", image)
    other = node.cri.pull(f"{node.registry}/node/digest:2")
    assert other == image.image_id
    node.remove(f"{node.registry}/node/digest@{image.digest}")
    assert [node.status(name) for name in (reference, f"{node.registry}/node/digest:2", image.image_id)] == [None] * 3


def test_a_pattern_pins_an_image(node: Node) -> None:
    found = [node.status(node.pull(repository, runnable(repository))) for repository in ("node/pinned-here", "node/not-pinned")]
    assert [one.pinned for one in found if one is not None] == [True, False]


def test_the_files_of_an_artifact_are_mounted(node: Node) -> None:
    reference = node.artifact("node/thing")
    found = node.status(reference)
    assert found is not None
    assert (list(found.repo_tags), found.size, found.pinned) == ([reference], sum(map(len, FILES.values())), False)
    assert len(node.listed(found.id)) == 1
    image = {"image": {"image": node.pull("node/runs", runnable("runs"))}}
    pod = node.pods.run()
    script = "find /volume -type f | sort; cat /volume/dir/readme.txt; echo; echo x 2>&1 > /volume/model.bin || echo refused"
    wanted = ["/volume/dir/readme.txt", "/volume/model.bin", "read me", "refused"]
    assert [line for line in pod.once(script, **image, **mounted(reference)) if "Read-only" not in line] == wanted
    assert pod.once("find /volume -type f", **image, **mounted(reference, "model")) == ["/volume/model.bin"]
    node.remove(reference)
    assert node.status(reference) is None


def test_an_artifact_of_a_read_only_store_is_pinned_mounted_and_stays(node: Node) -> None:
    reference = node.artifact("node/shared")
    node.shared.mkdir()
    shutil.copytree(node.daemon.layout.root / "store/artifacts", node.shared / "artifacts")
    found = node.status(reference)
    assert found is not None
    assert found.pinned
    assert len(node.listed(found.id)) == 1, "both stores have it"
    shutil.rmtree(node.daemon.layout.root / "store/artifacts")
    assert node.status(found.id) == found
    image = {"image": {"image": node.pull("node/runs", runnable("runs"))}}
    assert node.pods.run().once("cat /volume/dir/readme.txt", **image, **mounted(reference)) == ["read me"]
    with refused(grpc.StatusCode.FAILED_PRECONDITION, f"read-only store {node.shared}"):
        node.remove(reference)
    assert node.status(reference) == found


def test_an_image_is_mounted_as_a_volume_and_kept_as_long(node: Node) -> None:
    runs, volume = node.pull("node/runs", runnable("runs")), node.pull("node/volume", runnable("volume"))
    found = node.status(volume)
    assert found is not None
    pod = node.pods.run()
    container = pod.start(image={"image": runs}, **mounted(volume))
    assert container.says("cat /etc/mark /volume/etc/mark") == "runs\nvolume"
    assert pod.once("ls /volume", image={"image": runs}, **mounted(volume, "etc")) == ["link", "mark"]
    with refused(grpc.StatusCode.FAILED_PRECONDITION, f"in use by {container.id}"):
        node.remove(found.id)
    container.stop(0)
    container.remove()
    for one in node.pods.containers_of(pod.id):
        node.cri.runtime.RemoveContainer(pb.RemoveContainerRequest(container_id=one.id))
    node.remove(found.id)
    assert node.status(volume) is None


def test_the_policy_of_the_namespace_is_asked_at_the_pull_and_again_at_the_container(node: Node) -> None:
    node.policy("strict", REJECT)
    with refused(grpc.StatusCode.UNKNOWN, "SignatureValidationFailed"):
        node.pull("node/judged", runnable("judged"), "strict")
    reference = node.pull("node/judged", runnable("judged"))
    image = {"image": {"image": reference}}
    strict = node.pods.run(metadata={"namespace": "strict"})
    with refused(grpc.StatusCode.UNKNOWN, "SignatureValidationFailed"):
        strict.create(**image)
    assert node.pods.run().once("cat /etc/mark", **image) == ["judged"]
    node.policy("strict", ACCEPT)
    assert strict.once("cat /etc/mark", **image) == ["judged"]


def test_the_use_of_the_file_system_is_asked_of_its_counters_and_no_folder_is_read(node: Node, tmp_path: pathlib.Path) -> None:
    node.pull("node/many", runnable("many"))
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=getdents64,statfs,openat", "-o", str(trace), "-p", str(node.daemon.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        tracer.stderr.readline()
        (usage,) = node.cri.image.ImageFsInfo(pb.ImageFsInfoRequest()).image_filesystems
        tracer.terminate()
    counters = os.statvfs(usage.fs_id.mountpoint)
    assert usage.used_bytes.value == pytest.approx((counters.f_blocks - counters.f_bfree) * counters.f_frsize, rel=0.05)
    calls = [line for line in trace.read_text().splitlines() if "(" in line]
    assert [line for line in calls if f'statfs("{usage.fs_id.mountpoint}' in line] != []
    assert [line for line in calls if "getdents64" in line] == []
