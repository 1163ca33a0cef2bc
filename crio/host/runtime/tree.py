"""Finding and killing everything that one process in a container has started.

A process that a runtime put into a container leads a session of its own. What belongs to it is what is in that session and what
descends from it; a child that made a session of its own *and* lost its parent belongs to the container's init from then on.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """Part of /proc/PID/stat. Source: proc_pid_stat(5)."""

    pid: int
    state: str
    parent: int
    session: int
    start_time: int


def read_stat(pid: int) -> ProcessFacts | None:
    """The facts of a process, None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            body = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything: what counts begins after the last one.
    fields = body[body.rindex(b")") + 2 :].split()
    return ProcessFacts(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def all_processes() -> dict[int, ProcessFacts]:
    """The facts of every process that this one can see."""
    found = (read_stat(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {facts.pid: facts for facts in found if facts is not None}


def members(root: int, processes: Mapping[int, ProcessFacts]) -> set[int]:
    """The living processes of ``root``'s session and all descendants of both."""
    tree = {root} | {facts.pid for facts in processes.values() if facts.session == root}
    grown = True
    while grown:
        more = {facts.pid for facts in processes.values() if facts.parent in tree} - tree
        tree |= more
        grown = bool(more)
    return {pid for pid in tree if pid in processes and processes[pid].state not in "ZX"}


def kill_tree(root: int, rounds: int = 10) -> bool:
    """Kill ``root`` and what belongs to it, again while new ones appear; says whether none was left at the end."""
    for _ in range(rounds):
        processes = all_processes()
        found = members(root, processes)
        if not found:
            return True
        for pid in found:
            kill_exactly(processes[pid])
    return not members(root, all_processes())


def kill_exactly(facts: ProcessFacts, number: int = signal.SIGKILL) -> None:
    """Signal a process unless its number has gone to another one since."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        pid_fd = os.pidfd_open(facts.pid)
        try:
            now = read_stat(facts.pid)
            if now is not None and now.start_time == facts.start_time:
                signal.pidfd_send_signal(pid_fd, number)
        finally:
            os.close(pid_fd)
