"""The daemon as a whole against bad surroundings: two of it, bad files, no network, a full or read-only disk."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Iterator

import grpc
import pytest

from crio.cri import api_pb2 as pb
from test.images.catalog import BUSYBOX, REDIS
from test.integration.cri.kit import Pods, fails_with, refused
from test.integration.cri.own import Own, owned
from test.integration.store.conftest import mounts_below
from test.integration.store.kit import loop_mount
from test.support import daemon as daemons
from test.support import deaf
from test.support.daemon import BIN, Daemon, Options
from test.support.registry import RunningRegistry
from test.support.waiting import eventually

pytestmark = pytest.mark.inside
HOST_NETWORK = {"linux": {"security_context": {"namespace_options": {"network": "NODE"}}}}
COMMAND_TIMEOUT_S = 30


@pytest.fixture
def own(registry: RunningRegistry, tmp_path: pathlib.Path) -> Iterator[Own]:
    """A daemon for this test alone."""
    with owned(registry, tmp_path) as one:
        yield one


def refused_start(options: Options) -> str:
    """The last words of a daemon that must not start."""
    other = Daemon(options)
    try:
        with pytest.raises(RuntimeError, match="the daemon ended with 1"):
            other.start()
        return other.log()
    finally:
        other._sweep()


def test_a_second_daemon_on_the_same_socket_is_refused(inside: Daemon) -> None:
    words = refused_start(Options(tables={"crio.api": {"listen": inside.socket}}))
    assert f"another daemon answers on {inside.socket}" in words
    assert "Traceback" not in words
    assert inside.layout.socket.exists()


@pytest.mark.parametrize("which", ["both", "root", "runroot"])
def test_a_second_daemon_on_the_same_store_is_refused(inside: Daemon, warm: object, which: str) -> None:
    store = inside.layout.root
    places = {"root": str(store / "store"), "runroot": str(store / "run/store")}
    words = refused_start(Options(tables={"crio": places if which == "both" else {which: places[which]}}))
    assert "another daemon uses the store" in words
    assert "Traceback" not in words


BAD_FILES = {
    "an unknown key": ('[crio.runtime]\ncgroup_managr = "cgroupfs"\n', ("2", "cgroup_managr", "cgroup_manager")),
    "a value of the wrong type": ("[crio.runtime]\n\npids_limit = true\n", ("3", "pids_limit", "true")),
    "a value that is no choice": ('[crio.runtime]\ncgroup_manager = "systemctl"\n', ("2", "cgroup_manager", "systemctl", "systemd")),
    "no TOML": ("[crio.runtime\n", ("1",)),
}


def start(config: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Check a configuration through the daemon's own eyes."""
    command = [str(BIN / "crio"), "--config", str(config), "--config-dir", "", "config"]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, cwd="/")


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_with_line_key_and_value(tmp_path: pathlib.Path, case: str) -> None:
    text, words = BAD_FILES[case]
    path = tmp_path / "crio.conf"
    path.write_text(text)
    done = start(path)
    assert "Traceback" not in done.stderr
    assert [word for word in (str(path), *words) if word not in done.stderr] == [], done.stderr


def test_a_file_that_is_not_there_is_said(tmp_path: pathlib.Path) -> None:
    done = start(tmp_path / "never.conf")
    assert (done.returncode, f"{tmp_path}/never.conf" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("key", ["root", "runroot", "log_dir"])
def test_a_place_that_cannot_be_is_named(tmp_path: pathlib.Path, key: str) -> None:
    (tmp_path / "file").write_text("precious")
    words = refused_start(Options(tables={"crio": {key: f"{tmp_path}/file/below"}}))
    assert f"{tmp_path}/file" in words.splitlines()[-1]
    assert "Not a directory" in words.splitlines()[-1]
    assert "Traceback" not in words


def test_a_socket_path_that_is_too_long_is_refused(tmp_path: pathlib.Path) -> None:
    words = refused_start(Options(tables={"crio.api": {"listen": f"{tmp_path}/{'s' * 100}.sock"}}))
    assert "is longer than 107 bytes" in words


def test_a_file_in_the_place_of_the_socket_is_not_removed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    assert f"listen '{path}' cannot be used" in refused_start(Options(tables={"crio.api": {"listen": str(path)}}))
    assert path.read_text() == "precious"


def test_what_its_caller_ignores_and_blocks_reaches_no_container(registry: RunningRegistry, tmp_path: pathlib.Path) -> None:
    look = "grep -E '^Sig(Blk|Ign):' /proc/self/status"
    clean = ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]
    with owned(registry, tmp_path, Options(prefix=deaf.PREFIX)) as own, own.pods() as pods:
        pod = pods.run()
        assert pod.once(f"exec {look}") == clean
        assert pod.start().says(f"exec {look}").splitlines() == clean


