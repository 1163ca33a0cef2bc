"""ReopenContainerLog: the log was moved away, write a new file."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from crio.core.errors import DeadlineExceeded, FailedPrecondition, Internal
from crio.core.lifecycle import ContainerState
from crio.host import inotify, monitor
from crio.ops.context import Context

REOPEN_TIMEOUT_S: Final = 10.0


async def reopen_log(ctx: Context, container_id: str) -> None:
    """Have the monitor open the log anew and wait until the new file is there.

    Raises NotFound, FailedPrecondition (not running), DeadlineExceeded. Source: CRI ReopenContainerLog.
    """
    container = ctx.table.containers.find(container_id)
    if container.state is not ContainerState.RUNNING:
        raise FailedPrecondition(f"cannot reopen the log of container {container.id}: it is {container.state.value}")
    directory, name = os.path.split(container.log_path)
    appeared = asyncio.Event()

    def on_event(_: str, changed: str, mask: int) -> None:
        if changed == name or mask & inotify.IN_Q_OVERFLOW:
            appeared.set()

    watch = inotify.DirectoryWatch(on_event)
    try:
        watch.add(directory, inotify.IN_CREATE | inotify.IN_MOVED_TO)
        monitor.request_log_reopen(container.bundle)
        async with asyncio.timeout(REOPEN_TIMEOUT_S):
            await appeared.wait()
    except TimeoutError as error:
        raise DeadlineExceeded(f"the monitor did not reopen {container.log_path} within {REOPEN_TIMEOUT_S:g} s") from error
    except OSError as error:
        raise Internal(f"cannot watch the log directory {directory}: {error.strerror}") from error
    finally:
        watch.close()
