"""The stage timeline: where the time of each operation went.

An operation opens a ``Timeline`` entry; the code below it marks stages with ``with stage("sandbox network creation")``. The last
entries are kept in a ring and can be asked for by object id or name. Names of stages are those that CRI-O's users know from its
messages. The current entry travels in a context variable, so no function has to pass it on.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

RING_ENTRIES = 10_000


@dataclass(slots=True)
class Span:
    """One stage: nanoseconds of the monotonic clock; ``end_ns`` is 0 while it runs."""

    name: str
    start_ns: int
    end_ns: int = 0


@dataclass(slots=True)
class Entry:
    """One operation: the verb, what it is about, its stages, and how it ended (empty while it runs)."""

    verb: str
    subject: str
    started_at_ns: int
    start_ns: int
    end_ns: int = 0
    outcome: str = ""
    object_id: str = ""
    spans: list[Span] = field(default_factory=list)

    @property
    def current_stage(self) -> str:
        """The stage that runs now, the last one to begin when there are several."""
        running = [span.name for span in self.spans if span.end_ns == 0]
        return running[-1] if running else "unknown"


_current: ContextVar[Entry | None] = ContextVar("timeline_entry", default=None)


class Timeline:
    """The ring of the last operations."""

    def __init__(self, entries: int = RING_ENTRIES) -> None:
        self._ring: deque[Entry] = deque(maxlen=entries)

    @contextlib.contextmanager
    def operation(self, verb: str, subject: str) -> Iterator[Entry]:
        """Record one operation; an exception is its outcome."""
        entry = Entry(verb, subject, time.time_ns(), time.monotonic_ns())
        self._ring.append(entry)
        token = _current.set(entry)
        try:
            yield entry
            entry.outcome = "ok"
        except BaseException as error:
            entry.outcome = f"{type(error).__name__}: {error}"
            raise
        finally:
            entry.end_ns = time.monotonic_ns()
            _current.reset(token)

    def stage_of(self, subject: str) -> str:
        """The stage of the newest operation about a name that still runs; "unknown" when none does."""
        running = (entry for entry in reversed(self._ring) if entry.subject == subject and not entry.outcome)
        return next((entry.current_stage for entry in running), "unknown")

    def about(self, wanted: str) -> tuple[Entry, ...]:
        """Entries about an object, by the start of its id or by its name, oldest first; all for an empty text."""
        return tuple(entry for entry in self._ring if not wanted or entry.object_id.startswith(wanted) or wanted == entry.subject)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Mark a stage of the current operation; does nothing outside one."""
    entry = _current.get()
    if entry is None:
        yield
        return
    span = Span(name, time.monotonic_ns())
    entry.spans.append(span)
    try:
        yield
    finally:
        span.end_ns = time.monotonic_ns()


def name_object(object_id: str) -> None:
    """Say which object the current operation is about, once its id is known."""
    entry = _current.get()
    if entry is not None:
        entry.object_id = object_id
