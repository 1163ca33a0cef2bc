"""Items 66 to 78, 83 and 85: locks, and many programs writing one store at once; nothing of ours is lost, nothing is left broken."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from crio.core.errors import CriError
from crio.host.pull.options import PullRequest
from crio.host.store import ContainerCreate
from test.integration.interop.kit import Failures, Side, Together, edit, layer, runnable, write_dir
from test.support.waiting import eventually

ROUNDS = 200
CHURN_S = 12.0
KILLS = 20
HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
(fcntl.flock if sys.argv[2] == "flock" else fcntl.lockf)(fd, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
PULL = """
import asyncio, pathlib, sys
from test.integration.pull.kit import open_bench
with open_bench(pathlib.Path(sys.argv[1]), sys.argv[2]) as bench:
    print("open", flush=True)
    asyncio.run(bench.pull(sys.argv[3]))
    print("pulled", flush=True)
"""


@contextlib.contextmanager
def held(path: pathlib.Path, kind: str) -> Iterator[Callable[[], None]]:
    """A lock of the given kind in another process; gives the function that lets it go."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path), kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        yield holder.stdin.close
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


def somebody_waits_for(path: pathlib.Path) -> bool:
    """Whether a lock request on the file is blocked."""
    inode = path.stat().st_ino
    return any("->" in line and f":{inode} " in line for line in pathlib.Path("/proc/locks").read_text().splitlines())


