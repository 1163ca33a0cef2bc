"""The daemon's table: every sandbox and container as an immutable record.

Readers take the dictionaries as they are and never wait. Writers replace whole records, on disk first, in the loop's thread; an
object's lock keeps two operations on the same object apart, and a sandbox's lock is always taken before that of a container.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from crio.core.errors import AmbiguousId, CriError, NotFound
from crio.core.naming import ID_LENGTH, find_id
from crio.core.records import Container, Sandbox

R = TypeVar("R", Sandbox, Container)
log = logging.getLogger(__name__)


class Journal(Protocol):
    """Where records go to survive the daemon."""

    def save(self, record: Sandbox | Container) -> None:
        """Write the record durably against a crash of this process; raises CriError."""

    def forget(self, record_id: str) -> None:
        """Remove it; no error when it is gone."""


class Shelf(Generic[R]):
    """The records of one kind, by id and by name."""

    def __init__(self, kind: str, journal: Journal) -> None:
        self._kind = kind
        self._journal = journal
        self._by_id: dict[str, R] = {}
        self._by_name: dict[str, str] = {}

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._by_id)

    def put(self, record: R) -> R:
        """Save the record and show it to readers; returns it. Raises CriError when it cannot be saved, and then shows nothing."""
        self._journal.save(record)
        self.load(record)
        return record

    def note(self, record: R) -> R:
        """``put`` for what has happened already: a disk that cannot take it is logged, and the next start finds the fact anew."""
        try:
            return self.put(record)
        except CriError as error:
            log.error("%s: shown, but not kept", error)
            self.load(record)
            return record

    def load(self, record: R) -> None:
        """Show a record that is on disk already."""
        self._by_id[record.id] = record
        self._by_name[record.name] = record.id

    def drop(self, record_id: str) -> None:
        """Forget a record everywhere; nothing happens when it is unknown."""
        record = self._by_id.pop(record_id, None)
        self._journal.forget(record_id)
        if record is not None and self._by_name.get(record.name) == record_id:
            del self._by_name[record.name]

    def get(self, record_id: str) -> R | None:
        """The record with this full id."""
        return self._by_id.get(record_id)

    def of_name(self, name: str) -> R | None:
        """The record with this name."""
        return self._by_id.get(self._by_name.get(name, ""))

    def find(self, wanted: str) -> R:
        """The record whose id starts with ``wanted``; raises NotFound, AmbiguousId or InvalidArgument (empty)."""
        if len(wanted) == ID_LENGTH:
            record = self._by_id.get(wanted)
            if record is None:
                raise NotFound(f"{self._kind} {wanted!r} does not exist")
            return record
        return self._by_id[find_id(self._by_id, wanted, self._kind)]

    def find_or_none(self, wanted: str) -> R | None:
        """Like ``find``, but None for one that does not exist (removal is idempotent)."""
        try:
            return self.find(wanted)
        except AmbiguousId:
            raise
        except NotFound:
            return None

    def all(self) -> tuple[R, ...]:
        """All records, oldest first."""
        return tuple(self._by_id.values())

    def matching(self, wanted: str) -> tuple[R, ...]:
        """All records, or the one that an id filter names; a filter that fits none or several gives none."""
        if not wanted:
            return self.all()
        try:
            return (self.find(wanted),)
        except NotFound:
            return ()


class Table:
    """All that the daemon knows, and the lock of each object."""

    def __init__(self, journal: Journal) -> None:
        self.sandboxes: Shelf[Sandbox] = Shelf("sandbox", journal)
        self.containers: Shelf[Container] = Shelf("container", journal)
        # A lock lives as long as somebody holds it or waits for it: removal itself holds one, so it could not forget it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._exits: dict[str, asyncio.Event] = {}
        self._listeners: list[Callable[[Sandbox | Container], None]] = []

    def lock(self, object_id: str) -> asyncio.Lock:
        """The lock of one sandbox or container."""
        lock = self._locks.get(object_id)
        if lock is None:
            lock = self._locks[object_id] = asyncio.Lock()
        return lock

    def exited(self, object_id: str) -> asyncio.Event:
        """Set when the first process of a container (or the infra process of a sandbox) has ended and its record says so."""
        return self._exits.setdefault(object_id, asyncio.Event())

    def containers_of(self, sandbox_id: str) -> tuple[Container, ...]:
        """The containers of a sandbox, oldest first."""
        return tuple(container for container in self.containers.all() if container.sandbox_id == sandbox_id)

    def drop_sandbox(self, sandbox_id: str) -> None:
        """Forget a sandbox."""
        self.sandboxes.drop(sandbox_id)
        self._exits.pop(sandbox_id, None)

    def drop_container(self, container_id: str) -> None:
        """Forget a container."""
        self.containers.drop(container_id)
        self._exits.pop(container_id, None)


def reason_of(error: BaseException) -> str:
    """The sentence of an expected error, or the name and text of a bug, for a record's message."""
    return error.message if isinstance(error, CriError) else f"{type(error).__name__}: {error}"
