"""Log throughput: MB/s and lines/s of what the container writes, and the monitor's CPU seconds per GB of it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
from dataclasses import dataclass

from test.bench.figures import Figures
from test.bench.monitor.rig import NS, Programs, Rig, cpu_s

MB = 1e6
BATCH = 64 * 1024
PREFIX_BYTES = 45
SAME_VOLUME = ", volume of the log"


@dataclass(frozen=True, slots=True)
class Load:
    """What the container writes."""

    name: str
    line_bytes: int
    batch_bytes: int
    total_bytes: int

    @property
    def log_bytes(self) -> int:
        """The size of the log, as long as no read splits a line."""
        return self.total_bytes + self.total_bytes // self.line_bytes * PREFIX_BYTES


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


def add(figures: Figures, load: Load, place: str, seconds: float, spent_s: float) -> None:
    """Note one try."""
    name = load.name + place
    figures.add(name, load.total_bytes / MB / seconds, "MB/s")
    figures.add(f"{name}: thousand lines", load.total_bytes / load.line_bytes / 1000 / seconds, "k/s")
    figures.add(f"{name}: CPU", spent_s / (load.total_bytes / 1e9), "s/GB")


def provide_memory(folder: pathlib.Path, load: Load) -> None:
    """Have the pages for the log free and backed: the first touch of a virtual machine's memory costs more than all else."""
    path = folder / "pages"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, load.log_bytes)
    path.unlink()


def measure(rig: Rig, figures: Figures, programs: Programs, load: Load, place: str = "") -> None:
    """One try with a monitor."""
    fifo = go_fifo(rig.folder)
    provide_memory(rig.folder, load)
    run = rig.run("--sync", "--no-sync-log", environment=environment_of(programs, load, fifo))
    before_s = run.cpu_s()
    begun_ns = time.monotonic_ns()
    os.close(os.open(fifo, os.O_WRONLY))
    run.wait()
    seconds = (time.monotonic_ns() - begun_ns) / NS
    add(figures, load, place, seconds, run.cpu_s() - before_s)
    written = run.log.stat().st_size
    if written < load.log_bytes:
        raise RuntimeError(f"{rig.path} lost output: the log has {written} bytes, expected at least {load.log_bytes}")
    rig.stop()


def measure_floor(folder: pathlib.Path, figures: Figures, programs: Programs, load: Load, same_volume: bool) -> None:
    """One try with the loop of read(2) and write(2); ``same_volume``: it writes as many bytes as a log has."""
    fifo = go_fifo(folder)
    log = folder / "floor.log"
    line = load.line_bytes if same_volume else 0
    provide_memory(folder, load)
    process = subprocess.Popen([programs.floor, log, str(BATCH), str(line), *words_of(programs, load, fifo)])
    begun_ns = time.monotonic_ns()
    os.close(os.open(fifo, os.O_WRONLY))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds = (time.monotonic_ns() - begun_ns) / NS
    spent_s = cpu_s(process.pid)
    process.wait()
    log.unlink()
    add(figures, load, SAME_VOLUME if same_volume else "", seconds, spent_s)
