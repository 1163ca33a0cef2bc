"""The node's own routing, as far as host ports need it."""

from __future__ import annotations

import ipaddress
import logging
from typing import Protocol

from crio.core.hostport.nft import interface_towards
from crio.host.files import read_bounded

_log = logging.getLogger(__name__)
_ROUTES_LIMIT_BYTES = 64 << 20


class HostNetwork(Protocol):
    """Reads the node's routes and lets an interface carry loopback addresses."""

    def route_table(self) -> str:
        """The text of /proc/net/route."""

    def allow_localnet(self, interface: str) -> None:
        """Set ``route_localnet`` of an interface. Raises OSError."""


class ProcHostNetwork:
    """The daemon's own network namespace, through /proc."""

    def route_table(self) -> str:
        """The text of /proc/net/route."""
        return read_bounded("/proc/net/route", _ROUTES_LIMIT_BYTES).decode(errors="replace")

    def allow_localnet(self, interface: str) -> None:
        """Set ``route_localnet`` of an interface if it is not set. Raises OSError."""
        path = f"/proc/sys/net/ipv4/conf/{interface}/route_localnet"
        if read_bounded(path, 16).strip() != b"1":
            with open(path, "w", encoding="ascii") as stream:
                stream.write("1")


def open_localnet(network: HostNetwork, pod_ip: ipaddress.IPv4Address) -> None:
    """Let clients on 127.0.0.1 reach a pod; without a route or the right to do so only they are left out, with a warning."""
    try:
        interface = interface_towards(network.route_table(), pod_ip)
        if interface and "/" not in interface:
            network.allow_localnet(interface)
    except (OSError, ValueError) as error:
        _log.warning("host ports will not answer on 127.0.0.1 for pod %s: %s", pod_ip, error)
