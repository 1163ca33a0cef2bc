"""Whether a configuration makes sense, as far as that can be told without looking at the machine.

``check`` reports everything at once, in the order of the reference (crio-interfaces §2.14): first each value against
its own rule, then the values against each other. Runtime handlers other than the default one are dropped when they are
wrong; everything else that is wrong is an error.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final

from crio.core.settings.api import TlsVersion
from crio.core.settings.convert import describe
from crio.core.settings.findings import Finding, Severity, nearest_name
from crio.core.settings.handler import RuntimeHandler, RuntimeType
from crio.core.settings.known import ALLOWABLE_ANNOTATIONS
from crio.core.settings.metrics import ALL_COLLECTORS
from crio.core.settings.runtime import CgroupManager
from crio.core.settings.schema import Path, TableSchema, schema_of
from crio.core.settings.stats import ALL_POD_METRICS, POD_METRICS
from crio.core.settings.translate import translate
from crio.core.settings.values import TABLES, Settings
from crio.core.settings.workload import Workload

_RUNTIME: Final = ("crio", "runtime")
_RUNTIMES: Final = (*_RUNTIME, "runtimes")
_WORKLOADS: Final = (*_RUNTIME, "workloads")
_VM_PROGRAM: Final = r"containerd-shim-[a-zA-Z0-9\-+]+"
_MIN_LOG_SIZE_BYTES: Final = 8192
_MIN_CPU_PERIOD_US: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """The settings to run with, and what was found. With an error among the findings they must not be used."""

    settings: Settings
    findings: tuple[Finding, ...]


def check(settings: Settings) -> Checked:
    """Translate what is deprecated, drop handlers that cannot be used, and report everything that is wrong."""
    findings: list[Finding] = []
    translated = translate(settings, findings)
    findings += _rule_findings(translated)
    for one in _CHECKS:
        findings += one(translated)
    bad_handlers = _handler_findings(translated)
    findings += [finding for found in bad_handlers.values() for finding in found]
    return Checked(_without_handlers(translated, bad_handlers), tuple(findings))


def monitor_cgroup_problem(monitor_cgroup: str, manager: CgroupManager) -> str:
    """What ``monitor_cgroup`` should have been under this cgroup manager, or "" if it is fine."""
    if manager is CgroupManager.CGROUPFS:
        return "" if monitor_cgroup in ("", "pod") else "pod, or empty, with the cgroupfs manager"
    return "" if monitor_cgroup in ("", "pod") or monitor_cgroup.endswith(".slice") else "pod or a name ending in .slice"


def _rule_findings(settings: Settings) -> Iterator[Finding]:
    for table in TABLES.values():
        yield from _table_findings(schema_of(table.table_type, table.path), getattr(settings, table.attribute))
    for name, workload in settings.runtime.workloads.items():
        yield from _table_findings(schema_of(Workload, (*_WORKLOADS, name)), workload)


def _table_findings(schema: TableSchema, values: object) -> Iterator[Finding]:
    for setting in schema.settings:
        if setting.rule is not None:
            for text in setting.rule.offenders(getattr(values, setting.key)):
                yield _error(setting.path, "bad value", text, setting.rule.expected)
    for sub in schema.sub_tables:
        if sub.is_single:
            yield from _table_findings(schema_of(sub.entry_type, sub.path), getattr(values, sub.key))


def _check_default_runtime(settings: Settings) -> Iterator[Finding]:
    runtime = settings.runtime
    if runtime.default_runtime not in runtime.runtimes:
        yield _error(
            (*_RUNTIME, "default_runtime"),
            "no such runtime handler",
            runtime.default_runtime,
            f"a table [{'.'.join(_RUNTIMES)}.{runtime.default_runtime}]",
            nearest_name(runtime.default_runtime, runtime.runtimes),
        )


def _check_log_size(settings: Settings) -> Iterator[Finding]:
    if 0 <= settings.runtime.log_size_max < _MIN_LOG_SIZE_BYTES:
        size = str(settings.runtime.log_size_max)
        yield _error((*_RUNTIME, "log_size_max"), "bad value", size, "-1 for no limit, or at least 8192")


def _check_workloads(settings: Settings) -> Iterator[Finding]:
    for name, workload in settings.runtime.workloads.items():
        path = (*_WORKLOADS, name)
        resources = workload.resources
        if not workload.activation_annotation:
            yield _error((*path, "activation_annotation"), "missing value", None, "the key of an annotation")
        if resources.cpuquota and resources.cpuquota < resources.cpushares:
            quota = str(resources.cpuquota)
            yield _error((*path, "resources", "cpuquota"), "bad value", quota, "no less than cpushares")
        if 0 < resources.cpuperiod < _MIN_CPU_PERIOD_US:
            period = str(resources.cpuperiod)
            yield _error((*path, "resources", "cpuperiod"), "bad value", period, "1000 or more")
        yield from _annotation_findings(path, workload.allowed_annotations, Severity.ERROR)


def _check_pull_cgroup(settings: Settings) -> Iterator[Finding]:
    cgroup = settings.runtime.separate_pull_cgroup
    if cgroup and cgroup != "pod" and not cgroup.endswith(".slice"):
        expected = "pod or a name ending in .slice"
        yield _error((*_RUNTIME, "separate_pull_cgroup"), "bad value", cgroup, expected)


def _check_tls(settings: Settings) -> Iterator[Finding]:
    api, metrics = settings.api, settings.metrics
    if api.stream_enable_tls:
        for key, value in (("stream_tls_cert", api.stream_tls_cert), ("stream_tls_key", api.stream_tls_key)):
            if not value:
                yield _error(("crio", "api", key), "missing value", None, "a file, since stream_enable_tls is true")
    if api.tls_min_version is TlsVersion.TLS13 and api.tls_cipher_suites:
        suites = describe(api.tls_cipher_suites)
        path = ("crio", "api", "tls_cipher_suites")
        yield _warning(path, "without effect, since tls_min_version is VersionTLS13:", suites)
    if bool(metrics.metrics_cert) != bool(metrics.metrics_key):
        missing = "metrics_key" if metrics.metrics_cert else "metrics_cert"
        path = ("crio", "metrics", missing)
        yield _warning(path, "missing value, so metrics are served without TLS", None, "both files or none")


def _check_collectors(settings: Settings) -> Iterator[Finding]:
    for name in settings.metrics.metrics_collectors:
        if name not in ALL_COLLECTORS:
            path = ("crio", "metrics", "metrics_collectors")
            # A warning: files written for older releases name collectors that are no more, and must not stop a node.
            finding = _warning(path, "unknown collector", name, "one of " + ", ".join(ALL_COLLECTORS))
            yield dataclasses.replace(finding, nearest=nearest_name(name, ALL_COLLECTORS))


def _check_pod_metrics(settings: Settings) -> Iterator[Finding]:
    path = ("crio", "stats", "included_pod_metrics")
    groups = settings.stats.included_pod_metrics
    if ALL_POD_METRICS in groups and len(groups) > 1:
        yield _error(path, "bad value", describe(groups), "all alone, or names without it")
    for name in groups:
        if name != ALL_POD_METRICS and name not in POD_METRICS:
            names = (*POD_METRICS, ALL_POD_METRICS)
            yield _error(path, "bad value", name, "one of " + ", ".join(names), nearest_name(name, names))


_CHECKS: Final[tuple[Callable[[Settings], Iterator[Finding]], ...]] = (
    _check_default_runtime,
    _check_log_size,
    _check_workloads,
    _check_pull_cgroup,
    _check_tls,
    _check_collectors,
    _check_pod_metrics,
)


def _handler_findings(settings: Settings) -> dict[str, tuple[Finding, ...]]:
    """What is wrong with each handler: errors for the default one, warnings for others, which are dropped for it."""
    runtime = settings.runtime
    found: dict[str, tuple[Finding, ...]] = {}
    for name, handler in runtime.runtimes.items():
        is_default = name == runtime.default_runtime
        severity = Severity.ERROR if is_default else Severity.WARNING
        problems = tuple(_one_handler(name, handler, runtime.cgroup_manager, severity))
        if problems:
            dropped = "" if is_default else "handler is not used: "
            found[name] = tuple(dataclasses.replace(one, problem=dropped + one.problem) for one in problems)
    return found


def _one_handler(name: str, handler: RuntimeHandler, manager: CgroupManager, severity: Severity) -> Iterator[Finding]:
    path = (*_RUNTIMES, name)
    for finding in _table_findings(schema_of(RuntimeHandler, path), handler):
        yield dataclasses.replace(finding, severity=severity)
    yield from _annotation_findings(path, handler.allowed_annotations, severity)
    is_vm, is_oci, is_pod = (handler.runtime_type is one for one in (RuntimeType.VM, RuntimeType.OCI, RuntimeType.POD))
    program = handler.runtime_path.rsplit("/", 1)[-1]
    cgroup_problem = monitor_cgroup_problem(handler.monitor_cgroup, manager) if is_oci else ""
    conditions = (
        ("runtime_path", is_vm and bool(program) and not re.fullmatch(_VM_PROGRAM, program), "containerd-shim-NAME"),
        ("runtime_config_path", bool(handler.runtime_config_path) and not is_vm, "no value unless the type is vm"),
        ("no_sync_log", handler.no_sync_log and not is_oci, "false unless the type is oci"),
        ("stream_websockets", handler.stream_websockets and not is_pod, "false unless the type is pod"),
        ("monitor_cgroup", bool(cgroup_problem), cgroup_problem),
    )
    for key, is_wrong, expected in conditions:
        if is_wrong:
            value = describe(getattr(handler, key))
            yield Finding(severity=severity, path=(*path, key), problem="bad value", value=value, expected=expected)


def _annotation_findings(path: Path, annotations: tuple[str, ...], severity: Severity) -> Iterator[Finding]:
    for name in annotations:
        if name not in ALLOWABLE_ANNOTATIONS:
            yield Finding(
                severity=severity,
                path=(*path, "allowed_annotations"),
                problem="unknown annotation",
                value=name,
                nearest=nearest_name(name, ALLOWABLE_ANNOTATIONS),
            )


def _without_handlers(settings: Settings, bad: dict[str, tuple[Finding, ...]]) -> Settings:
    runtime = settings.runtime
    good = {name: handler for name, handler in runtime.runtimes.items() if name not in bad or name == runtime.default_runtime}
    if len(good) == len(runtime.runtimes):
        return settings
    return dataclasses.replace(settings, runtime=dataclasses.replace(runtime, runtimes=MappingProxyType(good)))


def _error(path: Path, problem: str, value: str | None, expected: str, nearest: str = "") -> Finding:
    return Finding(severity=Severity.ERROR, path=path, problem=problem, value=value, expected=expected, nearest=nearest)


def _warning(path: Path, problem: str, value: str | None, expected: str = "") -> Finding:
    return Finding(severity=Severity.WARNING, path=path, problem=problem, value=value, expected=expected)
