"""``[crio.stats]``: collection of statistics. Source: crio-interfaces §2.12."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from crio.core.settings.rules import NOT_NEGATIVE
from crio.core.settings.schema import Flag, setting

ALL_POD_METRICS: Final = "all"
POD_METRICS: Final = (
    "cpu",
    "disk",
    "diskIO",
    "hugetlb",
    "memory",
    "network",
    "oom",
    "process",
    "spec",
    "pressure",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsSettings:
    """How often statistics are taken, and which pod metrics the CRI reports."""

    stats_collection_period: int = setting(
        0,
        "Seconds between two collections of statistics; 0 collects on request.",
        Flag("stats-collection-period", "CONTAINER_STATS_COLLECTION_PERIOD"),
        rule=NOT_NEGATIVE,
        deprecated="use collection_period",
    )
    collection_period: int = setting(
        0,
        "Seconds between two collections of statistics and pod metrics; 0 collects on request.",
        Flag("collection-period", "COLLECTION_PERIOD"),
        rule=NOT_NEGATIVE,
    )
    included_pod_metrics: tuple[str, ...] = setting(
        (),
        "Groups of pod metrics that the CRI reports, or all alone.",
        Flag(
            "included-pod-metrics",
            "CONTAINER_INCLUDED_POD_METRICS",
            env_aliases=("CONTAINER_INCLUDED_POD_METRCIS",),
        ),
    )
