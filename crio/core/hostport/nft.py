"""Host ports as an nftables table of their own per address family.

Two maps lead from the host side to the pod: ``hostports`` for a port on every address of the node, ``hostipports`` for a port
on one address. They are looked up only for packets to an address of this node, so that traffic that merely passes through
keeps its port (CVE-2025-67499). A pod that reaches itself through the node, and a client on the node's loopback address, are
masqueraded: the answer would not find its way otherwise. ``route_localnet`` lets loopback addresses leave the node's own
stack; a packet that comes in for one from outside is dropped, so that nothing but host ports is opened (CVE-2020-8558). Every
element's comment is the sandbox id. Source: nft(8).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping

from crio.core.config import Protocol
from crio.core.errors import InvalidArgument
from crio.core.hostport.mapping import Family, Forward, IpAddress, parse_address
from crio.core.image.document import Fields, JsonValue, parse_object
from crio.core.image.errors import BadDocument

TABLE = "crio-hostports"
_LISTING_LIMIT_BYTES = 64 << 20
_OBJECTS = """\
add table {f} {t}
add map {f} {t} hostports {{ type inet_proto . inet_service : {a} . inet_service ; }}
add map {f} {t} hostipports {{ type {a} . inet_proto . inet_service : {a} . inet_service ; }}
add set {f} {t} hairpins {{ type {a} . {a} ; }}
add chain {f} {t} hostports
add chain {f} {t} prerouting {{ type nat hook prerouting priority -100 ; }}
add chain {f} {t} output {{ type nat hook output priority -100 ; }}
add chain {f} {t} masquerading {{ type nat hook postrouting priority 100 ; }}
"""
_RULES = """\
flush chain {f} {t} hostports
flush chain {f} {t} prerouting
flush chain {f} {t} output
flush chain {f} {t} masquerading
add rule {f} {t} hostports dnat ip to {f} daddr . meta l4proto . th dport map @hostipports
add rule {f} {t} hostports dnat ip to meta l4proto . th dport map @hostports
"""
_RULES_IPV4 = """\
add rule {f} {t} prerouting iifname != "lo" ip daddr 127.0.0.0/8 drop
add rule {f} {t} masquerading ip saddr 127.0.0.0/8 ip daddr . ip daddr @hairpins masquerade
"""
# ::1 never leaves the loopback interface: without this line a client would wait instead of being refused.
_RULES_IPV6 = """\
add rule {f} {t} output ip6 daddr ::1 return
"""
_JUMPS = """\
add rule {f} {t} prerouting fib daddr type local goto hostports
add rule {f} {t} output fib daddr type local goto hostports
add rule {f} {t} masquerading {f} saddr . {f} daddr @hairpins masquerade
"""


def setup_script(family: Family) -> str:
    """The table with its rules; leaves the elements that are there, so it may be run at any time."""
    address = "ipv4_addr" if family is Family.IPV4 else "ipv6_addr"
    own = _RULES_IPV4 if family is Family.IPV4 else _RULES_IPV6
    rules = _RULES.replace("dnat ip to", f"dnat {family.value} to")
    return (_OBJECTS + rules + own + _JUMPS).format(f=family.value, t=TABLE, a=address)


def add_script(sandbox_id: str, forwards: Iterable[Forward]) -> str:
    """The elements of a sandbox. One that leads elsewhere already makes nft refuse the whole script."""
    return "".join(f"add element {line}\n" for line in _elements(forwards, sandbox_id))


def remove_script(forwards: Iterable[Forward]) -> str:
    """The same elements taken away; one that is missing makes nft refuse the whole script."""
    return "".join(f"delete element {line}\n" for line in _elements(forwards, ""))


def _elements(forwards: Iterable[Forward], sandbox_id: str) -> Iterator[str]:
    """The elements in the braces' syntax; with a sandbox id they carry comment and target."""
    comment = f' comment "{sandbox_id}"' if sandbox_id else ""
    hairpins: dict[IpAddress, Family] = {}
    for forward in forwards:
        key = f"{forward.word()} . {forward.host_port}"
        name = "hostports"
        if forward.host_ip is not None:
            name, key = "hostipports", f"{forward.host_ip} . {key}"
        target = f" : {forward.pod_ip} . {forward.pod_port}" if sandbox_id else ""
        yield f"{forward.family.value} {TABLE} {name} {{ {key}{comment}{target} }}"
        hairpins[forward.pod_ip] = forward.family
    for pod_ip, family in hairpins.items():
        yield f"{family.value} {TABLE} hairpins {{ {pod_ip} . {pod_ip}{comment} }}"


def parse_listing(raw: bytes, family: Family) -> Mapping[str, tuple[Forward, ...]]:
    """Reads ``nft -j list table``: the forwards of every sandbox. Elements without a comment are nobody's.

    :raises BadDocument: it is not such a listing
    """
    found: dict[str, list[Forward]] = {}
    fields = parse_object(raw, "nft listing", limit_bytes=_LISTING_LIMIT_BYTES)
    for item in fields.children("nftables"):
        table = item.child("map")
        if table.text("name") not in ("hostports", "hostipports"):
            continue
        for element in table.items("elem"):
            sandbox_id, forward = _element(element, family, table)
            if sandbox_id:
                found.setdefault(sandbox_id, []).append(forward)
    return {sandbox_id: tuple(forwards) for sandbox_id, forwards in found.items()}


def _element(element: JsonValue, family: Family, table: Fields) -> tuple[str, Forward]:
    match element:
        case [dict(key), {"concat": [str(pod_ip), int(pod_port)]}]:
            inner = Fields(table.path, key).child("elem") if "elem" in key else Fields(table.path, {"val": key})
            parts = inner.child("val").items("concat")
        case _:
            raise table.wrong("elem", "pairs of key and target")
    match parts:
        case [str(word), int(port)]:
            host_ip = ""
        case [str(host_ip), str(word), int(port)]:
            pass
        case _:
            raise table.wrong("elem", "protocol and port as the key")
    try:
        host = parse_address(host_ip, "element") if host_ip else None
        forward = Forward(family, Protocol[word.upper()], host, port, parse_address(pod_ip, "element"), pod_port)
    except (KeyError, InvalidArgument) as error:
        raise BadDocument(f"{table.path}.elem: {error}") from error
    return inner.text("comment"), forward


def interface_towards(route_table: str, pod_ip: ipaddress.IPv4Address) -> str:
    """The interface through which the node reaches a pod, from the text of /proc/net/route; empty when there is none.

    The narrowest route wins, then the lowest metric. Source: proc_pid_net(5).
    """
    best: tuple[int, int, str] = (-1, 0, "")
    for line in route_table.splitlines()[1:]:
        words = line.split()
        try:
            destination, metric, mask = int(words[1], 16), int(words[6]), int(words[7], 16)
        except (IndexError, ValueError):
            continue
        # The kernel prints the bytes of an address as one number of the machine's byte order: little-endian here.
        address = int.from_bytes(pod_ip.packed, "little")
        if address & mask == destination and (mask.bit_count(), -metric) > best[:2]:
            best = (mask.bit_count(), -metric, words[0])
    return best[2]
