"""StopContainer: ask, wait, insist.

One loop per container, whoever asks: a second stop joins it, and may bring the deadline forward but never push it back. The loop sends
the stop signal, waits for the exit to be on record until the deadline, then kills. Exits are known from the monitor's exit file and
from pidfds, never from asking whether a pid is gone: a dead container's process may stay a zombie for seconds on some hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
from dataclasses import dataclass
from typing import Final

from crio.core.errors import CriError, Internal, NotFound
from crio.core.lifecycle import ALIVE, ContainerState
from crio.core.records import Container
from crio.host import monitor
from crio.ops import exits
from crio.ops.context import Context
from crio.ops.stages import stage

KILL_WAIT_S: Final = 120.0
KILL_REPEAT_S: Final = 2.0
_NUMBER: Final = re.compile(r"[0-9]{1,3}")
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Stop:
    """A running stop: when patience ends (loop time), and the timer that waits for it."""

    deadline: float
    timer: asyncio.Timeout | None = None


class Stops:
    """The stops that are under way, by container id."""

    def __init__(self) -> None:
        self._running: dict[str, _Stop] = {}

    def begin(self, container_id: str, deadline: float) -> _Stop:
        """The stop of a container, with the earlier of its deadline and ``deadline``."""
        stop = self._running.get(container_id)
        if stop is None:
            stop = self._running[container_id] = _Stop(deadline)
        elif deadline < stop.deadline:
            stop.deadline = deadline
            if stop.timer is not None and not stop.timer.expired():
                stop.timer.reschedule(deadline)
        return stop

    def end(self, container_id: str) -> None:
        """The stop is over."""
        self._running.pop(container_id, None)

    def under_way(self, container_id: str) -> bool:
        """Whether the container is being stopped."""
        return container_id in self._running


STOPS = Stops()


async def stop_container(ctx: Context, container_id: str, timeout_s: float) -> None:
    """Stop a container within ``timeout_s`` seconds of grace; unknown or ended ones are success.

    Raises AmbiguousId and Internal when the process does not die even of KILL. Source: CRI StopContainer.
    """
    container = ctx.table.containers.find_or_none(container_id)
    if container is None or container.state not in ALIVE:
        return
    deadline = asyncio.get_running_loop().time() + max(timeout_s, 0.0)
    stop = STOPS.begin(container.id, deadline)
    await ctx.flights.join(("stop container", container.id), lambda: _carry(ctx, container.id, stop))


async def _carry(ctx: Context, container_id: str, stop: _Stop) -> None:
    try:
        container = ctx.table.containers.get(container_id)
        if container is None or container.state not in ALIVE:
            return
        with ctx.timeline.operation("StopContainer", container.name) as entry:
            entry.object_id = container.id
            await _stop(ctx, container, stop)
    finally:
        STOPS.end(container_id)


async def _stop(ctx: Context, container: Container, stop: _Stop) -> None:
    async with ctx.table.lock(container.id):
        # A start that runs now ends first; what it leaves is what is stopped.
        container = ctx.table.containers.find(container.id)
    if container.state not in ALIVE:
        return
    if container.state is ContainerState.PAUSED:
        await ctx.handlers.get(container.handler).runtime.resume(container.id)
    exited = ctx.table.exited(container.id)
    started = container.state is not ContainerState.CREATED
    if started and stop.deadline > asyncio.get_running_loop().time():
        with stage("container stop signal"):
            await _signal(ctx, container, signal_number(container.stop_signal))
            await _wait_exit(exited, stop)
    if not exited.is_set():
        with stage("container kill"):
            await _kill(ctx, container, exited)


async def _wait_exit(exited: asyncio.Event, stop: _Stop) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(stop.deadline) as stop.timer:
            await exited.wait()
    stop.timer = None


async def _kill(ctx: Context, container: Container, exited: asyncio.Event) -> None:
    end = asyncio.get_running_loop().time() + KILL_WAIT_S
    while not exited.is_set():
        await _signal(ctx, container, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_REPEAT_S):
                await exited.wait()
        if not exited.is_set():
            await exits.check(ctx, container.id)
        if asyncio.get_running_loop().time() > end:
            raise Internal(f"container {container.id} does not die: its process hangs in the kernel")


async def _signal(ctx: Context, container: Container, number: int) -> None:
    if container.process is not None and container.process.start_time and monitor.kill(container.process, number):
        return
    if monitor.is_alive(container.process):
        try:
            await ctx.handlers.get(container.handler).runtime.kill(container.id, number)
        except NotFound:
            return
        except CriError as error:
            log.warning("cannot signal container %s: %s", container.id, error)
        return
    await exits.check(ctx, container.id)


def signal_number(name: str) -> int:
    """The number of a signal name (with or without ``SIG``) or number; TERM when it cannot be understood.

    The name may be an image's and hold anything: what comes out is a signal that the kernel has.
    """
    text = name.strip().upper().removeprefix("SIG")
    if _NUMBER.fullmatch(text) and 0 < int(text) <= signal.SIGRTMAX:
        return int(text)
    for base, start, sign in (("RTMIN", signal.SIGRTMIN, 1), ("RTMAX", signal.SIGRTMAX, -1)):
        rest = text.removeprefix(base).lstrip("+-") or "0"
        if text.startswith(base) and _NUMBER.fullmatch(rest):
            number = start + sign * int(rest)
            return number if signal.SIGRTMIN <= number <= signal.SIGRTMAX else int(signal.SIGTERM)
    found = getattr(signal, f"SIG{text}", None)
    return int(found) if isinstance(found, signal.Signals) else int(signal.SIGTERM)
