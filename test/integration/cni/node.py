"""A node of its own for network tests: a network namespace that plays the machine, and others that play its pods.

Plugins and firewall tools are run inside the node's namespace, so that nothing of the machine under the tests is touched.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crio.core.cni.values import PodNetwork
from crio.core.config import PortMapping
from crio.host import process
from crio.host.cni.manager import CniOptions

PLUGIN_DIR = "/usr/lib/cni"
SERVER = """
import socket, sys
family = socket.AF_INET6
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
server = socket.socket(family, kind)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("::", int(sys.argv[2])))
if kind == socket.SOCK_STREAM:
    server.listen(16)
print("ready", flush=True)
while True:
    if kind == socket.SOCK_STREAM:
        peer, _ = server.accept()
        peer.sendall(sys.argv[3].encode())
        peer.close()
    else:
        _, address = server.recvfrom(100)
        server.sendto(sys.argv[3].encode(), address)
"""
CLIENT = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
client = socket.socket(family, kind)
client.settimeout(float(sys.argv[4]))
try:
    client.connect((sys.argv[2], int(sys.argv[3])))
    client.send(b"hello")
    print(client.recv(100).decode(), end="")
except OSError as error:
    print("error", type(error).__name__, end="")
"""


def run(*argv: str) -> str:
    """Run a command that has to succeed; its output."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout


@dataclass
class Node:
    """The namespaces of one test; ``close`` ends its servers and removes them."""

    root: Path
    name: str = field(default_factory=lambda: f"crio-{secrets.token_hex(4)}")
    namespaces: list[str] = field(default_factory=list)
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("net.d", "plugins", "cache", "leases"):
            (self.root / name).mkdir()
        self.add_namespace(self.name)
        self.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")

    @property
    def bridge(self) -> str:
        """The name of the node's bridge."""
        return f"b{self.name[5:]}"

    def add_namespace(self, name: str) -> str:
        """A new network namespace with ``lo`` up; its path."""
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return f"/run/netns/{name}"

    def drop_namespace(self, name: str) -> None:
        """Remove a namespace before the end of the test."""
        run("ip", "netns", "del", name)
        self.namespaces.remove(name)

    def run(self, *argv: str, inside: str = "") -> str:
        """Run a command in the node's namespace, or in another."""
        return run("nsenter", f"--net=/run/netns/{inside or self.name}", *argv)

    async def runner(self, argv: Sequence[str], *, env: Mapping[str, str], stdin: bytes, timeout_s: float) -> process.Completed:
        """The port by which the code under test runs plugins and tools: inside the node."""
        wrapped = ["/usr/bin/nsenter", f"--net=/run/netns/{self.name}", *argv]
        return await process.run(wrapped, env=env, stdin=stdin, timeout_s=timeout_s)

    def route_table(self) -> str:
        """The node's routes, for host ports."""
        return self.run("cat", "/proc/net/route")

    def allow_localnet(self, interface: str) -> None:
        """Let an interface of the node carry loopback addresses."""
        self.run("sh", "-c", 'echo 1 > "/proc/sys/net/ipv4/conf/$1/route_localnet"', "sh", interface)

    def options(self, **changes: float | str) -> CniOptions:
        """Settings that lead into the test's own directories; scripted plugins come before the real ones."""
        return CniOptions(
            config_dir=str(self.root / "net.d"),
            plugin_dirs=(str(self.root / "plugins"), PLUGIN_DIR),
            cache_dir=str(self.root / "cache"),
            retry_delay_s=0.02,
            **changes,  # type: ignore[arg-type]
        )

    def bridge_plugin(self, *, ipv6: bool = False) -> dict[str, object]:
        """The bridge plugin with host-local addresses, all of the test's own."""
        ranges = [[{"subnet": "10.99.0.0/24"}]] + ([[{"subnet": "fd99::/64"}]] if ipv6 else [])
        routes = [{"dst": "0.0.0.0/0"}] + ([{"dst": "::/0"}] if ipv6 else [])
        ipam = {"type": "host-local", "dataDir": str(self.root / "leases"), "ranges": ranges, "routes": routes}
        return {"type": "bridge", "bridge": self.bridge, "isGateway": True, "hairpinMode": True, "ipam": ipam}

    def configure(
        self, *plugins: Mapping[str, object], file_name: str = "10-test.conflist", name: str = "test", version: str = "1.0.0"
    ) -> Path:
        """Write a configuration file, whole at once."""
        path = self.root / "net.d" / file_name
        staged = self.root / file_name
        staged.write_text(json.dumps({"name": name, "cniVersion": version, "plugins": list(plugins)}))
        os.rename(staged, path)
        return path

    def pod(self, sandbox_id: str = "", ports: tuple[PortMapping, ...] = ()) -> PodNetwork:
        """A pod with a namespace."""
        name = f"{self.name}-{len(self.namespaces)}"
        path = self.add_namespace(name)
        return PodNetwork(sandbox_id or f"sandbox{name}", "web", "default", "uid-1", path, port_mappings=ports)

    def drop_pod(self, pod: PodNetwork) -> None:
        """Remove a pod's namespace."""
        self.drop_namespace(os.path.basename(pod.netns_path))

    def leases(self) -> list[str]:
        """The addresses that host-local has given out."""
        return sorted(path.name for path in (self.root / "leases").glob("test/*") if path.name[0] in "1f")

    def records(self) -> list[str]:
        """The names of the records."""
        return sorted(path.name for path in (self.root / "cache" / "results").glob("*"))

    def damage_record(self) -> None:
        """Cut the first record off in its middle."""
        path = self.root / "cache" / "results" / self.records()[0]
        path.write_bytes(path.read_bytes()[:20])

    def ports_of_bridge(self) -> list[str]:
        """The interfaces of the node's bridge."""
        links = json.loads(self.run("ip", "-j", "link", "show") or "[]")
        return [link["ifname"] for link in links if link.get("master") == self.bridge]

    def serve(self, pod: PodNetwork, protocol: str, port: int, answer: str) -> None:
        """Start a server in a pod that answers everybody with ``answer``; returns when it listens."""
        argv = ["nsenter", f"--net={pod.netns_path}", sys.executable, "-c", SERVER, protocol, str(port), answer]
        server = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self.servers.append(server)
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"

    def ask(self, protocol: str, address: str, port: int, *, inside: str = "", timeout_s: float = 3.0) -> str:
        """What a server answers to a client on the node, or in another namespace."""
        return self.run(sys.executable, "-c", CLIENT, protocol, address, str(port), str(timeout_s), inside=inside)

    def close(self) -> None:
        """End the servers, remove the namespaces."""
        for server in self.servers:
            server.kill()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()
        for name in reversed(self.namespaces):
            run("ip", "netns", "del", name)
        shutil.rmtree(self.root, ignore_errors=True)


