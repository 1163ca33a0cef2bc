"""``python -m test.bench.pull [--rounds N] [--cache DIR] [--json FILE]``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from test.bench.__main__ import facts
from test.bench.pull import floor
from test.bench.pull.content import Scenario, push, scenarios
from test.bench.pull.meter import Peak, Room
from test.bench.pull.runtimes import Runtime, containerd_at, ours, podman_at
from test.support import registry
from test.support.smallimages import Pusher

DISK_BYTES = 60 << 30
SETTLE_S = 60.0
UNITS = ("wall s", "cpu s", "peak MB", "after MB", "MB fetched", "remove s", "removed s")
TARGETS = {
    "1 GB, 10 gzip layers": 0.5,
    "1 GB, 10 zstd layers": 0.6,
    "20,000 files of 2 kB, 4 layers": 0.7,
    "10 images of 20 MB at once": 0.7,
}


@dataclass(slots=True)
class Results:
    """Every value by scenario, runtime and unit."""

    values: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)

    def add(self, scenario: str, runtime: str, unit: str, value: float) -> None:
        """One more value."""
        self.values.setdefault(scenario, {}).setdefault(runtime, {}).setdefault(unit, []).append(round(value, 3))

    def middle(self, scenario: str, runtime: str, unit: str) -> float:
        """The median."""
        return median(self.values[scenario][runtime][unit])


@contextlib.contextmanager
def disk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """An ext4 of its own, mounted; its file has no blocks before they are written."""
    image, point = folder / "disk", folder / "m"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "4000000", "-E", options, str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=False)


def fetched_mb(log: pathlib.Path, start: int) -> float:
    """The bytes of all answers that the registry has logged behind byte ``start``, in MB."""
    lines = log.read_bytes()[start:].decode(errors="replace").splitlines()
    found = (re.search(r'" (?:200|206) (\d+) "', line) for line in lines if '"GET /v2/' in line)
    return sum(int(match[1]) for match in found if match) / 1e6


def say(words: str) -> None:
    """Progress, on standard error."""
    print(f"# {words}", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Bench:
    """The registry, the tag that all images have there, and where results go."""

    images: registry.RunningRegistry
    tag: str
    results: Results

    def references(self, scenario: Scenario) -> list[str]:
        """What is pulled in a scenario."""
        return [f"{self.images.address}/{shape.name}:{self.tag}" for shape in scenario.images]

    def pull(self, runtime: Runtime, scenario: Scenario) -> None:
        """One measured pull."""
        os.sync()
        log = self.images.folder / "log"
        runtime.room.settle(SETTLE_S)
        seen, cpu_s, began_s = log.stat().st_size, runtime.room.cpu_s(), time.perf_counter()
        with Peak(runtime.room) as peak:
            runtime.pull(self.references(scenario))
            wall_s = time.perf_counter() - began_s
        runtime.room.settle(SETTLE_S)
        values = (wall_s, runtime.room.cpu_s() - cpu_s, peak.mb, runtime.room.rss_mb(), fetched_mb(log, seen))
        for unit, value in zip(UNITS, values, strict=False):
            self.results.add(scenario.title, runtime.name, unit, value)
        say(f"{scenario.title}: {runtime.name}: " + ", ".join(f"{value:.2f} {unit}" for unit, value in zip(UNITS, values, strict=False)))

    def remove(self, runtime: Runtime, scenario: Scenario) -> None:
        """One measured removal: until the answer, and until nothing is done any more."""
        began_s = time.perf_counter()
        for reference in self.references(scenario):
            runtime.remove(reference)
        answered_s = time.perf_counter() - began_s
        self.results.add(scenario.title, runtime.name, "remove s", answered_s)
        self.results.add(scenario.title, runtime.name, "removed s", answered_s + runtime.room.settle(SETTLE_S))

    def round(self, point: pathlib.Path, chosen: Sequence[Scenario], number: int) -> None:
        """Every runtime on a fresh store; nothing is removed before the last pull."""
        with contextlib.ExitStack() as stack:
            rooms = {name: Room(f"{name}{number}") for name in ("ours", "containerd", "podman")}
            for room in rooms.values():
                stack.callback(room.remove)
            insecure = f'[[registry]]\nlocation = "{self.images.address}"\ninsecure = true\n'
            runtimes: list[Runtime] = [
                stack.enter_context(ours(rooms["ours"], insecure)),
                stack.enter_context(containerd_at(point / f"c{number}", rooms["containerd"], self.images.address)),
                stack.enter_context(podman_at(point / f"p{number}", rooms["podman"])),
            ]
            for place, scenario in enumerate(chosen):
                # Who comes first changes, so that nobody always finds the disk busy with somebody else's data.
                turn = (number + place) % len(runtimes)
                for runtime in (*runtimes[turn:], *runtimes[:turn]):
                    self.pull(runtime, scenario)
            for scenario in chosen:
                for runtime in runtimes:
                    self.remove(runtime, scenario)


def table(results: Results) -> str:
    """Medians; the ratio of the wall times is that to the faster peer."""
    lines = ["| what | runtime | " + " | ".join(UNITS) + " | ratio | target |", "|---" * (len(UNITS) + 4) + "|"]
    for scenario, runtimes in results.values.items():
        fastest = min(results.middle(scenario, name, "wall s") for name in runtimes if name != "ours")
        for name in runtimes:
            cells = [f"{results.middle(scenario, name, unit):.2f}" for unit in UNITS]
            ratio = f"{results.middle(scenario, name, 'wall s') / fastest:.2f}" if name == "ours" else ""
            target = f"{TARGETS[scenario]}" if name == "ours" and scenario in TARGETS else ""
            lines.append(f"| {scenario} | {name} | " + " | ".join(cells) + f" | {ratio} | {target} |")
    return "\n".join(lines)


def prepare(images: registry.RunningRegistry, chosen: Sequence[Scenario], tag: str) -> None:
    """Make the images that the registry's folder does not have yet."""
    pusher = Pusher(images.address)
    for scenario in chosen:
        for shape in scenario.images:
            if not (images.folder / "data/docker/registry/v2/repositories" / shape.name / "_manifests/tags" / tag).exists():
                say(f"making {shape.name}")
                push(pusher, shape, tag)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m test.bench.pull", description="pulls, measured against podman and containerd")
    parser.add_argument("--rounds", type=int, default=3, help="fresh stores for everybody, so many times (%(default)s)")
    parser.add_argument("--only", default="", metavar="WORD", help="scenarios whose title has this word")
    parser.add_argument("--scale", type=float, default=1.0, help="fewer files, for a quick look (%(default)s)")
    parser.add_argument("--cache", type=pathlib.Path, metavar="DIR", help="keep the registry with its images here")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every single value")
    given = parser.parse_args()
    chosen = [scenario for scenario in scenarios(given.scale) if given.only in scenario.title]
    known, results = facts(), Results()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pb")))
        point = stack.enter_context(disk(folder))
        images = stack.enter_context(registry.running(given.cache or folder / "registry", access_log=True))
        tag = f"s{given.scale:g}".replace(".", "-")
        prepare(images, chosen, tag)
        tempfile.tempdir = str(point)
        bench = Bench(images, tag, results)
        floors = floor.measure(images.address, tag, point) if any(s.images[0].name == "gzip1" for s in chosen) else {}
        for number in range(given.rounds):
            bench.round(point, chosen, number)
        known["load after"] = round(os.getloadavg()[0], 2)
    print(table(results))
    for name, seconds in floors.items():
        print(f"floor, one gzip layer of 1 GB: {name}: {seconds:.2f} s")
    if given.json is not None:
        given.json.write_text(json.dumps({"facts": known, "floor s": floors, "values": results.values}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
