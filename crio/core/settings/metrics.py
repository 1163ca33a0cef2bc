"""``[crio.metrics]``: the Prometheus endpoint. Source: crio-interfaces §2.10, §3.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from crio.core.settings.rules import PORT
from crio.core.settings.schema import Flag, setting

COLLECTORS: Final = (
    "image_pulls_layer_size",
    "containers_events_dropped_total",
    "containers_oom_total",
    "processes_defunct",
    "operations_total",
    "operations_latency_seconds",
    "operations_latency_seconds_total",
    "operations_errors_total",
    "image_pulls_bytes_total",
    "image_pulls_skipped_bytes_total",
    "image_pulls_failure_total",
    "image_pulls_success_total",
    "image_layer_reuse_total",
    "containers_oom_count_total",
    "containers_seccomp_notifier_count_total",
    "resources_stalled_at_stage",
    "containers_stopped_monitor_count",
    "default_runtime",
)
# Ours, beside CRI-O's: how far the running pulls are.
PULL_PROGRESS: Final = "image_pulls_progress"
ALL_COLLECTORS: Final = (*COLLECTORS, PULL_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Whether, where and what is measured for Prometheus."""

    enable_metrics: bool = setting(False, "Serve metrics for Prometheus.", Flag("enable-metrics", "CONTAINER_ENABLE_METRICS"))
    metrics_collectors: tuple[str, ...] = setting(
        ALL_COLLECTORS,
        "Metrics to serve; the prefixes container_runtime_ and crio_ may be left out.",
        Flag("metrics-collectors", "CONTAINER_METRICS_COLLECTORS"),
    )
    metrics_host: str = setting("127.0.0.1", "Address of the metrics server.", Flag("metrics-host", "CONTAINER_METRICS_HOST"))
    metrics_port: int = setting(9090, "Port of the metrics server.", Flag("metrics-port", "CONTAINER_METRICS_PORT"), rule=PORT)
    metrics_socket: str = setting("", "Unix socket that serves the metrics as well.", Flag("metrics-socket", "CONTAINER_METRICS_SOCKET"))
    metrics_cert: str = setting(
        "",
        "Certificate of the metrics server; made by the daemon when neither it nor the key exists.",
        Flag("metrics-cert", "CONTAINER_METRICS_CERT"),
    )
    metrics_key: str = setting("", "Private key of the metrics server.", Flag("metrics-key", "CONTAINER_METRICS_KEY"))
