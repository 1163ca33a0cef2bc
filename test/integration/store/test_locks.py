"""Locks and tokens: who waits for whom, when an edit is seen, and that nothing is lost when many write at once."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crio.core.storage.jsonvalue import DamagedStore
from crio.host.store import ContainerCreate, Store
from test.integration.store.kit import Image, Tools, busybox_layers, commit
from test.support.waiting import eventually

A, B = "localhost/a:1", "localhost/b:1"
_HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
(fcntl.flock if sys.argv[2] == "flock" else fcntl.lockf)(fd, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: str, kind: str) -> Iterator[Callable[[], None]]:
    """Hold a lock of another kind in another process; gives the function that lets it go."""
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, path, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        yield holder.stdin.close
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


def waits_for_a_lock(path: str) -> bool:
    """Whether this process has a thread that waits for the lock of ``path``."""
    inode = os.stat(path).st_ino
    return any("->" in line and f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_posix_lock_of_another_program_holds_us_up(store: Store, tools: Tools) -> None:
    image = commit(store, Image(busybox_layers()), A)
    path = f"{tools.root}/overlay-images/images.lock"
    with held_elsewhere(path, "posix") as release:
        adding = in_thread(lambda: store.add_name(image.id, B))
        eventually(lambda: waits_for_a_lock(path), 5, "the writer waits")
        assert store.find_image(A) is not None, "reading goes on from memory"
        release()
        adding.join(5)
    assert store.find_image(B) is not None


def test_flock_is_another_thing(store: Store, tools: Tools) -> None:
    image = commit(store, Image(busybox_layers()), A)
    with held_elsewhere(f"{tools.root}/overlay-images/images.lock", "flock"):
        assert store.add_name(image.id, B).names == (B, A)


def test_our_lock_holds_podman_up(store: Store, tools: Tools) -> None:
    commit(store, Image(busybox_layers()), A)
    printed: list[str] = []
    path = f"{tools.root}/overlay-images/images.lock"
    with store._parts.images.writing():
        listing = in_thread(lambda: printed.append(tools.podman("images", "-q")))
        eventually(lambda: waits_for_a_lock(path), 10, "podman waits")
        assert printed == []
    listing.join(20)
    assert len(printed) == 1


@pytest.mark.parametrize("how", ["token", "stamp"])
def test_an_edit_by_hand_is_seen(store: Store, tools: Tools, how: str) -> None:
    commit(store, Image(busybox_layers()), A)
    assert store.find_image(B) is None
    folder = Path(tools.root, "overlay-images")
    records = json.loads((folder / "images.json").read_text())
    records[0]["names"].append(B)
    (folder / "new").write_text(json.dumps(records))
    if how == "token":
        with open(folder / "images.lock", "r+b") as lock:
            lock.write(os.urandom(64))
    (folder / "new").rename(folder / "images.json")
    assert store.find_image(B) is not None


def trace(tools: Tools, work: Callable[[], object], what: str) -> list[str]:
    """Return the system calls ``what`` of this process while ``work`` runs, as strace writes them."""
    out = f"{tools.home}/trace"
    command = ["strace", "-f", "-y", "-e", f"trace={what}", "-o", out, "-p", str(os.getpid())]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    tracer.stderr.readline()
    work()
    tracer.terminate()
    tracer.wait()
    tracer.stderr.close()
    return Path(out).read_text().splitlines()


def traced(tools: Tools, work: Callable[[], object]) -> Counter[str]:
    """Return how often this thread makes each system call on files and mounts in ``work``, and opens of the mount table."""
    me = str(threading.get_native_id())
    lines = [line for line in trace(tools, work, "%file,%desc,rename") if line.startswith(f"{me} ")]
    calls = Counter(line.split()[1].partition("(")[0] for line in lines)
    calls["mountinfo"] = sum("/proc/self/mountinfo" in line for line in lines)
    return calls


def test_the_token_is_written_before_the_index(store: Store, tools: Tools) -> None:
    image = commit(store, Image(busybox_layers()), A)
    lines = trace(tools, lambda: store.add_name(image.id, B), "rename,renameat,renameat2,pwrite64,fsync,fcntl")

    def position(*words: str) -> int:
        return next(number for number, line in enumerate(lines) if all(word in line for word in words))

    locked, synced = position("F_OFD_SETLKW", "images.lock"), position("fsync", ".tmp-images.json")
    assert locked < synced < position("pwrite64", "images.lock") < position("rename", "images.json")


def test_a_broken_index_is_reported_and_left(store: Store, tools: Tools) -> None:
    commit(store, Image(busybox_layers()), A)
    path = Path(tools.root, "overlay-images/images.json")
    path.write_bytes(b"")
    with pytest.raises(DamagedStore, match=r"images\.json: 0 bytes that are not JSON"):
        store.images()
    with pytest.raises(DamagedStore):
        store.add_name("0" * 64, A)
    assert path.read_bytes() == b""


def test_many_threads_and_podman_lose_no_name(store: Store, tools: Tools) -> None:
    image = commit(store, Image(busybox_layers()), A)
    other = tools.open()

    def tag(where: Store, prefix: str) -> None:
        for number in range(40):
            where.add_name(image.id, f"localhost/{prefix}:{number}")

    threads = [in_thread(lambda one=one, where=where: tag(where, one)) for one, where in (("x", store), ("y", other), ("z", store))]
    for thread in threads:
        thread.join()
    names = set(store.image(image.id).names)  # type: ignore[union-attr]
    assert names == {A, *(f"localhost/{one}:{number}" for one in "xyz" for number in range(40))}
    assert set(json.loads(tools.podman("image", "inspect", A))[0]["RepoTags"]) == names
    other.shutdown()


def test_containers_come_and_go_in_threads_beside_podman(store: Store, tools: Tools) -> None:
    image = commit(store, Image(busybox_layers()), A)
    failures: list[BaseException] = []

    def churn(name: str) -> None:
        try:
            for number in range(15):
                container_id = os.urandom(32).hex()
                store.create_container(ContainerCreate(container_id, (f"{name}-{number}",), image.id, "{}"))
                assert os.path.exists(f"{store.mount(container_id)}/etc/mark")
                store.delete_container(container_id)
        except BaseException as error:
            failures.append(error)

    threads = [in_thread(lambda name=name: churn(name)) for name in "abcd"]
    for _ in range(3):
        assert tools.podman("run", "--rm", A, "cat", "/etc/mark") == "one\n"
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.containers() == ()
    assert json.loads(Path(tools.runroot, "overlay-layers/mountpoints.json").read_text()) == []
    assert {one.id for one in store.layers()} == set(os.listdir(f"{tools.root}/overlay")) & {one.id for one in store.layers()}
    assert store.garbage_collect() == []


def test_among_a_hundred_a_container_costs_no_sync_and_few_calls(store: Store, tools: Tools) -> None:
    """What makes a container slow is waiting for the disk and walking long tables; how fast the disk is, is the benchmark's."""
    image = commit(store, Image(busybox_layers()), A)
    ids = [os.urandom(32).hex() for _ in range(101)]

    def make(one: str) -> None:
        store.create_container(ContainerCreate(one, (one,), image.id, "{}"))
        store.mount(one)

    for one in ids[1:]:
        make(one)
    made = traced(tools, lambda: make(ids[0]))
    deleted = traced(tools, lambda: store.delete_container(ids[0]))
    listed = traced(tools, store.containers)
    for calls in (made, deleted):
        assert calls["fsync"] + calls["fdatasync"] + calls["syncfs"] == 0
        assert calls["mountinfo"] == 0
    assert (made["rename"], made["mount"]) == (3, 2), "layers, containers, counts; the overlay and its propagation"
    assert sum(made.values()) < 300, made
    assert sum(deleted.values()) < 300, deleted
    assert sum(listed.values()) < 20, listed
    for one in ids:
        store.delete_container(one)


def test_closing_a_lock_file_elsewhere_does_not_free_ours(store: Store, tools: Tools) -> None:
    path = f"{tools.root}/overlay-images/images.lock"
    probe = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with store._parts.images.writing():
        os.close(os.open(path, os.O_RDWR))
        fd = os.open(path, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, probe)
        os.close(fd)
