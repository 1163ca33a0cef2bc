"""Host ports in a real kernel: who reaches the pod, who must not, and what is left afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from crio.core.cni.values import PodNetwork
from crio.core.config import PortMapping, Protocol
from crio.core.errors import AlreadyExists, Internal
from crio.core.hostport.mapping import Family
from crio.host.cni.manager import CniManager
from crio.host.hostport.backends import Backend, IptablesBackend, NftBackend
from crio.host.hostport.manager import HostportManager
from test.integration.cni.node import Node

TCP, UDP = Protocol.TCP, Protocol.UDP
NODE_IP, NODE_IP6 = "192.0.2.1", "fd98::1"
OUTSIDE_IP = "192.0.2.2"
REFUSED_S = 0.4


def nft_of(node: Node) -> Backend:
    return NftBackend("/usr/sbin/nft", node.runner)


def iptables_of(node: Node) -> Backend:
    return IptablesBackend({Family.IPV4: "/usr/sbin/iptables", Family.IPV6: "/usr/sbin/ip6tables"}, node.runner)


BACKENDS: dict[str, Callable[[Node], Backend]] = {"nft": nft_of, "iptables": iptables_of}


@dataclass
class Scene:
    """A node with an outside machine, a network, and two pods with addresses."""

    node: Node
    backend: str
    cni: CniManager
    web: PodNetwork
    web_ips: tuple[str, ...]
    other: PodNetwork
    other_ips: tuple[str, ...]
    outside: str

    def manager(self) -> HostportManager:
        """A manager as a daemon that has just started has it."""
        return HostportManager(self.node.runner, [BACKENDS[self.backend](self.node)], self.node)

    def left_over(self) -> str:
        """What is left in the firewall of any pod."""
        if self.backend == "nft":
            return "".join(line for line in self.node.run("nft", "list", "ruleset").splitlines() if "comment" in line)
        lines = (self.node.run("iptables-save") + self.node.run("ip6tables-save")).splitlines()
        return "".join(line for line in lines if "sandbox" in line or "KUBE-HP" in line or "CRIO-MASQ" in line)


@pytest_asyncio.fixture(params=BACKENDS)
async def scene(request: pytest.FixtureRequest, node: Node) -> AsyncIterator[Scene]:
    """Both backends see the same scene."""
    outside = f"{node.name}-out"
    node.add_namespace(outside)
    node.run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", outside)
    for where, address, address6 in (("", NODE_IP, NODE_IP6), (outside, OUTSIDE_IP, "fd98::2")):
        node.run("ip", "address", "add", f"{address}/24", "dev", "wire", inside=where)
        node.run("ip", "address", "add", f"{address6}/64", "dev", "wire", "nodad", inside=where)
        node.run("ip", "link", "set", "wire", "up", inside=where)
    node.run("ip", "route", "add", "10.99.0.0/16", "via", NODE_IP, inside=outside)
    node.configure(node.bridge_plugin(ipv6=True))
    web, other = node.pod(), node.pod()
    cni = CniManager(node.options(), node.runner)
    await cni.start()
    try:
        web_ips, other_ips = (await cni.add(web)).ips, (await cni.add(other)).ips
        yield Scene(node, request.param, cni, web, web_ips, other, other_ips, outside)
        await cni.delete(web)
        await cni.delete(other)
    finally:
        await cni.stop()


async def test_everybody_reaches_the_pod_by_the_nodes_port(scene: Scene) -> None:
    node, manager = scene.node, scene.manager()
    node.serve(scene.web, "tcp", 80, "web")
    node.serve(scene.web, "udp", 53, "dns")
    await manager.add(scene.web.sandbox_id, scene.web_ips, [PortMapping(TCP, 80, 8080), PortMapping(UDP, 53, 5353)])
    inside_web = scene.web.netns_path.rpartition("/")[2]
    reached = {
        "from the node by loopback": node.ask("tcp", "127.0.0.1", 8080),
        "from the node by another loopback address": node.ask("tcp", "127.0.0.5", 8080),
        "from the node by its own address": node.ask("tcp", NODE_IP, 8080),
        "from the node by UDP": node.ask("udp", "127.0.0.1", 5353),
        "from the node by IPv6": node.ask("tcp", NODE_IP6, 8080),
        "from outside": node.ask("tcp", NODE_IP, 8080, inside=scene.outside),
        "from outside by UDP": node.ask("udp", NODE_IP, 5353, inside=scene.outside),
        "from outside by IPv6": node.ask("tcp", NODE_IP6, 8080, inside=scene.outside),
        "from the pod itself": node.ask("tcp", NODE_IP, 8080, inside=inside_web),
    }
    expected = {key: "dns" if "UDP" in key else "web" for key in reached}
    assert reached == expected
    await manager.remove(scene.web.sandbox_id)
    assert scene.left_over() == ""
    assert node.ask("tcp", NODE_IP, 8080).startswith("error")


async def test_ipv6_loopback_is_refused_at_once(scene: Scene) -> None:
    await scene.manager().add(scene.web.sandbox_id, scene.web_ips, [PortMapping(TCP, 80, 8080)])
    assert scene.node.ask("tcp", "::1", 8080) == "error ConnectionRefusedError"
    await scene.manager().remove(scene.web.sandbox_id)


async def test_traffic_that_only_passes_through_keeps_its_port(scene: Scene) -> None:
    """The exploit of CVE-2025-67499: a host port must not catch what is meant for somebody else's same port."""
    node, manager = scene.node, scene.manager()
    node.serve(scene.web, "tcp", 80, "web")
    node.serve(scene.other, "tcp", 8080, "other")
    await manager.add(scene.web.sandbox_id, scene.web_ips, [PortMapping(TCP, 80, 8080)])
    assert node.ask("tcp", scene.other_ips[0], 8080, inside=scene.outside) == "other"
    assert node.ask("tcp", scene.other_ips[0], 8080) == "other"
    await manager.remove(scene.web.sandbox_id)