def in_threads(failures: Failures, works: Sequence[Callable[[], object]]) -> None:
    """Run all of it at once and wait; raises the first failure."""
    threads = [threading.Thread(target=failures.guarded(work)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures.found:
        raise failures.found[0]


def until(seconds: float) -> Iterator[int]:
    """Numbers from 0 as long as there is time."""
    deadline_s = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > deadline_s:
            return
        yield number


def test_66_podman_waits_for_our_lock_and_we_for_podmans(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("66")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i66:1")
    side.peer.podman("ps")
    lock = side.root / "overlay-images/images.lock"
    with side.store._parts.images.writing():
        listing = side.peer.begin(*side.peer.podman_words, "images")
        eventually(lambda: somebody_waits_for(lock), 10, "podman waits for us")
        assert listing.poll() is None
    assert listing.wait(20) == 0
    with held(lock, "posix") as release:
        adding = threading.Thread(target=side.store.add_name, args=(image.image_id, "localhost/i66:2"))
        adding.start()
        eventually(lambda: somebody_waits_for(lock), 10, "we wait for the other")
        assert side.store.find_image("localhost/i66:1") is not None
        release()
        adding.join(10)
    assert ("localhost/i66:2") in {name for _, name in side.peer.images()}


def test_67_a_posix_lock_on_the_layers_holds_us_up_and_a_flock_does_not(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("67")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i67:1")
    lock = side.root / "overlay-layers/layers.lock"

    def create() -> None:
        side.store.create_container(ContainerCreate(os.urandom(32).hex(), (), image.image_id, "{}"))

    with held(lock, "flock"):
        create()
        assert side.peer.podman("images", "--quiet")
    with held(lock, "posix") as release:
        creating = threading.Thread(target=create)
        creating.start()
        eventually(lambda: somebody_waits_for(lock), 10, "we wait")
        release()
        creating.join(10)
    assert len(side.store.containers()) == 2


def test_70_of_200_tags_given_at_once_none_of_ours_is_lost(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("70")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i70:1")

    def ours(prefix: str) -> None:
        for number in range(80):
            side.store.add_name(image.image_id, f"localhost/{prefix}:{number}")

    def helper() -> None:
        for number in range(20):
            name = f"localhost/helper:{number}"
            edit(side.peer, "images", functools.partial(append_name, name))

    def theirs() -> None:
        for number in range(20):
            side.peer.podman("tag", image.image_id, f"localhost/podman:{number}")

    in_threads(Failures(), [lambda: ours("x"), lambda: ours("y"), helper, theirs])
    record = side.here(image.image_id)
    given = {f"localhost/{prefix}:{number}" for prefix in "xy" for number in range(80)}
    given |= {f"localhost/{prefix}:{number}" for prefix in ("helper", "podman") for number in range(20)} | {"localhost/i70:1"}
    # A program that writes an index which it loaded before somebody else's write takes both from that name: nobody does.
    assert set(record.names_history) == given
    if not side.peer.generation.old:
        # The oldest podman alone has another way to lose a name: it looks at the image, lets the lock go, and then sets the
        # list of names that it has seen and its own. It writes on top of a fresh record, hence the history keeps the others.
        assert set(record.names) == given
    side.sound()


def append_name(name: str, found: list[dict[str, Any]]) -> None:
    for key in ("names", "names-history"):
        found[0][key].insert(0, name)


def test_71_eight_pulls_of_both_sides_at_once_have_every_layer_once(side: Side) -> None:
    images = [runnable(f"71-{number}", layer({f"big{number}": os.urandom(300_000)})) for number in range(8)]
    names = [side.push(f"i71-{number}", image) for number, image in enumerate(images)]

    async def ours() -> None:
        async with side.bench.engine() as engine, asyncio.TaskGroup() as group:
            for name in names[::2]:
                group.create_task(engine.pull(PullRequest(name)))

    def theirs(name: str) -> Callable[[], object]:
        return lambda: side.peer.podman("pull", "--quiet", name)

    in_threads(Failures(), [lambda: asyncio.run(ours()), *(theirs(name) for name in names[1::2])])
    assert len(side.records("layers")) == 1 + 2 * 8
    for number, name in enumerate(names):
        assert side.peer.podman("run", "--rm", name, "cat", "/etc/mark") == f"71-{number}\n"
    side.sound()


def test_72_one_image_pulled_by_both_at_the_same_time_is_one_record(side: Side) -> None:
    for number in range(5):
        image = runnable(f"72-{number}", layer({"big": os.urandom(200_000)}))
        name = side.push(f"i72-{number}", image)
        in_threads(Failures(), [functools.partial(side.pull, name), functools.partial(side.peer.podman, "pull", "--quiet", name)])
        assert [one["id"] for one in side.records("images")].count(image.image_id) == 1
    assert len(side.records("layers")) == 1 + 2 * 5
    side.sound()


def test_73_pulling_against_removing_breaks_nothing(side: Side) -> None:
    small, big = runnable("73"), runnable("73", layer({"more": b"x" * 50_000}))
    names = side.push("i73", small), side.push("i73b", big)
    stop = threading.Event()
    happened: Counter[str] = Counter()

    def pulls() -> None:
        for number in until(CHURN_S):
            with contextlib.suppress(CriError):
                happened["fetched" if side.pull(names[number % 2]).bytes_fetched else "found"] += 1
        stop.set()

    def removals() -> None:
        while not stop.is_set():
            for name in names:
                done = side.peer.attempt(*side.peer.podman_words, "rmi", name)
                happened["removed"] += done.returncode == 0
                clean = ("image not known", "in use", "not found", "layer not known", "not known")
                assert done.returncode == 0 or any(words in done.stderr for words in clean), done.stderr

    in_threads(Failures(), [pulls, removals])
    assert min(happened["fetched"], happened["removed"]) > 3, happened
    side.sound()
    side.pull(names[1])
    assert side.peer.podman("run", "--rm", names[1], "cat", "/etc/mark") == "73\n"


def test_74_75_pods_beside_podman_run_build_prune_and_df(together: Together) -> None:
    name, other = together.push("c74", runnable("c74")), together.push("c75", runnable("c75"))
    together.cri.pull(name)
    peer = together.peer
    context = pathlib.Path(peer.home, "context")
    context.mkdir(exist_ok=True)
    (context / "Containerfile").write_text(f"FROM {name}\nRUN echo built > /etc/built\n")
    stop = threading.Event()

    def pods() -> None:
        for number in until(CHURN_S):
            assert together.prints(name, f"cat /etc/mark; echo {number}") == ["c74", str(number)]
        stop.set()

    def runs() -> None:
        while not stop.is_set():
            assert peer.podman("run", "--rm", name, "cat", "/etc/mark") == "c74\n"

    store_words = ("buildah", "--root", peer.root, "--runroot", peer.runroot, "--storage-driver", "overlay")
    build = (*store_words, "build", "--isolation", "chroot", "--quiet", "--pull-never", "--no-cache", "--tag", "localhost/built:1")

    def builds() -> None:
        while not stop.is_set():
            # podman's prune takes what buildah has written and not named yet.
            done = peer.attempt(*build, str(context))
            assert done.returncode == 0 or "not known" in done.stderr, done.stderr

    def reads() -> None:
        while not stop.is_set():
            # What they find may go before they look at it; that they say so is all that is wanted of them.
            for command in (("system", "df"), ("image", "prune", "--force")):
                peer.attempt(*peer.podman_words, *command)
            together.cri.pull(other)
            together.remove(other)

    in_threads(Failures(), [pods, runs, builds, reads])
    peer.run(*build, str(context))
    assert together.prints("localhost/built:1", "cat /etc/built") == ["built"]
    together.remove("localhost/built:1")
    eventually(lambda: mount_counts(peer.runroot) == [], 10, "nothing is counted as mounted")
    peer.check("--quick")


def mount_counts(runroot: str) -> list[object]:

    return list(json.loads(pathlib.Path(runroot, "overlay-layers/mountpoints.json").read_text()))


def test_76_killed_in_the_middle_of_a_pull_nothing_harms(side: Side) -> None:
    chance = random.Random(76)
    took_s = 1.0
    halfway = 0
    for number in range(KILLS):
        text = f"76-{number}"
        image = runnable(text, *(layer({f"big{one}": chance.randbytes(400_000)}) for one in range(4)))
        name = side.push("i76", image)
        command = [sys.executable, "-c", PULL, str(side.bench.folder), side.registry, name]
        puller = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert puller.stdout is not None
        assert puller.stdout.readline() == b"open\n"
        began_s = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            puller.wait(chance.uniform(0.0, took_s))
        puller.send_signal(signal.SIGKILL)
        puller.wait()
        if puller.stdout.read() == b"pulled\n":
            took_s = time.monotonic() - began_s
        else:
            halfway += 1
        puller.stdout.close()
        side.peer.podman("images")
        assert not [one for one in side.records("layers") if one.get("flags")]
        assert [one for one in side.store.check(quick=False) if one.fatal] == []
        if number % 5 == 0:
            side.pull(name)
            assert side.peer.podman("run", "--rm", name, "cat", "/etc/mark") == f"{text}\n"
    assert halfway > KILLS // 4
    side.store.garbage_collect()
    side.sound()


def test_77_podman_killed_in_the_middle_of_a_pull_we_clean_up(side: Side) -> None:
    chance = random.Random(77)
    side.pull(side.push("i77", runnable("77")))
    for number in range(6):
        image = runnable(f"77-{number}", *(layer({f"big{one}": chance.randbytes(400_000)}) for one in range(4)))
        name = side.push("i77", image)
        killed = side.peer.begin(*side.peer.podman_words, "pull", "--quiet", name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            killed.wait(chance.uniform(0.0, 0.5))
        killed.kill()
        killed.wait()
        # With a lock taken for writing whoever comes next drops what the dead one has not finished.
        side.pull(name)
        assert not [one for one in side.records("layers") if one.get("flags")]
        container = os.urandom(32).hex()
        side.store.create_container(ContainerCreate(container, (), image.image_id, "{}"))
        assert pathlib.Path(side.store.mount(container), "etc/mark").read_text() == f"77-{number}\n"
        side.store.delete_container(container)
    side.store.garbage_collect()
    assert [one for one in side.store.check(quick=False) if one.fatal] == []


def test_78_layers_without_an_image_are_used_by_the_next_pull(side: Side) -> None:
    image = runnable("78", layer({"more": b"x"}))
    name = side.push("i78", image)
    side.pull(name)
    edit(side.peer, "images", lambda found: found.clear())
    assert side.store.find_image(name) is None
    result = side.pull(name)
    assert (result.layers_reused, result.bytes_fetched) == (3, 0)
    assert side.peer.podman("run", "--rm", name, "cat", "/etc/mark") == "78\n"


@pytest.mark.parametrize("tools", ["old"], indirect=True)
def test_83_the_oldest_podman_leaves_the_layers_of_our_volatile_containers(side: Side, tmp_path: pathlib.Path) -> None:
    image = runnable("83")
    side.peer.copy_in(write_dir(image, tmp_path / "dir"), "localhost/i83:1")
    ours = os.urandom(32).hex()
    side.store.create_container(ContainerCreate(ours, ("ours",), image.image_id, "{}", volatile=True))
    path = pathlib.Path(side.store.mount(ours))
    for _ in range(3):
        side.peer.podman("run", "--rm", "localhost/i83:1", "true")
        assert (path / "etc/mark").read_text() == "83\n"
    assert "in use" in side.peer.refused("rmi", "localhost/i83:1")
    side.store.delete_container(ours)


def test_85_podman_does_not_wait_while_we_unpack(side: Side) -> None:
    image = runnable("85", layer({f"big{number}": os.urandom(4 << 20) for number in range(40)}, lambda tar: tar, ""))
    name = side.push("i85", image)
    side.peer.podman("images")
    stop = threading.Event()
    waits: list[float] = []

    def pulls() -> None:
        side.pull(name)
        stop.set()

    def lists() -> None:
        while not stop.is_set():
            began_s = time.monotonic()
            side.peer.podman("images")
            waits.append(time.monotonic() - began_s)

    in_threads(Failures(), [pulls, lists])
    assert waits != []
    # A second on an idle machine, and the pull of 160 MB takes much longer than any of them here.
    assert sorted(waits)[len(waits) // 2] < 1, waits


def test_200_rounds_of_both_sides_at_once_lose_nothing_of_ours(side: Side, tmp_path: pathlib.Path) -> None:
    """Pulls, builds, tags, untags and removals, ours and podman's mixed, on images that share a base."""
    shared = side.push("mix", runnable("mix"))
    side.pull(shared)
    sources = [side.push(f"mix-{number}", runnable(f"mix-{number}")) for number in range(4)]
    # The oldest podman's tag takes names from an image that others give to it meanwhile (item 70): there it has its own image.
    tagged = sources[2:] if side.peer.generation.old else [shared, shared]
    done = itertools.count()
    wanted: set[str] = set()
    failures = Failures()

    def ours(seed: int) -> None:
        chance = random.Random(seed)
        base = side.here(shared)
        mine = sources[seed % 2]
        while next(done) < ROUNDS:
            step = chance.randrange(4)
            name = f"localhost/ours-{seed}:{chance.randrange(50)}"
            if step == 0:
                record = side.here(side.pull(mine).image_id)
                side.store.add_name(record.id, f"{mine}-{seed}")
            elif step == 1:
                side.store.remove_name(base.id, name)
                wanted.discard(name)
            else:
                side.store.add_name(base.id, name)
                wanted.add(name)

    def theirs(seed: int) -> None:
        chance = random.Random(seed)
        while next(done) < ROUNDS:
            step = chance.randrange(5)
            name = sources[2 + seed % 2]
            if step == 0:
                side.peer.podman("pull", "--quiet", name)
            elif step == 1:
                side.peer.attempt(*side.peer.podman_words, "rmi", name)
            elif step == 2:
                tag = ("tag", tagged[seed % 2], f"localhost/theirs-{seed}:{chance.randrange(9)}")
                ended = side.peer.attempt(*side.peer.podman_words, *tag)
                assert ended.returncode == 0 or (tagged[0] != shared and "not known" in ended.stderr), ended.stderr
            elif step == 3:
                assert side.peer.podman("run", "--rm", shared, "cat", "/etc/mark") == "mix\n"
            else:
                working = side.peer.buildah("from", "--pull-never", shared).strip()
                side.peer.buildah("commit", "--quiet", "--rm", working, f"localhost/built-{seed}:1")

    in_threads(failures, [lambda: ours(0), lambda: ours(1), lambda: theirs(2), lambda: theirs(3)])
    assert {name for name in side.here(shared).names if "/ours-" in name} == wanted
    assert side.peer.podman("run", "--rm", shared, "cat", "/etc/mark") == "mix\n"
    side.sound()
