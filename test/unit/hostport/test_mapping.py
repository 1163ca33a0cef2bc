"""Which host ports lead where."""

from __future__ import annotations

import ipaddress

import pytest

from crio.core.config import PortMapping, Protocol
from crio.core.errors import InvalidArgument
from crio.core.hostport.mapping import forwards

TCP, UDP = Protocol.TCP, Protocol.UDP
IPS = ("10.1.0.2", "fd00::2", "10.1.0.3")

CASES = {
    "no host port": ((PortMapping(TCP, 80, 0), PortMapping(TCP, 80, -1)), []),
    "both families, the first address of each": (
        (PortMapping(TCP, 80, 8080),),
        ["8080/tcp>10.1.0.2:80", "8080/tcp>fd00::2:80"],
    ),
    "any address in words": ((PortMapping(TCP, 80, 8080, "0.0.0.0"),), ["8080/tcp>10.1.0.2:80", "8080/tcp>fd00::2:80"]),
    "any IPv6 address in words": ((PortMapping(UDP, 53, 53, "::"),), ["53/udp>10.1.0.2:53", "53/udp>fd00::2:53"]),
    "one address, its family only": ((PortMapping(TCP, 80, 8080, "127.0.0.1"),), ["127.0.0.1:8080/tcp>10.1.0.2:80"]),
    "one IPv6 address": ((PortMapping(TCP, 80, 8080, "fd01::1"),), ["fd01::1:8080/tcp>fd00::2:80"]),
    "an IPv4 address written as IPv6": ((PortMapping(TCP, 80, 8080, "::ffff:1.2.3.4"),), ["1.2.3.4:8080/tcp>10.1.0.2:80"]),
    "the same twice is once": (
        (PortMapping(TCP, 80, 8080, "1.2.3.4"), PortMapping(TCP, 80, 8080, "1.2.3.4")),
        ["1.2.3.4:8080/tcp>10.1.0.2:80"],
    ),
    "the same port of two protocols": (
        (PortMapping(TCP, 53, 53, "1.2.3.4"), PortMapping(UDP, 53, 53, "1.2.3.4")),
        ["1.2.3.4:53/tcp>10.1.0.2:53", "1.2.3.4:53/udp>10.1.0.2:53"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_forwards(case: str) -> None:
    mappings, expected = CASES[case]
    found = forwards(IPS, mappings)
    assert [f"{forward.describe()}>{forward.pod_ip}:{forward.pod_port}" for forward in found] == expected


REFUSED = {
    "a host port that is too high": (PortMapping(TCP, 80, 65536),),
    "a container port of 0": (PortMapping(TCP, 0, 80),),
    "a host address that is none": (PortMapping(TCP, 80, 80, "1.2.3.4; flush ruleset"),),
    "a host address with a zone": (PortMapping(TCP, 80, 80, 'fe80::1%x" drop'),),
    "one host port for two targets": (PortMapping(TCP, 80, 80), PortMapping(TCP, 81, 80)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^port_mappings\.(host_port|container_port|host_ip): "):
        forwards(IPS, REFUSED[case])


def test_a_pod_address_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^pod ip: expected an IP address, got 'x'"):
        forwards(["x"], [PortMapping(TCP, 80, 80)])


def test_the_key_is_the_host_side() -> None:
    (forward,) = forwards(["10.1.0.2"], [PortMapping(TCP, 80, 80, "1.2.3.4")])
    assert forward.host_ip == ipaddress.ip_address("1.2.3.4")
    assert forward.key()[1:] == (TCP, "1.2.3.4", 80)
