"""The texts of a pod's own files: resolv.conf, hostname, hosts.

Values come from the pod's configuration and are refused when they would add lines of their own.
"""

from __future__ import annotations

from crio.core.config import DnsConfig
from crio.core.errors import InvalidArgument

MAX_HOSTNAME = 64


def check_line(field: str, value: str) -> str:
    """A value that stays on its line; raises InvalidArgument for control characters."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise InvalidArgument(f"{field} {value!r} has control characters: expected one line of plain text")
    return value


def resolv_conf(dns: DnsConfig) -> str:
    """The text of resolv.conf. Source: resolv.conf(5), CRI ``DNSConfig``."""
    lines = []
    if dns.searches:
        lines.append("search " + " ".join(check_line("dns_config.searches", item) for item in dns.searches))
    lines += ["nameserver " + check_line("dns_config.servers", item) for item in dns.servers]
    if dns.options:
        lines.append("options " + " ".join(check_line("dns_config.options", item) for item in dns.options))
    return "".join(f"{line}\n" for line in lines)


def pod_hostname(wanted: str, sandbox_id: str, host: str, *, host_network: bool) -> str:
    """The pod's host name: the one asked for, else the host's on the host network, else the start of the id."""
    name = check_line("hostname", wanted) or (host if host_network else sandbox_id[:12])
    if len(name) > MAX_HOSTNAME:
        raise InvalidArgument(f"hostname {name!r} has {len(name)} characters: the kernel takes at most {MAX_HOSTNAME}")
    return name


def hosts_file(hostname: str, ips: tuple[str, ...]) -> str:
    """The text of /etc/hosts of a pod whose client gave none."""
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += ["ff02::1\tip6-allnodes", "ff02::2\tip6-allrouters"]
    lines += [f"{address}\t{hostname}" for address in ips]
    return "".join(f"{line}\n" for line in lines)
