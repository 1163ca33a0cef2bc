"""``[crio.runtime.workloads.NAME]``: resources for pods with an annotation. Source: crio-interfaces §2.6, §6.4."""

from __future__ import annotations

from dataclasses import dataclass

from crio.core.settings.rules import CPU_LIST, NOT_NEGATIVE
from crio.core.settings.schema import setting, table


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadResources:
    """``[crio.runtime.workloads.NAME.resources]``: what a container gets unless its annotation says otherwise."""

    cpushares: int = setting(0, "CPU shares.", rule=NOT_NEGATIVE)
    cpuquota: int = setting(0, "CPU quota in microseconds of each period.")
    cpuperiod: int = setting(0, "Length of a CPU period in microseconds, at least 1000.", rule=NOT_NEGATIVE)
    cpuset: str = setting("", "List of CPUs.", rule=CPU_LIST)
    cpulimit: int = setting(0, "CPU limit in thousandths of a CPU; it overrides the quota.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of pod, chosen by an annotation."""

    activation_annotation: str = setting("", "Annotation key that puts a pod into this workload; required.")
    annotation_prefix: str = setting("", "Prefix of the annotations that override resources of one container.")
    allowed_annotations: tuple[str, ...] = setting((), "Annotations that have an effect in such a pod.")
    resources: WorkloadResources = table(WorkloadResources, "Resources of the containers of such a pod.")
