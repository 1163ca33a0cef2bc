"""What is counted for Prometheus, under CRI-O's names: the collectors of crio-interfaces §3.3 and ours.

Operations tell the meter (``crio.ops.meter``), and a scrape reads what it has added up. Only the collectors that the configuration names
are shown. Those without a source in this daemon are not: a zero that can never become a one would mislead (``WITHOUT_SOURCE``).

Labels are bounded: operations and stages are our own words, reasons and media types come from closed lists, and of what bears the name
of an image or a container only the last ones are kept. The module imports the Prometheus library, and nothing imports the module unless
metrics are on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from crio.core.image.errors import failure_reason
from crio.core.image.mediatypes import is_layer
from crio.core.measures import LAYER_SIZE_BUCKETS, size_range
from crio.core.settings.metrics import PULL_PROGRESS
from crio.host.pull.progress import LayerProgress, LayerState, PullEnd, PullProgress
from crio.status.collectors import LatencySummary, NamedCounter, RunningPulls

PREFIX: Final = "container_runtime_crio_"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Events for the kubelet and the seccomp notifier are not served yet.
WITHOUT_SOURCE: Final = frozenset({"containers_events_dropped_total", "containers_seccomp_notifier_count_total"})
OTHER_MEDIA_TYPE: Final = "other"
# These counters of CRI-O lack the ending that the library writes into the head of every counter.
_WITHOUT_ENDING: Final = tuple(f"{PREFIX}{name}".encode() for name in ("resources_stalled_at_stage", "containers_stopped_monitor_count"))


class DefaultRuntime(Collector):
    """Which runtime handler is the default one; a reload may change it."""

    def __init__(self, name: str, current: Callable[[], str]) -> None:
        self._name, self._current = name, current

    def collect(self) -> Iterable[Metric]:
        """One with the handler's name."""
        gauge = GaugeMetricFamily(self._name, "The default runtime handler.", labels=("runtime",))
        gauge.add_metric((self._current(),), 1)
        return (gauge,)


class PullCounters:
    """What pulls brought, and how they ended; told at the end of each."""

    def __init__(self) -> None:
        self.succeeded = Counter(f"{PREFIX}image_pulls_success_total", "Image pulls that succeeded.", registry=None)
        self.failed = Counter(f"{PREFIX}image_pulls_failure_total", "Image pulls that failed, by reason.", ("error",), registry=None)
        self.fetched = Counter(
            f"{PREFIX}image_pulls_bytes_total", "Bytes of layers that came from registries.", ("mediatype", "size"), registry=None
        )
        self.skipped = Counter(
            f"{PREFIX}image_pulls_skipped_bytes_total", "Bytes of layers that were there already.", ("size",), registry=None
        )
        self.sizes = Histogram(
            f"{PREFIX}image_pulls_layer_size", "Bytes of the layers that were pulled.", buckets=LAYER_SIZE_BUCKETS, registry=None
        )
        self.reused = NamedCounter(f"{PREFIX}image_layer_reuse_total", "Layers that were there already, by image and digest.", "name")

    def add(self, end: PullEnd) -> None:
        """One more pull. One that was called off (the daemon ends) neither succeeded nor failed."""
        for layer in end.progress.layers:
            self._add_layer(end.progress.reference, layer)
        if end.error is None:
            self.succeeded.inc()
        elif not isinstance(end.error, asyncio.CancelledError):
            self.failed.labels(failure_reason(end.error)).inc()

    def _add_layer(self, reference: str, layer: LayerProgress) -> None:
        # Schema 1 does not say how large a layer is.
        size_bytes = layer.total_bytes or layer.fetched_bytes
        size = size_range(size_bytes)
        if layer.state is LayerState.PRESENT:
            self.skipped.labels(size).inc(layer.total_bytes)
            self.reused.inc(f"{reference}@{layer.digest}")
        if layer.fetched_bytes:
            known = layer.media_type if is_layer(layer.media_type) else OTHER_MEDIA_TYPE
            self.fetched.labels(known, size).inc(layer.fetched_bytes)
        if layer.state in (LayerState.UNPACKED, LayerState.COMMITTED):
            self.sizes.observe(size_bytes)


