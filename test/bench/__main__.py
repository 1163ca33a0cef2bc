"""``python -m test.bench --endpoint SOCKET [--vs SOCKET]``: measure runtimes that run already.

Without an endpoint it is ``python -m test.bench.run``: ours and containerd, started privately.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import platform
import shlex
import sys
import tempfile

from test.bench.figures import as_json, table
from test.bench.target import Target, Work
from test.bench.work import Size, Start, measure
from test.images.catalog import BUSYBOX


def facts() -> dict[str, object]:
    """What the figures depend on besides the runtimes."""
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2),
    }


def add_size(parser: argparse.ArgumentParser) -> None:
    """The options that say how much work is done and where the figures go."""
    default = Size()
    parser.add_argument("--pods", type=int, default=default.pods, help="pods one after the other (%(default)s)")
    parser.add_argument("--burst", type=int, default=default.burst, help="pods ten at a time (%(default)s)")
    parser.add_argument("--restarts", type=int, default=default.restarts, help="kills and starts of each daemon (%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every single value")


def report(targets: list[Target], json_file: pathlib.Path | None, known: dict[str, object]) -> None:
    """The table on standard output, the JSON where it was wanted."""
    print(table(targets[0].figures, targets[1].figures if len(targets) > 1 else None))
    if json_file is not None:
        json_file.write_text(as_json([target.figures for target in targets], known))


def main() -> int:
    """The command line."""
    if not any(word.partition("=")[0] in ("--endpoint", "-h", "--help") for word in sys.argv[1:]):
        from test.bench import run

        return run.main()
    parser = argparse.ArgumentParser(prog="python -m test.bench", description=__doc__)
    parser.add_argument("--endpoint", required=True, metavar="SOCKET", help="the runtime to measure")
    parser.add_argument("--vs", metavar="SOCKET", help="another one, in alternating rounds")
    parser.add_argument("--image", default=BUSYBOX, help="image with a `sleep` and a `true` (%(default)s)")
    parser.add_argument("--handler", default="", help="runtime handler of the pods")
    parser.add_argument("--cgroup-parent", default="/crio-bench", help="cgroup of the pods (%(default)s)")
    parser.add_argument("--start", metavar="COMMAND", help="command line that starts the daemon of --endpoint: measure restarts")
    parser.add_argument("--vs-start", metavar="COMMAND", help="the same for --vs")
    add_size(parser)
    given = parser.parse_args()
    known = facts()
    with tempfile.TemporaryDirectory(prefix="crio-bench-") as folder:
        work = Work(given.image, given.cgroup_parent, folder, given.handler)
        targets = [Target(endpoint, work) for endpoint in (given.endpoint, given.vs) if endpoint]
        commands = (given.start, given.vs_start)
        restarts = {target.client.path: Start(shlex.split(line)) for target, line in zip(targets, commands, strict=False) if line}
        try:
            size = Size(given.pods, given.burst, given.restarts if restarts else 0)
            measure(targets, size, restarts, lambda words: print(f"# {words}", file=sys.stderr))
        finally:
            for target in targets:
                target.sweep()
                target.close()
        report(targets, given.json, known)
    return 0


if __name__ == "__main__":
    sys.exit(main())