def conditions(pods: Pods) -> dict[str, pb.RuntimeCondition]:
    """The conditions of the runtime by name."""
    return {item.type: item for item in pods.cri.runtime.Status(pb.StatusRequest()).status.conditions}


def test_without_a_network_configuration_only_pods_of_the_host_network_run(own: Own) -> None:
    conflist = own.root / "cni/10-test.conflist"
    text = conflist.read_text()
    before = own.traces()
    with own.pods() as pods:
        conflist.unlink()
        eventually(lambda: not conditions(pods)["NetworkReady"].status, 10, "the network is not ready")
        assert conditions(pods)["NetworkReady"].reason == "NetworkPluginNotReady"
        assert conditions(pods)["NetworkReady"].message.startswith("Network plugin returns error: ")
        begun_s = time.monotonic()
        with refused(grpc.StatusCode.UNAVAILABLE, str(own.root / "cni")):
            pods.run()
        assert time.monotonic() - begun_s > 1
        assert own.left(before) == []
        assert pods.run(**HOST_NETWORK).once("echo up", **HOST_NETWORK) == ["up"]
        conflist.write_text(text)
        assert pods.run().once("echo up") == ["up"]
        pods.close()
    eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")


def test_a_pod_that_waits_for_its_network_runs_when_it_comes(own: Own) -> None:
    conflist = own.root / "cni/10-test.conflist"
    text = conflist.read_text()
    with own.pods() as pods:
        conflist.unlink()
        eventually(lambda: not conditions(pods)["NetworkReady"].status, 10, "the network is not ready")
        config = pods.config()
        code, _ = fails_with(lambda: pods.run_as(config, timeout_s=0.2))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        conflist.write_text(text)
        assert pods.run_as(config).once("echo up") == ["up"]


PLUGIN = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] && {{ echo '{{"cniVersion": "1.0.0", "code": 100, "msg": "no address left", "details": "of 7"}}'; exit 1; }}
{then}
"""


@pytest.mark.parametrize(("case", "then"), [("alone", "exit 0"), ("also at its removal", "exit 1")])
def test_a_failing_plugin_fails_the_pod_with_its_own_words(registry: RunningRegistry, tmp_path: pathlib.Path, case: str, then: str) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "ring-fails").write_text(PLUGIN.format(then=then))
    (plugins / "ring-fails").chmod(0o755)
    folders = [str(plugins), *daemons.PLUGIN_FOLDERS]
    with owned(registry, tmp_path, Options(tables={"crio.network": {"plugin_dirs": folders}})) as own:
        conflist = own.root / "cni/10-test.conflist"
        document = json.loads(conflist.read_text())
        with own.pods() as pods:
            pods.run().remove()
            before = own.traces()
            conflist.write_text(json.dumps({**document, "plugins": [*document["plugins"], {"type": "ring-fails"}]}))
            config = pods.config()
            eventually(lambda: fails_with(lambda: pods.run_as(config))[0] is grpc.StatusCode.INTERNAL, 10, "the plugin is asked")
            with refused(grpc.StatusCode.INTERNAL, "ring-fails", "no address left"):
                pods.run_as(config)
            assert pods.listed() == []
            left = [line for line in own.left(before) if then == "exit 0" or not line.startswith(("addresses", "cni cache"))]
            assert left == []
            conflist.write_text(json.dumps(document))
            assert eventually(lambda: _runs(pods, config), 10, "the same request succeeds")


STUCK = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] && {{ mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}; exit 1; }}
exit 0
"""


