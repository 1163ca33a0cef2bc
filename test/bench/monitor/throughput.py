"""Log throughput: MB/s and lines/s of what the container writes, and the monitor's CPU seconds per GB of it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
from dataclasses import dataclass

from test.bench.figures import Figures
from test.bench.monitor.rig import NS, Programs, Rig

MB = 1e6
BATCH = 64 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    """What the container writes."""

    name: str
    line_bytes: int
    batch_bytes: int
    total_bytes: int


def loads(scale: float) -> tuple[Load, ...]:
    """The cases; ``scale`` 1 is half a gigabyte for each of the fast ones."""
    return (
        Load("80-byte lines in 64-KiB writes", 80, BATCH, int(512e6 * scale)),
        Load("80-byte lines one by one", 80, 0, int(48e6 * scale)),
        Load("16-KiB lines in 64-KiB writes", 16384, BATCH, int(768e6 * scale)),
        Load("16-KiB lines one by one", 16384, 0, int(768e6 * scale)),
    )


def go_fifo(folder: pathlib.Path) -> pathlib.Path:
    """The fifo that the writer waits for."""
    path = folder / "go"
    if not path.exists():
        os.mkfifo(path)
    return path


def words_of(programs: Programs, load: Load, fifo: pathlib.Path) -> list[str]:
    """The writer's command line."""
    return [programs.writer, str(fifo), str(load.line_bytes), str(load.total_bytes), str(load.batch_bytes)]


def environment_of(programs: Programs, load: Load, fifo: pathlib.Path) -> dict[str, str]:
    """How the fast runtime is told to start the writer."""
    return {f"FAKE_ARGV{number}": word for number, word in enumerate(words_of(programs, load, fifo))}


def add(figures: Figures, load: Load, place: str, seconds: float, cpu_s: float) -> None:
    """Note one try."""
    name = load.name + place
    figures.add(name, load.total_bytes / MB / seconds, "MB/s")
    figures.add(f"{name}: thousand lines", load.total_bytes / load.line_bytes / 1000 / seconds, "k/s")
    figures.add(f"{name}: CPU", cpu_s / (load.total_bytes / 1e9), "s/GB")


def measure(rig: Rig, figures: Figures, programs: Programs, load: Load, place: str = "") -> None:
    """One try with a monitor."""
    fifo = go_fifo(rig.folder)
    run = rig.run("--sync", "--no-sync-log", environment=environment_of(programs, load, fifo))
    before_s = run.cpu_s()
    begun_ns = time.monotonic_ns()
    os.close(os.open(fifo, os.O_WRONLY))
    run.wait()
    seconds = (time.monotonic_ns() - begun_ns) / NS
    add(figures, load, place, seconds, run.cpu_s() - before_s)
    written = run.log.stat().st_size
    expected = load.total_bytes + load.total_bytes // load.line_bytes * 45
    if written < expected:
        raise RuntimeError(f"{rig.path} lost output: the log has {written} bytes, expected at least {expected}")
    rig.stop()


def measure_floor(folder: pathlib.Path, figures: Figures, programs: Programs, load: Load, place: str = "") -> None:
    """One try with the loop of read(2) and write(2)."""
    fifo = go_fifo(folder)
    log = folder / "floor.log"
    process = subprocess.Popen([programs.floor, log, str(BATCH), *words_of(programs, load, fifo)])
    begun_ns = time.monotonic_ns()
    os.close(os.open(fifo, os.O_WRONLY))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds = (time.monotonic_ns() - begun_ns) / NS
    cpu_s = int(pathlib.Path(f"/proc/{process.pid}/schedstat").read_text("ascii").split()[0]) / NS
    process.wait()
    log.unlink()
    add(figures, load, place, seconds, cpu_s)
