"""Watching for ends: the directory of exit files, and the monitors themselves.

conmon renames ``<exits dir>/<id>`` into place when a container ends. A monitor that dies without doing so is seen through a pidfd.
Both are only hints: the receiver looks at the facts and may be called more than once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Coroutine
from typing import Any

from crio.core.records import ProcessRef
from crio.host import inotify, monitor, process

Receiver = Callable[[str], Coroutine[Any, Any, None]]
_ID = re.compile(r"[0-9a-f]{64}")
log = logging.getLogger(__name__)


class ExitWatch:
    """Starts ``on_exit_file(name)`` and ``on_monitor_end(id)`` as tasks of ``group``; ``begin`` gives the receivers."""

    def __init__(self, directory: str, group: asyncio.TaskGroup) -> None:
        self._directory = directory
        self._group = group
        self._monitors: dict[str, asyncio.Task[None]] = {}
        self._watch: inotify.DirectoryWatch | None = None
        self._on_exit_file: Receiver | None = None
        self._on_monitor_end: Receiver | None = None

    def begin(self, on_exit_file: Receiver, on_monitor_end: Receiver) -> None:
        """Watch from now on; names that are in the directory already are reported too."""
        self._on_exit_file, self._on_monitor_end = on_exit_file, on_monitor_end
        self._watch = inotify.DirectoryWatch(self._on_event)
        self._watch.add(self._directory, inotify.IN_MOVED_TO)
        for name in os.listdir(self._directory):
            self._report(name)

    def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.close()
        for task in list(self._monitors.values()):
            task.cancel()

    def watch_monitor(self, object_id: str, reference: ProcessRef | None) -> None:
        """Notice when this monitor ends, whether or not it leaves an exit file."""
        task = self._group.create_task(self._monitor_end(object_id, reference), name=f"monitor of {object_id}")
        self._monitors[object_id] = task
        task.add_done_callback(lambda _: self._monitors.pop(object_id, None))

    def _report(self, name: str) -> None:
        if _ID.fullmatch(name) is None:
            # A monitor's temporary file: it gets its name by rename, and touching it before would cost the exit status.
            return
        assert self._on_exit_file is not None
        self._group.create_task(_receive(self._on_exit_file, name), name=f"exit of {name}")

    def _on_event(self, _: str, name: str, mask: int) -> None:
        for found in os.listdir(self._directory) if mask & inotify.IN_Q_OVERFLOW else [name]:
            self._report(found)

    async def _monitor_end(self, object_id: str, reference: ProcessRef | None) -> None:
        fd = monitor.open_pid_fd(reference)
        if fd >= 0:
            try:
                await process.wait_readable(fd)
            finally:
                os.close(fd)
        process.reap_orphans()
        assert self._on_monitor_end is not None
        await _receive(self._on_monitor_end, object_id)


async def _receive(receiver: Receiver, object_id: str) -> None:
    """The root of a report's task: a bug in it is logged; in the daemon's group it would end the daemon."""
    try:
        await receiver(object_id)
    except Exception:  # the root of a task
        log.exception("the end of %s cannot be put on record", object_id)