@dataclass
class Scripted:
    """A plugin made of shell lines: writes down each call and then does what the test says for its verb."""

    directory: Path
    name: str = "scripted"

    def __post_init__(self) -> None:
        self.install()

    def install(self) -> None:
        """Put the program in its place, whole at once."""
        staged = self.directory.parent / f"{self.name}.new"
        staged.write_text(
            f'#!/bin/sh\nd={self.directory.parent}/{self.name}\ncat > "$d.$CNI_COMMAND.in"\n'
            f'echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS" >> "$d.calls"\n[ -e "$d.$CNI_COMMAND" ] || exit 0\n. "$d.$CNI_COMMAND"\n'
        )
        staged.chmod(0o755)
        os.rename(staged, self.directory / self.name)

    def on(self, verb: str, lines: str) -> None:
        """What it does for a verb; nothing means success."""
        path = self.directory.parent / f"{self.name}.{verb}"
        staged = path.with_suffix(".new")
        staged.write_text(lines)
        os.rename(staged, path)

    def calls(self, verb: str = "") -> list[str]:
        """The calls so far: verb, sandbox id and namespace."""
        path = self.directory.parent / f"{self.name}.calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.strip() for line in lines if line.startswith(verb)]

    def stdin(self, verb: str) -> dict[str, object]:
        """What it was given at the last call of a verb."""
        found: dict[str, object] = json.loads((self.directory.parent / f"{self.name}.{verb}.in").read_text())
        return found
