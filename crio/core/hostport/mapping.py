"""A host port of a pod: a port of the node that leads to a port of the pod.

Everything that ends up in a firewall rule is a number or a parsed address; no text of a client gets that far.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from crio.core.config import PortMapping, Protocol
from crio.core.errors import InvalidArgument

IpAddress: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

PORT_MAX = 65535
_ANY_HOST = ("", "0.0.0.0", "::")


class Family(enum.Enum):
    """An address family; the values are the words of nft."""

    IPV4 = "ip"
    IPV6 = "ip6"


@dataclass(frozen=True, slots=True)
class Forward:
    """One host port resolved to one address of the pod; ``host_ip`` None means every address of the node."""

    family: Family
    protocol: Protocol
    host_ip: IpAddress | None
    host_port: int
    pod_ip: IpAddress
    pod_port: int

    def key(self) -> tuple[Family, Protocol, str, int]:
        """What can lead to only one pod at a time."""
        return (self.family, self.protocol, str(self.host_ip or ""), self.host_port)

    def word(self) -> str:
        """The protocol as nft, iptables and CNI write it."""
        return protocol_word(self.protocol)

    def describe(self) -> str:
        """The host side in words, for an error sentence."""
        address = f"{self.host_ip}:" if self.host_ip is not None else ""
        return f"{address}{self.host_port}/{self.word()}"


def protocol_word(protocol: Protocol) -> str:
    """A protocol as nft, iptables and CNI write it: tcp, udp, sctp."""
    return protocol.name.lower()


def family_of(address: IpAddress) -> Family:
    """The family of an address."""
    return Family.IPV4 if address.version == 4 else Family.IPV6


def parse_address(text: str, field: str) -> IpAddress:
    """Parses an address; :raises InvalidArgument: names ``field`` and the text."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidArgument(f"{field}: expected an IP address, got {text!r}") from error
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise InvalidArgument(f"{field}: expected an IP address without a zone, got {text!r}")
        return address.ipv4_mapped or address
    return address


def wanted(mappings: Iterable[PortMapping]) -> tuple[PortMapping, ...]:
    """The mappings that ask for a host port, checked.

    :raises InvalidArgument: a port out of range or a host address that is none
    """
    found = tuple(mapping for mapping in mappings if mapping.host_port > 0)
    for mapping in found:
        for field, port in (("host_port", mapping.host_port), ("container_port", mapping.container_port)):
            if not 1 <= port <= PORT_MAX:
                raise InvalidArgument(f"port_mappings.{field}: expected 1 to {PORT_MAX}, got {port}")
        if mapping.host_ip not in _ANY_HOST:
            parse_address(mapping.host_ip, "port_mappings.host_ip")
    return found


def forwards(ips: Iterable[str], mappings: Iterable[PortMapping]) -> tuple[Forward, ...]:
    """What has to be forwarded: each mapping once per address family of the pod, to its first address of that family.

    A mapping with a host address is forwarded in that address's family only.

    :raises InvalidArgument: see ``wanted``; the same host port twice with different targets
    """
    first: dict[Family, IpAddress] = {}
    for text in ips:
        address = parse_address(text, "pod ip")
        first.setdefault(family_of(address), address)
    found: dict[tuple[Family, Protocol, str, int], Forward] = {}
    for mapping in wanted(mappings):
        host_ip = None if mapping.host_ip in _ANY_HOST else parse_address(mapping.host_ip, "port_mappings.host_ip")
        for family, pod_ip in first.items():
            if host_ip is not None and family_of(host_ip) is not family:
                continue
            forward = Forward(family, mapping.protocol, host_ip, mapping.host_port, pod_ip, mapping.container_port)
            if found.setdefault(forward.key(), forward) != forward:
                raise InvalidArgument(f"port_mappings.host_port: {forward.describe()} is given twice for two targets")
    return tuple(found.values())