class PrometheusMeter:
    """Adds up what it is told; ``exposition`` is what Prometheus reads. ``chosen`` are names of collectors."""

    def __init__(self, chosen: Sequence[str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.chosen = frozenset(chosen) - WITHOUT_SOURCE
        self._registry = CollectorRegistry()
        for kind in (ProcessCollector, PlatformCollector, GCCollector):
            kind(registry=self._registry)
        self._pulls = PullCounters()
        operation = ("operation",)
        self._operations = Counter(f"{PREFIX}operations_total", "CRI calls that ended.", operation, registry=None)
        self._errors = Counter(f"{PREFIX}operations_errors_total", "CRI calls that failed.", operation, registry=None)
        self._latency = Gauge(f"{PREFIX}operations_latency_seconds", "Seconds that the last one took.", operation, registry=None)
        self._latencies = LatencySummary(f"{PREFIX}operations_latency_seconds_total", "Seconds that CRI calls took.")
        self._oom = Counter(f"{PREFIX}containers_oom_total", "Containers killed because they ran out of memory.", registry=None)
        self._oom_of = NamedCounter(f"{PREFIX}containers_oom_count_total", "The same by container, until it is removed.", "name")
        self._stalled = NamedCounter(
            f"{PREFIX}resources_stalled_at_stage", "Requests that were repeated while their operation ran, by its stage.", "stage"
        )
        self._lost = NamedCounter(f"{PREFIX}containers_stopped_monitor_count", "Monitors that ended before their container.", "name")
        self._defunct = Gauge(f"{PREFIX}processes_defunct", "Processes of the node that nobody has waited for.", registry=None)
        collectors: dict[str, Collector] = {
            "image_pulls_layer_size": self._pulls.sizes,
            "containers_oom_total": self._oom,
            "processes_defunct": self._defunct,
            "operations_total": self._operations,
            "operations_latency_seconds": self._latency,
            "operations_latency_seconds_total": self._latencies,
            "operations_errors_total": self._errors,
            "image_pulls_bytes_total": self._pulls.fetched,
            "image_pulls_skipped_bytes_total": self._pulls.skipped,
            "image_pulls_failure_total": self._pulls.failed,
            "image_pulls_success_total": self._pulls.succeeded,
            "image_layer_reuse_total": self._pulls.reused,
            "containers_oom_count_total": self._oom_of,
            "resources_stalled_at_stage": self._stalled,
            "containers_stopped_monitor_count": self._lost,
        }
        for name, collector in collectors.items():
            self._show(name, collector)

    def _show(self, name: str, collector: Collector) -> None:
        if name in self.chosen:
            self._registry.register(collector)

    def watch(self, active_pulls: Callable[[], Sequence[PullProgress]], default_runtime: Callable[[], str]) -> None:
        """Show what is not told but looked at: the running pulls and the default runtime."""
        self._show(PULL_PROGRESS, RunningPulls(f"{PREFIX}image_pull_", active_pulls))
        self._show("default_runtime", DefaultRuntime(f"{PREFIX}default_runtime", default_runtime))

    def exposition(self, defunct: int) -> bytes:
        """Everything in Prometheus' text format; ``defunct`` is the number of zombies on the node now."""
        self._defunct.set(defunct)
        text = generate_latest(self._registry)
        for name in _WITHOUT_ENDING:
            text = text.replace(b" %b_total " % name, b" %b " % name)
        return text

    def on_call(self, method: str, seconds: float, failed: bool) -> None:
        """A unary RPC has been answered."""
        self._operations.labels(method).inc()
        self._latency.labels(method).set(seconds)
        self._latencies.add(method, seconds)
        if failed:
            self._errors.labels(method).inc()

    def on_network(self, step: str, seconds: float) -> None:
        """A step of a pod's network has been done."""
        self._latency.labels(step).set(seconds)

    def on_pull(self, end: PullEnd) -> None:
        """A pull has ended, one way or the other."""
        self._pulls.add(end)

    def on_retry(self, stage: str) -> None:
        """A request was repeated while its operation stands at ``stage``."""
        self._stalled.inc(stage)

    def on_oom(self, container_name: str) -> None:
        """A container was killed because it ran out of memory."""
        self._oom.inc()
        self._oom_of.inc(container_name)

    def on_monitor_lost(self, container_name: str) -> None:
        """A monitor ended before its container."""
        self._lost.inc(container_name)

    def on_removed(self, container_name: str) -> None:
        """A container is no more."""
        self._oom_of.forget(container_name)
