"""Memory of monitors of quiet containers: PSS by the kernel's own account, and what their cgroup is charged."""

from __future__ import annotations

import os
import pathlib

from test.bench.figures import Figures
from test.bench.monitor.rig import Rig
from test.support.waiting import eventually

MEMORY = pathlib.Path("/sys/fs/cgroup/memory")
MB = 1e6
SETTLE_S = 5.0


def pss_bytes(pid: int) -> dict[str, int]:
    """The sums of /proc/PID/smaps_rollup in bytes."""
    found = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return found


def measure(rig: Rig, figures: Figures, count: int) -> None:
    """``count`` quiet containers; the monitors alone are in a cgroup of their own."""
    group = MEMORY / f"ct-monitor-bench-{os.getpid()}"
    here = pathlib.Path("/proc/self/cgroup").read_text("ascii").splitlines()
    mine = next(line.split(":", 2)[2] for line in here if line.split(":")[1] == "memory")
    home = MEMORY / mine.lstrip("/") / "cgroup.procs"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text("0")
        runs = [rig.run("--exit-command", "/bin/true", environment={"FAKE_CGROUP": str(home)}) for _ in range(count)]
        home.write_text("0")
        (group / "memory.force_empty").write_text("0")
        each = [pss_bytes(run.pid) for run in runs]
        # The last pages come back when the monitors have handled their last event.
        charged = eventually(lambda: int((group / "memory.usage_in_bytes").read_text("ascii")), SETTLE_S, "the charge")
        figures.add(f"PSS each, {count} containers", sum(one["Pss"] for one in each) / count / MB, "MB")
        figures.add(f"private each, {count}", sum(one["Private_Dirty"] + one["Private_Clean"] for one in each) / count / MB, "MB")
        figures.add(f"cgroup charge each, {count}", charged / count / MB, "MB")
    finally:
        home.write_text("0")
        rig.stop()
        eventually(lambda: not (group / "cgroup.procs").read_text("ascii"), SETTLE_S, "an empty cgroup")
        group.rmdir()
