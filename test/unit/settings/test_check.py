"""What is wrong with a configuration as a whole, and what old or special values are translated to."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import timedelta

import pytest

from crio.core.settings.check import check, monitor_cgroup_problem
from crio.core.settings.checkpoint import CheckpointLevel
from crio.core.settings.decode import assemble, decode
from crio.core.settings.findings import Severity
from crio.core.settings.handler import MONITOR_PATH_VARIABLE, RuntimeHandler
from crio.core.settings.metrics import ALL_COLLECTORS, COLLECTORS
from crio.core.settings.runtime import CgroupManager
from crio.core.settings.translate import min_memory_bytes
from crio.core.settings.values import Settings


def _parsed(text: str) -> Settings:
    decoded = decode(tomllib.loads(text))
    assert decoded.findings == []
    return assemble({one.path: one.value for one in decoded.assignments})


def test_the_built_in_configuration_is_fine() -> None:
    checked = check(Settings())
    assert checked.findings == ()
    assert checked.settings == Settings()


W = "[crio.runtime.workloads.w]\n"
A = W + "activation_annotation = 'a'\n"
H = "[crio.runtime.runtimes.h]\n"
ERRORS = {
    "a relative log directory": ("crio.log_dir = 'x'", 'crio.log_dir: bad value "x", expected an absolute path'),
    "a relative artifact store": (
        "crio.runtime.additional_artifact_stores = ['/a', 'b']",
        'crio.runtime.additional_artifact_stores: bad value "b", expected an absolute path',
    ),
    "a negative GOMAXPROCS": (
        "crio.runtime.min_injected_gomaxprocs = -1",
        'crio.runtime.min_injected_gomaxprocs: bad value "-1", expected 0 or more',
    ),
    "a negative grace period": (
        "crio.network.cni_status_grace_period = '-1s'",
        'crio.network.cni_status_grace_period: bad value "-1s", expected 0 or more',
    ),
    "a default runtime without a table": (
        "crio.runtime.default_runtime = 'crum'",
        'crio.runtime.default_runtime: no such runtime handler "crum", expected a table [crio.runtime.runtimes.crum]'
        ' (did you mean "crun"?)',
    ),
    "a small log size": (
        "crio.runtime.log_size_max = 8191",
        'crio.runtime.log_size_max: bad value "8191", expected -1 for no limit, or at least 8192',
    ),
    "a log size of nothing": (
        "crio.runtime.log_size_max = 0",
        'crio.runtime.log_size_max: bad value "0", expected -1 for no limit, or at least 8192',
    ),
    "a workload that nothing activates": (
        W,
        "crio.runtime.workloads.w.activation_annotation: missing value, expected the key of an annotation",
    ),
    "a quota below the shares": (
        A + "resources = { cpuquota = 5, cpushares = 6 }",
        'crio.runtime.workloads.w.resources.cpuquota: bad value "5", expected no less than cpushares',
    ),
    "a short CPU period": (
        A + "resources = { cpuperiod = 999 }",
        'crio.runtime.workloads.w.resources.cpuperiod: bad value "999", expected 1000 or more',
    ),
    "a bad CPU list in a workload": (
        A + "resources = { cpuset = 'x' }",
        'crio.runtime.workloads.w.resources.cpuset: bad value "x", expected a list of CPUs such as 0-3,8',
    ),
    "an unknown annotation in a workload": (
        A + "allowed_annotations = ['devices.crio.oi']",
        'crio.runtime.workloads.w.allowed_annotations: unknown annotation "devices.crio.oi" (did you mean "devices.crio.io"?)',
    ),
    "a pull cgroup that is no slice": (
        "crio.runtime.separate_pull_cgroup = 'x'",
        'crio.runtime.separate_pull_cgroup: bad value "x", expected pod or a name ending in .slice',
    ),
    "TLS without a key": (
        "[crio.api]\nstream_enable_tls = true\nstream_tls_cert = '/c'",
        "crio.api.stream_tls_key: missing value, expected a file, since stream_enable_tls is true",
    ),
    "all metrics and one more": (
        "crio.stats.included_pod_metrics = ['all', 'cpu']",
        'crio.stats.included_pod_metrics: bad value "all,cpu", expected all alone, or names without it',
    ),
    "an unknown pod metric": (
        "crio.stats.included_pod_metrics = ['gpu']",
        'crio.stats.included_pod_metrics: bad value "gpu", expected one of cpu, disk, diskIO, hugetlb, memory, network,'
        ' oom, process, spec, pressure, all (did you mean "cpu"?)',
    ),
    "a default handler that cannot be": (
        "[crio.runtime.runtimes.crun]\nno_sync_log = true\nruntime_type = 'pod'",
        'crio.runtime.runtimes.crun.no_sync_log: bad value "true", expected false unless the type is oci',
    ),
    "a pause image without its registry": (
        "crio.image.pause_image = 'pause:3.10'",
        'crio.image.pause_image: bad value "pause:3.10", expected an image reference with its registry, such as registry.example/name:tag',
    ),
}
WARNINGS = {
    "a short stop timeout": (
        "crio.runtime.ctr_stop_timeout = 5",
        'crio.runtime.ctr_stop_timeout: raised to 30, the value is "5", expected 30 or more',
    ),
    "a short create timeout": (
        H + "container_create_timeout = 5",
        'crio.runtime.runtimes.h.container_create_timeout: raised to 30, the value is "5", expected 30 or more',
    ),
    "a bad memory size": (
        H + "container_min_memory = 'lots'",
        'crio.runtime.runtimes.h.container_min_memory: 12MiB is used instead of the bad value "lots", expected a size such as 12MiB',
    ),
    "suites that TLS 1.3 ignores": (
        "[crio.api]\ntls_min_version = 'VersionTLS13'\ntls_cipher_suites = ['TLS_RSA_WITH_AES_128_CBC_SHA']",
        'crio.api.tls_cipher_suites: without effect, since tls_min_version is VersionTLS13: "TLS_RSA_WITH_AES_128_CBC_SHA"',
    ),
    "a metrics key without a certificate": (
        "crio.metrics.metrics_key = '/k'",
        "crio.metrics.metrics_cert: missing value, so metrics are served without TLS, expected both files or none",
    ),
    "a metrics certificate without a key": (
        "crio.metrics.metrics_cert = '/k'",
        "crio.metrics.metrics_key: missing value, so metrics are served without TLS, expected both files or none",
    ),
    "an unknown collector": (
        "crio.metrics.metrics_collectors = ['operation_total']",
        'crio.metrics.metrics_collectors: unknown collector "operation_total", expected one of '
        f'{", ".join(ALL_COLLECTORS)} (did you mean "operations_total"?)',
    ),
}
DROPPED = {
    "a VM program of another kind": (
        H + "runtime_type = 'vm'\nruntime_path = '/bin/kata'",
        'crio.runtime.runtimes.h.runtime_path: handler is not used: bad value "/bin/kata", expected containerd-shim-NAME',
    ),
    "a VM configuration for an OCI runtime": (
        H + "runtime_config_path = '/x'",
        'crio.runtime.runtimes.h.runtime_config_path: handler is not used: bad value "/x", expected no value unless the type is vm',
    ),
    "websockets without conmon-rs": (
        H + "stream_websockets = true",
        'crio.runtime.runtimes.h.stream_websockets: handler is not used: bad value "true", expected false unless the type is pod',
    ),
    "a relative monitor": (
        H + "monitor_path = 'conmon'",
        'crio.runtime.runtimes.h.monitor_path: handler is not used: bad value "conmon", expected an absolute path',
    ),
    "a monitor cgroup that is no slice": (
        H + "monitor_cgroup = 'x'",
        'crio.runtime.runtimes.h.monitor_cgroup: handler is not used: bad value "x", expected pod or a name ending in .slice',
    ),
    "an unknown annotation": (
        H + "allowed_annotations = ['zzz']",
        'crio.runtime.runtimes.h.allowed_annotations: handler is not used: unknown annotation "zzz"',
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_found(case: str) -> None:
    text, sentence = ERRORS[case]
    [finding] = check(_parsed(text)).findings
    assert str(finding) == sentence and finding.severity is Severity.ERROR


@pytest.mark.parametrize("case", WARNINGS)
def test_a_warning_is_given(case: str) -> None:
    text, sentence = WARNINGS[case]
    [finding] = check(_parsed(text)).findings
    assert str(finding) == sentence and finding.severity is Severity.WARNING


@pytest.mark.parametrize("case", DROPPED)
def test_a_handler_that_cannot_be_is_dropped(case: str) -> None:
    text, sentence = DROPPED[case]
    checked = check(_parsed(text))
    [finding] = checked.findings
    assert str(finding) == sentence and finding.severity is Severity.WARNING
    assert list(checked.settings.runtime.runtimes) == ["crun"]


ACCEPTED = {
    "a VM handler": H + "runtime_type = 'vm'\nruntime_path = '/bin/containerd-shim-kata-v2'\nruntime_config_path = '/c'",
    "an empty type": H + "runtime_type = ''\nno_sync_log = true",
    "a VM handler without a program": H + "runtime_type = 'vm'\nmonitor_cgroup = 'not looked at'",
    "a pod handler with websockets": H + "runtime_type = 'pod'\nstream_websockets = true",
    "a slice for the monitor": H + "monitor_cgroup = 'x.slice'",
    "all metrics": "crio.stats.included_pod_metrics = ['all']",
    "some metrics": "crio.stats.included_pod_metrics = ['cpu', 'diskIO']",
    "a slice for pulls": "crio.runtime.separate_pull_cgroup = 'x.slice'",
    "the pod's cgroup for pulls": "crio.runtime.separate_pull_cgroup = 'pod'",
    "a large enough log": "crio.runtime.log_size_max = 8192",
    "TLS with both files": "[crio.api]\nstream_enable_tls = true\nstream_tls_cert = '/c'\nstream_tls_key = '/k'",
    "metrics with both files": "[crio.metrics]\nmetrics_cert = '/c'\nmetrics_key = '/k'",
    "a workload": A + "allowed_annotations = ['devices.crio.io']\nresources = { cpuperiod = 1000, cpuset = '0' }",
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_nothing_is_found(case: str) -> None:
    assert check(_parsed(ACCEPTED[case])).findings == ()


@pytest.mark.parametrize(
    ("cgroup", "manager", "is_fine"),
    [
        ("", CgroupManager.CGROUPFS, True),
        ("pod", CgroupManager.CGROUPFS, True),
        ("system.slice", CgroupManager.CGROUPFS, False),
        ("", CgroupManager.SYSTEMD, True),
        ("pod", CgroupManager.SYSTEMD, True),
        ("system.slice", CgroupManager.SYSTEMD, True),
        ("/x", CgroupManager.SYSTEMD, False),
    ],
)
def test_the_cgroup_of_the_monitor_fits_the_manager(cgroup: str, manager: CgroupManager, is_fine: bool) -> None:
    assert (monitor_cgroup_problem(cgroup, manager) == "") is is_fine


OLD = "[crio.runtime]\nconmon = '/c'\nconmon_cgroup = 'pod'\nconmon_env = ['A=1']\n[crio.runtime.runtimes.vm]\nruntime_type = 'vm'"
TRANSLATIONS: dict[str, tuple[str, Callable[[Settings], object], object]] = {
    "no CRIU": (
        "crio.runtime.enable_criu_support = false",
        lambda s: s.checkpoint.container_level_enabled,
        CheckpointLevel.NONE,
    ),
    "the old plugin directory": (
        "[crio.network]\nplugin_dir = '/old'\nplugin_dirs = ['/new']",
        lambda s: (s.network.plugin_dirs, s.network.plugin_dir),
        (("/new", "/old"), ""),
    ),
    "the old monitor for OCI handlers": (
        OLD,
        lambda s: (
            s.runtime.runtimes["crun"].monitor_path,
            s.runtime.runtimes["crun"].monitor_cgroup,
            s.runtime.runtimes["crun"].monitor_env,
        ),
        ("/c", "pod", ("A=1",)),
    ),
    "the old monitor for others": (OLD, lambda s: s.runtime.runtimes["vm"].monitor_path, ""),
    "the old monitor keys afterwards": (
        OLD,
        lambda s: (s.runtime.conmon, s.runtime.conmon_cgroup, s.runtime.conmon_env),
        ("", "", ()),
    ),
    "a default environment of the monitor": (
        "",
        lambda s: s.runtime.runtimes["crun"].monitor_env,
        (MONITOR_PATH_VARIABLE,),
    ),
    "a name instead of an address": ("crio.api.stream_address = 'host'", lambda s: s.api.stream_address, ""),
    "an address": ("crio.api.stream_address = '::1'", lambda s: s.api.stream_address, "::1"),
    "no message size": (
        "crio.api.grpc_max_send_msg_size = 0\ncrio.api.grpc_max_recv_msg_size = 5",
        lambda s: (s.api.grpc_max_send_msg_size, s.api.grpc_max_recv_msg_size),
        (83886080, 5),
    ),
    "prefixes of collectors": (
        "crio.metrics.metrics_collectors = ['container_runtime_crio_operations_total', 'crio_processes_defunct']",
        lambda s: s.metrics.metrics_collectors,
        ("operations_total", "processes_defunct"),
    ),
    "no default runtime": ("crio.runtime.default_runtime = ''", lambda s: s.runtime.default_runtime, "crun"),
    "capabilities in other spellings": (
        "crio.runtime.default_capabilities = ['cap_kill', 'CHOWN', '']",
        lambda s: s.runtime.default_capabilities,
        ("KILL", "CHOWN"),
    ),
    "empty sysctls": (
        "crio.runtime.default_sysctls = ['', 'a=b']",
        lambda s: s.runtime.default_sysctls,
        ("a=b",),
    ),
    "a stop timeout": ("crio.runtime.ctr_stop_timeout = 31", lambda s: s.runtime.ctr_stop_timeout, 31),
    "a handler that inherits": (
        "[crio.runtime.runtimes.crun]\nruntime_path = '/p'\nruntime_root = '/r'\n"
        "[crio.runtime.runtimes.h]\ninherit_default_runtime = true\nno_sync_log = true",
        lambda s: (
            s.runtime.runtimes["h"].runtime_path,
            s.runtime.runtimes["h"].runtime_root,
            s.runtime.runtimes["h"].no_sync_log,
        ),
        ("/p", "/r", True),
    ),
    "an idle timeout": (
        "crio.api.stream_idle_timeout = '30m'",
        lambda s: s.api.effective_stream_idle_timeout,
        timedelta(minutes=30),
    ),
    "no idle timeout": ("", lambda s: s.api.effective_stream_idle_timeout, timedelta(hours=4)),
}


@pytest.mark.parametrize("case", TRANSLATIONS)
def test_a_value_is_translated(case: str) -> None:
    text, look, expected = TRANSLATIONS[case]
    assert look(check(_parsed(text)).settings) == expected


def test_inheriting_from_a_runtime_that_is_missing_changes_nothing() -> None:
    text = "[crio.runtime]\ndefault_runtime = 'x'\n" + H + "inherit_default_runtime = true\nruntime_path = '/h'"
    assert check(_parsed(text)).settings.runtime.runtimes["h"].runtime_path == "/h"


@pytest.mark.parametrize(
    ("name", "text", "size_bytes"),
    [("crun", "", 512000), ("runc", "", 12582912), ("crun", "1MiB", 1048576), ("runc", "6MB", 6291456)],
)
def test_the_least_memory_of_a_container(name: str, text: str, size_bytes: int) -> None:
    assert min_memory_bytes(name, RuntimeHandler(container_min_memory=text)) == size_bytes


def test_a_memory_size_of_nothing_means_the_default() -> None:
    checked = check(_parsed(H + "container_min_memory = '0'"))
    assert checked.settings.runtime.runtimes["h"].container_min_memory == ""
    assert len(COLLECTORS) == len(set(COLLECTORS)) == 18
