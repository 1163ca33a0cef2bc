"""The store as the pull engine needs it, and the threads in which it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from crio.core.storage.records import ImageRecord, LayerRecord
from crio.host.store.diskerrors import refusal
from crio.host.store.drivers.port import Traits
from crio.host.store.options import ImageCommit, LayerCommit
from crio.host.store.port import StagedLayer

T = TypeVar("T")
STORE_THREADS = 4


class PullStore(Protocol):
    """What a pull asks of the store; every method blocks."""

    @property
    def traits(self) -> Traits: ...

    def find_image(self, name_or_id: str) -> ImageRecord | None: ...

    def image_big_data(self, image_id: str, key: str) -> bytes: ...

    def layer_by_diff(self, parent: str | None, diff_id: str) -> LayerRecord | None: ...

    def stage_layer(self, parent: str | None) -> StagedLayer: ...

    def commit_layer(self, staged: StagedLayer, commit: LayerCommit) -> str: ...

    def commit_image(self, commit: ImageCommit) -> ImageRecord: ...

    def needed_layers(self) -> frozenset[str]: ...

    def delete_left_layers(self, wanted: Mapping[str, int]) -> frozenset[str]: ...


class StoreThreads:
    """A few threads for calls into the store."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="pull-store")

    async def call(self, work: Callable[[], T]) -> T:
        """Runs ``work`` in a thread. A cancelled caller waits for the thread, so nothing goes on behind its back.

        :raises ResourceExhausted: the disk is full
        :raises FailedPrecondition: it is read-only
        :raises Internal: another refusal of the file system
        """
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait((future,))
            raise
        except OSError as error:
            raise refusal(error)(f"store: {error.filename or ''}: {error.strerror}") from error

    def close(self) -> None:
        """Ends the threads after what they are doing."""
        self._pool.shutdown()
