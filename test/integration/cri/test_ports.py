"""Port mappings: a port of the host answers for the pod, at every address of the host, and no longer after it."""

from __future__ import annotations

import json
import socket
import subprocess

from test.images.catalog import WEB
from test.integration.cri.kit import Pods
from test.support.registry import free_port
from test.support.waiting import eventually

ANSWER_TIMEOUT_S = 20.0


def fetched(address: str, port: int) -> str:
    """The answer of a web server, empty while there is none."""
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while chunk := connection.recv(4096):
                data += chunk
            return data.decode(errors="replace")
    except OSError:
        return ""


def node_addresses() -> list[str]:
    """The IPv4 addresses of this network namespace beside loopback's."""
    listed = subprocess.run(["ip", "-j", "-4", "addr"], check=True, capture_output=True, text=True, timeout=10).stdout
    found = [entry["local"] for link in json.loads(listed) for entry in link["addr_info"]]
    return [address for address in found if not address.startswith("127.")]


def test_a_mapped_port_answers_on_loopback_and_on_the_node_s_address(pods: Pods) -> None:
    port = free_port()
    pod = pods.run(port_mappings=[{"container_port": 8080, "host_port": port}])
    pod.start(image={"image": WEB}, command=[])
    eventually(lambda: "It works" in fetched(pod.ip, 8080), ANSWER_TIMEOUT_S, "the pod answers")
    for address in ("127.0.0.1", *node_addresses()):
        assert "It works" in fetched(address, port), address
    pod.stop()
    assert fetched("127.0.0.1", port) == ""


def test_a_port_mapped_at_one_address_answers_there_alone(pods: Pods) -> None:
    port = free_port()
    pod = pods.run(port_mappings=[{"container_port": 8080, "host_port": port, "host_ip": "127.0.0.1"}])
    pod.start(image={"image": WEB}, command=[])
    eventually(lambda: "It works" in fetched("127.0.0.1", port), ANSWER_TIMEOUT_S, "the port answers")
    assert [address for address in node_addresses() if fetched(address, port)] == []


def test_a_mapping_without_a_port_of_the_host_is_no_mapping(pods: Pods) -> None:
    assert pods.run(port_mappings=[{"container_port": 8080, "host_port": 0}]).ip


def test_two_pods_map_their_own_ports(pods: Pods) -> None:
    ports = [free_port(), free_port()]
    for port in ports:
        pods.run(port_mappings=[{"container_port": 8080, "host_port": port}]).start(image={"image": WEB}, command=[])
    for port in ports:
        eventually(lambda port=port: "It works" in fetched("127.0.0.1", port), ANSWER_TIMEOUT_S, f"port {port} answers")
