"""Records on disk: ``<container directory>/state.json``.

The file has the members that CRI-O writes there (so that its tools and the next runtime can read it) and under ``record`` our own
whole record. It is replaced by rename and not synced: a container does not outlive a reboot, and against the death of the daemon a
rename is enough.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import orjson

from crio.core.codec import Json, decode, encode
from crio.core.lifecycle import ContainerState
from crio.core.records import Container, Sandbox
from crio.core.storage.times import rfc3339_from_ns
from crio.host.files import read_bounded, remove_quietly, write_or_refuse

STATE_FILE = "state.json"
LIMIT_BYTES = 64 << 20
_OCI_STATUS = {
    ContainerState.CREATING: "creating",
    ContainerState.CREATED: "created",
    ContainerState.RUNNING: "running",
    ContainerState.PAUSED: "paused",
    ContainerState.EXITED: "stopped",
    ContainerState.UNKNOWN: "stopped",
}


class DiskJournal:
    """Keeps each record in its container's directory; ``directory_of`` gives it and creates it."""

    def __init__(self, directory_of: Callable[[str], str]) -> None:
        self._directory_of = directory_of
        self._paths: dict[str, str] = {}

    def _path(self, record_id: str) -> str:
        path = self._paths.get(record_id)
        if path is None:
            path = self._paths[record_id] = os.path.join(self._directory_of(record_id), STATE_FILE)
        return path

    def save(self, record: Sandbox | Container) -> None:
        """Write the record; raises ResourceExhausted on a full disk, FailedPrecondition on a read-only one, else Internal."""
        kind = "sandbox" if isinstance(record, Sandbox) else "container"
        document: dict[str, Json] = {"record": {"kind": kind, "value": encode(record)}}
        if isinstance(record, Container):
            document |= _compatible(record)
        write_or_refuse(self._path(record.id), orjson.dumps(document), f"the record of {kind} {record.id}")

    def forget(self, record_id: str) -> None:
        """Remove the record; no error when it is gone."""
        path = self._paths.pop(record_id, None)
        if path is not None:
            with contextlib.suppress(NotADirectoryError):
                remove_quietly(path)

    def read(self, record_id: str) -> Sandbox | Container | None:
        """The record on disk, None when there is none; raises ValueError when it cannot be understood."""
        try:
            body = read_bounded(self._path(record_id), LIMIT_BYTES)
        except FileNotFoundError:
            return None
        document = orjson.loads(body)
        if not isinstance(document, dict) or "record" not in document:
            return None
        record = document["record"]
        kind: type[Sandbox] | type[Container] = Sandbox if record.get("kind") == "sandbox" else Container
        return decode(kind, record.get("value"))


def _compatible(record: Container) -> dict[str, Json]:
    """The members of CRI-O's own state file."""
    members: dict[str, Json] = {
        "ociVersion": "1.0.2",
        "id": record.id,
        "status": _OCI_STATUS[record.state],
        "bundle": record.bundle,
        "annotations": encode(record.annotations),
        "created": rfc3339_from_ns(record.created_at_ns),
        "started": rfc3339_from_ns(record.started_at_ns),
        "finished": rfc3339_from_ns(record.finished_at_ns),
        "oomKilled": record.oom_killed,
        "error": record.message,
    }
    if record.state is ContainerState.EXITED:
        members["exitCode"] = record.exit_code
    if record.process is not None:
        members |= {"pid": record.process.pid, "initPid": record.process.pid, "initStartTime": str(record.process.start_time)}
    if record.monitor is not None:
        members["containerMonitorProcess"] = {"pid": record.monitor.pid, "startTime": str(record.monitor.start_time)}
    return members
