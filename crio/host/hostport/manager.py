"""Host ports of pods on this node, for networks whose plugins do not forward them.

The kernel's tables are the state; what is held here is a copy of them, read once. A pod without host ports costs nothing,
neither when it comes nor when it goes. nft is taken for new host ports where it works, else iptables; what either of them
holds is removed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Collection, Sequence

from crio.core.cni.call import check_sandbox_id
from crio.core.config import PortMapping, Protocol
from crio.core.errors import AlreadyExists, CriError, FailedPrecondition
from crio.core.hostport.mapping import Family, Forward, forwards, wanted
from crio.host.cni.plugins import Runner, run_here
from crio.host.hostport.backends import Backend, IptablesBackend, NftBackend, Table, find_tool
from crio.host.hostport.localnet import HostNetwork, ProcHostNetwork, open_localnet
from crio.host.process import PATH

_log = logging.getLogger(__name__)
_FLUSH_TIMEOUT_S = 10.0


def find_backends(runner: Runner) -> tuple[Backend, ...]:
    """The backends whose tools this machine has, the preferred first."""
    found: list[Backend] = []
    nft_path = find_tool("nft")
    if nft_path:
        found.append(NftBackend(nft_path, runner))
    paths = {Family.IPV4: find_tool("iptables"), Family.IPV6: find_tool("ip6tables")}
    present = {family: path for family, path in paths.items() if path and find_tool(f"{path}-restore")}
    if present:
        found.append(IptablesBackend(present, runner))
    return tuple(found)


class HostportManager:
    """Adds and removes the host ports of whole pods."""

    def __init__(
        self,
        runner: Runner = run_here,
        backends: Sequence[Backend] | None = None,
        network: HostNetwork | None = None,
        conntrack_path: str | None = None,
    ) -> None:
        self._runner = runner
        self._offered = backends
        self._conntrack_path = conntrack_path
        self._network = network or ProcHostNetwork()
        self._loaded: list[tuple[Backend, Table]] | None = None
        self._load_lock = asyncio.Lock()

    async def add(self, sandbox_id: str, ips: Sequence[str], mappings: Sequence[PortMapping]) -> None:
        """Forward the pod's host ports to the first of its addresses of each family.

        :raises InvalidArgument: a port or host address is none
        :raises AlreadyExists: another pod has the host port; names both
        :raises FailedPrecondition: this machine has neither nft nor iptables
        :raises Internal: the kernel refuses; nothing is left of this pod's ports
        """
        if not wanted(mappings):
            return
        check_sandbox_id(sandbox_id)
        new = forwards(ips, mappings)
        loaded = await self._load()
        if not loaded:
            raise FailedPrecondition("port_mappings: host ports need nft or iptables, and neither is installed or works")
        if not new:
            return
        await self.remove(sandbox_id)
        self._check_free(sandbox_id, new)
        backend, table = loaded[0]
        table[sandbox_id] = new
        try:
            await self._add_to(backend, table, sandbox_id, new)
        except BaseException:
            table.pop(sandbox_id, None)
            raise
        for pod_ip in {forward.pod_ip for forward in new if forward.host_ip is None or forward.host_ip.is_loopback}:
            if isinstance(pod_ip, ipaddress.IPv4Address):
                open_localnet(self._network, pod_ip)
        await self._flush_udp(new)

    async def _add_to(self, backend: Backend, table: Table, sandbox_id: str, new: tuple[Forward, ...]) -> None:
        try:
            await backend.add(sandbox_id, new)
        except CriError as error:
            # Somebody may have emptied the firewall (a reload of it does): put back what is missing, then try again.
            present = await backend.load()
            lost = {key: value for key, value in table.items() if key not in present and key != sandbox_id}
            _log.debug("adding host ports again after %s; %d pods lost theirs", error, len(lost))
            await backend.add(sandbox_id, new)
            for other_id, other in lost.items():
                await backend.add(other_id, other)

    async def remove(self, sandbox_id: str) -> None:
        """Remove the pod's host ports; does nothing when it has none. :raises Internal: the kernel refuses"""
        for backend, table in await self._load():
            known = table.get(sandbox_id)
            if known is None:
                continue
            try:
                await backend.remove(sandbox_id, known)
            except CriError:
                present = (await backend.load()).get(sandbox_id)
                if present is not None:
                    await backend.remove(sandbox_id, present)
            table.pop(sandbox_id, None)

    async def reconcile(self, valid_ids: Collection[str]) -> tuple[str, ...]:
        """Remove the host ports of sandboxes that are not in ``valid_ids``; returns whose. For the start of the daemon."""
        stale = {sandbox_id for _, table in await self._load() for sandbox_id in table} - set(valid_ids)
        for sandbox_id in sorted(stale):
            await self.remove(sandbox_id)
        return tuple(sorted(stale))

    def _check_free(self, sandbox_id: str, new: Sequence[Forward]) -> None:
        keys = {forward.key() for forward in new}
        for _, table in self._loaded or ():
            for other_id, others in table.items():
                for other in others:
                    if other_id != sandbox_id and other.key() in keys:
                        raise AlreadyExists(f"port_mappings: host port {other.describe()} belongs to sandbox {other_id}")

    async def _load(self) -> list[tuple[Backend, Table]]:
        if self._loaded is None:
            async with self._load_lock:
                if self._loaded is None:
                    self._loaded = await self._load_all()
        return self._loaded

    async def _load_all(self) -> list[tuple[Backend, Table]]:
        found: list[tuple[Backend, Table]] = []
        for backend in find_backends(self._runner) if self._offered is None else self._offered:
            try:
                found.append((backend, await backend.load()))
            except CriError as error:
                _log.warning("host ports: %s is passed over: %s", type(backend).__name__, error)
        return found

    async def _flush_udp(self, new: Sequence[Forward]) -> None:
        """Forget flows that were on their way before the port was forwarded: the kernel would not look again."""
        ports = {forward.host_port for forward in new if forward.protocol is Protocol.UDP}
        if ports and self._conntrack_path is None:
            self._conntrack_path = find_tool("conntrack")
        tool = self._conntrack_path or ""
        for port in sorted(ports) if tool else ():
            argv = [tool, "-D", "-p", "udp", "--dport", str(port)]
            try:
                # It ends with 1 when there was no such flow.
                await self._runner(argv, env={"PATH": PATH}, stdin=b"", timeout_s=_FLUSH_TIMEOUT_S)
            except CriError as error:
                _log.warning("old UDP flows to host port %d stay: %s", port, error)
