"""The HTTP status API on the daemon's socket, beside gRPC."""

from __future__ import annotations

import contextlib
import json
import socket
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from crio.cri import api_pb2 as pb
from test.integration.cri.kit import Pods
from test.support.cri import Cri
from test.support.daemon import Daemon

pytestmark = pytest.mark.inside
TIMEOUT_S = 20.0
CLIENTS = 50


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said."""

    status: int
    content_type: str
    body: bytes


@contextlib.contextmanager
def connected(path: str) -> Iterator[socket.socket]:
    """A plain connection to the socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(path)
        yield connection


def get(path: str, target: str, method: str = "GET") -> Reply:
    """One HTTP/1.1 request."""
    with connected(path) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Reply(int(first.split()[1]), headers.get("content-type", ""), body)


def test_info_says_where_things_are(inside: Daemon) -> None:
    reply = get(inside.socket, "/info")
    assert (reply.status, reply.content_type.partition(";")[0]) == (200, "application/json")
    info = json.loads(reply.body)
    assert set(info) == {"storage_driver", "storage_image", "storage_root", "cgroup_driver", "default_id_mappings"}
    assert (info["storage_root"], info["cgroup_driver"]) == (str(inside.layout.root / "store"), "cgroupfs")
    assert info["storage_driver"] == "overlay"


def test_config_is_toml_of_what_is_in_force(inside: Daemon) -> None:
    reply = get(inside.socket, "/config")
    assert (reply.status, reply.content_type.partition(";")[0]) == (200, "application/toml")
    found = tomllib.loads(reply.body.decode())["crio"]
    assert found["root"] == str(inside.layout.root / "store")
    assert found["api"]["listen"] == inside.socket
    assert found["network"]["network_dir"] == str(inside.layout.root / "cni")


def test_a_container_is_shown_by_its_id(pods: Pods, inside: Daemon) -> None:
    pod = pods.run()
    container = pod.start(labels={"app": "shop"})
    shown = json.loads(get(inside.socket, f"/containers/{container.id}").body)
    assert (shown["sandbox"], shown["ip_addresses"], shown["host_network"]) == (pod.id, [pod.ip], False)
    assert (shown["labels"], shown["log_path"]) == ({"app": "shop"}, str(container.log_path))
    assert shown["pid"] == json.loads(container.info())["pid"]
    assert json.loads(get(inside.socket, f"/containers/{pod.id}").body)["pid"] == shown["pid"]


UNKNOWN = {"an unknown container": "/containers/" + "f" * 64, "an unknown path": "/nothing", "the root": "/"}


@pytest.mark.parametrize("case", UNKNOWN)
def test_not_found_is_said_of(inside: Daemon, case: str) -> None:
    assert get(inside.socket, UNKNOWN[case]).status == 404


def test_an_unknown_container_is_named(inside: Daemon) -> None:
    wanted = "f" * 64
    assert get(inside.socket, f"/containers/{wanted}").body.decode().strip() == f"can't find the container with id {wanted}"


def test_another_method_is_not_allowed(inside: Daemon) -> None:
    assert get(inside.socket, "/info", "POST").status == 405


def test_a_container_can_be_paused_and_resumed(pods: Pods, inside: Daemon) -> None:
    container = pods.run().start()
    assert get(inside.socket, f"/unpause/{container.id}").status == 409
    assert get(inside.socket, f"/pause/{container.id}").body == b"200 OK"
    assert container.status().state == pb.CONTAINER_RUNNING
    assert get(inside.socket, f"/pause/{container.id}").status == 409
    assert get(inside.socket, f"/unpause/{container.id}").body == b"200 OK"
    assert container.says("echo alive") == "alive"
    assert get(inside.socket, f"/pause/{container.id}").body == b"200 OK"
    container.stop(2)
    assert container.status().state == pb.CONTAINER_EXITED


def test_the_timeline_has_the_stages_of_a_pod(pods: Pods, inside: Daemon) -> None:
    pod = pods.run()
    (entry,) = json.loads(get(inside.socket, f"/timeline?about={pod.id}").body)
    assert (entry["verb"], entry["outcome"]) == ("RunPodSandbox", "ok")
    names = [span["name"] for span in entry["spans"]]
    assert {"sandbox creating", "sandbox network ready", "sandbox storage creation", "sandbox network creation"} <= set(names)
    assert all(entry["start_ns"] <= span["start_ns"] <= span["end_ns"] <= entry["end_ns"] for span in entry["spans"])


def test_fifty_connections_of_both_kinds_at_once(inside: Daemon) -> None:
    def http(_: int) -> bool:
        return get(inside.socket, "/info").status == 200

    def rpc(_: int) -> bool:
        with Cri(inside.socket, TIMEOUT_S) as cri:
            return bool(cri.runtime.Version(pb.VersionRequest()).version)

    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = [pool.submit((http, rpc)[number % 2], number) for number in range(2 * CLIENTS)]
        assert all(one.result(TIMEOUT_S) for one in asked)


def test_a_client_that_sends_one_byte_and_waits_is_in_nobody_s_way(inside: Daemon, warm: Cri) -> None:
    with contextlib.ExitStack() as stack:
        for first in (b"", b"P", b"G", b"PRI * HT", b"GET /in"):
            connection = stack.enter_context(connected(inside.socket))
            connection.sendall(first)
        assert warm.runtime.Version(pb.VersionRequest()).version
        assert get(inside.socket, "/info").status == 200


def test_garbage_closes_the_connection_and_nothing_else(inside: Daemon, warm: Cri) -> None:
    for garbage in (b"\0" * 100, b"\xff\xfe nonsense\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + b"\0" * 64, b"GET / HTTP/9.9\r\n\r\n"):
        with connected(inside.socket) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                while connection.recv(65536):
                    pass
    assert warm.runtime.Version(pb.VersionRequest()).version
    assert get(inside.socket, "/info").status == 200


def test_many_requests_on_one_connection(inside: Daemon) -> None:
    with connected(inside.socket) as connection:
        for _ in range(20):
            connection.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n")
            data = b""
            while b"storage_root" not in data:
                data += connection.recv(65536)
            assert data.startswith(b"HTTP/1.1 200")


def test_only_root_and_its_group_may_connect(inside: Daemon) -> None:
    assert oct(inside.layout.socket.stat().st_mode & 0o777) == "0o660"
    assert oct((inside.layout.socket.parent / "crio.sock.d").stat().st_mode & 0o777) == "0o700"
