"""``crio check`` and ``crio wipe`` on the store of a daemon that pulled real images."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from crio.cri import api_pb2 as pb
from test.images.catalog import BUSYBOX, WEB
from test.integration.cri import cgroups
from test.integration.cri.kit import Pods
from test.integration.interop.kit import generation, make_peer
from test.support import leaks
from test.support.cri import Cri
from test.support.daemon import BIN, Daemon, Options, running
from test.support.registry import RunningRegistry

TIMEOUT_S = 120


def crio(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a subcommand on the configuration of a daemon."""
    root = daemon.layout.root
    files = ("--registries-conf", str(root / "registries.conf"), "--registries-conf-dir", "")
    argv = [str(BIN / "crio"), "--config", str(daemon.layout.config), "--config-dir", "", *files, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.fixture
def stopped(own_daemon: Daemon) -> Daemon:
    """A daemon that pulled two images and was stopped."""
    with Cri(own_daemon.socket) as client:
        for name in (WEB, BUSYBOX):
            client.image.PullImage(pb.PullImageRequest(image=pb.ImageSpec(image=name)))
    own_daemon.stop()
    return own_daemon


def victim(daemon: Daemon) -> pathlib.Path:
    """A program in a layer of the store."""
    return next(iter(sorted((daemon.layout.root / "store" / "overlay").glob("*/diff/bin/busybox"))))


def test_a_sound_store_is_said_to_be_sound(stopped: Daemon) -> None:
    done = crio(stopped, "check")
    assert (done.returncode, done.stdout) == (0, "the storage is sound\n")


def test_a_broken_layer_is_named_and_nothing_is_changed_without_repair(stopped: Daemon) -> None:
    file = victim(stopped)
    file.unlink()
    done = crio(stopped, "check")
    assert done.returncode == 1
    assert file.parents[2].name in done.stdout
    assert "run again with --repair" in done.stdout
    assert not file.exists()


def test_repair_fetches_the_broken_layer_again_and_only_that_one(stopped: Daemon) -> None:
    file = victim(stopped)
    body = file.read_bytes()
    others = {path for path in (stopped.layout.root / "store" / "overlay").glob("*/diff") if path != file.parents[1]}
    before = {path: path.stat().st_ino for path in others}
    file.unlink()
    done = crio(stopped, "check", "--repair")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("mended layer") == 1
    assert file.read_bytes() == body
    assert {path: path.stat().st_ino for path in others} == before
    stopped.start()
    with Cri(stopped.socket) as client:
        assert client.image.ImageStatus(pb.ImageStatusRequest(image=pb.ImageSpec(image=WEB))).image.id


def test_wipe_does_nothing_when_the_version_is_the_same(stopped: Daemon) -> None:
    done = crio(stopped, "wipe")
    assert (done.returncode, done.stdout) == (0, "nothing to wipe: the version is the same and the node did not reboot\n")


@pytest.fixture
def upgradable(registry: RunningRegistry, tmp_path: pathlib.Path) -> Iterator[Daemon]:
    """A daemon that keeps its version over reboots, with the cgroup of its pods."""
    tables = {"crio": {"version_file_persist": str(tmp_path / "version")}}
    with running(Options(registries_conf=registry.registries_conf(), tables=tables)) as daemon:
        cgroups.make_parent(daemon.layout.cgroup_parent)
        yield daemon
        cgroups.remove_parent(daemon.layout.cgroup_parent)


def used_and_stopped(daemon: Daemon, image: str, logs: pathlib.Path) -> list[str]:
    """Run a pod with a container, end both and the daemon, and take their cgroups as a reboot would; returns their ids."""
    with Cri(daemon.socket) as client:
        client.pull(image)
        pod = Pods(client, logs, daemon.layout.cgroup_parent).run()
        container = pod.start(image={"image": image})
        container.stop(0)
        pod.stop()
    daemon.stop()
    for folder in leaks.CGROUPS.glob(f"*{daemon.layout.cgroup_parent}/crio-*"):
        folder.rmdir()
    return sorted([pod.id, container.id])


def test_wipe_takes_what_is_ours_after_a_reboot_and_our_images_after_an_upgrade(
    upgradable: Daemon, registry: RunningRegistry, tmp_path: pathlib.Path
) -> None:
    root = upgradable.layout.root
    podman = make_peer(generation("old"), tmp_path, registry.address, f"{root}/store", f"{root}/run/store")
    with Cri(upgradable.socket) as client:
        client.pull(WEB)
    used = used_and_stopped(upgradable, BUSYBOX, tmp_path / "logs")
    theirs = podman.podman("create", WEB, "true").strip()
    (root / "run/version").unlink()
    done = crio(upgradable, "wipe")
    assert done.returncode == 0, done.stderr
    assert sorted(line.removeprefix("removed container ") for line in done.stdout.splitlines()) == used
    assert {BUSYBOX, WEB} <= {name for _, name in podman.images()}
    upgradable.start()
    with Cri(upgradable.socket) as client:
        assert list(client.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items) == []
        assert list(client.runtime.ListContainers(pb.ListContainersRequest()).containers) == []
    used_and_stopped(upgradable, BUSYBOX, tmp_path / "logs")
    (tmp_path / "version").write_text('"0.0.1"')
    done = crio(upgradable, "wipe")
    assert (done.returncode, done.stdout.count("removed container"), "removed image" in done.stdout) == (0, 2, True), done.stderr
    # An image that no container of ours used is not ours to take, nor is podman's container.
    names = {name for _, name in podman.images()}
    assert (BUSYBOX in names, WEB in names) == (False, True)
    assert theirs[:12] in podman.podman("ps", "--all")
    podman.podman("rm", theirs)


def test_wipe_refuses_beside_a_running_daemon(own_daemon: Daemon) -> None:
    done = crio(own_daemon, "wipe", "--force")
    assert done.returncode == 1
    assert "another daemon uses the store" in done.stderr


def test_what_this_host_can_do_is_a_table() -> None:
    done = subprocess.run([str(BIN / "crio"), "check", "--host"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert [line.split("  ")[0] for line in done.stdout.splitlines()][:3] == ["kernel", "cgroups", "cgroup manager"]
