"""Item 97: attach and exec through podman's HTTP service, with and without a terminal."""

from __future__ import annotations

import json
import pathlib
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from test.conmon.podman.engine import COMMAND_TIMEOUT_S, IMAGE, Engine
from test.support.waiting import eventually


class Service:
    """A client of the service; one connection per request, which may become a stream."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def request(self, verb: str, target: str, body: object = None, upgrade: bool = False) -> tuple[int, bytes, socket.socket]:
        """Status, what has arrived of the body, and the connection."""
        data = json.dumps(body).encode() if body is not None else b""
        lines = [f"{verb} /v4.0.0/libpod{target} HTTP/1.1", "Host: podman", "Content-Type: application/json"]
        lines.append(f"Content-Length: {len(data)}")
        lines.append("Connection: Upgrade\r\nUpgrade: tcp" if upgrade else "Connection: close")
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(COMMAND_TIMEOUT_S)
        connection.connect(str(self.path))
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest, connection

    def json(self, verb: str, target: str, body: object = None) -> dict[str, object]:
        """A request with a JSON answer."""
        _, rest, connection = self.request(verb, target, body)
        with connection:
            while piece := connection.recv(65536):
                rest += piece
        start, end = rest.index(b"{"), rest.rindex(b"}")
        answer: dict[str, object] = json.loads(rest[start : end + 1])
        return answer


def _read_all(rest: bytes, connection: socket.socket) -> bytes:
    while piece := connection.recv(65536):
        rest += piece
    return rest


def _frames(data: bytes) -> dict[int, bytes]:
    """The streams of a multiplexed answer."""
    found = {1: b"", 2: b""}
    while data:
        stream, size = struct.unpack(">BxxxI", data[:8])
        found[stream] += data[8 : 8 + size]
        data = data[8 + size :]
    return found


@pytest.fixture
def service(podman: Engine) -> Iterator[Service]:
    """The service of one podman."""
    path = podman.folder / "api.sock"
    process = subprocess.Popen(podman.argv("system", "service", "--time=0", f"unix://{path}"), env=podman.environment)
    try:
        eventually(path.exists, COMMAND_TIMEOUT_S, "the service's socket")
        yield Service(path)
    finally:
        process.terminate()
        process.wait(COMMAND_TIMEOUT_S)
        path.unlink(missing_ok=True)


def test_97_exec_over_http(podman: Engine, service: Service) -> None:
    name = podman.start(IMAGE, "sleep", "1000")
    command = ["sh", "-c", "read w; echo out $w; echo err >&2; exit 3"]
    spec = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Cmd": command}
    session = service.json("POST", f"/containers/{name}/exec", spec)["Id"]
    status, rest, connection = service.request("POST", f"/exec/{session}/start", {"Detach": False, "Tty": False}, upgrade=True)
    with connection:
        assert status == 101
        connection.sendall(b"word\n")
        streams = _frames(_read_all(rest, connection))
    assert streams == {1: b"out word\n", 2: b"err\n"}
    assert service.json("GET", f"/exec/{session}/json")["ExitCode"] == 3


def test_97_exec_with_a_terminal_and_its_size_over_http(podman: Engine, service: Service) -> None:
    name = podman.start(IMAGE, "sleep", "1000")
    spec = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": True, "Cmd": ["sh"]}
    session = service.json("POST", f"/containers/{name}/exec", spec)["Id"]
    body = {"Detach": False, "Tty": True, "h": 31, "w": 91}
    status, rest, connection = service.request("POST", f"/exec/{session}/start", body, upgrade=True)
    with connection:
        assert status == 101
        connection.sendall(b"stty size; exit 4\n")
        rest = _read_all(rest, connection)
    assert b"31 91" in rest


@pytest.mark.parametrize("terminal", [False, True], ids=["pipes", "terminal"])
def test_97_attach_over_http_and_detach_keys(podman: Engine, service: Service, terminal: bool) -> None:
    words = ("-d", "-i", *(("-t",) if terminal else ()))
    script = "while read w; do echo got $w; done"
    name = podman.ok("run", *words, *podman.run_words(IMAGE, "sh", "-c", script))
    target = f"/containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1&detachKeys=ctrl-x"
    status, rest, connection = service.request("POST", target, upgrade=True)
    with connection:
        assert status in (101, 200)
        connection.sendall(b"word\n")
        while b"got word" not in rest:
            rest += connection.recv(65536)
        if terminal:
            connection.sendall(b"\x18")
            _read_all(b"", connection)
    assert podman.inspect(name, ".State.Status") == "running" or not terminal
