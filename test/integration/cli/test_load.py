"""``crio load`` beside a running daemon: an archive made by skopeo becomes an image that a pod can use."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from crio.cri import api_pb2 as pb
from test.images.catalog import BUSYBOX
from test.integration.cli.test_check import TIMEOUT_S, crio
from test.support.cri import Cri
from test.support.daemon import Daemon
from test.support.registry import RunningRegistry

NAME = "localhost/loaded:1"


@pytest.fixture
def archive(registry: RunningRegistry, tmp_path: pathlib.Path) -> pathlib.Path:
    """Busybox in an OCI archive."""
    path = tmp_path / "image.tar"
    source = f"docker://{registry.address}/{BUSYBOX.partition('/')[2]}"
    words = ["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", source, f"oci-archive:{path}"]
    subprocess.run(words, check=True, capture_output=True, timeout=TIMEOUT_S)
    return path


def status(cri: Cri, name: str) -> pb.Image:
    """The image of this name, as the daemon sees it."""
    return cri.image.ImageStatus(pb.ImageStatusRequest(image=pb.ImageSpec(image=name))).image


def test_an_archive_becomes_an_image_of_the_running_daemon(own_daemon: Daemon, archive: pathlib.Path) -> None:
    with Cri(own_daemon.socket) as cri:
        done = crio(own_daemon, "load", f"oci-archive:{archive}", "--name", NAME)
        assert done.returncode == 0, done.stderr
        found = status(cri, NAME)
        assert done.stdout == f"{found.id} {NAME}\n"
        assert list(found.repo_tags) == [NAME]
        cri.image.RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=NAME)))
        assert not status(cri, NAME).id


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "no source": ((), "crio load takes one source"),
    "another transport": (("docker://x.test/a",), "expected one of oci, oci-archive, docker-archive, dir and a path"),
    "a file that is not there": (("oci-archive:/nowhere/x.tar",), "/nowhere/x.tar"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_source_is_named_and_leaves_nothing(daemon: Daemon, case: str) -> None:
    words, expected = BAD[case]
    images = daemon.layout.root / "store/overlay-images/images.json"
    before = images.read_bytes() if images.exists() else b""
    done = crio(daemon, "load", *words)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert (images.read_bytes() if images.exists() else b"") == before


def test_a_truncated_archive_leaves_nothing(own_daemon: Daemon, archive: pathlib.Path) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])
    done = crio(own_daemon, "load", f"oci-archive:{archive}", "--name", NAME)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert str(archive) in done.stderr
    with Cri(own_daemon.socket) as cri:
        assert not cri.image.ListImages(pb.ListImagesRequest()).images
    check = crio(own_daemon, "check")
    assert (check.returncode, check.stdout) == (0, "the storage is sound\n")
