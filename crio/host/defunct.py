"""Processes of the whole machine that have ended and that nobody has waited for. Source: proc_pid_stat(5)."""

from __future__ import annotations

import os
from typing import Final

from crio.host.files import read_bounded

_STAT_LIMIT_BYTES: Final = 8192


def count_defunct() -> int:
    """How many zombies there are now. Reads a file of every process, so it belongs in a thread."""
    return sum(_is_defunct(name) for name in os.listdir("/proc") if name.isdigit())


def _is_defunct(pid: str) -> bool:
    try:
        stat = read_bounded(f"/proc/{pid}/stat", _STAT_LIMIT_BYTES)
    except OSError:
        # It is gone by now.
        return False
    # The name in parentheses may hold anything, parentheses too.
    return stat.rpartition(b") ")[2].startswith(b"Z")