def test_a_pod_that_could_not_be_taken_back_is_no_obstacle_for_its_retry(registry: RunningRegistry, tmp_path: pathlib.Path) -> None:
    """Between the store's record and its undo, a plugin makes the store's folder read-only."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    with owned(registry, tmp_path, Options(tables={"crio.network": {"plugin_dirs": [str(plugins), *daemons.PLUGIN_FOLDERS]}})) as own:
        folder = own.root / "store/overlay-containers"
        (plugins / "ring-stuck").write_text(STUCK.format(folder=folder))
        (plugins / "ring-stuck").chmod(0o755)
        conflist = own.root / "cni/10-test.conflist"
        text = conflist.read_text()
        with own.pods() as pods:
            before = own.traces()
            conflist.write_text(json.dumps({**json.loads(text), "plugins": [{"type": "ring-stuck"}]}))
            config = pods.config()
            with refused(grpc.StatusCode.INTERNAL, "ring-stuck"):
                pods.run_as(config)
            assert "cannot undo the store container" in own.daemon.log()
            assert pods.listed() == []
            subprocess.run(["umount", str(folder)], check=True, timeout=COMMAND_TIMEOUT_S)
            assert [path for path in own.left(before) if path.startswith("store: ")] != []
            conflist.write_text(text)
            assert eventually(lambda: _runs(pods, config), 10, "the same request succeeds")
            pods.close()
        eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")


def _runs(pods: Pods, config: pb.PodSandboxConfig) -> bool:
    try:
        return bool(pods.run_as(config).ip)
    except grpc.RpcError:
        return False


@contextlib.contextmanager
def small_disk(folder: pathlib.Path, kind: str) -> Iterator[pathlib.Path]:
    """A file system of 24 MiB for the block: in memory, or on a file below ``folder``."""
    disk = folder / "disk"
    if kind == "tmpfs":
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "ring", str(disk)], check=True, timeout=COMMAND_TIMEOUT_S)
    else:
        loop_mount(str(folder), (f"mkfs.{kind}", "-q"), 24, "errors=remount-ro")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=COMMAND_TIMEOUT_S)


@pytest.fixture
def on_small_disk(registry: RunningRegistry, tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[Own]:
    """A daemon whose store is on a small disk."""
    with (
        small_disk(tmp_path, getattr(request, "param", "tmpfs")) as disk,
        owned(registry, tmp_path, Options(tables={"crio": {"root": str(disk / "store")}})) as own,
    ):
        try:
            yield own
        finally:
            (disk / "filler").unlink(missing_ok=True)
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True, timeout=COMMAND_TIMEOUT_S)


def fill(disk: pathlib.Path) -> None:
    """Leave no byte free."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    with (disk / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x")


def test_a_full_disk_is_an_answer_and_the_daemon_lives_on(on_small_disk: Own, tmp_path: pathlib.Path) -> None:
    own, disk = on_small_disk, tmp_path / "disk"
    with own.pods() as pods:
        pod = pods.run()
        running = pod.start()
        before = own.traces()
        fill(disk)
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "No space left"):
            pods.run()
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "No space left"):
            pod.create()
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            pods.cri.pull(REDIS)
        assert running.says("echo alive") == "alive"
        assert len(pods.listed()) == 1
        (disk / "filler").unlink()
        eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")
        assert pod.once("echo again") == ["again"]
        pods.close()


