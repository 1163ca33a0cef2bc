"""kill -9 of the daemon and of unpackers at random instants of a pull.

After each round: every record has its data, nothing is left that no record names, the next pull succeeds, and no layer that was complete
is fetched again. Rounds are seeded by their number; ``CRIO_PULL_ROUNDS`` makes them more than the few of an ordinary run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from test.integration.cli.test_check import crio
from test.integration.pull.ring import Pulled, StoreFiles, blobs_of, fresh_image, proxy_in_thread, pull, remove, unpackers
from test.support.daemon import Daemon, Options, running
from test.support.faulty_registry import FaultyRegistry
from test.support.registry import RunningRegistry
from test.support.smallimages import Pusher, SmallImage
from test.support.waiting import eventually

ROUNDS = int(os.environ.get("CRIO_PULL_ROUNDS", "40"))
REPOSITORY = "kill/image"
LONGEST_S = 0.25
FOUND_S = 0.4
COMMITTED_S = 10.0


@dataclass(frozen=True, slots=True)
class Ring:
    """A daemon that pulls through a proxy, and how to look at both."""

    daemon: Daemon
    proxy: FaultyRegistry
    pusher: Pusher
    files: StoreFiles

    def prepare(self, mark: str) -> tuple[SmallImage, str]:
        """A new image in the registry and the reference to pull it by; the proxy sends layers in pieces, so that a pull takes its time."""
        image = fresh_image(mark)
        self.pusher.image(REPOSITORY, mark, image)
        chance = random.Random(f"pace {mark}")
        self.proxy.rules.clear()
        self.proxy.seen.clear()
        for blob in blobs_of(image):
            self.proxy.change(blob, 0, trickle=chance.randrange(1, 12), pause_s=chance.uniform(0.0, 0.01))
        return image, f"{self.proxy.address}/{REPOSITORY}:{mark}"

    def finish(self, image: SmallImage, reference: str, complete: set[str]) -> None:
        """The next pull succeeds, fetches only what was not complete, and after the removal nothing is left."""
        self.proxy.seen.clear()
        ended = pull(self.daemon.socket, reference)
        assert ended.code is None, ended
        again = [blob for blob in blobs_of(image) if blob in complete and self.proxy.asked(blob)]
        assert again == [], f"fetched twice: {again}"
        assert list(self.files.images()) == [image.image_id]
        self.files.assert_clean()
        remove(self.daemon.socket, reference)
        self.files.assert_empty()


@pytest.fixture
def ring(real_registry: RunningRegistry) -> Iterator[Ring]:
    """A daemon of its own for some rounds."""
    with proxy_in_thread(real_registry.address) as proxy:
        insecure = f'[[registry]]\nlocation = "{proxy.address}"\ninsecure = true\n'
        with running(Options(registries_conf=insecure)) as daemon:
            yield Ring(daemon, proxy, Pusher(real_registry.address), StoreFiles(daemon.layout.root / "store"))


def kill_one_unpacker(daemon: Daemon, chance: random.Random) -> int:
    """SIGKILL for one of the unpackers that run, or that start within a moment; 0 when there was none."""
    deadline_s = time.monotonic() + FOUND_S
    while time.monotonic() < deadline_s:
        living = unpackers(daemon)
        if living:
            victim = chance.choice(living)
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
            return victim
    return 0


def kill_daemon_round(ring: Ring, number: int) -> None:
    """The daemon dies somewhere between the request and, at times, the answer."""
    chance = random.Random(f"daemon {number}")
    image, reference = ring.prepare(f"d{number}")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(pull, ring.daemon.socket, reference)
        threading.Event().wait(chance.uniform(0.0, LONGEST_S))
        ring.daemon.kill()
        asked.result()
    assert ring.files.broken_records() == []
    complete = ring.files.complete_blobs()
    ring.daemon.start()
    ring.files.assert_clean()
    assert ring.files.complete_blobs() == complete, "the start took complete layers away"
    ring.finish(image, reference, complete)


def kill_unpacker_round(ring: Ring, number: int) -> None:
    """One unpacker dies; the pull takes that layer again by itself, and no other."""
    chance = random.Random(f"unpacker {number}")
    image, reference = ring.prepare(f"u{number}")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(pull, ring.daemon.socket, reference)
        threading.Event().wait(chance.uniform(0.0, LONGEST_S / 3))
        victim = kill_one_unpacker(ring.daemon, chance)
        ended: Pulled = asked.result()
    assert ended.code is None, (victim, ended)
    requests = sum(len(ring.proxy.asked(blob)) for blob in blobs_of(image))
    assert requests <= len(image.layers) + (1 if victim else 0), "a complete layer was fetched again"
    ring.files.assert_clean()
    ring.finish(image, reference, ring.files.complete_blobs())


def test_what_a_killed_daemon_had_in_hand_goes_when_nobody_came_back_for_it(ring: Ring) -> None:
    """It stays over a restart, for the kubelet's next try; the record is told that this time is over, since a test does not wait for it."""
    image, reference = ring.prepare("left")
    ring.proxy.rules.clear()
    ring.proxy.change(blobs_of(image)[-1], 0, hang_at=100)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(pull, ring.daemon.socket, reference)
        eventually(lambda: len(ring.files.layers()) == len(image.layers) - 1, COMMITTED_S, "the other layers are committed")
        ring.daemon.kill()
        asked.result()
    complete = ring.files.complete_blobs()
    ring.daemon.start()
    eventually(lambda: all(one["until_ns"] for one in ring.files.left().values()), COMMITTED_S, "what was held is left now")
    assert len(ring.files.left()) == len(image.layers)
    ring.daemon.stop()
    checked = crio(ring.daemon, "check")
    assert (checked.returncode, checked.stdout) == (0, "the storage is sound\n")
    ring.files.assert_clean()
    assert ring.files.complete_blobs() == complete
    ring.files.left_path.write_text(json.dumps({"layers": {one: {**left, "until_ns": 1} for one, left in ring.files.left().items()}}))
    ring.daemon.start()
    eventually(lambda: not ring.files.layers() and not ring.files.left(), COMMITTED_S, "the layers are removed")
    ring.files.assert_empty()


@pytest.mark.parametrize("first", range(0, (ROUNDS + 1) // 2, 10))
def test_the_daemon_may_be_killed_at_any_instant(ring: Ring, first: int) -> None:
    for number in range(first, min(first + 10, (ROUNDS + 1) // 2)):
        kill_daemon_round(ring, number)


@pytest.mark.parametrize("first", range(0, ROUNDS // 2, 10))
def test_an_unpacker_may_be_killed_at_any_instant(ring: Ring, first: int) -> None:
    for number in range(first, min(first + 10, ROUNDS // 2)):
        kill_unpacker_round(ring, number)
