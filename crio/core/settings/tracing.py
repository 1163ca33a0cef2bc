"""``[crio.tracing]``: OpenTelemetry traces. Source: crio-interfaces §2.11."""

from __future__ import annotations

from dataclasses import dataclass

from crio.core.settings.rules import PER_MILLION
from crio.core.settings.schema import Flag, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """Whether traces are exported, where to, and how many."""

    enable_tracing: bool = setting(False, "Export OpenTelemetry traces.", Flag("enable-tracing", "CONTAINER_ENABLE_TRACING"))
    tracing_endpoint: str = setting(
        "127.0.0.1:4317", "Host and port of the OTLP collector.", Flag("tracing-endpoint", "CONTAINER_TRACING_ENDPOINT")
    )
    tracing_sampling_rate_per_million: int = setting(
        0,
        "Traces to record out of a million; with 0 only those that the caller has sampled.",
        Flag("tracing-sampling-rate-per-million", "CONTAINER_TRACING_SAMPLING_RATE_PER_MILLION"),
        rule=PER_MILLION,
    )