@pytest.mark.parametrize("on_small_disk", ["tmpfs", "ext4"], indirect=True)
def test_pods_and_images_can_be_removed_on_a_full_disk(on_small_disk: Own, tmp_path: pathlib.Path) -> None:
    own, disk = on_small_disk, tmp_path / "disk"
    with own.pods() as pods:
        before = own.traces()
        pod, other = pods.run(), pods.run()
        container = pod.start()
        other.start()
        fill(disk)
        begun_s = time.monotonic()
        container.stop(20)
        assert time.monotonic() - begun_s < 4
        assert (container.status().state, container.status().exit_code) == (pb.CONTAINER_EXITED, 0)
        fill(disk)
        container.remove()
        fill(disk)
        pod.stop()
        assert pod.status().state == pb.SANDBOX_NOTREADY
        pod.remove()
        assert [item.id for item in pods.listed()] == [other.id]
        fill(disk)
        own.daemon.kill()
        own.daemon.start()
    with own.pods() as again:
        assert [item.id for item in again.cri.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items] == [other.id]
        again.close_all()
        fill(disk)
        again.cri.image.RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=BUSYBOX)))
        assert list(again.cri.image.ListImages(pb.ListImagesRequest()).images) == []
        eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")
        (disk / "filler").unlink()
        again.cri.pull(BUSYBOX)
        assert again.run().once("echo again") == ["again"]


