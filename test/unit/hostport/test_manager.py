"""What the manager of host ports does with a backend that can be told to break."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

import pytest

from crio.core.config import PortMapping, Protocol
from crio.core.errors import AlreadyExists, DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument
from crio.core.hostport.mapping import Forward, forwards
from crio.host import process
from crio.host.hostport.backends import Table
from crio.host.hostport.localnet import open_localnet
from crio.host.hostport.manager import HostportManager

WEB = (PortMapping(Protocol.TCP, 80, 8080),)
ROUTES = "Iface\nbr9\t0000010A\t0\t1\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"


class FakeBackend:
    """A kernel in a dict. ``refuse`` makes the next calls fail; ``broken`` all of them."""

    def __init__(self, table: Table | None = None) -> None:
        self.table: Table = dict(table or {})
        self.calls = 0
        self.refuse = 0
        self.broken = False

    async def load(self) -> Table:
        if self.broken:
            raise Internal("broken")
        return dict(self.table)

    async def add(self, sandbox_id: str, new: Sequence[Forward]) -> None:
        self._call()
        self.table[sandbox_id] = tuple(new)

    async def remove(self, sandbox_id: str, old: Sequence[Forward]) -> None:
        self._call()
        if sandbox_id not in self.table:
            raise Internal("no such element")
        del self.table[sandbox_id]

    def _call(self) -> None:
        self.calls += 1
        if self.refuse or self.broken:
            self.refuse -= 1
            raise Internal("refused")


class FakeNetwork:
    """Routes as text; remembers which interfaces may carry loopback addresses."""

    def __init__(self, routes: str = ROUTES, error: OSError | None = None) -> None:
        self.routes = routes
        self.error = error
        self.allowed: list[str] = []

    def route_table(self) -> str:
        return self.routes

    def allow_localnet(self, interface: str) -> None:
        if self.error is not None:
            raise self.error
        self.allowed.append(interface)


def manager_of(*backends: FakeBackend, network: FakeNetwork | None = None) -> HostportManager:
    return HostportManager(backends=backends, network=network or FakeNetwork())


async def test_a_pod_with_host_ports_comes_and_goes() -> None:
    backend, network = FakeBackend(), FakeNetwork()
    manager = manager_of(backend, network=network)
    await manager.add("abc", ["10.1.0.2"], WEB)
    assert backend.table == {"abc": forwards(["10.1.0.2"], WEB)}
    assert network.allowed == ["br9"]
    await manager.remove("abc")
    await manager.remove("abc")
    assert (backend.table, backend.calls) == ({}, 2)


async def test_a_pod_without_host_ports_touches_nothing() -> None:
    backend = FakeBackend()
    manager = manager_of(backend)
    await manager.add("abc", ["10.1.0.2"], [PortMapping(Protocol.TCP, 80, 0)])
    await manager.add("abc", ["10.1.0.2"], [PortMapping(Protocol.TCP, 80, 80, "fd00::1")])
    await manager.remove("abc")
    assert backend.calls == 0


async def test_loopback_is_only_opened_for_ports_on_it() -> None:
    network = FakeNetwork()
    await manager_of(FakeBackend(), network=network).add("abc", ["10.1.0.2"], [PortMapping(Protocol.TCP, 80, 80, "192.0.2.1")])
    assert network.allowed == []


async def test_adding_again_replaces() -> None:
    backend = FakeBackend()
    manager = manager_of(backend)
    await manager.add("abc", ["10.1.0.2"], WEB)
    await manager.add("abc", ["10.1.0.3"], WEB)
    assert backend.table == {"abc": forwards(["10.1.0.3"], WEB)}


async def test_a_host_port_of_another_pod_is_refused_with_both_names() -> None:
    backend = FakeBackend({"old": forwards(["10.1.0.9"], WEB)})
    with pytest.raises(AlreadyExists, match=r"^port_mappings: host port 8080/tcp belongs to sandbox old$"):
        await manager_of(backend).add("abc", ["10.1.0.2"], WEB)
    assert list(backend.table) == ["old"]


async def test_an_emptied_firewall_is_put_back() -> None:
    backend = FakeBackend()
    manager = manager_of(backend)
    await manager.add("one", ["10.1.0.2"], WEB)
    backend.table.clear()
    backend.refuse = 1
    await manager.add("two", ["10.1.0.3"], [PortMapping(Protocol.TCP, 80, 81)])
    assert set(backend.table) == {"one", "two"}


async def test_a_refusal_leaves_the_port_free() -> None:
    backend = FakeBackend()
    manager = manager_of(backend)
    backend.refuse = 2
    with pytest.raises(Internal, match="refused"):
        await manager.add("one", ["10.1.0.2"], WEB)
    await manager.add("two", ["10.1.0.3"], WEB)
    assert set(backend.table) == {"two"}


async def test_removal_of_what_somebody_removed_already_succeeds() -> None:
    backend = FakeBackend()
    manager = manager_of(backend)
    await manager.add("one", ["10.1.0.2"], WEB)
    backend.table.clear()
    await manager.remove("one")
    await manager.add("two", ["10.1.0.3"], WEB)


async def test_a_removal_that_is_refused_once_is_tried_with_what_the_kernel_has() -> None:
    backend = FakeBackend()
    manager = manager_of(backend)
    await manager.add("one", ["10.1.0.2"], WEB)
    backend.refuse = 1
    await manager.remove("one")
    assert backend.table == {}


async def test_after_a_restart_ports_of_dead_pods_go() -> None:
    old = {"dead": forwards(["10.1.0.8"], WEB), "alive": forwards(["10.1.0.9"], [PortMapping(Protocol.TCP, 80, 81)])}
    first, second = FakeBackend(old), FakeBackend({"dead": forwards(["fd00::8"], WEB)})
    assert await manager_of(first, second).reconcile(["alive"]) == ("dead",)
    assert (list(first.table), second.table) == (["alive"], {})


async def test_the_second_backend_takes_over_when_the_first_does_not_work() -> None:
    first, second = FakeBackend(), FakeBackend()
    first.broken = True
    await manager_of(first, second).add("abc", ["10.1.0.2"], WEB)
    assert list(second.table) == ["abc"]


async def test_old_flows_to_a_new_udp_port_are_forgotten() -> None:
    calls: list[list[str]] = []

    async def runner(argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes, timeout_s: float) -> process.Completed:
        calls.append(list(argv))
        if "54" in argv:
            raise DeadlineExceeded("too slow")
        return process.Completed(tuple(argv), 1, b"", b"0 flow entries have been deleted")

    manager = HostportManager(runner, [FakeBackend()], FakeNetwork(), "/usr/sbin/conntrack")
    ports = [PortMapping(Protocol.UDP, 53, port) for port in (54, 53)] + [PortMapping(Protocol.TCP, 80, 80)]
    await manager.add("abc", ["10.1.0.2", "fd00::2"], ports)
    assert calls == [["/usr/sbin/conntrack", "-D", "-p", "udp", "--dport", port] for port in ("53", "54")]


async def test_no_backend_is_said_only_when_it_matters() -> None:
    manager = manager_of()
    await manager.add("abc", ["10.1.0.2"], [])
    await manager.remove("abc")
    with pytest.raises(FailedPrecondition, match="host ports need nft or iptables"):
        await manager.add("abc", ["10.1.0.2"], WEB)


async def test_an_id_that_could_break_a_rule_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        await manager_of(FakeBackend()).add('a" drop', ["10.1.0.2"], WEB)


@pytest.mark.parametrize(
    "network",
    [FakeNetwork("Iface\n"), FakeNetwork(error=PermissionError(1, "no")), FakeNetwork(ROUTES.replace("br9", "../x"))],
    ids=["no route", "no right", "a name that is a path"],
)
def test_a_pod_without_loopback_ports_is_no_failure(network: FakeNetwork) -> None:
    open_localnet(network, ipaddress.IPv4Address("10.1.0.2"))
    assert network.allowed == []
