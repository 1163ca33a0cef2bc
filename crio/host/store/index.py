"""One index of the store (layers, images or containers): its lock files, its JSON files, and the table in memory.

Reading answers from the last table as long as the tokens and the files' stamps are those of the last load: a few system calls,
no lock. Writing holds the locks, edits a copy, and saves: new file beside the old one, token, rename, then the new table in
memory. A save that fails forgets the table, so that the next look loads what the disk says.

An index may have several files under one or two locks: stable and volatile records, and those of a split image store.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import orjson

from crio.core.storage.codec import records_of
from crio.core.storage.jsonvalue import DamagedStore, JsonValue
from crio.host.store.lockfile import HeldLock, LockFile
from crio.host.store.rewrite import Rewriter

Stamp = tuple[int, int, int] | None


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=_Identified)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One JSON file of an index, the number of the lock that guards it, and whether its records outlive the machine.

    ``ordered``: the file system keeps a replaced file whole without fsync (``renames_are_ordered``).
    """

    path: str
    lock: int = 0
    durable: bool = True
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Codec(Generic[R, T]):
    """How records of one kind are read, written, put in a table and got back, by file. ``unfinished`` ones nobody may see."""

    decode: Callable[[JsonValue, str], R]
    encode: Callable[[R], dict[str, JsonValue]]
    table: Callable[[Sequence[tuple[R, ...]]], T]
    sources: Callable[[T], tuple[tuple[R, ...], ...]]
    unfinished: Callable[[R], bool]


@dataclass(frozen=True, slots=True)
class _Snapshot(Generic[T]):
    table: T
    tokens: tuple[bytes, ...]
    stamps: tuple[Stamp, ...]


class Index(Generic[R, T]):
    """One index. ``drop`` removes the data of an unfinished record; it is called with the locks held for writing."""

    def __init__(
        self,
        locks: Sequence[LockFile],
        files: Sequence[IndexFile],
        codec: Codec[R, T],
        drop: Callable[[R], None] | None = None,
    ) -> None:
        self._locks = tuple(locks)
        self._files = tuple(files)
        self._rewriters = tuple(Rewriter(file.path) for file in files)
        self._codec = codec
        self._drop = drop
        self._snapshot: _Snapshot[T] | None = None
        self._encoded: dict[str, tuple[R, bytes]] = {}
        self._unfinished: tuple[R, ...] = ()
        self._holder: tuple[int, Callable[[], T]] | None = None

    def view(self) -> T:
        """Return the table as it is now. Takes the locks only when somebody else has written, never in a thread that has them."""
        holder = self._holder
        if holder is not None and holder[0] == threading.get_ident():
            return holder[1]()
        snapshot = self._snapshot
        if snapshot is not None and self._is_current(snapshot):
            return snapshot.table
        with self.reading() as table:
            return table

    @contextlib.contextmanager
    def reading(self) -> Iterator[T]:
        """Hold the locks for reading and give the table."""
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(lock.reading()) for lock in self._locks]
            table = self._load(held)
            if self._drop is None or not self._unfinished:
                with self._holding(lambda: table):
                    yield table
                return
        with self.writing() as edit:
            yield edit.table

    @contextlib.contextmanager
    def writing(self) -> Iterator[Edit[R, T]]:
        """Hold the locks for writing and give an edit. Only ``Edit.save`` writes; without it nothing changes."""
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(lock.writing()) for lock in self._locks]
            table = self._load(held)
            edit = Edit(self, held, table, self._codec.sources(table))
            self._drop_unfinished(edit)
            with self._holding(lambda: edit.table):
                yield edit

    def close(self) -> None:
        """Forget the table and close what is kept open."""
        self._snapshot = None
        for lock in self._locks:
            lock.close()

    def save(self, held: Sequence[HeldLock], sources: Sequence[tuple[R, ...]], changed: frozenset[int], *, settle: bool) -> T:
        """Write the changed files, tokens first, and return the new table. With ``settle`` the renames are synced as well."""
        self._snapshot = None
        with contextlib.ExitStack() as undo:
            staged = []
            for number in sorted(changed):
                file = self._files[number]
                durable = file.durable and (settle or not file.ordered)
                data = self._encode(sources[number])
                staged.append(self._rewriters[number].stage(data, durable=durable, settle=settle and file.durable))
                undo.callback(staged[-1].discard)
            for lock in sorted({self._files[number].lock for number in changed}):
                held[lock].write_token()
            for one in staged:
                one.install()
        table = self._codec.table(sources)
        self._snapshot = _Snapshot(table, tuple(one.token() for one in held), self._stamps())
        return table

    @contextlib.contextmanager
    def _holding(self, table: Callable[[], T]) -> Iterator[None]:
        # Locks exclude even this thread's second attempt, so a look-up inside must find the table without them. Holding is
        # exclusive in this process for readers too, hence one field is enough.
        self._holder = (threading.get_ident(), table)
        try:
            yield
        finally:
            self._holder = None

    def _is_current(self, snapshot: _Snapshot[T]) -> bool:
        for lock, token in zip(self._locks, snapshot.tokens, strict=True):
            if lock.peek() != token:
                return False
        return self._stamps() == snapshot.stamps

    def _load(self, held: Sequence[HeldLock]) -> T:
        tokens = tuple(one.token() for one in held)
        stamps = self._stamps()
        snapshot = self._snapshot
        if snapshot is not None and snapshot.tokens == tokens and snapshot.stamps == stamps:
            self._unfinished = ()
            return snapshot.table
        table = self._codec.table([self._read(file.path) for file in self._files])
        records = [record for file in self._codec.sources(table) for record in file]
        self._unfinished = tuple(record for record in records if self._codec.unfinished(record))
        self._snapshot = None if self._unfinished else _Snapshot(table, tokens, stamps)
        return table

    def _read(self, path: str) -> tuple[R, ...]:
        try:
            with open(path, "rb") as file:
                text = file.read()
        except FileNotFoundError:
            return ()
        try:
            value: JsonValue = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise DamagedStore(f"{path}: {len(text)} bytes that are not JSON ({error}); the file was left as it is") from error
        return tuple(self._codec.decode(item, path) for item in records_of(value, path))

    def _encode(self, records: tuple[R, ...]) -> bytes:
        parts = []
        for record in records:
            cached = self._encoded.get(record.id)
            if cached is None or cached[0] is not record:
                cached = (record, orjson.dumps(self._codec.encode(record)))
                self._encoded[record.id] = cached
            parts.append(cached[1])
        return b"[" + b",".join(parts) + b"]"

    def forget(self, record_id: str) -> None:
        """Forget the encoded form of a record that is gone."""
        self._encoded.pop(record_id, None)

    def _stamps(self) -> tuple[Stamp, ...]:
        return tuple(_stamp(file.path) for file in self._files)

    def _drop_unfinished(self, edit: Edit[R, T]) -> None:
        gone, self._unfinished = self._unfinished, ()
        if self._drop is None or not gone:
            return
        for record in gone:
            self._drop(record)
        edit.remove([record.id for record in gone])
        edit.save()


