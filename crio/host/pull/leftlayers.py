"""The layers that pulls hold or have left, and their removal when nobody came back for them.

Every layer that a pull is going to commit is on record, on disk, before it is in the store; so is one that an image has already and on
which the pull builds, because whoever removes that image cannot remove what is below our layers. When the pull ends the record says what
becomes of them: see ``crio.core.storage.leftlayers``. What has to go is decided by the store under its locks.

The record is a small file of our own in the store's root. It is for one daemon at a time, the one that has the root locked.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import orjson

from crio.core.codec import decode, encode
from crio.core.errors import CriError
from crio.core.storage.leftlayers import LeftLayer, LeftRecord, PullOutcome, after_pull, found_at_start
from crio.core.storage.records import LayerRecord
from crio.host.files import read_bounded, remove_quietly, write_atomic
from crio.host.pull.store import PullStore, StoreThreads

# Three times the kubelet's longest pause between two tries (5 minutes).
KEEP_S: Final = 900.0
FOLDER: Final = "crio-pulls"
_NAME = "left-layers.json"
_LIMIT_BYTES = 64 << 20
_log = logging.getLogger(__name__)


class LeftFile:
    """The record on disk: ``left-layers.json`` in a folder of its own, not there as long as there is nothing to say."""

    def __init__(self, root: str) -> None:
        self.folder = os.path.join(root, FOLDER)
        self.path = os.path.join(self.folder, _NAME)

    def read(self) -> dict[str, LeftLayer]:
        """What an earlier daemon wrote. A record that cannot be read says nothing: then no layer is ours to remove."""
        try:
            for name in os.listdir(self.folder):
                if name.startswith(f"{_NAME}.tmp-"):
                    # Half-written by a daemon that died.
                    os.unlink(os.path.join(self.folder, name))
            return dict(decode(LeftRecord, orjson.loads(read_bounded(self.path, _LIMIT_BYTES))).layers)
        except FileNotFoundError:
            return {}
        except ValueError as error:
            _log.warning("%s cannot be read, layers that failed pulls left stay in the store: %s", self.path, error)
            return {}

    def write(self, layers: Mapping[str, LeftLayer]) -> None:
        """Replace what is on disk, so that a power cut does not bring the old back. Raises OSError."""
        if layers:
            os.makedirs(self.folder, 0o700, exist_ok=True)
            write_atomic(self.path, orjson.dumps(encode(LeftRecord(layers))), sync=True)
        else:
            # An old record that comes back does no harm: an image has these layers, or nobody.
            remove_quietly(self.path)


class LeftLayers:
    """What pulls hold and have left. ``lock`` keeps "is it there?" and "take it away" apart; ``store`` calls run in ``threads``."""

    def __init__(
        self,
        store: PullStore,
        threads: StoreThreads,
        file: LeftFile,
        clock_ns: Callable[[], int] = time.time_ns,
        keep_s: float = KEEP_S,
    ) -> None:
        self.lock = asyncio.Lock()
        self._store, self._threads, self._file, self._clock_ns = store, threads, file, clock_ns
        self._keep_ns = int(keep_s * 1e9)
        self._holders: Counter[str] = Counter()
        self._layers: dict[str, LeftLayer] = {}
        self._written: dict[str, LeftLayer] | None = None
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Reads the record, once. ``lock`` is held."""
        if self._written is None:
            self._written = await self._threads.call(self._file.read)
            self._layers = found_at_start(self._written, self._clock_ns(), self._keep_ns)

    def hold_present(self, record: LayerRecord, needed: frozenset[str]) -> None:
        """A pull builds on a layer of the store; after ``load``. ``needed`` are those that images and containers have."""
        one = record.id
        known = self._layers.get(one)
        if known is not None and known.created_at_ns == record.created_at_ns:
            self._layers[one] = replace(known, until_ns=0)
        elif one in needed:
            self._layers[one] = LeftLayer(record.created_at_ns)
        else:
            # Somebody else's, who has to look after it.
            self._layers.pop(one, None)
        self._holders[one] += 1

    def hold_missing(self, layer_id: str) -> None:
        """A pull is going to commit a layer; after ``load``."""
        known = self._layers.get(layer_id) or LeftLayer(self._clock_ns())
        self._layers[layer_id] = replace(known, until_ns=0)
        self._holders[layer_id] += 1

    def created_at_ns(self, layer_id: str) -> int:
        """The time that the layer's record has to say, for it to be the one that is on record here; 0 when none is."""
        known = self._layers.get(layer_id)
        return known.created_at_ns if known is not None else 0

    async def save(self) -> None:
        """Brings the record to disk if it has changed. ``lock`` is held. Raises ResourceExhausted, Internal."""
        if self._layers != self._written:
            layers = dict(self._layers)
            await self._threads.call(functools.partial(self._file.write, layers))
            self._written = layers

    async def release(self, held: Iterable[str], end: PullOutcome) -> None:
        """A pull has ended. What no other one holds stays for a time, or goes now, or is an image's."""
        now_ns = self._clock_ns()
        for one in held:
            self._holders[one] -= 1
            if self._holders[one] > 0:
                continue
            del self._holders[one]
            known = self._layers.pop(one, None)
            after = after_pull(known, end, now_ns, self._keep_ns) if known is not None else None
            if after is not None:
                self._layers[one] = after
        self._changed.set()
        # A broken store must not hide how the pull ended; there is another try when the time of these is over.
        with contextlib.suppress(CriError):
            await self.collect()

    async def collect(self) -> float | None:
        """Removes what is left and whose time is over; returns the seconds until there is more to do, None when nothing is left.

        :raises CriError: the record cannot be written; what it says is no less true
        """
        async with self.lock:
            await self.load()
            now_ns = self._clock_ns()
            over = {one: layer.created_at_ns for one, layer in self._layers.items() if 0 < layer.until_ns <= now_ns}
            if over:
                for one in over.keys() - await self._delete(over):
                    del self._layers[one]
                for one in over.keys() & self._layers.keys():
                    self._layers[one] = replace(self._layers[one], until_ns=now_ns + self._keep_ns)
            await self.save()
            left_ns = [layer.until_ns for layer in self._layers.values() if layer.until_ns]
            return max(0, min(left_ns) - now_ns) / 1e9 if left_ns else None

    async def _delete(self, over: Mapping[str, int]) -> frozenset[str]:
        """The layers of ``over`` that are still there and nobody's, because of one on top or a refusal of the disk."""
        try:
            return await self._threads.call(functools.partial(self._store.delete_left_layers, over))
        except CriError as error:
            _log.warning("layers that failed pulls left cannot be removed yet: %s", error)
            return frozenset(over)

    async def tend(self) -> None:
        """Removes layers when their time is over, until it is cancelled."""
        while True:
            self._changed.clear()
            try:
                wait_s = await self.collect()
            except CriError as error:
                _log.warning("what failed pulls left is not on record: %s", error)
                wait_s = self._keep_ns / 1e9
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
