"""What Prometheus reads, as its own parser understands it: CRI-O's names, the daemon's facts, bounded labels."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from crio.core.image.errors import ManifestUnknown, RegistryUnavailable
from crio.core.image.mediatypes import OCI_LAYER
from crio.core.settings.metrics import ALL_COLLECTORS, COLLECTORS
from crio.host.pull.progress import LayerProgress, LayerState, PullEnd, PullProgress, PullState
from crio.ops.meter import Meter
from crio.status.collectors import MAX_NAMES, MAX_PULLS, MAX_REFERENCE
from crio.status.metrics import WITHOUT_SOURCE, PrometheusMeter

# The reference's table: name without prefix, type, labels.
TABLE = """
image_pulls_layer_size histogram
containers_oom_total counter
processes_defunct gauge
operations_total counter operation
operations_latency_seconds gauge operation
operations_latency_seconds_total summary operation
operations_errors_total counter operation
image_pulls_bytes_total counter mediatype size
image_pulls_skipped_bytes_total counter size
image_pulls_failure_total counter error
image_pulls_success_total counter
image_layer_reuse_total counter name
containers_oom_count_total counter name
resources_stalled_at_stage counter stage
containers_stopped_monitor_count counter name
default_runtime gauge runtime
"""
PREFIX = "container_runtime_crio_"
GZIP_LAYER = f"{OCI_LAYER}+gzip"
MIB = 1 << 20


def pull(reference: str = "r.example/app:1", *layers: LayerProgress, state: PullState = PullState.LAYERS) -> PullProgress:
    """A pull as the engine shows it."""
    return PullProgress(reference, state, "r.example/app", layers, 1.5)


FETCHED = LayerProgress("sha256:aa", 20 * MIB, 20 * MIB, LayerState.COMMITTED, GZIP_LAYER)
HALF = LayerProgress("sha256:bb", 3 * MIB, MIB, LayerState.FETCHING, GZIP_LAYER)
THERE = LayerProgress("sha256:cc", 2000, 0, LayerState.PRESENT, GZIP_LAYER)


def metered(*active: PullProgress, chosen: tuple[str, ...] = ALL_COLLECTORS) -> PrometheusMeter:
    """A meter of a daemon with these running pulls."""
    meter = PrometheusMeter(chosen)
    meter.watch(lambda: active, lambda: "crun")
    return meter


def happen(meter: Meter) -> None:
    """Everything that can be told, once."""
    meter.on_call("Version", 0.25, False)
    meter.on_call("RunPodSandbox", 2.0, True)
    meter.on_network("network_setup_pod", 0.5)
    meter.on_pull(PullEnd(pull("r.example/app:1", FETCHED, THERE)))
    meter.on_pull(PullEnd(pull("r.example/app:1", HALF), ManifestUnknown("x")))
    meter.on_retry("sandbox network creation")
    meter.on_oom("web")
    meter.on_monitor_lost("web")


def values(meter: PrometheusMeter, defunct: int = 3) -> dict[str, float]:
    """Every sample of ours, written as ``name{label="value"}`` without the prefix."""
    found = {}
    text = meter.exposition(defunct).decode()
    written = set(re.findall(r"^\w+", text, re.MULTILINE))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            # The parser gives every counter an ending; what is written counts.
            bare = sample.name if sample.name in written else sample.name.removesuffix("_total")
            key = bare + (f"{{{labels}}}" if labels else "")
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return {key.removeprefix(PREFIX): value for key, value in found.items() if key.startswith(PREFIX)}


def heads(text: str) -> dict[str, str]:
    """Names and types of ours as the format declares them."""
    return dict(re.findall(rf"^# TYPE {PREFIX}(\S+) (\S+)$", text, re.MULTILINE))


def labels_of(meter: PrometheusMeter) -> Mapping[str, set[str]]:
    """The names of the labels by metric."""
    found: dict[str, set[str]] = {}
    for key in values(meter):
        name, _, labels = key.partition("{")
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_names_types_and_labels_are_those_of_the_reference() -> None:
    meter = metered()
    happen(meter)
    types, labels = heads(meter.exposition(0).decode()), labels_of(meter)
    for line in TABLE.split("\n")[1:-1]:
        name, kind, *wanted = line.split(" ")
        assert types[name] == kind, name
        bare = {"histogram": f"{name}_count", "summary": f"{name}_sum"}.get(kind, name)
        assert labels[bare] == set(wanted), name
    ours = {name for name in types if name.startswith("image_pull_")}
    assert set(types) - ours == {line.split(" ")[0] for line in TABLE.split("\n")[1:-1]} == set(COLLECTORS) - WITHOUT_SOURCE


def test_what_happened_is_counted() -> None:
    meter = metered()
    happen(meter)
    found = values(meter)
    wanted = {
        'operations_total{operation="Version"}': 1,
        'operations_total{operation="RunPodSandbox"}': 1,
        'operations_errors_total{operation="RunPodSandbox"}': 1,
        'operations_latency_seconds{operation="Version"}': 0.25,
        'operations_latency_seconds{operation="network_setup_pod"}': 0.5,
        'operations_latency_seconds_total{operation="RunPodSandbox",quantile="0.5"}': 2.0,
        'operations_latency_seconds_total{operation="RunPodSandbox",quantile="0.9"}': 2.0,
        'operations_latency_seconds_total{operation="RunPodSandbox",quantile="0.99"}': 2.0,
        'operations_latency_seconds_total_count{operation="Version"}': 1,
        'operations_latency_seconds_total_sum{operation="Version"}': 0.25,
        "image_pulls_success_total": 1,
        'image_pulls_failure_total{error="NOT_FOUND"}': 1,
        f'image_pulls_bytes_total{{mediatype="{GZIP_LAYER}",size=">10 MiB"}}': 20 * MIB,
        f'image_pulls_bytes_total{{mediatype="{GZIP_LAYER}",size=">1 MiB"}}': MIB,
        'image_pulls_skipped_bytes_total{size=">1 KiB"}': 2000,
        'image_layer_reuse_total{name="r.example/app:1@sha256:cc"}': 1,
        "image_pulls_layer_size_count": 1,
        "image_pulls_layer_size_sum": 20 * MIB,
        'image_pulls_layer_size_bucket{le="1e+07"}': 0,
        'image_pulls_layer_size_bucket{le="5e+07"}': 1,
        "containers_oom_total": 1,
        'containers_oom_count_total{name="web"}': 1,
        'resources_stalled_at_stage{stage="sandbox network creation"}': 1,
        'containers_stopped_monitor_count{name="web"}': 1,
        'default_runtime{runtime="crun"}': 1,
        "processes_defunct": 3,
    }
    assert {key: found[key] for key in wanted} == wanted
    assert 'operations_errors_total{operation="Version"}' not in found
    meter.on_removed("web")
    left = values(meter)
    assert 'containers_oom_count_total{name="web"}' not in left
    assert left["containers_oom_total"] == 1


def test_the_buckets_of_layers_are_those_of_the_reference() -> None:
    bounds = re.findall(r'layer_size_bucket\{le="([^"]+)"\}', metered().exposition(0).decode())
    assert [float(bound) for bound in bounds] == [1e3, 1e6, 1e7, 5e7, 1e8, 2e8, 3e8, 4e8, 5e8, 1e9, 1e10, math.inf]


def test_only_what_is_chosen_is_shown() -> None:
    meter = metered(pull(), chosen=("operations_total", "containers_events_dropped_total"))
    happen(meter)
    assert set(heads(meter.exposition(0).decode())) == {"operations_total"}


def test_the_daemon_s_own_process_is_shown() -> None:
    text = PrometheusMeter(()).exposition(0).decode()
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info"} <= set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def test_running_pulls_are_shown_and_vanish() -> None:
    running = [pull("r.example/app:1", FETCHED, HALF, THERE)]
    meter = PrometheusMeter(ALL_COLLECTORS)
    meter.watch(lambda: running, lambda: "crun")
    shown = {key: value for key, value in values(meter).items() if key.startswith("image_pull_")}
    image = 'image="r.example/app:1"'
    assert shown == {
        f"image_pull_fetched_bytes{{{image}}}": 21 * MIB,
        f"image_pull_wanted_bytes{{{image}}}": 23 * MIB,
        f"image_pull_stalled_seconds{{{image}}}": 1.5,
        f'image_pull_layers{{{image},state="waiting"}}': 0,
        f'image_pull_layers{{{image},state="present"}}': 1,
        f'image_pull_layers{{{image},state="fetching"}}': 1,
        f'image_pull_layers{{{image},state="unpacked"}}': 0,
        f'image_pull_layers{{{image},state="committed"}}': 1,
    }
    running.clear()
    assert [key for key in values(meter) if key.startswith("image_pull_")] == []


def test_two_pulls_of_one_image_are_one_series() -> None:
    found = values(metered(pull("a/b:1", HALF), pull("a/b:1", FETCHED), pull("a/b:1")))
    assert found['image_pull_fetched_bytes{image="a/b:1"}'] == 20 * MIB


def test_names_of_clients_stay_within_bounds() -> None:
    long = "x" * 10_000
    many = [pull(f"{number}/b:1", HALF) for number in range(MAX_PULLS + 10)]
    found = values(metered(pull(long + "a"), pull(long + "b", HALF), *many))
    images = {key for key in found if key.startswith("image_pull_fetched_bytes")}
    assert len(images) == MAX_PULLS
    assert found[f'image_pull_fetched_bytes{{image="{"x" * MAX_REFERENCE}"}}'] == MIB


def test_a_name_may_hold_anything() -> None:
    odd = 'a"b\\c\nd€{}'
    meter = metered(pull(odd, HALF))
    meter.on_oom(odd)
    (family,) = [one for one in text_string_to_metric_families(meter.exposition(0).decode()) if one.name == f"{PREFIX}containers_oom_count"]
    assert family.samples[0].labels == {"name": odd}


def test_of_too_many_names_the_oldest_goes() -> None:
    meter = metered()
    for number in range(MAX_NAMES):
        meter.on_monitor_lost(f"c{number}")
    meter.on_monitor_lost("c0")
    meter.on_monitor_lost("new")
    found = values(meter)
    assert sum(key.startswith("containers_stopped_monitor_count") for key in found) == MAX_NAMES
    assert found['containers_stopped_monitor_count{name="c0"}'] == 2
    assert 'containers_stopped_monitor_count{name="c1"}' not in found


@pytest.mark.parametrize("media_type", ["", "text/x", f"{OCI_LAYER}+ponies"])
def test_a_media_type_that_is_no_layer_s_is_another(media_type: str) -> None:
    meter = metered()
    meter.on_pull(PullEnd(pull("a/b:1", LayerProgress("sha256:aa", 10, 10, LayerState.COMMITTED, media_type))))
    assert values(meter)['image_pulls_bytes_total{mediatype="other",size=">0 B"}'] == 10


def test_a_layer_of_unknown_size_is_as_large_as_what_came() -> None:
    meter = metered()
    meter.on_pull(PullEnd(pull("a/b:1", LayerProgress("sha256:aa", 0, 2 * MIB, LayerState.COMMITTED))))
    found = values(meter)
    assert found['image_pulls_bytes_total{mediatype="other",size=">1 MiB"}'] == found["image_pulls_layer_size_sum"] == 2 * MIB


def test_a_pull_that_was_called_off_is_no_failure() -> None:
    meter = metered()
    meter.on_pull(PullEnd(pull("a/b:1", HALF), asyncio.CancelledError()))
    meter.on_pull(PullEnd(pull("a/b:1"), RegistryUnavailable("x", "CONNECTION_REFUSED")))
    found = values(meter)
    assert [key for key in found if key.startswith("image_pulls_failure")] == ['image_pulls_failure_total{error="CONNECTION_REFUSED"}']
    assert found["image_pulls_success_total"] == 0
