"""``python -m test.bench.stages SOCKET``: where the milliseconds of a pod's life go, stage by stage, from our daemon's own timeline.

Only our daemon has a timeline. The pods come one after the other; a stage's figure is its median, and its share is that of the medians
of its call. Stages of one call may overlap: a sandbox's network and its files are made side by side.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence

from crio.cli.status import ask
from test.bench.figures import percentile
from test.bench.target import Target, Work
from test.images.catalog import BUSYBOX

WHOLE = "whole call, in the daemon"
ORDER = (
    "RunPodSandbox",
    "CreateContainer",
    "StartContainer",
    "ExecSync",
    "StopContainer",
    "RemoveContainer",
    "StopPodSandbox",
    "RemovePodSandbox",
)
Times = Mapping[str, Mapping[str, Sequence[float]]]


def collect(timeline: Sequence[Mapping[str, object]], ids: set[str]) -> Times:
    """The milliseconds of every stage by call, of the entries about these objects."""
    found: dict[str, dict[str, list[float]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for entry in timeline:
        if entry.get("object_id") not in ids or not entry.get("end_ns"):
            continue
        stages = found[str(entry["verb"])]
        stages[WHOLE].append(_milliseconds(entry))
        spans = entry.get("spans", [])
        assert isinstance(spans, list)
        for span in spans:
            if span.get("end_ns"):
                stages[span["name"]].append(_milliseconds(span))
    return found


def _milliseconds(item: Mapping[str, object]) -> float:
    start, end = item["start_ns"], item["end_ns"]
    assert isinstance(start, int) and isinstance(end, int)
    return (end - start) / 1e6


def markdown(times: Times) -> str:
    """A table with a row for every stage."""
    lines = ["| call | stage | p50 ms | best ms | share |", "|---|---|--:|--:|--:|"]
    for verb in (*ORDER, *sorted(set(times) - set(ORDER))):
        stages = times.get(verb, {})
        whole = percentile(stages[WHOLE], 0.5) if stages else 0.0
        for name, values in stages.items():
            middle = percentile(values, 0.5)
            share = f"{middle / whole:.0%}" if whole else ""
            lines.append(f"| {verb if name == WHOLE else ''} | {name} | {middle:.1f} | {min(values):.1f} | {share} |")
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m test.bench.stages", description="where the milliseconds of a pod go")
    parser.add_argument("socket", help="our daemon's socket")
    parser.add_argument("--pods", type=int, default=20, help="pods one after the other (%(default)s)")
    parser.add_argument("--handler", default="", help="runtime handler of the pods")
    parser.add_argument("--image", default=BUSYBOX, help="image with a `sleep` and a `true` (%(default)s)")
    parser.add_argument("--cgroup-parent", default="/crio-bench", help="cgroup of the pods (%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crio-bench-") as folder:
        target = Target(given.socket, Work(given.image, given.cgroup_parent, folder, given.handler))
        ids: set[str] = set()
        try:
            target.prepare()
            for number in range(given.pods):
                pod = target.up(number)
                ids |= {pod.id, pod.container_id}
                target.exec_true(pod)
                target.down(pod)
            timeline = json.loads(ask(target.client.path, "/timeline"))
        finally:
            target.sweep()
            target.close()
    print(markdown(collect(timeline, ids)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
