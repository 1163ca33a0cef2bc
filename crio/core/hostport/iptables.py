"""Host ports as chains of the iptables nat table, for machines without nft.

Per forward there is a chain ``KUBE-HP-<hash>`` with the address translation and a chain ``CRIO-MASQ-<hash>`` with the
masquerading; one rule each in ``KUBE-HOSTPORTS`` and ``CRIO-HOSTPORTS-MASQ`` leads there and carries the sandbox id as its
comment. The reasons for the rules are those of ``nft.py``. The text is for ``iptables-restore --noflush``, where naming a
chain in a line that begins with ``:`` empties it: so a shared chain is only named while it does not exist. Source: iptables-
restore(8).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crio.core.config import Protocol
from crio.core.errors import InvalidArgument
from crio.core.hostport.mapping import Family, Forward, parse_address

_PORTS = "KUBE-HOSTPORTS"
_PORT = "KUBE-HP-"
_MASQS = "CRIO-HOSTPORTS-MASQ"
_MASQ = "CRIO-MASQ-"
_LOCAL = "-m addrtype --dst-type LOCAL"
# ::1 never leaves the loopback interface: translated, a client would wait instead of being refused.
_NOT_LOOPBACK = {Family.IPV4: "", Family.IPV6: "! -d ::1/128 "}
# Before the nat hooks no honest packet from outside is for a loopback address: answers still carry the masquerade's.
_GUARD = "PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP"
_COMMENT = re.compile(r'--comment "?([A-Za-z0-9_.-]+)"?')


@dataclass(frozen=True, slots=True)
class Saved:
    """What ``iptables-save -t nat`` printed, as far as it is ours."""

    chains: frozenset[str]
    rules: tuple[str, ...]

    def forwards(self, family: Family) -> Mapping[str, tuple[Forward, ...]]:
        """The forwards of every sandbox; rules that another program made in the shared chain are nobody's."""
        targets = {rule.split()[1]: _option(rule, "--to-destination") for rule in self.rules if "--to-destination" in rule}
        found: dict[str, list[Forward]] = {}
        for rule in self.rules:
            comment = _COMMENT.search(rule)
            target = targets.get(_option(rule, "-j"), "")
            if rule.startswith(f"-A {_PORTS} ") and comment is not None and target:
                forward = _parse_forward(rule, target, family)
                if forward is not None:
                    found.setdefault(comment.group(1), []).append(forward)
        return {sandbox_id: tuple(forwards) for sandbox_id, forwards in found.items()}


def parse_saved(text: str) -> Saved:
    """Reads the output of ``iptables-save -t nat``."""
    lines = [line.strip() for line in text.splitlines()]
    chains = frozenset(line[1:].split()[0] for line in lines if line.startswith(":") and len(line) > 1)
    return Saved(chains, tuple(line for line in lines if line.startswith("-A ")))


def add_script(saved: Saved, family: Family, sandbox_id: str, forwards: Iterable[Forward]) -> str:
    """The lines that add a sandbox's forwards, and what they stand on as far as it is missing."""
    heads = [f":{chain} - [0:0]" for chain in (_PORTS, _MASQS) if chain not in saved.chains]
    rules = [jump for jump in _jumps(family) if jump not in saved.rules]
    for forward in forwards:
        name = _hash(sandbox_id, forward)
        heads += [f":{_PORT}{name} - [0:0]", f":{_MASQ}{name} - [0:0]"]
        rules += _rules_of(forward, name, sandbox_id)
    script = "\n".join(["*nat", *heads, *rules, "COMMIT", ""])
    if family is Family.IPV4 and _PORTS not in saved.chains:
        script += "\n".join(["*mangle", f"-A {_GUARD}", "COMMIT", ""])
    return script


def _jumps(family: Family) -> tuple[str, ...]:
    """The ways into the shared chains, written as iptables-save prints them."""
    return (
        f"-A PREROUTING {_LOCAL} -j {_PORTS}",
        f"-A OUTPUT {_NOT_LOOPBACK[family]}{_LOCAL} -j {_PORTS}",
        f"-A POSTROUTING -j {_MASQS}",
    )


def _rules_of(forward: Forward, name: str, sandbox_id: str) -> list[str]:
    word, comment = forward.word(), f"-m comment --comment {sandbox_id}"
    # A port on one address goes before the same port on every address.
    verb, host = ("-A", "") if forward.host_ip is None else ("-I", f"-d {forward.host_ip} ")
    pod = f"[{forward.pod_ip}]" if forward.family is Family.IPV6 else str(forward.pod_ip)
    to_pod = f"-d {forward.pod_ip} -p {word} -m {word} --dport {forward.pod_port}"
    found = [
        f"{verb} {_PORTS} {host}-p {word} -m {word} --dport {forward.host_port} {comment} -j {_PORT}{name}",
        f"-A {_PORT}{name} -p {word} {comment} -j DNAT --to-destination {pod}:{forward.pod_port}",
        f"-A {_MASQS} {comment} -j {_MASQ}{name}",
        f"-A {_MASQ}{name} -s {forward.pod_ip} {to_pod} {comment} -j MASQUERADE",
    ]
    if forward.family is Family.IPV4:
        found.append(f"-A {_MASQ}{name} -s 127.0.0.0/8 {to_pod} {comment} -j MASQUERADE")
    return found


def remove_script(saved: Saved, sandbox_id: str) -> str:
    """The lines that take a sandbox's rules and chains away; empty when it has none."""
    mine = []
    for rule in saved.rules:
        comment = _COMMENT.search(rule)
        if comment is not None and comment.group(1) == sandbox_id and rule.split()[1] in (_PORTS, _MASQS):
            mine.append(rule)
    chains = [chain for chain in (_option(rule, "-j") for rule in mine) if chain.startswith((_PORT, _MASQ))]
    if not mine:
        return ""
    heads = [f":{chain} - [0:0]" for chain in chains]
    return "\n".join(["*nat", *heads, *(f"-D{rule[2:]}" for rule in mine), *(f"-X {chain}" for chain in chains), "COMMIT", ""])


def _hash(sandbox_id: str, forward: Forward) -> str:
    """Sixteen letters and digits: a chain's name has at most 28 characters."""
    text = f"{sandbox_id} {forward.key()} {forward.pod_ip}"
    return base64.b32encode(hashlib.sha256(text.encode()).digest())[:16].decode()


def _parse_forward(rule: str, target: str, family: Family) -> Forward | None:
    pod_ip, _, pod_port = target.rpartition(":")
    host_ip = _option(rule, "-d").partition("/")[0]
    try:
        return Forward(
            family=family,
            protocol=Protocol[_option(rule, "-p").upper()],
            host_ip=parse_address(host_ip, "rule") if host_ip else None,
            host_port=int(_option(rule, "--dport")),
            pod_ip=parse_address(pod_ip.strip("[]"), "rule"),
            pod_port=int(pod_port),
        )
    except (KeyError, ValueError, InvalidArgument):
        return None


def _option(rule: str, name: str) -> str:
    words = rule.split()
    return words[words.index(name) + 1] if name in words[:-1] else ""
