"""The harness itself: the endpoint answers, the real crictl agrees, the kit can be pulled from its registry."""

from __future__ import annotations

import json
import pathlib
import subprocess

from crio.cri import api_pb2 as pb
from test.images.build import native_architecture
from test.images.catalog import WEB, find
from test.support.cri import Cri
from test.support.daemon import Daemon

CRICTL_TIMEOUT_S = 60


def crictl(program: pathlib.Path, endpoint: str, *words: str) -> str:
    """What crictl prints; raises CalledProcessError when it ends with an error."""
    address = f"unix://{endpoint.removeprefix('unix://')}"
    command = [str(program), "--runtime-endpoint", address, "--image-endpoint", address, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=CRICTL_TIMEOUT_S)
    return done.stdout


def test_crictl_and_the_client_read_the_same_version(cri: Cri, crictl_path: pathlib.Path) -> None:
    answer = cri.runtime.Version(pb.VersionRequest())
    shown = dict(line.split(":", 1) for line in crictl(crictl_path, cri.endpoint, "version").splitlines())
    assert {name: words.strip() for name, words in shown.items()} == {
        "Version": answer.version,
        "RuntimeName": answer.runtime_name,
        "RuntimeVersion": answer.runtime_version,
        "RuntimeApiVersion": answer.runtime_api_version,
    }


def test_an_image_of_the_kit_has_the_id_that_the_kit_gave_it(cri: Cri, crictl_path: pathlib.Path) -> None:
    reference = cri.pull(WEB)
    try:
        images = json.loads(crictl(crictl_path, cri.endpoint, "images", "-o", "json"))["images"]
        wanted = find(WEB).built.image_ids[native_architecture()]
        assert wanted.removeprefix("sha256:") in {image["id"].removeprefix("sha256:") for image in images}
    finally:
        cri.image.RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=reference)))


def test_a_daemon_of_a_test_starts_again_after_a_kill(own_daemon: Daemon) -> None:
    first = own_daemon.pid
    own_daemon.restart(crash=True)
    assert own_daemon.pid != first
