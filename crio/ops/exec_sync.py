"""ExecSync: run a command in a container, wait, and hand over what it printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from crio.core.errors import InvalidArgument, NotFound
from crio.core.lifecycle import ContainerState
from crio.host.files import read_bounded
from crio.host.runtime.oci import ExecRequest, ExecResult
from crio.ops.context import Context
from crio.ops.stages import name_object
from crio.ops.stop_container import STOPS

OUTPUT_LIMIT_BYTES: Final = 16 << 20
SPEC_LIMIT_BYTES: Final = 16 << 20
NO_TIMEOUT_S: Final = 86_400.0 * 365


async def exec_sync(ctx: Context, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
    """Run ``command`` as the container's user; ``timeout_s`` 0 means no limit.

    Output beyond 16 MiB is cut. A command that overstays is killed with all that it started and ``timed_out`` is set. Raises NotFound
    (no such container, not running) and InvalidArgument (no command). Source: CRI ExecSync.
    """
    container = ctx.table.containers.find(container_id)
    if not command:
        raise InvalidArgument("cmd is empty: expected a command to run")
    if container.state is not ContainerState.RUNNING or STOPS.under_way(container.id):
        state = "being stopped" if STOPS.under_way(container.id) else container.state.value
        raise NotFound(f"container {container.id} is not running: it is {state}")
    handler = ctx.handlers.get(container.handler)
    spec = orjson.loads(read_bounded(f"{container.bundle}/config.json", SPEC_LIMIT_BYTES))
    process = {**spec["process"], "args": list(command), "terminal": False}
    with ctx.timeline.operation("ExecSync", container.name):
        name_object(container.id)
        request = ExecRequest(process, timeout_s if timeout_s > 0 else NO_TIMEOUT_S, OUTPUT_LIMIT_BYTES)
        return await handler.runtime.exec(container.id, request)
