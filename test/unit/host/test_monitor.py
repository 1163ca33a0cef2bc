"""Starting monitors: one that hangs is not left behind."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from crio.core.errors import DeadlineExceeded, Internal
from crio.host import monitor, process
from test.support.waiting import eventually


def _request(folder: Path, script: str, timeout_s: float) -> monitor.MonitorRequest:
    program = folder / "monitor"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    place = str(folder)
    return monitor.MonitorRequest(str(program), "c" * 64, "name", place, place, place, place, "/bin/true", (), (), timeout_s=timeout_s)


async def test_a_monitor_in_the_background_whose_runtime_hangs_is_ended_with_it(tmp_path: Path) -> None:
    hanging = f"echo $$ > {tmp_path}/conmon-pidfile; sleep 300 & echo $! > {tmp_path}/runtime; wait"
    script = f"setsid sh -c '{hanging}' >/dev/null 2>&1 </dev/null &"
    with pytest.raises(DeadlineExceeded):
        await monitor.create(_request(tmp_path, script, 1.0))
    pids = [int((tmp_path / name).read_text()) for name in ("conmon-pidfile", "runtime")]

    def gone() -> bool:
        process.reap_orphans()
        return not any(monitor.is_alive(monitor.process_ref(pid)) for pid in pids)

    eventually(gone, 5, "the monitor and its runtime are gone")


async def test_a_monitor_that_ends_at_once_is_told_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(Internal, match="no such option"):
        await monitor.create(_request(tmp_path, "exec 9<&-; echo no such option >&2; exit 1", 5.0))
