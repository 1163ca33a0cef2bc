"""A real registry for tests: Debian's ``docker-registry`` on a free loopback port, with its own folder."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from test.images.__main__ import push_all
from test.support.waiting import eventually

PROGRAM = "docker-registry"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
MIRRORED = ("registry.k8s.io", "k8s.gcr.io", "gcr.io/k8s-staging-cri-tools")

CONFIG = """version: 0.1
log: {{level: warn, accesslog: {{disabled: {quiet}}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}, cache: {{blobdescriptor: inmemory}}}}
http: {{addr: "{address}"}}
"""

MIRROR = """[[registry]]
prefix = "{prefix}"
location = "{prefix}"
[[registry.mirror]]
location = "{mirror}"
insecure = true

"""


@dataclass(frozen=True, slots=True)
class RunningRegistry:
    """A registry that answers at ``address`` (host:port) over plain HTTP."""

    address: str
    folder: pathlib.Path
    process: subprocess.Popen[bytes]

    def push(self, *references: str) -> None:
        """Upload images of the kit, all of them when none is named."""
        push_all(self.address, references)

    def stop(self) -> None:
        """End the registry and wait for it; a second call does nothing."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def registries_conf(self) -> str:
        """A registries.conf that finds the originals of the kit here, and this registry itself without TLS."""
        text = f'[[registry]]\nlocation = "{self.address}"\ninsecure = true\n\n'
        for prefix in MIRRORED:
            path = prefix.partition("/")[2]
            text += MIRROR.format(prefix=prefix, mirror=f"{self.address}/{path}" if path else self.address)
        return text


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=1)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def start(folder: pathlib.Path, *, access_log: bool = False) -> RunningRegistry:
    """Start a registry with its data below ``folder``; raises AssertionError with its log when it does not come up."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    config = folder / "config.yml"
    config.write_text(CONFIG.format(folder=folder, address=address, quiet="false" if access_log else "true"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "serve", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
            start_new_session=True,
        )
    registry = RunningRegistry(address, folder, process)

    def up() -> bool:
        assert process.poll() is None, f"{PROGRAM} ended with {process.returncode}: {(folder / 'log').read_text()[-2000:]}"
        return _answers(address)

    try:
        eventually(up, START_TIMEOUT_S, f"{PROGRAM} answers at {address}")
    except BaseException:
        registry.stop()
        raise
    return registry


@contextlib.contextmanager
def running(folder: pathlib.Path, *, access_log: bool = False) -> Iterator[RunningRegistry]:
    """``start`` and ``stop`` around a block."""
    registry = start(folder, access_log=access_log)
    try:
        yield registry
    finally:
        registry.stop()
