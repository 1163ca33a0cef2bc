"""The metrics server: ``/metrics`` on a TCP address and, if there is one, on a Unix socket; both with TLS when a certificate is set.

It starts before the daemon takes requests, so that what is in its way is told to who starts the daemon.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
from typing import TYPE_CHECKING, Final

from aiohttp import web

from crio.core.errors import InvalidArgument
from crio.core.settings.metrics import MetricsSettings
from crio.host.defunct import count_defunct
from crio.host.files import remove_quietly
from crio.host.frontdoor import SOCKET_PATH_MAX, remove_stale_socket
from crio.ops.context import Context
from crio.status.metrics import CONTENT_TYPE, WITHOUT_SOURCE, PrometheusMeter

if TYPE_CHECKING:
    from crio.host.servertls import ServerTls

SHUTDOWN_S: Final = 1.0
log = logging.getLogger(__name__)


class MetricsServer:
    """Serves what the context's meter, a ``PrometheusMeter``, has counted."""

    def __init__(self, ctx: Context) -> None:
        assert isinstance(ctx.meter, PrometheusMeter)
        self._ctx = ctx
        self._meter = ctx.meter
        self._meter.watch(ctx.pulls.active, lambda: ctx.settings.runtime.default_runtime)
        app = web.Application()
        app.add_routes([web.get("/metrics", self.metrics)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        self._tls: ServerTls | None = None
        self._socket_path = ""

    async def metrics(self, _: web.Request) -> web.Response:
        """All that is shown, as it is now."""
        wanted = "processes_defunct" in self._meter.chosen
        defunct = await self._ctx.blocking.run(count_defunct) if wanted else 0
        return web.Response(body=self._meter.exposition(defunct), headers={"Content-Type": CONTENT_TYPE})

    async def start(self) -> None:
        """Listen. Raises InvalidArgument or AlreadyExists naming the setting, its value and what was expected."""
        settings = self._ctx.settings.metrics
        self._tls = self._make_tls(settings)
        context = self._tls.context if self._tls is not None else None
        await self._runner.setup()
        await self._listen(settings, context)
        if settings.metrics_socket:
            await self._listen_unix(settings.metrics_socket, context)
        if missing := sorted(WITHOUT_SOURCE & set(settings.metrics_collectors)):
            log.info("metrics that have no source in this version and are not shown: %s", ", ".join(missing))

    def _make_tls(self, settings: MetricsSettings) -> ServerTls | None:
        if not (settings.metrics_cert and settings.metrics_key):
            return None
        from crio.host.servertls import PairFiles, ServerTls, TlsRules, ensure_pair

        files = PairFiles(settings.metrics_cert, settings.metrics_key, "metrics_cert", "metrics_key")
        ensure_pair(files, settings.metrics_host)
        api = self._ctx.settings.api
        return ServerTls(files, TlsRules(api.tls_min_version, api.tls_cipher_suites))

    async def _listen(self, settings: MetricsSettings, context: ssl.SSLContext | None) -> None:
        host, port = settings.metrics_host, settings.metrics_port
        try:
            await web.TCPSite(self._runner, host or None, port, ssl_context=context).start()
        except OSError as error:
            # asyncio puts words of its own around those of the kernel.
            said = os.strerror(error.errno).lower() if error.errno and not isinstance(error, socket.gaierror) else str(error)
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise InvalidArgument(f"metrics_port {port} on {host!r} cannot be used: {said}: expected a free port") from error
            raise InvalidArgument(f"metrics_host {host!r} cannot be used: {said}: expected an address of this machine") from error
        bound = ", ".join(f"[{name}]:{number}" if ":" in name else f"{name}:{number}" for name, number, *_ in self._runner.addresses)
        log.info("serving metrics on %s by %s", bound, "HTTP" if context is None else "HTTPS")

    async def _listen_unix(self, path: str, context: ssl.SSLContext | None) -> None:
        if len(os.fsencode(path)) > SOCKET_PATH_MAX:
            raise InvalidArgument(f"metrics_socket {path!r} is too long: expected at most {SOCKET_PATH_MAX} bytes")
        try:
            os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
            remove_stale_socket(path, "metrics_socket")
            await web.UnixSite(self._runner, path, ssl_context=context).start()
            self._socket_path = path
            os.chmod(path, 0o660)
        except OSError as error:
            said = error.strerror or str(error)
            raise InvalidArgument(f"metrics_socket {path!r} cannot be used: {said}: expected a path for a socket") from error

    async def stop(self) -> None:
        """End all connections and take the socket away."""
        await self._runner.cleanup()
        if self._tls is not None:
            self._tls.close()
        if self._socket_path:
            remove_quietly(self._socket_path)
