"""What can be in the way of the metrics server; each is told with the setting, its value and what was expected."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest

from crio.core.errors import CriError
from crio.core.settings.api import ApiSettings
from crio.core.settings.metrics import MetricsSettings
from crio.host.blocking import Blocking
from crio.ops.context import Context
from crio.status.metrics import PrometheusMeter
from crio.status.metrics_server import MetricsServer


@contextlib.asynccontextmanager
async def serving(metrics: MetricsSettings) -> AsyncIterator[None]:
    """A server of a daemon that does nothing."""
    settings = SimpleNamespace(metrics=metrics, api=ApiSettings(), runtime=SimpleNamespace(default_runtime="crun"))
    blocking = Blocking(1)
    members = {"settings": settings, "blocking": blocking, "pulls": SimpleNamespace(active=lambda: ())}
    ctx = SimpleNamespace(**members, meter=PrometheusMeter(metrics.metrics_collectors))
    server = MetricsServer(cast(Context, ctx))
    try:
        await server.start()
        yield
    finally:
        await server.stop()
        blocking.close()


def on_socket(path: pathlib.Path) -> MetricsSettings:
    """A free port, and this socket."""
    return MetricsSettings(metrics_port=0, metrics_socket=str(path))


async def page(path: pathlib.Path) -> str:
    """The metrics as the socket serves them."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://localhost/metrics") as response,
    ):
        return await response.text()


async def test_a_socket_that_a_dead_daemon_left_is_taken_over_and_goes(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new/m.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(on_socket(path)):
        assert 'container_runtime_crio_default_runtime{runtime="crun"} 1.0' in await page(path)
    assert not path.exists()


async def test_with_a_certificate_the_socket_speaks_tls_too(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "m.sock"
    pair = {"metrics_cert": str(tmp_path / "c.pem"), "metrics_key": str(tmp_path / "k.pem")}
    async with serving(dataclasses.replace(on_socket(path), **pair)):
        context = ssl.create_default_context(cafile=pair["metrics_cert"])
        reader, writer = await asyncio.open_unix_connection(path, ssl=context, server_hostname=socket.gethostname())
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert b"container_runtime_crio_processes_defunct" in await reader.read()
        writer.close()
        with pytest.raises(aiohttp.ClientError):
            await page(path)


def _alive(tmp_path: pathlib.Path, stack: contextlib.ExitStack) -> MetricsSettings:
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(tmp_path / "m.sock"))
    listener.listen()
    return on_socket(tmp_path / "m.sock")


def _below_a_file(tmp_path: pathlib.Path, _: contextlib.ExitStack) -> MetricsSettings:
    (tmp_path / "file").write_text("")
    return on_socket(tmp_path / "file/m.sock")


def _no_certificate(tmp_path: pathlib.Path, _: contextlib.ExitStack) -> MetricsSettings:
    (tmp_path / "c.pem").write_text("x")
    return MetricsSettings(metrics_port=0, metrics_cert=str(tmp_path / "c.pem"), metrics_key=str(tmp_path / "c.pem"))


def _port_in_use(_: pathlib.Path, stack: contextlib.ExitStack) -> MetricsSettings:
    taken = stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return MetricsSettings(metrics_port=taken.getsockname()[1])


Obstacle = Callable[[pathlib.Path, contextlib.ExitStack], MetricsSettings]
IN_THE_WAY: dict[str, tuple[Obstacle, str]] = {
    "a port in use": (_port_in_use, r"metrics_port \d+ on '127.0.0.1' cannot be used: address already in use: expected a free port"),
    "an address of another machine": (
        lambda *_: MetricsSettings(metrics_host="192.0.2.1", metrics_port=0),
        "metrics_host '192.0.2.1' cannot be used: cannot assign requested address: expected an address of this machine",
    ),
    "a socket that answers": (_alive, r"another daemon answers on \S+/m.sock: .* \(metrics_socket\)"),
    "a socket below a file": (_below_a_file, "metrics_socket '.*file/m.sock' cannot be used: .*: expected a path for a socket"),
    "a socket's path that is too long": (
        lambda path, _: on_socket(path / ("s" * 100)),
        "metrics_socket '.*' is too long: expected at most 107 bytes",
    ),
    "a certificate that is none": (_no_certificate, "metrics_cert '.*' and metrics_key '.*' cannot be used: .*: expected a certificate"),
}


@pytest.mark.parametrize("case", IN_THE_WAY)
async def test_it_is_named(case: str, tmp_path: pathlib.Path) -> None:
    make, words = IN_THE_WAY[case]
    with contextlib.ExitStack() as stack:
        settings = make(tmp_path, stack)
        with pytest.raises(CriError, match=words):
            async with serving(settings):
                pass
