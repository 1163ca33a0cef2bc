"""The metrics of a running daemon, read as Prometheus reads them: over TCP, a Unix socket and TLS."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from crio.cri import api_pb2 as pb
from test.integration.cri.own import Own, owned
from test.integration.cri.test_daemon import refused_start
from test.integration.pull.ring import blobs_of, fresh_image, proxy_in_thread, pull
from test.support.cri import Cri
from test.support.daemon import Daemon, Options, running
from test.support.faulty_registry import FaultyRegistry
from test.support.registry import RunningRegistry
from test.support.smallimages import Pusher, SmallImage
from test.support.waiting import eventually

pytestmark = pytest.mark.inside
TIMEOUT_S = 20.0
# A slow layer takes two seconds: time enough to look several times.
TRICKLE, PAUSE_S = 40, 0.05
PREFIX = "container_runtime_crio_"
LISTENING = re.compile(r"serving metrics on 127\.0\.0\.1:(\d+) by (HTTPS?)")
METRICS = {"enable_metrics": True, "metrics_host": "127.0.0.1", "metrics_port": 0}


def port_of(daemon: Daemon) -> int:
    """Where the daemon serves metrics, as its log says."""
    found = LISTENING.findall(daemon.log(1 << 20))
    assert found, daemon.log()
    return int(found[-1][0])


def read(connection: http.client.HTTPConnection, path: str = "/metrics") -> http.client.HTTPResponse:
    """One GET; the body is read by the caller."""
    connection.request("GET", path)
    return connection.getresponse()


def scrape(port: int) -> dict[str, float]:
    """Every sample without our prefix, written as ``name{label="value"}``."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)) as connection:
        response = read(connection)
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return samples(response.read().decode())


def samples(text: str) -> dict[str, float]:
    """The samples of a text."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name.removeprefix(PREFIX) + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Ring:
    """A daemon with metrics behind a registry that does as it is told."""

    own: Own
    proxy: FaultyRegistry
    pusher: Pusher

    @property
    def daemon(self) -> Daemon:
        """The daemon."""
        return self.own.daemon

    def put(self, mark: str, image: SmallImage) -> str:
        """The image in the real registry; the reference at the proxy."""
        self.pusher.image("metrics/ring", mark, image)
        return f"{self.proxy.address}/metrics/ring:{mark}"

    def now(self) -> dict[str, float]:
        """The metrics as they are."""
        return scrape(port_of(self.daemon))


@pytest.fixture(scope="module")
def ring(registry: RunningRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    """One daemon for the tests that only look."""
    folder = tmp_path_factory.mktemp("metrics")
    metrics = {**METRICS, "metrics_socket": str(folder / "metrics.sock")}
    with proxy_in_thread(registry.address) as proxy:
        insecure = f'\n[[registry]]\nlocation = "{proxy.address}"\ninsecure = true\n'
        options = Options(registries_conf=registry.registries_conf() + insecure, tables={"crio.metrics": metrics})
        with owned(registry, folder, options) as own:
            # The bridge comes with the first pod and stays.
            with own.pods() as pods:
                pods.run()
                pods.close()
            yield Ring(own, proxy, Pusher(registry.address))


def test_calls_are_counted_by_name_and_outcome(ring: Ring) -> None:
    before = ring.now()
    with Cri(ring.daemon.socket, TIMEOUT_S) as cri:
        cri.runtime.Version(pb.VersionRequest())
        with pytest.raises(grpc.RpcError):
            cri.runtime.ContainerStatus(pb.ContainerStatusRequest(container_id="f" * 64))
    after = ring.now()
    version, status = '{operation="Version"}', '{operation="ContainerStatus"}'
    assert after[f"operations_total{version}"] == before[f"operations_total{version}"] + 1
    assert after[f"operations_latency_seconds_total_count{version}"] == after[f"operations_total{version}"]
    assert 0 < after[f"operations_latency_seconds{version}"] < TIMEOUT_S
    assert after[f"operations_errors_total{status}"] == 1
    assert f"operations_errors_total{version}" not in after
    assert after['default_runtime{runtime="crun"}'] == 1
    assert after["process_resident_memory_bytes"] > 0


def test_the_progress_of_a_pull_grows_and_vanishes(ring: Ring) -> None:
    image = fresh_image("slow", layers=2)
    reference = ring.put("slow", image)
    ring.proxy.change(blobs_of(image)[1], 0, trickle=TRICKLE, pause_s=PAUSE_S)
    label = f'{{image="{reference}"}}'
    seen: list[float] = []

    def grown() -> bool:
        shown = ring.now()
        value = shown.get(f"image_pull_fetched_bytes{label}", -1.0)
        if value > (seen[-1] if seen else 0):
            seen.append(value)
            assert shown[f"image_pull_wanted_bytes{label}"] == sum(len(layer.blob) for layer in image.layers)
            assert shown[f"image_pull_stalled_seconds{label}"] < TIMEOUT_S
            states = [shown[f'image_pull_layers{{image="{reference}",state="{state}"}}'] for state in ("fetching", "unpacked", "committed")]
            assert sum(states) == 2
        return len(seen) >= 3

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(pull, ring.daemon.socket, reference)
        eventually(grown, TIMEOUT_S, "the progress is seen to grow")
        assert ended.result(TIMEOUT_S).code is None
    after = ring.now()
    assert [key for key in after if key.startswith("image_pull_")] == []
    assert after["image_pulls_success_total"] >= 1
    assert sum(value for key, value in after.items() if key.startswith("image_pulls_bytes_total")) >= len(image.layers[1].blob)


def test_a_failing_pull_is_counted_by_its_reason(ring: Ring) -> None:
    missing = '{error="MANIFEST_UNKNOWN"}'
    before = ring.now().get(f"image_pulls_failure_total{missing}", 0)
    assert pull(ring.daemon.socket, f"{ring.proxy.address}/metrics/nothing:1").code is grpc.StatusCode.NOT_FOUND
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{closed.getsockname()[1]}/a/b:1"
        assert pull(ring.daemon.socket, nobody).code is grpc.StatusCode.UNKNOWN
    after = ring.now()
    assert after[f"image_pulls_failure_total{missing}"] == before + 1
    assert after['image_pulls_failure_total{error="CONNECTION_REFUSED"}'] == 1


def test_a_layer_that_is_there_is_reused(ring: Ring) -> None:
    reference = ring.put("twice", fresh_image("twice", layers=2))
    assert pull(ring.daemon.socket, reference).code is None
    before = ring.now()
    assert pull(ring.daemon.socket, reference).code is None
    after = ring.now()
    reused = [key for key in after if key.startswith(f'image_layer_reuse_total{{name="{reference}@sha256:')]
    assert len(reused) == 2
    assert after["image_pulls_layer_size_count"] == before["image_pulls_layer_size_count"]


def of_containers(ring: Ring, metric: str) -> dict[str, float]:
    """A metric by the container's name in its pod."""
    return {key.split("_")[-5]: value for key, value in ring.now().items() if key.startswith(f"{metric}{{")}


