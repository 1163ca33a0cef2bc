"""``python -m test.bench.mux SOCKET``: what the daemon's front door adds to a call.

The same call goes through the public socket (forwarder, then gRPC) and straight to the gRPC socket behind it, in turns, over connections
that are open already; the difference of the medians is the price of serving two protocols on one socket.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import pathlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from crio.cli.ctl.client import Client
from crio.cri import api_pb2 as pb
from test.bench.figures import percentile

CALLS = 3000
WARM_UP = 200
BLOCK = 50
CONCURRENCY = 8
CALL_TIMEOUT_S = 30.0
Call = Callable[[Client], object]


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of call through both doors, in microseconds."""

    name: str
    inner_us: tuple[float, ...]
    public_us: tuple[float, ...]

    def row(self) -> tuple[str, ...]:
        """The medians, the p90s and what the door adds to them."""
        inner, public = percentile(self.inner_us, 0.5), percentile(self.public_us, 0.5)
        inner_90, public_90 = percentile(self.inner_us, 0.9), percentile(self.public_us, 0.9)
        numbers = (inner, public, public - inner, inner_90, public_90, public_90 - inner_90)
        return (self.name, *(f"{number:.0f}" for number in numbers))


HEAD = ("call", "inner p50", "public p50", "added", "inner p90", "public p90", "added")


def _version(client: Client) -> object:
    return client.call("Version", pb.VersionRequest(), pb.VersionResponse)


def _status(client: Client) -> object:
    return client.call("Status", pb.StatusRequest(), pb.StatusResponse)


def _containers(client: Client) -> object:
    return client.call("ListContainers", pb.ListContainersRequest(), pb.ListContainersResponse)


def _new_connection(client: Client) -> object:
    with Client(client.path, CALL_TIMEOUT_S) as fresh:
        return _version(fresh)


def _timed(call: Call, client: Client) -> float:
    began_ns = time.perf_counter_ns()
    call(client)
    return (time.perf_counter_ns() - began_ns) / 1000


def compare(name: str, call: Call, inner: Client, public: Client, count: int) -> Compared:
    """The same call through both doors, in blocks that take turns, so that a slow moment of the machine hits both."""
    for client in (inner, public):
        for _ in range(min(WARM_UP, count)):
            call(client)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(max(1, count // BLOCK)):
        for client, taken in zip((inner, public), times, strict=True):
            taken += [_timed(call, client) for _ in range(BLOCK)]
    return Compared(name, tuple(times[0]), tuple(times[1]))


def compare_many(inner: Client, public: Client, count: int) -> Compared:
    """Version from several threads at once."""
    times: tuple[list[float], list[float]] = ([], [])
    with concurrent.futures.ThreadPoolExecutor(CONCURRENCY) as pool:
        for _ in range(max(1, count // (BLOCK * CONCURRENCY))):
            for client, taken in zip((inner, public), times, strict=True):
                work = [pool.submit(_timed, _version, client) for _ in range(BLOCK * CONCURRENCY)]
                taken += [item.result() for item in work]
    return Compared(f"Version, {CONCURRENCY} at once", tuple(times[0]), tuple(times[1]))


def markdown(results: list[Compared]) -> str:
    """The table, in microseconds."""
    rows = [HEAD, *(result.row() for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("| " + " | ".join(cells) + " |")
        if number == 0:
            lines.append("|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|")
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m test.bench.mux", description="what the daemon's front door adds to a call")
    parser.add_argument("socket", help="the daemon's public socket")
    parser.add_argument("--inner", default="", help="its gRPC socket (SOCKET.d/grpc.sock)")
    parser.add_argument("--calls", type=int, default=CALLS, help="calls of each kind through each door (%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every single value")
    given = parser.parse_args()
    with (
        Client(given.inner or f"{given.socket}.d/grpc.sock", CALL_TIMEOUT_S) as inner,
        Client(given.socket, CALL_TIMEOUT_S) as public,
    ):
        kinds = {"Version": _version, "Status": _status, "ListContainers": _containers}
        results = [compare(name, call, inner, public, given.calls) for name, call in kinds.items()]
        results.append(compare_many(inner, public, given.calls))
        results.append(compare("Version, new connection", _new_connection, inner, public, max(BLOCK, given.calls // 10)))
    print(markdown(results))
    if given.json is not None:
        values = {item.name: {"inner_us": item.inner_us, "public_us": item.public_us} for item in results}
        given.json.write_text(json.dumps(values) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