async def test_loopback_services_of_the_node_stay_closed_to_others(scene: Scene) -> None:
    """The exploit of CVE-2020-8558: route_localnet must not let neighbours in."""
    node, manager = scene.node, scene.manager()
    await manager.add(scene.web.sandbox_id, scene.web_ips, [PortMapping(TCP, 80, 8080)])
    inside = scene.other.netns_path.rpartition("/")[2]
    node.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet", inside=inside)
    node.run("ip", "address", "del", "127.0.0.1/8", "dev", "lo", inside=inside)
    node.run("ip", "route", "add", "127.0.0.0/8", "via", "10.99.0.1", "dev", "eth0", "src", scene.other_ips[0], inside=inside)
    secret = PodNetwork("node", "n", "ns", "u", f"/run/netns/{node.name}")
    node.serve(secret, "tcp", 7777, "secret")
    assert node.ask("tcp", "127.0.0.1", 7777) == "secret"
    assert node.ask("tcp", "127.0.0.1", 7777, inside=inside, timeout_s=REFUSED_S).startswith("error")
    await manager.remove(scene.web.sandbox_id)


async def test_a_port_on_one_address_is_only_there_and_goes_before_the_others(scene: Scene) -> None:
    node, manager = scene.node, scene.manager()
    node.serve(scene.web, "tcp", 80, "web")
    node.serve(scene.other, "tcp", 80, "other")
    await manager.add(scene.web.sandbox_id, scene.web_ips, [PortMapping(TCP, 80, 8080)])
    await manager.add(scene.other.sandbox_id, scene.other_ips, [PortMapping(TCP, 80, 8080, "127.0.0.1")])
    assert node.ask("tcp", "127.0.0.1", 8080) == "other"
    assert node.ask("tcp", NODE_IP, 8080, inside=scene.outside) == "web"
    await manager.remove(scene.other.sandbox_id)
    assert node.ask("tcp", "127.0.0.1", 8080) == "web"
    await manager.remove(scene.web.sandbox_id)
    assert scene.left_over() == ""


async def test_a_new_daemon_knows_and_removes_what_the_old_one_added(scene: Scene) -> None:
    mappings = [PortMapping(TCP, 80, 8080), PortMapping(UDP, 53, 53, "127.0.0.1"), PortMapping(TCP, 80, 81, NODE_IP6)]
    await scene.manager().add(scene.web.sandbox_id, scene.web_ips, mappings)
    with pytest.raises(AlreadyExists, match=f"host port 8080/tcp belongs to sandbox {scene.web.sandbox_id}"):
        await scene.manager().add(scene.other.sandbox_id, scene.other_ips, [PortMapping(TCP, 80, 8080)])
    assert await scene.manager().reconcile([scene.web.sandbox_id]) == ()
    assert await scene.manager().reconcile([]) == (scene.web.sandbox_id,)
    assert scene.left_over() == ""


async def test_a_reload_of_the_firewall_is_mended_by_the_next_pod(scene: Scene) -> None:
    node, manager = scene.node, scene.manager()
    node.serve(scene.web, "tcp", 80, "web")
    await manager.add(scene.web.sandbox_id, scene.web_ips, [PortMapping(TCP, 80, 8080)])
    if scene.backend == "nft":
        node.run("nft", "flush", "ruleset")
        await manager.add(scene.other.sandbox_id, scene.other_ips, [PortMapping(TCP, 80, 8081)])
        assert node.ask("tcp", NODE_IP, 8080) == "web"
        node.run("nft", "flush", "ruleset")
    else:
        node.run("iptables", "-t", "nat", "-F", "KUBE-HOSTPORTS")
    await manager.remove(scene.web.sandbox_id)
    await manager.remove(scene.other.sandbox_id)


async def test_a_table_of_another_shape_is_told_and_left_alone(node: Node) -> None:
    node.run("nft", "add table ip crio-hostports; add map ip crio-hostports hostports { type mark : mark ; }")
    manager = HostportManager(node.runner, [nft_of(node)], node)
    with pytest.raises(Internal, match=r"nft refuses the host ports: .*datatype mismatch"):
        await manager.add("sandbox", ["10.99.0.2"], [PortMapping(TCP, 80, 8080)])
    assert "comment" not in node.run("nft", "list", "ruleset")
