"""What a runtime costs: processor time of a cgroup of its own, and the memory of all processes in it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import threading
import time
from types import TracebackType

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
HIERARCHY = pathlib.Path("/sys/fs/cgroup/cpuacct")
_SAMPLE_S = 0.02
_QUIET_S = 0.5


class Room:
    """A cpuacct cgroup that a runtime and all its children live in."""

    def __init__(self, name: str) -> None:
        self.path = HIERARCHY / f"crio-bench-pull-{os.getpid()}-{name}"
        self.path.mkdir()

    def take(self, pid: int) -> None:
        """Move a process in; its later children are born there."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def command(self, *argv: str) -> list[str]:
        """``argv`` run inside from its first instruction on."""
        return ["/bin/sh", "-c", 'echo $$ > "$0"; exec "$@"', str(self.path / "cgroup.procs"), *argv]

    def cpu_s(self) -> float:
        """Processor time so far, of the living and the dead."""
        return int((self.path / "cpuacct.usage").read_text()) / 1e9

    def rss_mb(self) -> float:
        """Resident memory of all processes in MB (10^6 bytes); pages that two share count twice."""
        pages: dict[str, int] = {}
        for pid in (self.path / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError, IndexError):
                stat = pathlib.Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
                # A child between vfork and exec has its parent's memory; the address of the stack tells. Source: proc(5).
                pages[stat[25]] = int(stat[21])
        return sum(pages.values()) * PAGE_BYTES / 1e6

    def settle(self, timeout_s: float) -> float:
        """Wait until nothing in it has run for half a second; returns the seconds that something still did."""
        began_s = last_s = time.monotonic()
        used_s = self.cpu_s()
        pause = threading.Event()
        while time.monotonic() - last_s < _QUIET_S and time.monotonic() - began_s < timeout_s:
            pause.wait(_SAMPLE_S)
            now_s = self.cpu_s()
            # An idle daemon's timers cost a little, too.
            if now_s - used_s > _SAMPLE_S * 0.05:
                last_s = time.monotonic()
            used_s = now_s
        return last_s - began_s

    def remove(self) -> None:
        """Remove the cgroup, once it is empty."""
        with contextlib.suppress(OSError):
            self.path.rmdir()


class Peak:
    """The greatest resident memory of a room during a block."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak")
        self.mb = 0.0

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            self.mb = max(self.mb, self._room.rss_mb())
