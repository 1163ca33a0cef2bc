"""The HTTP status API: what the daemon says about itself to people and tools.

Paths, members and status codes are CRI-O's; ``/timeline`` and ``/pulls`` are ours. aiohttp is imported with this module, and this module
only when the first HTTP connection comes: a daemon that nobody asks does not pay for it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import socket
import sys
import traceback
from collections import Counter

import orjson
from aiohttp import web

from crio.core.codec import Json, encode
from crio.core.errors import CriError
from crio.core.lifecycle import STARTED
from crio.core.records import Container, Sandbox
from crio.ops.context import Context
from crio.ops.pause_container import pause_container, resume_container


def _json(document: Json) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")


class StatusApi:
    """The routes; each answers from memory."""

    def __init__(self, ctx: Context, config_text: str) -> None:
        self._ctx = ctx
        self._config_text = config_text

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/info", self.info),
                web.get("/config", self.config),
                web.get("/containers/{id}", self.container),
                web.get("/pause/{id}", self.pause),
                web.get("/unpause/{id}", self.unpause),
                web.get("/debug/goroutines", self.stacks),
                web.get("/debug/heap", self.heap),
                web.get("/timeline", self.timeline),
                web.get("/pulls", self.pulls),
            ]
        )
        return app

    async def info(self, _: web.Request) -> web.Response:
        """The daemon's main facts."""
        settings = self._ctx.settings
        whole: Json = [{"container_id": 0, "host_id": 0, "size": 4294967295}]
        return _json(
            {
                "storage_driver": settings.root.storage_driver,
                "storage_image": settings.root.imagestore,
                "storage_root": settings.root.root,
                "cgroup_driver": self._ctx.cgroups.name,
                "default_id_mappings": {"uids": whole, "gids": whole},
            }
        )

    async def config(self, _: web.Request) -> web.Response:
        """The effective configuration."""
        return web.Response(text=self._config_text, content_type="application/toml")

    async def container(self, request: web.Request) -> web.Response:
        """One container (or a sandbox's own) by its full id."""
        wanted = request.match_info["id"]
        container = self._ctx.table.containers.get(wanted)
        if container is not None:
            return _json(self._container(container))
        sandbox = self._ctx.table.sandboxes.get(wanted)
        if sandbox is not None:
            return _json(self._infra(sandbox))
        raise web.HTTPNotFound(text=f"can't find the container with id {wanted}\n")

    def _container(self, container: Container) -> dict[str, Json]:
        sandbox = self._ctx.table.sandboxes.get(container.sandbox_id)
        return {
            "name": container.name,
            "pid": container.process.pid if container.process and container.state in STARTED else 0,
            "image": container.image_name,
            "image_ref": container.image_ref,
            "created_time": container.created_at_ns,
            "labels": encode(container.config.labels),
            "annotations": encode(container.config.annotations),
            "crio_annotations": encode(container.annotations),
            "log_path": container.log_path,
            "root": container.mountpoint,
            "sandbox": container.sandbox_id,
            "ip_addresses": list(sandbox.ips) if sandbox else [],
            "host_network": sandbox is not None and not sandbox.namespaces.net,
        }

    def _infra(self, sandbox: Sandbox) -> dict[str, Json]:
        pid = sandbox.infra_process.pid if sandbox.infra_process else self._any_pid(sandbox.id)
        return {
            "name": sandbox.name,
            "pid": pid,
            "image": self._ctx.settings.image.pause_image,
            "image_ref": sandbox.pause_image,
            "created_time": sandbox.created_at_ns,
            "labels": encode(sandbox.config.labels),
            "annotations": encode(sandbox.config.annotations),
            "crio_annotations": {},
            "log_path": sandbox.log_directory,
            "root": "",
            "sandbox": sandbox.id,
            "ip_addresses": list(sandbox.ips),
            "host_network": not sandbox.namespaces.net,
        }

    def _any_pid(self, sandbox_id: str) -> int:
        for container in self._ctx.table.containers_of(sandbox_id):
            if container.process is not None and container.state in STARTED:
                return container.process.pid
        return 0

    async def pause(self, request: web.Request) -> web.Response:
        """Freeze a container."""
        return await self._change(request, pause_container)

    async def unpause(self, request: web.Request) -> web.Response:
        """Let a frozen container run again."""
        return await self._change(request, resume_container)

    async def _change(self, request: web.Request, verb: object) -> web.Response:
        wanted = request.match_info["id"]
        if self._ctx.table.containers.get(wanted) is None:
            raise web.HTTPNotFound(text=f"can't find the container with id {wanted}\n")
        assert callable(verb)
        try:
            await verb(self._ctx, wanted)
        except CriError as error:
            raise web.HTTPConflict(text=f"{error.message}\n") from error
        return web.Response(text="200 OK", content_type="text/html")

    async def stacks(self, _: web.Request) -> web.Response:
        """Where every task and thread is right now."""
        parts = []
        for task in asyncio.all_tasks():
            frames = task.get_stack()
            parts.append(f"task {task.get_name()}:\n" + "".join(traceback.format_stack(frames[-1]) if frames else []))
        for number, frame in sys._current_frames().items():
            parts.append(f"thread {number}:\n" + "".join(traceback.format_stack(frame)))
        return web.Response(text="\n".join(parts))

    async def heap(self, _: web.Request) -> web.Response:
        """What lives in memory: objects by type, the most numerous first."""
        counts = Counter(type(item).__qualname__ for item in gc.get_objects())
        lines = [f"{count:>10}  {name}" for name, count in counts.most_common(200)]
        body = "\n".join(["   objects  type", *lines, ""]).encode()
        return web.Response(body=body, content_type="application/octet-stream")

    async def timeline(self, request: web.Request) -> web.Response:
        """The stages of the last operations; ``?about=`` takes the start of an id or a name."""
        entries = self._ctx.timeline.about(request.query.get("about", ""))
        return _json([encode(dataclasses.replace(entry)) for entry in entries])

    async def pulls(self, _: web.Request) -> web.Response:
        """How far the running pulls are."""
        return _json([encode(progress) for progress in self._ctx.pulls.active()])


class StatusServer:
    """Serves the API on a listening socket from the first connection on."""

    def __init__(self, ctx: Context, config_text: str) -> None:
        self._runner = web.AppRunner(StatusApi(ctx, config_text).application(), access_log=None)

    async def start(self, listener: socket.socket) -> None:
        """Begin to accept."""
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """End all connections."""
        await self._runner.cleanup()
