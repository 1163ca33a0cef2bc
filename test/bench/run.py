"""``python -m test.bench.run``: our daemon against containerd, both private, in one run on one machine.

Same registry, images, OCI runtime (runc), CNI plugins and configuration. Everything lives in one temporary folder and is taken away.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Sequence

from crio.cli.ctl.client import Client
from crio.cri import api_pb2 as pb
from hack import demo_runtime, demo_sweep
from hack.demo_places import Places, make_places, write_files
from test.bench.__main__ import add_size, facts, report
from test.bench.peers import Peer, containerd
from test.bench.target import Target, Work, owner_of
from test.bench.work import Size, Start, measure
from test.images.catalog import BUSYBOX, PAUSE
from test.support import registry
from test.support.waiting import eventually

START_TIMEOUT_S = 30.0


def start(command: Sequence[str], socket_path: str, log: pathlib.Path) -> demo_runtime.Process:
    """Start a daemon and wait until it answers Version and says that it is ready; raises AssertionError with its log."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/", start_new_session=True)
    process.returncode = 0
    started = demo_runtime.identify(process.pid)

    def ready() -> bool:
        assert started.alive(), log.read_text()[-2000:]
        if not os.path.exists(socket_path):
            return False
        with contextlib.suppress(Exception), Client(socket_path, START_TIMEOUT_S) as client:
            status = client.call("Status", pb.StatusRequest(), pb.StatusResponse).status
            return all(condition.status for condition in status.conditions)
        return False

    eventually(ready, START_TIMEOUT_S, f"{command[0]} is ready on {socket_path}")
    return started


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _say(words: str) -> None:
    print(f"# {words}", file=sys.stderr, flush=True)


def compare(places: Places, given: argparse.Namespace) -> None:
    """Start both, measure, print."""
    with contextlib.ExitStack() as stack:
        images = stack.enter_context(registry.running(places.root / "registry"))
        images.push(PAUSE, BUSYBOX)
        write_files(places, images.address, given.runtime)
        endpoints = [(tuple(places.command()), places.socket)]
        if not given.alone:
            peer: Peer = containerd(places.root / "containerd", places.root / "net.d", images.address)
            endpoints.append((peer.command, peer.socket))
        starts = {}
        for command, path in endpoints:
            log = places.root / f"{pathlib.Path(command[0]).name}.log"
            started = start(command, path, log)
            stack.callback(started.stop)
            starts[path] = Start(command, str(log))
        work = Work(BUSYBOX, places.cgroup_parent(systemd=False), str(places.root / "pods"))
        known = facts() | {"oci runtime": given.runtime}
        targets = [Target(path, work) for _, path in endpoints]
        try:
            size = Size(given.pods, given.burst, given.restarts)
            measure(targets, size, starts, _say)
        finally:
            for target in targets:
                stack.callback(_stop_owner, target)
        report(targets, given.json, known)


def _stop_owner(target: Target) -> None:
    """Sweep the runtime's pods and end it, whichever start of it runs now."""
    with contextlib.suppress(Exception):
        target.sweep()
    target.close()
    with contextlib.suppress(OSError):
        demo_runtime.identify(owner_of(target.client.path)).stop()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m test.bench.run", description=__doc__)
    parser.add_argument("--runtime", default="runc", help="OCI runtime of our pods (%(default)s)")
    parser.add_argument("--alone", action="store_true", help="without containerd")
    add_size(parser)
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    places, baseline = make_places(), demo_sweep.take_baseline()
    try:
        compare(places, given)
    except BaseException:
        for log in sorted(places.root.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise
    finally:
        for words in demo_sweep.sweep(places, baseline):
            _say(f"left behind: {words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