def test_a_container_killed_for_memory_and_a_lost_monitor_are_counted_by_name(ring: Ring) -> None:
    memory = {"resources": {"memory_limit_in_bytes": 32 << 20}}
    with ring.own.pods() as pods:
        pod = pods.run()
        eater, orphan = pod.start("tail", "-c", "300m", "/dev/zero", linux=memory), pod.start()
        assert eater.ended().reason == "OOMKilled"
        state = ring.own.root / "store/overlay-containers" / orphan.id / "userdata/state.json"
        os.kill(json.loads(state.read_text())["containerMonitorProcess"]["pid"], signal.SIGKILL)
        eventually(lambda: of_containers(ring, "containers_stopped_monitor_count_total"), TIMEOUT_S, "the lost monitor is counted")
        assert of_containers(ring, "containers_stopped_monitor_count_total") == {orphan.config.metadata.name: 1}
        assert of_containers(ring, "containers_oom_count_total") == {eater.config.metadata.name: 1}
        pods.close()
    assert of_containers(ring, "containers_oom_count_total") == {}
    shown = ring.now()
    assert shown["containers_oom_total"] == 1
    assert 0 < shown['operations_latency_seconds{operation="network_setup_pod"}'] < TIMEOUT_S


def test_the_socket_says_the_same_to_root_and_its_group(ring: Ring) -> None:
    path = str(ring.daemon.options.tables["crio.metrics"]["metrics_socket"])
    assert oct(pathlib.Path(path).stat().st_mode & 0o777) == "0o660"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(path)
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert set(samples(body.decode())) >= {"processes_defunct", "image_pulls_success_total"}


def test_nothing_else_is_served(ring: Ring) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port_of(ring.daemon), timeout=TIMEOUT_S)) as connection:
        assert read(connection, "/info").status == 404


def test_a_made_certificate_is_served_and_only_the_chosen_collectors(tmp_path: pathlib.Path) -> None:
    cert, key = tmp_path / "tls/cert.pem", tmp_path / "tls/key.pem"
    metrics = {**METRICS, "metrics_cert": str(cert), "metrics_key": str(key), "metrics_collectors": ["crio_operations_total", "ponies"]}
    with running(Options(tables={"crio.metrics": metrics})) as daemon:
        context = ssl.create_default_context(cafile=str(cert))
        with contextlib.closing(
            http.client.HTTPSConnection("127.0.0.1", port_of(daemon), timeout=TIMEOUT_S, context=context)
        ) as connection:
            text = read(connection).read().decode()
        assert set(re.findall(rf"^# TYPE {PREFIX}(\S+)", text, re.MULTILINE)) == {"operations_total"}
        assert re.search(r"crio\.metrics\.metrics_collectors: unknown collector .*ponies.*expected one of", daemon.log(1 << 20))
        assert oct(key.stat().st_mode & 0o777) == "0o600"


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = refused_start(Options(tables={"crio.metrics": {**METRICS, "metrics_port": port}}))
    assert f"metrics_port {port} on '127.0.0.1' cannot be used: address already in use: expected a free port" in words
    assert "Traceback" not in words


def test_without_metrics_nothing_of_them_is_loaded() -> None:
    prefix = (sys.executable, "-I", "-X", "importtime")
    with running(Options(prefix=prefix)) as daemon, Cri(daemon.socket, TIMEOUT_S) as cri:
        cri.runtime.Version(pb.VersionRequest())
        log = daemon.log(1 << 24)
    loaded = set(re.findall(r"^import time:.*\| +(\S+)$", log, re.MULTILINE))
    assert "crio.ops.meter" in loaded
    assert {name for name in loaded if name.startswith(("prometheus_client", "crio.status.", "aiohttp", "cryptography"))} == set()
