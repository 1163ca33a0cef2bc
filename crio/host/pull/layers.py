"""All layers of one image: what is there is kept, the rest is fetched in parallel and committed from the base up.

A layer's id depends on its parent's, so the commits stand in line while the downloads do not. A layer that two pulls want at the
same moment is fetched by one of them. When the pull fails, what it has committed stays for the next try if the failure is one that passes,
and goes if the image is bad, unless another pull has come to count on it; ``leftlayers`` keeps the books, also across a kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType

from crio.core.errors import CriError
from crio.core.image.errors import EncryptedLayer
from crio.core.image.mediatypes import is_encrypted_layer
from crio.core.image.unpacked import UnpackReport
from crio.core.storage.ids import layer_id
from crio.core.storage.leftlayers import PullOutcome
from crio.core.storage.records import LayerRecord
from crio.host.pull.flight import SingleFlight
from crio.host.pull.leftlayers import LeftLayers
from crio.host.pull.progress import LayerCounter, LayerState, PullCounter
from crio.host.pull.source import ImageSource
from crio.host.pull.store import PullStore, StoreThreads
from crio.host.pull.unpacker import LayerJob, UnpackerKilled, UnpackOptions, fetch_and_unpack
from crio.host.store.options import LayerCommit
from crio.host.store.port import StagedLayer


@dataclass(slots=True)
class LayerShop:
    """What all pulls share: the store, the budgets, and who counts on which layer."""

    store: PullStore
    threads: StoreThreads
    unpack: UnpackOptions
    slots: asyncio.Semaphore
    left: LeftLayers
    flights: SingleFlight[str, str] = field(default_factory=lambda: SingleFlight(share_errors=False))


@dataclass(frozen=True, slots=True)
class LayerSet:
    """The layers in the store: the top one's id (empty without layers), all diff ids from the base up, and what it took."""

    top: str
    diff_ids: tuple[str, ...]
    bytes_fetched: int
    reused: int


