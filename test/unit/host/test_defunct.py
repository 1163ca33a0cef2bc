"""Zombies of the machine are counted."""

from __future__ import annotations

import os
import sys

from crio.host.defunct import _is_defunct, count_defunct
from test.support.waiting import eventually


def test_a_child_that_nobody_waited_for_counts() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {})
    try:
        eventually(lambda: _is_defunct(str(pid)), 10, "the child has ended")
        assert count_defunct() >= 1
    finally:
        os.waitpid(pid, 0)
    assert not _is_defunct(str(pid))
    assert not _is_defunct(str(os.getpid()))
