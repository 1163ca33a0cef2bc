"""Host ports as text for nft, and read back from it."""

from __future__ import annotations

import ipaddress
import json

import pytest

from crio.core.config import PortMapping, Protocol
from crio.core.hostport import nft
from crio.core.hostport.mapping import Family, forwards
from crio.core.image.errors import BadDocument

MAPPINGS = (
    PortMapping(Protocol.TCP, 80, 8080),
    PortMapping(Protocol.TCP, 81, 8081, "192.0.2.1"),
    PortMapping(Protocol.UDP, 53, 53, "fd01::1"),
)
FORWARDS = forwards(["10.1.0.2", "fd00::2"], MAPPINGS)


def test_elements_carry_the_sandbox_and_removal_names_their_keys() -> None:
    assert nft.add_script("abc", FORWARDS).splitlines() == [
        'add element ip crio-hostports hostports { tcp . 8080 comment "abc" : 10.1.0.2 . 80 }',
        'add element ip6 crio-hostports hostports { tcp . 8080 comment "abc" : fd00::2 . 80 }',
        'add element ip crio-hostports hostipports { 192.0.2.1 . tcp . 8081 comment "abc" : 10.1.0.2 . 81 }',
        'add element ip6 crio-hostports hostipports { fd01::1 . udp . 53 comment "abc" : fd00::2 . 53 }',
        'add element ip crio-hostports hairpins { 10.1.0.2 . 10.1.0.2 comment "abc" }',
        'add element ip6 crio-hostports hairpins { fd00::2 . fd00::2 comment "abc" }',
    ]
    assert nft.remove_script(FORWARDS[:1]).splitlines() == [
        "delete element ip crio-hostports hostports { tcp . 8080 }",
        "delete element ip crio-hostports hairpins { 10.1.0.2 . 10.1.0.2 }",
    ]


@pytest.mark.parametrize(("family", "other"), [(Family.IPV4, "ipv6"), (Family.IPV6, "ipv4")])
def test_a_table_speaks_of_its_own_family_only(family: Family, other: str) -> None:
    script = nft.setup_script(family)
    assert other not in script and all(f" {family.value} crio-hostports" in line for line in script.splitlines())


def test_only_packets_for_this_node_are_looked_up() -> None:
    jumps = [line for line in nft.setup_script(Family.IPV4).splitlines() if "goto hostports" in line]
    assert len(jumps) == 2 and all("fib daddr type local goto hostports" in line for line in jumps)


def listing(*elements: object, name: str = "hostports") -> bytes:
    return json.dumps({"nftables": [{"metainfo": {}}, {"map": {"name": name, "elem": list(elements)}}]}).encode()


def test_a_listing_is_read_back() -> None:
    raw = listing(
        [{"elem": {"val": {"concat": ["tcp", 8080]}, "comment": "abc"}}, {"concat": ["10.1.0.2", 80]}],
        [{"concat": ["tcp", 9]}, {"concat": ["10.1.0.9", 9]}],
    )
    assert nft.parse_listing(raw, Family.IPV4) == {"abc": (FORWARDS[0],)}
    raw = listing(
        [{"elem": {"val": {"concat": ["fd01::1", "udp", 53]}, "comment": "abc"}}, {"concat": ["fd00::2", 53]}],
        name="hostipports",
    )
    assert nft.parse_listing(raw, Family.IPV6) == {"abc": (FORWARDS[3],)}
    assert nft.parse_listing(listing(["whatever"], name="other"), Family.IPV4) == {}


BAD = {
    "an element that is no pair": "x",
    "a key without a port": [{"concat": ["tcp"]}, {"concat": ["10.1.0.2", 80]}],
    "an unknown protocol": [{"concat": ["dccp", 1]}, {"concat": ["10.1.0.2", 80]}],
    "an address that is none": [{"concat": ["tcp", 1]}, {"concat": ["x", 80]}],
}


@pytest.mark.parametrize("case", BAD)
def test_a_listing_of_another_shape_is_refused(case: str) -> None:
    with pytest.raises(BadDocument, match=r"nft listing\.nftables\[1\]\.map\.elem"):
        nft.parse_listing(listing(BAD[case]), Family.IPV4)


ROUTES = """\
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
slow0\t0000010A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
br9\t0000010A\t00000000\t0001\t0\t0\t10\t00FFFFFF\t0\t0\t0
veth7\t0700010A\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\t0\t0
nonsense
bad\tx\ty\t0\t0\t0\t0\tz\t0\t0\t0
"""

TOWARDS = {
    "the narrowest, then the lowest metric": (ROUTES, "10.1.0.2", "br9"),
    "one host": (ROUTES, "10.1.0.7", "veth7"),
    "the default": (ROUTES, "10.2.0.1", "eth0"),
    "no route": ("Iface\n", "10.1.0.2", ""),
}


@pytest.mark.parametrize("case", TOWARDS)
def test_interface_towards_a_pod(case: str) -> None:
    table, pod_ip, expected = TOWARDS[case]
    assert nft.interface_towards(table, ipaddress.IPv4Address(pod_ip)) == expected
