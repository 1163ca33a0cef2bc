"""Latencies: from the start of the monitor to its report (runc, crun), attaching, and what a stuck client costs others."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from test.bench.figures import Figures
from test.bench.monitor.rig import NS, Programs, Rig, Run
from test.conmon.runtimes import Runtime, make_bundle

MS = 1e6
PACKET_BYTES = 16384
PROBE_TIMEOUT_S = 8.0
FORKING = "runtime that only forks"
ALONE = ", nobody attached"
BESIDE = ", beside a stuck client"
BURSTS = ("first burst of 64 MB", "second burst", "second burst: CPU")
STUCK_TRIES = 3
BURST_BYTES = 64_000_000
# The kernel queues some 500 packets for a client (net.unix.max_dgram_qlen), a monitor may have a queue of its own.
FILLER_LINES = 400_000


@dataclass(frozen=True, slots=True)
class RealRuntime:
    """A real runtime with what a bundle needs."""

    runtime: Runtime
    rootfs: pathlib.Path


def measure_start(rig: Rig, figures: Figures, real: RealRuntime) -> None:
    """One container created by a real runtime, never started."""
    name = f"ct-bench-{os.getpid()}-{rig.counter + 1}"
    place = rig.folder / "bundle"
    state = rig.folder / "state"
    bundle = make_bundle(place, real.rootfs, name, ["sleep", "1000"])
    other = Rig(rig.path, rig.folder, real.runtime.path, tuple(real.runtime.monitor_words(state)), rig.counter)
    run = other.run(bundle=bundle)
    rig.counter = other.counter
    figures.add(f"start to report, {real.runtime.name}", (run.reported_ns - run.started_ns) / MS)
    real.runtime.call(state, "delete", "--force", run.name)
    other.stop()


def measure_start_alone(rig: Rig, figures: Figures) -> None:
    """The same with a runtime that does next to nothing: the monitor's own share, as wall time and as CPU time."""
    run = rig.run()
    figures.add(f"start to report, {FORKING}", (run.reported_ns - run.started_ns) / MS)
    figures.add(f"start to report, {FORKING}: CPU", run.start_cpu_s() * 1000)
    rig.stop()


def measure_runtime_alone(folder: pathlib.Path, figures: Figures, real: RealRuntime) -> None:
    """The floor under a start: the runtime's ``create``, called directly."""
    name = f"ct-bench-{os.getpid()}-alone"
    state = folder / "state"
    bundle = make_bundle(folder / "bundle", real.rootfs, name, ["sleep", "1000"])
    words = [real.runtime.path, *real.runtime.words, f"--root={state}", "create", "--bundle", str(bundle), name]
    begun_ns = time.monotonic_ns()
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    figures.add(f"start to report, {real.runtime.name}", (time.monotonic_ns() - begun_ns) / MS)
    real.runtime.call(state, "delete", "--force", name)


def connect(run: Run) -> socket.socket:
    """An attach client."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(PROBE_TIMEOUT_S)
    folder_fd = os.open(run.bundle, os.O_PATH)
    try:
        client.connect(f"/proc/self/fd/{folder_fd}/attach")
    finally:
        os.close(folder_fd)
    return client


def _echo(client: socket.socket, line: bytes) -> float | None:
    """Milliseconds until ``cat`` has sent the line back; None when it does not."""
    begun_ns = time.monotonic_ns()
    client.send(line)
    with contextlib.suppress(TimeoutError):
        client.recv(PACKET_BYTES)
        return (time.monotonic_ns() - begun_ns) / MS
    return None


def _attach_once(run: Run, figures: Figures, place: str) -> bool:
    """Attach, have a line sent back, then another one. False when nothing comes back."""
    begun_ns = time.monotonic_ns()
    with connect(run) as client:
        attached_ms = (time.monotonic_ns() - begun_ns) / MS
        for name, before_ms in (("attach and first echo", attached_ms), ("echo", 0.0)):
            echo_ms = _echo(client, b"ping\n")
            if echo_ms is None:
                figures.add(name + place, PROBE_TIMEOUT_S * 1000)
                return False
            figures.add(name + place, before_ms + echo_ms)
    return True


def measure_attach(rig: Rig, figures: Figures, times: int) -> None:
    """Attach, send a line to a `cat` and have it back; then the same line again over the same connection."""
    run = rig.run("-i", "--leave-stdin-open", log="none", environment={"FAKE_ARGV0": "/bin/cat"})
    for _ in range(times):
        _attach_once(run, figures, "")
    rig.stop()


def measure_attach_beside(rig: Rig, figures: Figures, times: int) -> None:
    """The same beside a client that never reads, after more output than anybody queues for it."""
    script = f"echo ready; seq {FILLER_LINES}; exec cat"
    run = rig.run("-i", "--leave-stdin-open", environment={"FAKE_SCRIPT": f"read go; {script}"})
    with connect(run) as stuck:
        stuck.send(b"go\n")
        _wait_until(lambda: _has_last_line(run))
        for _ in range(times):
            if not _attach_once(run, figures, BESIDE):
                break
    rig.stop()


def _has_last_line(run: Run) -> bool:
    return run.log.read_bytes().endswith(b" %d\n" % FILLER_LINES)


def _wait_until(predicate: Callable[[], bool]) -> bool:
    """Wait without a pause in between, for a time to be measured; False after the limit of a probe."""
    begun_ns = time.monotonic_ns()
    while not predicate():
        if time.monotonic_ns() - begun_ns > PROBE_TIMEOUT_S * NS:
            return False
        os.sched_yield()
    return True


def _opened(fifo: pathlib.Path) -> bool:
    """Let the reader of a fifo go on; False while there is none."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False
    return True


def _bursts(rig: Rig, programs: Programs, stuck: bool) -> tuple[float, ...] | None:
    """Milliseconds that a container needs for a first and a second burst of output, and the monitor's CPU for the latter;
    None: it hangs."""
    fifos = [rig.folder / "first", rig.folder / "second", rig.folder / "end"]
    for fifo in fifos:
        os.mkfifo(fifo)
    lines = f"80 {BURST_BYTES} 65536"
    script = f"{programs.writer} {fifos[0]} {lines}; {programs.writer} {fifos[1]} {lines}; read end < {fifos[2]}"
    run = rig.run("--no-sync-log", environment={"FAKE_SCRIPT": script})
    moments, spent_s = [], []
    try:
        with connect(run) if stuck else contextlib.nullcontext():
            for fifo in fifos:
                if not _wait_until(functools.partial(_opened, fifo)):
                    return None
                moments.append(time.monotonic_ns())
                spent_s.append(run.cpu_s())
    finally:
        rig.stop()
        for fifo in fifos:
            fifo.unlink()
    return (moments[1] - moments[0]) / MS, (moments[2] - moments[1]) / MS, (spent_s[2] - spent_s[1]) * 1000


def measure_stuck(rig: Rig, figures: Figures, programs: Programs) -> None:
    """Two bursts of output of a container with nobody attached, and with a client that never reads, in turn."""
    hangs = False
    for _ in range(STUCK_TRIES):
        for stuck, place in ((False, ALONE), (True, BESIDE)):
            if stuck and hangs:
                continue
            found = _bursts(rig, programs, stuck)
            hangs = hangs or found is None
            for name, value_ms in zip(BURSTS, found or [PROBE_TIMEOUT_S * 1000] * 2, strict=False):
                figures.add(name + place, value_ms)
