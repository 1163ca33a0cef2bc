"""Collectors that the Prometheus library lacks: counters by names from outside, latencies with quantiles, the pulls that run.

Each reads what is there at the moment of a scrape. The module imports the library: nothing does so unless metrics are on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from crio.core.measures import QUANTILES, Window
from crio.host.pull.progress import LayerState, PullProgress

MAX_NAMES: Final = 1000
MAX_PULLS: Final = 100
# No valid reference is longer; what a client calls an image may be.
MAX_REFERENCE: Final = 512
_ENDING: Final = "_total"


class NamedCounter(Collector):
    """A counter by one label whose values come from outside: of too many, the one that counted longest ago goes."""

    def __init__(self, name: str, words: str, label: str) -> None:
        self._name, self._words, self._label = name, words, label
        self._counts: dict[str, int] = {}

    def inc(self, value: str) -> None:
        """One more."""
        self._counts[value] = self._counts.pop(value, 0) + 1
        if len(self._counts) > MAX_NAMES:
            del self._counts[next(iter(self._counts))]

    def forget(self, value: str) -> None:
        """What had this name is no more."""
        self._counts.pop(value, None)

    def collect(self) -> Iterable[Metric]:
        """The counter as it is now."""
        metric = Metric(self._name.removesuffix(_ENDING), self._words, "counter")
        for value, count in self._counts.items():
            metric.add_sample(self._name, {self._label: value}, count)
        return (metric,)


class LatencySummary(Collector):
    """How long calls take, by operation: number, sum and quantiles, which the library's own summary has not."""

    def __init__(self, name: str, words: str) -> None:
        self._name, self._words = name, words
        self._windows: dict[str, Window] = {}

    def add(self, operation: str, seconds: float) -> None:
        """One more call, which ended now."""
        self._windows.setdefault(operation, Window()).add(time.monotonic(), seconds)

    def collect(self) -> Iterable[Metric]:
        """The summary as it is now."""
        summary = SummaryMetricFamily(self._name, self._words, labels=("operation",))
        now_s = time.monotonic()
        for operation, window in self._windows.items():
            for share, value in zip(QUANTILES, window.quantiles(now_s), strict=True):
                summary.add_sample(self._name, {"operation": operation, "quantile": f"{share:g}"}, value)
            summary.add_metric((operation,), window.count, window.sum_s)
        return (summary,)


class RunningPulls(Collector):
    """How far each running pull is, by image; a pull that has ended is not shown any more. Source: issue kubernetes#19077."""

    def __init__(self, prefix: str, active: Callable[[], Sequence[PullProgress]]) -> None:
        self._prefix, self._active = prefix, active

    def collect(self) -> Iterable[Metric]:
        """The pulls as they are now."""
        fetched = self._gauge("fetched_bytes", "Bytes of layers that a running pull has received.")
        total = self._gauge("wanted_bytes", "Bytes of the layers that a running pull has to fetch.")
        layers = self._gauge("layers", "Layers of a running pull, by state.", "state")
        stalled = self._gauge("stalled_seconds", "How long nothing has moved in a running pull.")
        for image, pull in self._by_image().items():
            fetched.add_metric((image,), pull.fetched_bytes)
            total.add_metric((image,), pull.total_bytes)
            stalled.add_metric((image,), pull.idle_s)
            counts = Counter(layer.state for layer in pull.layers)
            for state in LayerState:
                layers.add_metric((image, state.name.lower()), counts[state])
        return (fetched, total, layers, stalled)

    def _gauge(self, name: str, words: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"{self._prefix}{name}", words, labels=("image", *labels))

    def _by_image(self) -> dict[str, PullProgress]:
        """One pull for each name: of several (other credentials, another namespace) the one that is furthest."""
        found: dict[str, PullProgress] = {}
        for pull in self._active():
            image = pull.reference[:MAX_REFERENCE]
            other = found.get(image)
            if other is None and len(found) == MAX_PULLS:
                continue
            if other is None or other.fetched_bytes < pull.fetched_bytes:
                found[image] = pull
        return found
