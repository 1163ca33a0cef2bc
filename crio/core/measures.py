"""What metrics count by: ranges of sizes, and quantiles over the last calls.

Pure rules: times are arguments. Source: crio-interfaces §3.3.
"""

from __future__ import annotations

from array import array
from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

LAYER_SIZE_BUCKETS: Final = (1e3, 1e6, 1e7, 5e7, 1e8, 2e8, 3e8, 4e8, 5e8, 1e9, 1e10)
QUANTILES: Final = (0.5, 0.9, 0.99)
WINDOW_S: Final = 600.0
WINDOW_CALLS: Final = 1000
_RANGES: Final = (
    (10 * GIB, ">10 GiB"),
    (GIB, ">1 GiB"),
    *((count * MIB, f">{count} MiB") for count in (500, 400, 300, 200, 100, 50, 10, 1)),
    (KIB, ">1 KiB"),
)


def size_range(size_bytes: int) -> str:
    """The range that a size is in, named by the largest bound that it exceeds; such as ``>10 MiB``."""
    return next((name for bound, name in _RANGES if size_bytes > bound), ">0 B")


class Window:
    """How long the calls of one operation took: all of them in number and sum, the last ones in full.

    At most ``WINDOW_CALLS`` calls of the last ``WINDOW_S`` seconds are kept, as plain numbers, so an operation costs 16 KB.
    """

    __slots__ = ("_at_s", "_next", "_seconds", "count", "sum_s")

    def __init__(self) -> None:
        self.count = 0
        self.sum_s = 0.0
        self._at_s = array("d")
        self._seconds = array("d")
        self._next = 0

    def add(self, now_s: float, seconds: float) -> None:
        """One more call, which ended at ``now_s``."""
        self.count += 1
        self.sum_s += seconds
        if len(self._at_s) < WINDOW_CALLS:
            self._at_s.append(now_s)
            self._seconds.append(seconds)
            return
        self._at_s[self._next] = now_s
        self._seconds[self._next] = seconds
        self._next = (self._next + 1) % WINDOW_CALLS

    def quantiles(self, now_s: float) -> tuple[float, ...]:
        """The values of ``QUANTILES``; not-a-number, as Prometheus writes it, when the last calls are too old."""
        recent = sorted(seconds for at_s, seconds in zip(self._at_s, self._seconds, strict=True) if now_s - at_s <= WINDOW_S)
        if not recent:
            return (float("nan"),) * len(QUANTILES)
        return tuple(recent[min(int(share * len(recent)), len(recent) - 1)] for share in QUANTILES)
