"""``python -m test.bench.monitor [--vs /usr/bin/conmon]``: the command line."""

from __future__ import annotations

import argparse
import os
import pathlib
import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from test.bench.figures import Figures, aligned, as_json, table
from test.bench.monitor import goals, latency, memory, throughput
from test.bench.monitor.rig import Programs, Rig, compile_programs, scratch
from test.conmon.runtimes import make_rootfs, runtime

OURS = pathlib.Path(__file__).resolve().parents[3] / "bin" / "conmon"
GROUPS = ("throughput", "disk", "start", "attach", "stuck", "memory")


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything a round needs."""

    folder: pathlib.Path
    disk: pathlib.Path
    programs: Programs
    floor: Figures
    scale: float
    groups: frozenset[str]

    def rig(self, path: str, disk: bool = False) -> Rig:
        """A place for the containers of one program."""
        return Rig(path, self.disk if disk else self.folder, self.programs.runtime)

    def round(self, figures: Figures) -> None:
        """Everything that is measured in every round."""
        path = figures.runtime
        loads = throughput.loads(self.scale)
        if "throughput" in self.groups:
            for load in loads:
                throughput.measure(self.rig(path), figures, self.programs, load)
        if "disk" in self.groups:
            throughput.measure(self.rig(path, disk=True), figures, self.programs, loads[0], ", disk")
        if "start" in self.groups:
            for _ in range(10):
                latency.measure_start_alone(self.rig(path), figures)
        if "attach" in self.groups:
            latency.measure_attach(self.rig(path), figures, 50)
        if "stuck" in self.groups:
            latency.measure_attach_beside(self.rig(path), figures, 50)
            latency.measure_stuck(self.rig(path), figures, self.programs)
        if "memory" in self.groups:
            for count in goals.MEMORY_COUNTS:
                memory.measure(self.rig(path), figures, count)

    def floors(self) -> None:
        """The floor under the throughput, once a round."""
        if "throughput" in self.groups:
            for load in throughput.loads(self.scale):
                for same_volume in (False, True):
                    throughput.measure_floor(self.folder, self.floor, self.programs, load, same_volume)

    def starts(self, everyone: list[Figures], times: int) -> None:
        """Starts with real runtimes, alternating call by call, and their floor."""
        if "start" not in self.groups:
            return
        rootfs = make_rootfs(self.folder / "rootfs")
        rigs = [self.rig(figures.runtime) for figures in everyone]
        for name in ("runc", "crun"):
            real = latency.RealRuntime(runtime(name), rootfs)
            for _ in range(times):
                for figures, rig in zip(everyone, rigs, strict=True):
                    latency.measure_start(rig, figures, real)
                latency.measure_runtime_alone(self.folder, self.floor, real)


def facts() -> dict[str, object]:
    """What the figures depend on besides the programs."""
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "load before": round(os.getloadavg()[0], 2)}


def in_order(everyone: list[Figures], number: int) -> list[Figures]:
    """A B, then B A, and so on: whoever is first pays for a cold machine."""
    return everyone if number % 2 == 0 else everyone[::-1]


def run(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[list[Figures], Figures]:
    """All rounds."""
    everyone = [Figures(options.program)] + ([Figures(options.vs)] if options.vs else [])
    floor = Figures("floor")
    with scratch(options.tmpfs) as folder, scratch(options.disk) as disk:
        programs = compile_programs(folder)
        bench = Bench(folder, disk, programs, floor, options.scale, frozenset(options.only or GROUPS))
        for number in range(options.rounds):
            for figures in in_order(everyone, number):
                say(f"round {number + 1} of {options.rounds}: {figures.runtime}")
                bench.round(figures)
            bench.floors()
        bench.starts(everyone, options.starts)
    return everyone, floor


def main() -> None:
    """Measure, print the table, write JSON when asked to."""
    parser = argparse.ArgumentParser(prog="python -m test.bench.monitor", description=__doc__)
    parser.add_argument("--program", default=str(OURS), help="the monitor (default: ours)")
    parser.add_argument("--vs", metavar="PROGRAM", help="compare with this monitor")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=30, help="starts with each real runtime")
    parser.add_argument("--scale", type=float, default=1.0, help="how much is written, 1 = half a gigabyte of small lines")
    parser.add_argument("--only", action="append", choices=GROUPS)
    parser.add_argument("--tmpfs", default="/dev/shm", help="a folder on a tmpfs, for logs")
    parser.add_argument("--disk", default="/var/tmp", help="a folder on a disk")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    known = facts()
    everyone, floor = run(options, lambda words: print(words, file=sys.stderr))
    other = everyone[1] if len(everyone) > 1 else None
    print(table(everyone[0], other))
    if floor.series:
        print("\n" + table(floor, None))
    print("\n" + aligned(goals.HEAD, goals.rows(everyone[0], other, floor)))
    if options.json:
        known |= {"load after": round(os.getloadavg()[0], 2), "goals": goals.verdicts(everyone[0], other)}
        options.json.write_text(as_json([*everyone, floor], known))


if __name__ == "__main__":
    main()
