"""Knows at any moment which network new pods get and whether it is ready.

The directory of configurations is read at the start and whenever it or a directory of plugins changes. A network of version
1.1 or newer is asked for its STATUS: every half second until it says yes, and afterwards only when a grace period is set.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass

from crio.core.cni.choose import Choice, choose_network
from crio.core.cni.config import VERSION_STATUS_AND_GC, NetworkConfig
from crio.core.cni.errors import NetworkNotReady
from crio.core.cni.values import NetworkStatus
from crio.core.errors import CriError
from crio.host.cni.config_dir import read_candidates
from crio.host.cni.dirwatch import DirectoryWatch
from crio.host.cni.plugins import Plugins

_log = logging.getLogger(__name__)
NOT_READY = "NetworkPluginNotReady"
STATUS_TIMEOUT_S = 10.0
STATUS_UNTIL_READY_S = 0.5
STATUS_WHEN_READY_S = 5.0
_REARM_S = 1.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of an operation, as a time of the loop; ``floor_s`` is what each step gets even when it is over."""

    at_s: float
    floor_s: float = 0.0

    def left_s(self) -> float:
        """Seconds until the end, never below the floor."""
        return max(self.at_s - asyncio.get_running_loop().time(), self.floor_s)


def deadline_in(timeout_s: float, floor_s: float = 0.0) -> Deadline:
    """The deadline that is ``timeout_s`` seconds away."""
    return Deadline(asyncio.get_running_loop().time() + timeout_s, min(floor_s, timeout_s))


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """Where to look and how patient to be; see ``CniOptions``."""

    config_dir: str
    plugin_dirs: tuple[str, ...]
    default_network: str = ""
    status_grace_period_s: float = 0.0


class NetworkWatch:
    """The present network and its state. ``start`` reads once; ``run`` keeps it current until cancelled."""

    def __init__(self, options: WatchOptions, plugins: Plugins) -> None:
        self._options = options
        self._plugins = plugins
        self._choice = Choice(None, "the network has not been looked for yet")
        self._status = NetworkStatus(False, NOT_READY, self._choice.message)
        self._ok_at_s = 0.0
        self._stopped = False
        self._changed = asyncio.Condition()
        self._watch: DirectoryWatch | None = None

    @property
    def network(self) -> NetworkConfig | None:
        """The network that new pods get, ready or not."""
        return self._choice.network

    @property
    def status(self) -> NetworkStatus:
        """Whether it is ready, and if not, why."""
        return self._status

    async def start(self) -> None:
        """Make the directories that are missing, watch them, read the configuration and ask for its status."""
        for directory in (self._options.config_dir, *self._options.plugin_dirs):
            with contextlib.suppress(OSError):
                os.makedirs(directory, mode=0o755, exist_ok=True)
        self._watch = DirectoryWatch((self._options.config_dir, *self._options.plugin_dirs))
        self._reload()
        await self._ask()

    async def run(self) -> None:
        """Follow changes for ever."""
        watch = self._watch
        assert watch is not None, "start comes first"
        while True:
            missing = watch.rearm()
            poll_s = self._next_poll_s()
            wait_s = poll_s if not missing else min(poll_s or _REARM_S, _REARM_S)
            try:
                async with asyncio.timeout(wait_s):
                    await watch.wait_changed()
            except TimeoutError:
                pass
            else:
                self._reload()
            if missing and len(watch.rearm()) < len(missing):
                self._reload()
            await self._ask()

    async def stop(self) -> None:
        """Let everybody who waits for the network fail, and close the watch."""
        self._stopped = True
        if self._watch is not None:
            self._watch.close()
        await self._set(NetworkStatus(False, NOT_READY, "the network manager is being stopped"))

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until the network is ready. :raises NetworkNotReady: the time is over, or the manager is stopped"""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self._status.ready or self._stopped)
        except TimeoutError as error:
            raise NetworkNotReady(f"the pod network was not ready within {timeout_s:g} s: {self._status.message}") from error
        if not self._status.ready:
            raise NetworkNotReady(self._status.message)

    def _reload(self) -> None:
        before = self._choice
        candidates = read_candidates(self._options.config_dir, self._plugins)
        self._choice = choose_network(candidates, self._options.default_network, self._options.config_dir)
        if self._choice != before:
            for problem in self._choice.problems:
                _log.warning("CNI configuration passed over: %s", problem)
            network = self._choice.network
            if network is not None:
                _log.info("pods get the CNI network %r of %r", network.name, network.source)
                self._ok_at_s = 0.0
            # Until it has been asked, a changed network that can be asked is not ready.
            self._status = self._after_reload(network)

    def _after_reload(self, network: NetworkConfig | None) -> NetworkStatus:
        if network is None:
            return NetworkStatus(False, NOT_READY, self._choice.message)
        if _has_status(network):
            return NetworkStatus(False, NOT_READY, f"the CNI network {network.name!r} has not answered STATUS yet")
        return NetworkStatus(True)

    def _next_poll_s(self) -> float | None:
        network = self._choice.network
        if network is None or not _has_status(network):
            return None
        if not self._status.ready:
            return STATUS_UNTIL_READY_S
        grace_s = self._options.status_grace_period_s
        return min(STATUS_WHEN_READY_S, grace_s) if grace_s > 0 else None

    async def _ask(self) -> None:
        network = self._choice.network
        if network is None or self._next_poll_s() is None:
            await self._set(self._status)
            return
        try:
            await self._plugins.status(network, deadline_in(STATUS_TIMEOUT_S))
        except CriError as error:
            now_s = asyncio.get_running_loop().time()
            if not self._status.ready or now_s - self._ok_at_s >= self._options.status_grace_period_s:
                await self._set(NetworkStatus(False, NOT_READY, f"the CNI network {network.name!r} is not ready: {error}"))
        else:
            self._ok_at_s = asyncio.get_running_loop().time()
            await self._set(NetworkStatus(True))

    async def _set(self, status: NetworkStatus) -> None:
        async with self._changed:
            self._status = status
            self._changed.notify_all()


def _has_status(network: NetworkConfig) -> bool:
    return network.version() >= VERSION_STATUS_AND_GC
