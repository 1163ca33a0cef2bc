"""Runs the suite in two lanes at once: ``python -m test.lanes [ARGUMENT OF PYTEST ...]``.

The privileged rings wait for the machine half of the time, and every run has namespaces, folders and names of its own, so two of
them fill two cores without seeing each other. The first lane is shown while it runs, the other one after it. Cgroups are the one
thing that both have in common: each lane looks for those with its own name, and what the two together leave is looked for at
the end.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from typing import IO

import pytest

from test.support import leaks
from test.support.waiting import eventually

# Of about the same length.
LANES = (("test/unit", "test/conmon", "test/e2e"), ("test/integration",))
PASSED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
SETTLE_S = 10.0


def _start(lane: tuple[str, ...], words: list[str], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-u", "-m", "pytest", "--shared-host", *lane, *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _cgroups() -> set[str]:
    return set(leaks.cgroups(leaks.Scope("", ())))


def verdict(codes: list[int]) -> int:
    """What the lanes' exit codes come to: the first failure; a lane without a test is none unless there was no test at all."""
    if set(codes) == {pytest.ExitCode.NO_TESTS_COLLECTED}:
        return int(pytest.ExitCode.NO_TESTS_COLLECTED)
    return next((code for code in codes if code not in PASSED), 0)


def main(words: list[str]) -> int:
    """Run both; the result is an exit code: 0 when all passed and no cgroup is left."""
    before = _cgroups()
    with tempfile.TemporaryFile() as output:
        lanes = [_start(LANES[0], words, None), _start(LANES[1], words, output)]
        signal.signal(signal.SIGTERM, lambda *_: [lane.terminate() for lane in lanes] and None)
        codes = [lane.wait() for lane in lanes]
        output.seek(0)
        print("\n==== the other lane", flush=True)
        while piece := output.read(1 << 16):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    left: set[str] = set()

    def clean() -> bool:
        left.clear()
        left.update(_cgroups() - before)
        return not left

    try:
        eventually(clean, SETTLE_S, "no cgroup is left")
    except AssertionError:
        print("left behind by the lanes:\n  " + "\n  ".join(sorted(left)))
        return 1
    return verdict(codes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
