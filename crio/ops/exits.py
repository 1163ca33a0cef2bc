"""Exits: a container's first process has ended.

``ExitWatch`` reports exit files and the ends of monitors; here the end is put on record. A container whose monitor died without writing
is seen through its own process: its status is lost and recorded as 255 with a message that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import time
from typing import Final

from crio.core.config import NamespaceMode
from crio.core.errors import CriError
from crio.core.lifecycle import (
    ALIVE,
    ContainerEvent,
    SandboxEvent,
    SandboxState,
    next_container_state,
    next_sandbox_state,
)
from crio.core.records import Container
from crio.host import inotify, monitor, process
from crio.host.files import remove_quietly
from crio.ops.context import Context

LOST_EXIT_CODE: Final = 255
FILE_GRACE_S: Final = 5.0
log = logging.getLogger(__name__)


async def on_monitor_end(ctx: Context, object_id: str) -> None:
    """The monitor ended: put the container's end on record now, or when it comes. Its status is lost then, its end is not."""
    container = ctx.table.containers.get(object_id)
    fd = monitor.open_pid_fd(container.process) if container is not None and container.state in ALIVE else -1
    if fd >= 0:
        try:
            if not monitor.is_alive(container.monitor if container is not None else None):
                log.warning("the monitor of container %s is gone: its exit status will be unknown", object_id)
                if container is not None:
                    ctx.meter.on_monitor_lost(container.name)
                await process.wait_readable(fd)
        finally:
            os.close(fd)
    await check(ctx, object_id)


async def check(ctx: Context, object_id: str) -> None:
    """Look whether a container that is on record as alive has ended, and put that on record. Never waits for a process."""
    container = ctx.table.containers.get(object_id)
    if container is None:
        sandbox = ctx.table.sandboxes.get(object_id)
        if sandbox is not None and sandbox.infra_process and not monitor.is_alive(sandbox.infra_process):
            await on_exit(ctx, object_id)
        return
    if container.state not in ALIVE:
        return
    if monitor.read_exit_code(_exit_files(ctx, object_id)) is not None:
        await on_exit(ctx, object_id)
        return
    if not monitor.is_alive(container.process):
        await on_exit(ctx, object_id)


async def on_exit(ctx: Context, object_id: str) -> None:
    """Record the end of a container or of a sandbox's infra process. May be called more than once."""
    if ctx.table.containers.get(object_id) is None:
        _infra_exit(ctx, object_id)
        # Also for an object that was undone before its monitor wrote: nobody will ask for this file any more.
        remove_quietly(os.path.join(ctx.settings.runtime.container_exits_dir, object_id))
        return
    async with ctx.table.lock(object_id):
        container = ctx.table.containers.get(object_id)
        if container is None or container.state not in ALIVE:
            return
        files = _exit_files(ctx, object_id)
        code = await _exit_code(files, monitor.is_alive(container.monitor))
        if container.config.security.namespaces.pid is not NamespaceMode.CONTAINER:
            # In a shared pid namespace nothing else ends what the first process has left behind.
            ctx.cgroups.kill(container.cgroup_path)
        ended = ctx.table.containers.note(_ended(container, files, code))
        if ended.oom_killed:
            ctx.meter.on_oom(ended.name)
        ctx.table.exited(object_id).set()
        remove_quietly(os.path.join(ctx.settings.runtime.container_exits_dir, object_id))
        try:
            await ctx.blocking.run(ctx.store.unmount, object_id)
        except CriError as error:
            log.warning("container %s has ended and stays mounted until its removal: %s", object_id, error)


def _exit_files(ctx: Context, container_id: str) -> tuple[str, str]:
    return monitor.exit_files(container_id, ctx.store.container_dir(container_id), ctx.settings.runtime.container_exits_dir)


async def _exit_code(files: tuple[str, str], monitor_lives: bool) -> int | None:
    code = monitor.read_exit_code(files)
    if code is not None or not monitor_lives:
        return code
    watch_end = asyncio.get_running_loop().time() + FILE_GRACE_S
    appeared = asyncio.Event()
    watch = inotify.DirectoryWatch(lambda *_: appeared.set())
    try:
        for path in files:
            watch.add(os.path.dirname(path), inotify.IN_MOVED_TO | inotify.IN_CLOSE_WRITE)
        while (code := monitor.read_exit_code(files)) is None:
            left = watch_end - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await appeared.wait()
            appeared.clear()
        return code
    except OSError:
        return None
    finally:
        watch.close()


def _ended(container: Container, files: tuple[str, str], code: int | None) -> Container:
    lost = code is None or code < 0
    return dataclasses.replace(
        container,
        state=next_container_state(container.id, container.state, ContainerEvent.EXIT),
        finished_at_ns=monitor.exit_time_ns(files) or time.time_ns(),
        exit_code=LOST_EXIT_CODE if code is None or code < 0 else code,
        oom_killed=monitor.was_oom_killed(container.bundle, os.path.dirname(files[0])),
        message="the exit status is lost: the monitor ended before it could write it" if lost else container.message,
    )


def _infra_exit(ctx: Context, sandbox_id: str) -> None:
    sandbox = ctx.table.sandboxes.get(sandbox_id)
    if sandbox is None or sandbox.infra_process is None or sandbox.state is SandboxState.CREATING:
        return
    state = next_sandbox_state(sandbox.id, sandbox.state, SandboxEvent.INFRA_EXIT)
    if state is not sandbox.state:
        log.warning("the infra process of sandbox %s ended: the sandbox is no longer ready", sandbox_id)
        ctx.table.sandboxes.note(dataclasses.replace(sandbox, state=state))
    ctx.table.exited(sandbox_id).set()
