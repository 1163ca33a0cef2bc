"""The settings of the daemon as one immutable value, and the tables that it is made of.

``Settings()`` is the built-in configuration; ``crio.host.config.load`` makes one from files, environment and flags.
Attribute names are TOML keys. The sections of the file are in ``TABLES``, in the order in which they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from crio.core.settings.api import ApiSettings, TlsVersion
from crio.core.settings.checkpoint import CheckpointLevel, CheckpointSettings
from crio.core.settings.handler import RuntimeHandler, RuntimeType
from crio.core.settings.image import ImageSettings, ImageVolumes, ShortNameMode
from crio.core.settings.metrics import MetricsSettings
from crio.core.settings.network import NetworkSettings
from crio.core.settings.nri import NriDefaultValidator, NriSettings
from crio.core.settings.process import LogFormat, ProcessOptions
from crio.core.settings.root import RootSettings
from crio.core.settings.runtime import CgroupManager, LogLevel, RuntimeSettings
from crio.core.settings.stats import StatsSettings
from crio.core.settings.tracing import TracingSettings
from crio.core.settings.workload import Workload, WorkloadResources

__all__ = [
    "TABLES",
    "ApiSettings",
    "CgroupManager",
    "CheckpointLevel",
    "CheckpointSettings",
    "ImageSettings",
    "ImageVolumes",
    "LogFormat",
    "LogLevel",
    "MetricsSettings",
    "NetworkSettings",
    "NriDefaultValidator",
    "NriSettings",
    "ProcessOptions",
    "RootSettings",
    "RuntimeHandler",
    "RuntimeSettings",
    "RuntimeType",
    "Settings",
    "ShortNameMode",
    "StatsSettings",
    "TlsVersion",
    "TracingSettings",
    "Workload",
    "WorkloadResources",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the configuration says; ``root`` is the table ``[crio]`` itself."""

    root: RootSettings = field(default_factory=RootSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    image: ImageSettings = field(default_factory=ImageSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    nri: NriSettings = field(default_factory=NriSettings)
    stats: StatsSettings = field(default_factory=StatsSettings)


@dataclass(frozen=True, slots=True)
class Table:
    """One section of the file: its path, the attribute of ``Settings`` that holds it, its type and its heading."""

    path: tuple[str, ...]
    attribute: str
    table_type: type[object]
    doc: str


TABLES: Final[Mapping[tuple[str, ...], Table]] = {
    one.path: one
    for one in (
        Table(("crio",), "root", RootSettings, "Storage, version markers and start-up."),
        Table(("crio", "api"), "api", ApiSettings, "The socket of the CRI and the streaming server."),
        Table(("crio", "runtime"), "runtime", RuntimeSettings, "How containers are run."),
        Table(("crio", "checkpoint_restore"), "checkpoint", CheckpointSettings, "Checkpoints of containers."),
        Table(("crio", "image"), "image", ImageSettings, "Pulling, trusting and keeping images."),
        Table(("crio", "network"), "network", NetworkSettings, "CNI networks and plugins."),
        Table(("crio", "metrics"), "metrics", MetricsSettings, "Metrics for Prometheus."),
        Table(("crio", "tracing"), "tracing", TracingSettings, "OpenTelemetry traces."),
        Table(("crio", "nri"), "nri", NriSettings, "NRI plugins."),
        Table(("crio", "stats"), "stats", StatsSettings, "Collection of statistics."),
    )
}
