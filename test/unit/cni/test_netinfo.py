"""Counters of interfaces."""

from __future__ import annotations

import os
import subprocess

import pytest

from crio.core.errors import NotFound
from crio.host.netinfo import InterfaceCounters, parse_net_dev, read_counters

TABLE = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     110       1    0    0    0     0          0         0      110       1    0    0    0     0       0          0
  eth0:    2000      10    3    0    0     0          0         0      900       7    4    0    0     0       0          0
broken: 1 2
worse: a b c d e f g h i j k l m n o p
"""


def test_the_table_is_read_and_other_lines_are_passed_over() -> None:
    assert parse_net_dev(TABLE) == (InterfaceCounters("lo", 110, 0, 110, 0), InterfaceCounters("eth0", 2000, 3, 900, 4))


def test_the_own_namespace_has_lo() -> None:
    inode = os.stat("/proc/self/ns/net").st_ino
    assert "lo" in [found.name for found in read_counters(os.getpid(), inode)]


def test_a_process_in_another_namespace_is_refused() -> None:
    with pytest.raises(NotFound, match="is not in the network namespace 1"):
        read_counters(os.getpid(), 1)


def test_a_process_that_is_gone() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(NotFound, match=f"process {gone.pid} has no network namespace"):
        read_counters(gone.pid)
