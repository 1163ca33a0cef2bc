"""The real crictl does with our daemon what it does with any other: pull, run, look, exec, stop, remove."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crio.cri import api_pb2 as pb
from test.images.catalog import BUSYBOX, BUSYBOX_OCI
from test.integration.cri.kit import SLEEP, Pods
from test.support.cri import Cri
from test.support.waiting import eventually

TIMEOUT_S = 60
Tool = Callable[..., str]


@pytest.fixture
def crictl(crictl_path: pathlib.Path, warm: Cri) -> Tool:
    """A function that runs crictl on the endpoint and gives what it prints."""
    base = [str(crictl_path), "--runtime-endpoint", warm.endpoint, "--image-endpoint", warm.endpoint]

    def run(*words: str) -> str:
        done = subprocess.run([*base, *words], check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    return run


@pytest.fixture
def files(tmp_path: pathlib.Path, cgroup_parent: str) -> dict[str, str]:
    """The configuration files of a pod and a container, as crictl's users write them."""
    pod = {
        "metadata": {"name": "byhand", "namespace": "ring", "uid": f"crictl-{tmp_path.name}", "attempt": 1},
        "hostname": "byhand",
        "log_directory": str(tmp_path / "logs"),
        "labels": {"by": "crictl"},
        "linux": {"cgroup_parent": cgroup_parent, "security_context": {"namespace_options": {"pid": 1}}},
    }
    container = {
        "metadata": {"name": "hand"},
        "image": {"image": BUSYBOX},
        "command": ["sh", "-c", SLEEP[2].replace("; while", "; echo from the log; while", 1)],
        "log_path": "hand.log",
        "linux": {"security_context": {"namespace_options": {"pid": 1}}},
    }
    found = {}
    for name, document in (("pod", pod), ("container", container)):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(document))
        found[name] = str(path)
    return found


@pytest.fixture
def pod_id(crictl: Tool, files: dict[str, str], pods: Pods) -> Iterator[str]:
    """A pod that crictl ran; it is gone after the test whatever became of it."""
    created = crictl("runp", files["pod"])
    yield created
    for container in pods.containers_of(created):
        pods.cri.runtime.StopContainer(pb.StopContainerRequest(container_id=container.id, timeout=0))
    pods.cri.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=created))
    pods.cri.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=created))


def listed(crictl: Tool, *words: str) -> Any:
    """What a listing command says as JSON."""
    return json.loads(crictl(*words, "-o", "json"))


def test_version_and_info(crictl: Tool, warm: Cri) -> None:
    words = dict(line.split(":", 1) for line in crictl("version").splitlines())
    assert words["RuntimeApiVersion"].strip() == "v1"
    status = json.loads(crictl("info"))["status"]
    assert {item["type"]: item["status"] for item in status["conditions"]} == {"RuntimeReady": True, "NetworkReady": True}


def test_images_are_pulled_listed_inspected_and_removed(crictl: Tool, warm: Cri) -> None:
    assert "Image is up to date for" in crictl("pull", BUSYBOX_OCI)
    (image,) = (image for image in listed(crictl, "images")["images"] if BUSYBOX_OCI in image["repoTags"])
    assert json.loads(crictl("inspecti", BUSYBOX_OCI))["status"]["id"] == image["id"]
    assert crictl("images", "-q", BUSYBOX_OCI) == image["id"]
    crictl("rmi", BUSYBOX_OCI)
    assert crictl("images", "-q", BUSYBOX_OCI) == ""
    assert json.loads(crictl("imagefsinfo"))["status"]["imageFilesystems"]


def test_a_pod_and_a_container_by_hand(crictl: Tool, pod_id: str, files: dict[str, str], tmp_path: pathlib.Path) -> None:
    (pod,) = listed(crictl, "pods", "--id", pod_id)["items"]
    assert (pod["state"], pod["metadata"]["name"], pod["labels"]["by"]) == ("SANDBOX_READY", "byhand", "crictl")
    assert json.loads(crictl("inspectp", pod_id))["status"]["network"]["ip"]
    container = crictl("create", pod_id, files["container"], files["pod"])
    assert listed(crictl, "ps", "-a", "--id", container)["containers"][0]["state"] == "CONTAINER_CREATED"
    crictl("start", container)
    (running,) = listed(crictl, "ps", "--pod", pod_id)["containers"]
    assert (running["id"], running["state"]) == (container, "CONTAINER_RUNNING")
    assert crictl("exec", "-s", container, "hostname") == "byhand"
    eventually(lambda: crictl("logs", container) == "from the log", TIMEOUT_S, "the log has the line")
    status = json.loads(crictl("inspect", container))
    assert (status["status"]["state"], status["status"]["logPath"]) == ("CONTAINER_RUNNING", str(tmp_path / "logs/hand.log"))
    assert crictl("stop", "-t", "5", container) == container
    ended = json.loads(crictl("inspect", container))["status"]
    assert (ended["state"], ended["exitCode"], ended["reason"]) == ("CONTAINER_EXITED", 0, "Completed")
    assert crictl("rm", container) == container
    assert listed(crictl, "ps", "-a", "--pod", pod_id)["containers"] == []
    assert crictl("stopp", pod_id) == f"Stopped sandbox {pod_id}"
    assert listed(crictl, "pods", "--id", pod_id)["items"][0]["state"] == "SANDBOX_NOTREADY"
    assert crictl("rmp", pod_id) == f"Removed sandbox {pod_id}"
    assert listed(crictl, "pods", "--id", pod_id)["items"] == []


def test_short_ids_will_do(crictl: Tool, pod_id: str, files: dict[str, str]) -> None:
    container = crictl("create", pod_id[:13], files["container"], files["pod"])
    crictl("start", container[:13])
    assert crictl("exec", "-s", container[:13], "echo", "yes") == "yes"
    crictl("rm", "--force", container[:13])


def test_a_pod_with_a_running_container_is_removed_by_force(crictl: Tool, pod_id: str, files: dict[str, str]) -> None:
    container = crictl("create", pod_id, files["container"], files["pod"])
    crictl("start", container)
    crictl("rmp", "--force", pod_id)
    assert listed(crictl, "pods", "--id", pod_id)["items"] == []
    assert listed(crictl, "ps", "-a", "--id", container)["containers"] == []
