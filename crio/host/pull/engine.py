"""Pulling images: from a reference to a record in the store.

One pull goes: name to candidates, endpoints of a candidate until one gives a manifest, the manifest for this machine, the policy,
the configuration, the layers, the record. Equal requests share one pull; layers are shared between different pulls. Everything
before the record is invisible to others. A pull that fails leaves nothing behind but, if the next may succeed, complete layers for
it, and those for a time only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from crio.core.image.errors import BadReference
from crio.core.image.registries import RegistriesConf
from crio.core.storage.records import ImageRecord
from crio.host.pull.flight import SingleFlight
from crio.host.pull.layers import LayerShop
from crio.host.pull.leftlayers import LeftLayers
from crio.host.pull.onepull import Bench, pull_from_registry
from crio.host.pull.options import PullOptions, PullRequest, PullResult
from crio.host.pull.progress import PullCounter, PullEnd, PullProgress, PullState
from crio.host.pull.recheck import StoredSignatures, check_stored
from crio.host.pull.store import PullStore, StoreThreads
from crio.host.pull.trust import TrustChecker
from crio.host.pull.unpacker import UnpackOptions
from crio.host.registry.ahead import RANGE_BYTES, RangeBudget
from crio.host.registry.conffiles import load_registries
from crio.host.registry.credentials import namespaced_auth_file

ProgressListener = Callable[[PullProgress], None]


class PullEngine:
    """Pulls images into ``store``; ``left`` are the layers of failed pulls. ``close`` it after its last pull."""

    def __init__(self, store: PullStore, options: PullOptions, left: LeftLayers) -> None:
        self._options = options
        budgets = options.budgets
        self._shop = LayerShop(
            store=store,
            threads=StoreThreads(),
            unpack=UnpackOptions(options.unpack_program, budgets.unpack_s),
            slots=asyncio.Semaphore(budgets.unpackers),
            left=left,
        )
        ranges = RangeBudget(budgets.ranges(RANGE_BYTES))
        self._bench = Bench(options, self._shop, TrustChecker(options.trust), ranges)
        self._flights: SingleFlight[PullRequest, PullResult] = SingleFlight(share_errors=True)
        self._running: dict[PullRequest, PullCounter] = {}
        self._registries: RegistriesConf | None = None

    async def pull(self, request: PullRequest, progress: ProgressListener | None = None) -> PullResult:
        """Pulls an image, or joins the pull of an equal request.

        :param progress: is called with a snapshot when something has moved, at most ten times a second
        :raises BadReference: not a name that can be pulled
        :raises RegistryUnavailable: no endpoint can be reached
        :raises ManifestUnknown, RegistryUnauthorized, RegistryDenied, BlockedRegistry: what they say
        :raises SignatureValidationFailed: the policy rejects the image
        :raises DigestMismatch, BadLayer, BadDocument: the content is not what was promised
        :raises NotAnImage: the reference names an artifact
        """
        counter = self._running.setdefault(request, PullCounter(request.reference, time.monotonic))
        counter.askers += 1
        if progress is not None:
            counter.listeners.append(progress)
        try:
            return await self._flights.run(request, lambda: self._lead(request))
        finally:
            counter.askers -= 1
            if progress is not None:
                counter.listeners.remove(progress)
            if counter.askers == 0:
                del self._running[request]

    async def load(self, reference: str, name: str = "") -> PullResult:
        """Brings an image from a file or folder into the store.

        :param reference: ``oci:PATH[:NAME]``, ``oci-archive:FILE[:NAME]``, ``docker-archive:FILE[:NAME or @N]`` or ``dir:PATH``
        :param name: the name that it gets; when empty, those that the archive gives it
        :raises BadReference: another transport
        """
        # Only tools load images from files; the daemon need not know how before the first one does.
        from crio.host.pull.local import TRANSPORTS, load_local, parse_local_reference

        local = parse_local_reference(reference)
        if local is None:
            raise BadReference(f"image {reference!r}: expected one of {', '.join(TRANSPORTS)} and a path")
        return await load_local(self._bench, local, name, PullCounter(reference, time.monotonic))

    async def check_policy(self, image: ImageRecord, asked: str, namespace: str) -> None:
        """Judges an image of the store by the policy as it is now; to be called before a container is made of it.

        :param asked: what the container's configuration calls the image
        :raises SignatureValidationFailed: the policy does not let it in (any more)
        :raises BadConfigFile: no policy file, or one with errors
        """
        shop = self._shop
        await check_stored(self._bench.trust, StoredSignatures(shop.store, shop.threads, image), asked, namespace)

    def active(self) -> tuple[PullProgress, ...]:
        """The pulls that are going on now."""
        return tuple(counter.copy() for counter in self._running.values())

    def reload(self) -> None:
        """Forgets registries.conf; the next pull reads it again."""
        self._registries = None

    def close(self) -> None:
        """Ends the engine's threads."""
        self._shop.threads.close()

    async def registries(self) -> RegistriesConf:
        """The registry configuration, read once until ``reload``.

        :raises BadConfigFile: names the file and the key
        """
        if self._registries is None:
            self._registries = await asyncio.to_thread(load_registries, self._options.registries)
        return self._registries

    async def _lead(self, request: PullRequest) -> PullResult:
        counter = self._running[request]
        # A pull that takes over from a cancelled one begins anew, for the same listeners.
        counter.restart()
        try:
            with namespaced_auth_file(self._options.namespaced_auth_dir, request.namespace, request.reference) as auth:
                conf = await self.registries()
                result = await pull_from_registry(self._bench, conf, request, counter, auth)
        except BaseException as error:
            counter.enter(PullState.FAILED)
            self._tell_end(PullEnd(counter.copy(), error))
            raise
        counter.enter(PullState.DONE)
        self._tell_end(PullEnd(counter.copy()))
        return result

    def _tell_end(self, end: PullEnd) -> None:
        if self._options.on_end is not None:
            self._options.on_end(end)
