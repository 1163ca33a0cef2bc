"""Gives pods a network and takes it away again.

The intent of every attachment is on disk before the first plugin runs; it goes away only when the plugins have undone it. So a
crash at any instant leaves a record by which the next start cleans up, and a failed detachment is tried until it is done. One
lock per pod orders what happens to it; nothing is shared between pods but the gate that keeps garbage collection apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from crio.core.cni.call import attachment_of, check_sandbox_id
from crio.core.cni.config import VERSION_STATUS_AND_GC, NetworkConfig, parse_list
from crio.core.cni.errors import BadNetworkConfig, BadPodNetwork, NetworkNotReady, PluginFailed
from crio.core.cni.record import OWNER, Record, intent
from crio.core.cni.values import Attachment, Bandwidth, CniResult, NetworkStatus, PodNetwork
from crio.core.config import PortMapping
from crio.core.errors import CriError
from crio.host import syscalls
from crio.host.cni.gate import Gate
from crio.host.cni.plugins import Plugins, Runner, run_here
from crio.host.cni.records import Records
from crio.host.cni.retry import FIRST_DELAY_S, PendingDelete, RetryQueue
from crio.host.cni.watch import NetworkWatch, WatchOptions, deadline_in

__all__ = ["Bandwidth", "CniManager", "CniOptions", "CniResult", "NetworkStatus", "PendingDelete", "PodNetwork", "PortMapping"]

_log = logging.getLogger(__name__)
_DELETED_KEPT = 4096
_DELETE_FLOOR_S = 10.0
_RESTART_S = 1.0


@dataclass(frozen=True, slots=True)
class CniOptions:
    """Settings of ``[crio.network]`` and the time limits of whole operations."""

    config_dir: str
    plugin_dirs: tuple[str, ...]
    cache_dir: str = "/var/lib/cni"
    default_network: str = ""
    status_grace_period_s: float = 0.0
    add_timeout_s: float = 300.0
    delete_timeout_s: float = 60.0
    gc_timeout_s: float = 30.0
    retry_delay_s: float = FIRST_DELAY_S
    owner: str = OWNER


class CniManager:
    """The pod network of this node. ``start`` before anything else; ``stop`` at the end."""

    def __init__(self, options: CniOptions, runner: Runner = run_here) -> None:
        self._options = options
        self._plugins = Plugins(options.plugin_dirs, runner)
        self._watch = NetworkWatch(
            WatchOptions(options.config_dir, options.plugin_dirs, options.default_network, options.status_grace_period_s),
            self._plugins,
        )
        self._records = Records(options.cache_dir, options.owner)
        self._retry = RetryQueue(self._delete_by_id, options.retry_delay_s)
        self._gate = Gate()
        self._gc_lock = asyncio.Lock()
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        # Sandboxes that this process attached: a list of valid pods made a moment ago may lack them.
        self._attached: set[str] = set()
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def start(self) -> None:
        """Read the configuration, then follow its changes and work on failed detachments in the background."""
        await self._watch.start()
        self._group = await asyncio.TaskGroup().__aenter__()
        self._tasks = (
            self._group.create_task(_for_ever(self._watch.run), name="cni-watch"),
            self._group.create_task(_for_ever(self._retry.run), name="cni-retry"),
        )

    async def stop(self) -> None:
        """End the background work; whoever waits for the network gets NetworkNotReady. Pods keep their network."""
        for task in self._tasks:
            task.cancel()
        if self._group is not None:
            await self._group.__aexit__(None, None, None)
            self._group = None
        await self._watch.stop()

    def status(self) -> NetworkStatus:
        """Whether pods can get a network now; the message says what is missing."""
        return self._watch.status

    def pending_deletes(self) -> tuple[PendingDelete, ...]:
        """Attachments without a pod that could not be undone yet."""
        return self._retry.pending()

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until pods can get a network. :raises NetworkNotReady: the time is over, or the manager is stopped"""
        await self._watch.wait_ready(timeout_s)

    async def add(self, pod: PodNetwork) -> CniResult:
        """Attach the pod to the default network as ``eth0``.

        When it fails, what the plugins had done is undone before the error is raised; when that fails too, or the caller is
        cancelled, it is undone in the background.

        :raises NetworkNotReady: there is no network
        :raises BadPodNetwork, InvalidArgument: a value of the pod cannot be passed on, or its namespace is none
        :raises PluginMissing, PluginFailed, PluginTimedOut: names the plugin and its reason
        """
        attachment = attachment_of(pod)
        if not _is_namespace(pod.netns_path):
            raise BadPodNetwork(f"network namespace: expected the path of a namespace, got {pod.netns_path!r}")
        async with self._gate.shared(), self._locked(pod.sandbox_id):
            network = self._watch.network
            if network is None or not self._watch.status.ready:
                raise NetworkNotReady(self._watch.status.message)
            if self._records.has(network.name, pod.sandbox_id):
                await self._detach(pod.sandbox_id, attachment)
            record = intent(network, attachment)
            self._records.write(record)
            self._deleted.pop(pod.sandbox_id, None)
            self._attached.add(pod.sandbox_id)
            return await self._attach(network, record)

    async def _attach(self, network: NetworkConfig, record: Record) -> CniResult:
        sandbox_id = record.attachment.sandbox_id
        try:
            result = await self._plugins.add(network, record.attachment, deadline_in(self._options.add_timeout_s))
            self._records.write(record.with_result(result))
        except CriError as error:
            try:
                await self._detach(sandbox_id, record.attachment)
            except CriError as undo_error:
                self._retry.put(sandbox_id, undo_error.message)
                _log.debug("undoing the attachment of sandbox %r failed: %s", sandbox_id, undo_error)
            raise error
        except BaseException:
            # Cancelled: there is no time left to run plugins here, but the record is on disk.
            self._retry.put(sandbox_id, "the attachment was given up half way", at_once=True)
            raise
        return result

    async def delete(self, pod: PodNetwork) -> None:
        """Detach the pod; does nothing when it is detached already. Works from the record when the namespace is gone.

        :raises PluginMissing, PluginFailed, PluginTimedOut: not everything could be undone; it is tried again in the
            background until it is, so that the caller may go on
        """
        check_sandbox_id(pod.sandbox_id)
        async with self._locked(pod.sandbox_id):
            if pod.sandbox_id in self._deleted:
                return
            try:
                await self._detach(pod.sandbox_id, _known(pod))
            except CriError as error:
                self._retry.put(pod.sandbox_id, error.message)
                raise
            except BaseException:
                self._retry.put(pod.sandbox_id, "the detachment was given up half way", at_once=True)
                raise
            self._retry.done(pod.sandbox_id)

    async def _delete_by_id(self, sandbox_id: str) -> None:
        async with self._locked(sandbox_id):
            if sandbox_id not in self._deleted:
                await self._detach(sandbox_id, Attachment(sandbox_id, ""))

    async def _detach(self, sandbox_id: str, fallback: Attachment) -> None:
        """Undo every record of the sandbox, or without one what the present network may have done. The caller locks."""
        network = self._watch.network
        # With a floor, a plugin that hangs every time cannot keep the others from ever running.
        deadline = deadline_in(self._options.delete_timeout_s, _DELETE_FLOOR_S)
        names = self._records.find(sandbox_id, network.name if network is not None else "")
        for name in names:
            record = self._records.read(name)
            how = _config_of(record) or network
            if how is None:
                raise NetworkNotReady(f"cannot detach sandbox {sandbox_id}: its record is damaged, and {self.status().message}")
            attachment = record.attachment if record is not None else fallback
            prev = dict(record.result) if record is not None and record.result is not None else None
            await self._plugins.delete(how, _present(attachment), prev, deadline)
            self._records.remove(name)
        if not names and network is not None:
            await self._plugins.delete(network, _present(fallback), None, deadline)
        self._attached.discard(sandbox_id)
        self._deleted[sandbox_id] = None
        while len(self._deleted) > _DELETED_KEPT:
            self._deleted.popitem(last=False)

    async def check_gc(self, valid: Sequence[PodNetwork]) -> None:
        """Undo attachments of pods that are gone: our own records, and what the plugins themselves still hold.

        Own records without a pod go into the queue of detachments. A network of version 1.1 or newer is then told, once it is
        ready, which attachments are valid: those of ``valid``, and every record that is there, of other runtimes too.

        :raises NetworkNotReady, PluginMissing, PluginFailed, PluginTimedOut: the collection did not work
        """
        valid_ids = {pod.sandbox_id for pod in valid} | self._attached
        for record in self._records.all():
            sandbox_id = record.attachment.sandbox_id
            if record.owned and sandbox_id not in valid_ids and sandbox_id not in self._retry:
                self._retry.put(sandbox_id, "its pod is gone", at_once=True)
        if self._watch.network is None or not _wants_gc(self._watch.network):
            return
        await self.wait_ready(self._options.gc_timeout_s)
        async with self._gc_lock, self._gate.exclusive():
            network = self._watch.network
            if network is not None and _wants_gc(network):
                kept = {pod.sandbox_id: _known(pod) for pod in valid}
                for record in self._records.all():
                    if record.network_name == network.name and record.attachment.sandbox_id not in self._retry:
                        kept[record.attachment.sandbox_id] = record.attachment
                await self._plugins.gc(network, kept.values(), deadline_in(self._options.gc_timeout_s))

    def cached(self, sandbox_id: str) -> CniResult | None:
        """What the pod got when it was attached; None when there is no record with a result."""
        network = self._watch.network
        for name in self._records.find(sandbox_id, network.name if network is not None else ""):
            record = self._records.read(name)
            with contextlib.suppress(PluginFailed):
                if record is not None and (result := record.cni_result()) is not None:
                    return result
        return None

    @asynccontextmanager
    async def _locked(self, sandbox_id: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(sandbox_id, (None, 0))
        lock = lock or asyncio.Lock()
        self._locks[sandbox_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[sandbox_id]
            if users == 1:
                del self._locks[sandbox_id]
            else:
                self._locks[sandbox_id] = (lock, users - 1)


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """A task root: what nobody foresaw is logged, and the work goes on."""
    while True:
        try:
            await work()
        except Exception:
            _log.exception("the pod network's background work broke off and is started again")
        await asyncio.sleep(_RESTART_S)


def _known(pod: PodNetwork) -> Attachment:
    """The pod as far as it can be told: a pod whose values are refused now may be an old one."""
    try:
        return attachment_of(pod)
    except CriError:
        return Attachment(pod.sandbox_id, pod.netns_path)


def _present(attachment: Attachment) -> Attachment:
    """The attachment without its namespace when that is gone: plugins then undo what is outside of it."""
    return attachment if _is_namespace(attachment.netns_path) else replace(attachment, netns_path="")


def _is_namespace(path: str) -> bool:
    try:
        return os.path.isabs(path) and syscalls.fs_type(path) == syscalls.NSFS_MAGIC
    except OSError:
        return False


def _config_of(record: Record | None) -> NetworkConfig | None:
    if record is None:
        return None
    try:
        return parse_list(record.config, f"record of {record.attachment.sandbox_id}")
    except BadNetworkConfig:
        return None


def _wants_gc(network: NetworkConfig) -> bool:
    return network.version() >= VERSION_STATUS_AND_GC and not network.disable_gc