class Edit(Generic[R, T]):
    """Changes to an index whose locks are held."""

    def __init__(self, index: Index[R, T], held: Sequence[HeldLock], table: T, sources: tuple[tuple[R, ...], ...]) -> None:
        self._index = index
        self._held = held
        self._sources: list[tuple[R, ...]] = list(sources)
        self._changed: set[int] = set()
        self._gone: set[str] = set()
        self.table = table

    def current(self, source: int = 0) -> tuple[R, ...]:
        """Return the records of one file with the changes made so far."""
        return self._sources[source]

    def add(self, record: R, source: int = 0) -> None:
        """Append a record to the file with number ``source``."""
        self._sources[source] = (*self._sources[source], record)
        self._changed.add(source)

    def replace(self, *records: R) -> None:
        """Put ``records`` in the places of those with the same ids."""
        new = {record.id: record for record in records}
        for number, old in enumerate(self._sources):
            if any(record.id in new for record in old):
                self._sources[number] = tuple(new.get(record.id, record) for record in old)
                self._changed.add(number)

    def remove(self, ids: Sequence[str]) -> None:
        """Take the records with ``ids`` out of every file."""
        gone = frozenset(ids)
        self._gone |= gone
        for number, old in enumerate(self._sources):
            left = tuple(record for record in old if record.id not in gone)
            if len(left) != len(old):
                self._sources[number] = left
                self._changed.add(number)

    def save(self, settle: bool = True) -> None:
        """Write what changed; afterwards ``table`` has it. Raises OSError, the old files being intact.

        Without ``settle`` a power cut may bring the previous index back, whole: enough for containers, which it ends anyway.
        """
        if self._changed:
            self.table = self._index.save(self._held, self._sources, frozenset(self._changed), settle=settle)
            self._changed.clear()
        for record_id in self._gone:
            self._index.forget(record_id)
        self._gone.clear()


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