FULL = grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_node_whose_only_disk_is_full_can_be_cleaned_up(
    registry: RunningRegistry, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything of the daemon is on that disk: its run directory, the logs, the addresses of the pods, its own log."""
    with small_disk(pathlib.Path(tempfile.mkdtemp(prefix="k")), "tmpfs") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with owned(registry, tmp_path) as own:
            with own.pods() as pods:
                before = own.traces()
                pod, other = pods.run(), pods.run()
                container, waiting = pod.start(), other.create()
                fill(disk)
                for call in (pods.run, pod.create, waiting.start, lambda: container.exec("true")):
                    with refused(FULL, "No space left"):
                        call()
                container.stop(20)
                assert (container.status().state, container.status().exit_code) == (pb.CONTAINER_EXITED, 0)
                fill(disk)
                pod.remove()
                own.daemon.kill()
                fill(disk)
                own.daemon.start()
            with own.pods() as again:
                assert [item.id for item in again.cri.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items] == [other.id]
                again.close_all()
                eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")
            (disk / "filler").unlink()


def test_a_full_run_directory_is_an_answer(registry: RunningRegistry, tmp_path: pathlib.Path) -> None:
    with small_disk(tmp_path, "tmpfs") as disk:
        runtime = {"container_exits_dir": str(disk / "exits"), "container_attach_socket_dir": str(disk / "attach")}
        tables = {"crio": {"runroot": str(disk / "run")}, "crio.runtime": runtime}
        with owned(registry, tmp_path, Options(tables=tables)) as own, own.pods() as pods:
            before = own.traces()
            pod = pods.run()
            container = pod.start()
            traces = own.traces()
            fill(disk)
            for call in (pods.run, pod.create, lambda: container.exec("true")):
                with refused(FULL, "No space left"):
                    call()
            assert own.left(traces) == []
            container.stop(20)
            assert container.status().state == pb.CONTAINER_EXITED
            pods.close()
            (disk / "filler").unlink()
            assert pods.run().once("echo again") == ["again"]
            pods.close()
            eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")


def test_a_daemon_on_a_read_only_disk_says_so_and_starts_when_it_is_writable(on_small_disk: Own, tmp_path: pathlib.Path) -> None:
    own, disk = on_small_disk, str(tmp_path / "disk")
    own.daemon.stop()
    size = len(own.daemon.log(1 << 30))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, timeout=COMMAND_TIMEOUT_S)
    with pytest.raises(RuntimeError, match="the daemon ended with 1"):
        own.daemon.start()
    words = own.daemon.log(1 << 30)[size:]
    assert "Read-only file system" in words
    assert str(disk) in words
    assert "Traceback" not in words
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True, timeout=COMMAND_TIMEOUT_S)
    own.daemon.start()
    with own.pods() as pods:
        assert pods.run().once("echo up") == ["up"]
        pods.close()


def break_disk(disk: pathlib.Path) -> None:
    """What the kernel does with a disk that has errors: what is there by now stays, and nothing can be written until it is repaired."""
    subprocess.run(["sync", "--file-system", str(disk)], check=True, timeout=COMMAND_TIMEOUT_S)
    source = subprocess.run(["findmnt", "-no", "SOURCE", str(disk)], check=True, capture_output=True, text=True).stdout.strip()
    pathlib.Path("/sys/fs/ext4", pathlib.Path(source).name, "trigger_fs_error").write_text("1")


def repair_disk(disk: pathlib.Path) -> None:
    """Unmount, check, mount again."""
    for point in (*mounts_below(str(disk)), str(disk)):
        subprocess.run(["umount", point], check=True, timeout=COMMAND_TIMEOUT_S)
    image = str(disk.with_suffix(".img"))
    assert subprocess.run(["fsck.ext4", "-p", image], check=False, capture_output=True, timeout=COMMAND_TIMEOUT_S).returncode == 1
    subprocess.run(["mount", "-o", "loop", image, str(disk)], check=True, timeout=COMMAND_TIMEOUT_S)


@pytest.mark.parametrize("on_small_disk", ["ext4"], indirect=True)
def test_a_disk_that_becomes_read_only_is_an_answer_and_nothing_is_lost(on_small_disk: Own, tmp_path: pathlib.Path) -> None:
    own, disk = on_small_disk, tmp_path / "disk"
    with own.pods() as pods:
        before = own.traces()
        pod = pods.run()
        container = pod.start()
        traces = own.traces()
        break_disk(disk)
        for call in (pods.run, pod.create, lambda: pods.cri.pull(REDIS)):
            with refused(grpc.StatusCode.FAILED_PRECONDITION, "Read-only file system"):
                call()
        assert own.left(traces) == []
        assert container.says("echo alive") == "alive"
        container.stop()
        assert (container.status().state, container.status().exit_code) == (pb.CONTAINER_EXITED, 0)
        for remove in (container.remove, pod.remove):
            with refused(grpc.StatusCode.FAILED_PRECONDITION, "Read-only file system"):
                remove()
        assert [item.id for item in pods.listed()] == [pod.id]
        assert [item.id for item in pods.containers_of(pod.id)] == [container.id]
    own.daemon.kill()
    repair_disk(disk)
    own.daemon.start()
    with own.pods() as again:
        again.mark = pods.mark
        assert [(item.id, item.state) for item in again.listed()] == [(pod.id, pb.SANDBOX_NOTREADY)]
        assert [item.state for item in again.containers_of(pod.id)] == [pb.CONTAINER_EXITED]
        again.close()
        assert again.run().once("echo again") == ["again"]
        again.close()
    eventually(lambda: own.left(before) == [], 10, f"nothing is left: {own.left(before)}")


def test_a_missing_mount_source_that_must_not_be_made_is_refused(registry: RunningRegistry, tmp_path: pathlib.Path) -> None:
    missing = str(tmp_path / "never")
    with (
        owned(registry, tmp_path, Options(tables={"crio.runtime": {"absent_mount_sources_to_reject": [missing]}})) as own,
        own.pods() as pods,
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, f"'{missing}' does not exist and must not be made"):
            pods.run().create(mounts=[{"container_path": "/data", "host_path": missing}])
        pods.close()


def test_without_dropping_it_every_pod_has_an_infra_process(registry: RunningRegistry, tmp_path: pathlib.Path) -> None:
    with owned(registry, tmp_path, Options(tables={"crio.runtime": {"drop_infra_ctr": False}})) as own, own.pods() as pods:
        pod = pods.run()
        info = pods.cri.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=pod.id, verbose=True)).info["info"]
        assert pathlib.Path(f"/proc/{json.loads(info)['pid']}/comm").read_text().strip() == "pause"
        assert pod.once("cat /proc/1/cmdline | tr '\\0' ' ' | cut -c1-2") == ["sh"]
        pods.close()