@dataclass(frozen=True, slots=True)
class _Placed:
    """A layer in the store."""

    layer_id: str
    diff_id: str


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How many layers one pull fetches at once, and the cgroup that its unpackers live in (empty: the daemon's)."""

    at_once: int
    cgroup_procs: tuple[str, ...] = ()


class LayerRun:
    """The layers of one pull. Use as an async context manager: leaving it says what becomes of what it committed."""

    def __init__(self, shop: LayerShop, source: ImageSource, counter: PullCounter, limits: RunLimits) -> None:
        self._shop = shop
        self._unpack_options = replace(shop.unpack, cgroup_procs=limits.cgroup_procs)
        self._source = source
        self._counter = counter
        self._own_slots = asyncio.Semaphore(limits.at_once)
        self._held: list[str] = []

    async def __aenter__(self) -> LayerRun:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._shop.left.release(self._held, _end(error))

    async def fetch(self, jobs: Sequence[LayerJob]) -> LayerSet:
        """Brings all layers into the store.

        :raises CriError: the first failure; the other layers are given up
        """
        for job in jobs:
            if is_encrypted_layer(job.blob.media_type):
                raise EncryptedLayer(f"{job.title}: is encrypted, and there is no key for it")
        counters = [self._counter.add_layer(str(job.blob.digest), max(job.blob.size_bytes, 0), job.blob.media_type) for job in jobs]
        present = await self._present(jobs)
        for counter in counters[: len(present)]:
            counter.enter(LayerState.PRESENT)
        placed = [*present, *await self._missing(jobs, counters, present[-1].layer_id if present else None, len(present))]
        return LayerSet(
            placed[-1].layer_id if placed else "",
            tuple(layer.diff_id for layer in placed),
            sum(counter.fetched_bytes for counter in counters),
            sum(counter.state is LayerState.PRESENT for counter in counters),
        )

    async def _present(self, jobs: Sequence[LayerJob]) -> list[_Placed]:
        """The layers from the base up that are in the store already; all that can be named are held from now on."""
        shop = self._shop
        placed: list[_Placed] = []
        parent: str | None = None
        missing: list[str] = []
        async with shop.left.lock:
            await shop.left.load()
            found: list[LayerRecord] = []
            for job in jobs:
                if job.diff_id is None:
                    break
                diff_id = str(job.diff_id)
                record = shop.store.layer_by_diff(parent, diff_id) if not missing else None
                parent = layer_id(parent, diff_id) if record is None else record.id
                if record is None:
                    missing.append(parent)
                else:
                    found.append(record)
                    placed.append(_Placed(parent, diff_id))
            needed = shop.store.needed_layers() if missing else frozenset()
            for record in found:
                shop.left.hold_present(record, needed)
            for one in missing:
                shop.left.hold_missing(one)
            self._held += [*(record.id for record in found), *missing]
            await shop.left.save()
        return placed

    async def _missing(self, jobs: Sequence[LayerJob], counters: Sequence[LayerCounter], parent: str | None, first: int) -> list[_Placed]:
        tasks: list[asyncio.Task[_Placed]] = []
        try:
            async with asyncio.TaskGroup() as group:
                below: asyncio.Task[_Placed] | None = None
                for position in range(first, len(jobs)):
                    step = _Step(jobs[position], counters[position], parent, below)
                    below = group.create_task(self._one(step), name=f"pull {step.job.title}")
                    tasks.append(below)
                    if step.job.diff_id is not None:
                        parent = layer_id(parent, str(step.job.diff_id))
        except BaseExceptionGroup as failures:
            raise _first_failure(failures) from failures
        return [task.result() for task in tasks]

    async def _one(self, step: _Step) -> _Placed:
        if step.job.diff_id is None:
            return await self._fetch(step)
        diff_id = str(step.job.diff_id)
        key = layer_id(step.expected_parent, diff_id)
        led = False

        async def lead() -> str:
            nonlocal led
            led = True
            return (await self._fetch(step)).layer_id

        placed = _Placed(await self._shop.flights.run(key, lead), diff_id)
        if not led:
            step.counter.enter(LayerState.PRESENT)
        return placed

    async def _fetch(self, step: _Step) -> _Placed:
        shop = self._shop
        stage_on = await step.parent() if shop.store.traits.ordered else step.expected_parent
        async with contextlib.AsyncExitStack() as stack:
            staged, report = await self._unpack(step, stage_on)
            stack.push_async_callback(shop.threads.call, staged.discard)
            commit = _commit_of(report, await step.parent())
            async with shop.left.lock:
                expected_id = layer_id(commit.parent, commit.diff_id)
                if expected_id not in self._held:
                    # Of schema 1 nothing was known before.
                    shop.left.hold_missing(expected_id)
                    self._held.append(expected_id)
                    await shop.left.save()
                commit = replace(commit, created_at_ns=shop.left.created_at_ns(expected_id))
                placed_id = await shop.threads.call(functools.partial(shop.store.commit_layer, staged, commit))
        step.counter.enter(LayerState.COMMITTED)
        return _Placed(placed_id, commit.diff_id)

    async def _unpack(self, step: _Step, stage_on: str | None) -> tuple[StagedLayer, UnpackReport]:
        """Fetches a layer into a staged directory, once more when the unpacker was killed; a failure leaves nothing."""
        async with self._own_slots, self._shop.slots:
            # Failing here would cost the kubelet a pause for a layer that can be had again.
            with contextlib.suppress(UnpackerKilled):
                return await self._unpack_once(step, stage_on)
            return await self._unpack_once(step, stage_on)

    async def _unpack_once(self, step: _Step, stage_on: str | None) -> tuple[StagedLayer, UnpackReport]:
        shop = self._shop
        async with contextlib.AsyncExitStack() as stack:
            staged = await shop.threads.call(functools.partial(shop.store.stage_layer, stage_on))
            stack.push_async_callback(shop.threads.call, staged.discard)
            step.counter.enter(LayerState.FETCHING)
            report = await fetch_and_unpack(self._unpack_options, step.job, self._source, staged, step.counter.add)
            stack.pop_all()
        step.counter.enter(LayerState.UNPACKED)
        return staged, report


@dataclass(frozen=True, slots=True)
class _Step:
    """One layer to bring in, and the task that brings in the one below it (None: that is in the store, or there is none)."""

    job: LayerJob
    counter: LayerCounter
    expected_parent: str | None
    below: asyncio.Task[_Placed] | None

    async def parent(self) -> str | None:
        """The id that the layer below really got; waits for its commit."""
        if self.below is None:
            return self.expected_parent
        return (await asyncio.shield(self.below)).layer_id


def _commit_of(report: UnpackReport, parent: str | None) -> LayerCommit:
    return LayerCommit(
        parent=parent,
        diff_id=str(report.diff_id),
        diff_size=report.diff_size_bytes,
        blob_digest=str(report.digest),
        blob_size=report.size_bytes,
        compression=report.compression,
        uids=report.uids,
        gids=report.gids,
        root_in_tar=report.root_in_tar,
    )


def _end(error: BaseException | None) -> PullOutcome:
    """How the pull ended. A cancelled one was given up by its askers or by a daemon that ends, which says nothing about the image."""
    if error is None:
        return PullOutcome.DONE
    passing = error.passing if isinstance(error, CriError) else isinstance(error, asyncio.CancelledError)
    return PullOutcome.PASSING if passing else PullOutcome.LASTING


def _first_failure(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure to report: a bug before an expected outcome, one that lasts before one that passes; none hides behind another."""
    flat = list(_flatten(failures))
    return min(flat, key=lambda one: (one.passing + 1) if isinstance(one, CriError) else 0)


def _flatten(failures: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in failures.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _flatten(one)
        else:
            yield one
