"""Latencies: from the start of the monitor to its report (runc, crun), attaching, and what a stuck client costs others."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import time
from dataclasses import dataclass

from test.bench.figures import Figures
from test.bench.monitor.rig import NS, Rig, Run
from test.conmon.runtimes import Runtime, make_bundle

MS = 1e6
CLIENT_TIMEOUT_S = 30.0
PACKET_BYTES = 16384
STUCK_LINES = 200_000
STUCK_LIMIT_S = 8.0


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
    """The same with a runtime that does next to nothing: the monitor's own share."""
    run = rig.run()
    figures.add("start to report, runtime that only forks", (run.reported_ns - run.started_ns) / MS)
    rig.stop()


def connect(run: Run) -> socket.socket:
    """An attach client."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(CLIENT_TIMEOUT_S)
    folder_fd = os.open(run.bundle, os.O_PATH)
    try:
        client.connect(f"/proc/self/fd/{folder_fd}/attach")
    finally:
        os.close(folder_fd)
    return client


def measure_attach(rig: Rig, figures: Figures, times: int) -> None:
    """Attach, send a line to a `cat` and have it back; then the same line again over the same connection."""
    run = rig.run("-i", "--leave-stdin-open", log="none", environment={"FAKE_ARGV0": "/bin/cat"})
    for _ in range(times):
        begun_ns = time.monotonic_ns()
        with connect(run) as client:
            client.send(b"ping\n")
            client.recv(PACKET_BYTES)
            answered_ns = time.monotonic_ns()
            client.send(b"pong\n")
            client.recv(PACKET_BYTES)
            again_ns = time.monotonic_ns()
        figures.add("attach and first echo", (answered_ns - begun_ns) / MS)
        figures.add("echo", (again_ns - answered_ns) / MS)
    rig.stop()


def _stuck_run(rig: Rig, stuck: bool) -> float | None:
    """Seconds that the container needs for its output with or without a client that never reads; None: it hangs."""
    run = rig.run("-i", "--no-sync-log", environment={"FAKE_SCRIPT": f"read go; seq {STUCK_LINES} {2 * STUCK_LINES}"})
    with contextlib.ExitStack() as stack:
        if stuck:
            stack.enter_context(connect(run))
        starter = stack.enter_context(connect(run))
        begun = time.monotonic_ns()
        starter.send(b"go\n")
        starter.close()
        while not run.is_over():
            if time.monotonic_ns() - begun > STUCK_LIMIT_S * NS:
                return None
            os.sched_yield()
        return (time.monotonic_ns() - begun) / NS


def measure_stuck(rig: Rig, figures: Figures) -> None:
    """The output of a container with nobody attached, and with a client that never reads."""
    for stuck, name in ((False, "200k lines, no client"), (True, "200k lines, a stuck client")):
        seconds = _stuck_run(rig, stuck)
        figures.add(name, (STUCK_LIMIT_S if seconds is None else seconds) * 1000)
        rig.stop()
