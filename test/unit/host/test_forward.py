"""The forwarder: clients that say too little, and a process without descriptors."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crio.host import syscalls
from test.support.waiting import eventually


@dataclass(frozen=True)
class Door:
    """A running forwarder: where clients come in, and what they reach."""

    path: str
    grpc: socket.socket
    http: socket.socket

    def client(self, words: bytes = b"") -> socket.socket:
        """A connected client that has said something."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(self.path)
        client.sendall(words)
        return client


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    listener.settimeout(5)
    return listener


def _polls() -> set[str]:
    """The descriptors of this process that are epoll's."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:[eventpoll]":
                found.add(name)
    return found


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A forwarder on a thread."""
    public, grpc, http = (_listener(tmp_path / name) for name in ("p", "g", "h"))
    public.setblocking(False)
    stop_read, stop_write = os.pipe()
    arguments = (public.fileno(), stop_read, str(tmp_path / "g"), str(tmp_path / "h"))
    thread = threading.Thread(target=syscalls.forward_connections, args=arguments)
    before = _polls()
    thread.start()
    eventually(lambda: _polls() - before, 5, "the forwarder has what it needs for itself")
    yield Door(str(tmp_path / "p"), grpc, http)
    os.write(stop_write, b"x")
    thread.join()
    for item in (public, grpc, http):
        item.close()
    os.close(stop_read)
    os.close(stop_write)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


LEAVING = {
    "closes without a word": b"",
    "closes in the middle of the preface": b"PR",
}


@pytest.mark.parametrize("how", LEAVING)
def test_a_client_that_leaves_before_it_is_known_is_forgotten(door: Door, how: str) -> None:
    door.client(b"GET").close()
    door.http.accept()[0].close()
    with_nobody = eventually(_settled, 5, "the forwarder has closed its ends")
    for _ in range(5):
        door.client(LEAVING[how]).close()
    eventually(lambda: _settled() == with_nobody, 5, "no descriptor of the clients is left")


def _settled() -> int:
    """How many descriptors there are, 0 while their number still changes."""
    first = _descriptors()
    select.select([], [], [], 0.05)
    return first if _descriptors() == first else 0


@pytest.mark.parametrize("words", [b"", b"P", b"PR"])
def test_a_client_that_ends_its_side_before_it_is_known_is_told_so(door: Door, words: bytes) -> None:
    with door.client(words) as client:
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_a_preface_in_pieces_reaches_grpc_whole(door: Door) -> None:
    with door.client(b"P") as client:
        client.sendall(b"R")
        client.sendall(b"I * HTTP/2.0")
        server, _ = door.grpc.accept()
        with server:
            server.settimeout(5)
            said = b""
            while len(said) < len(b"PRI * HTTP/2.0"):
                said += server.recv(64)
            assert said == b"PRI * HTTP/2.0"


def test_a_request_whose_client_ended_its_side_is_answered(door: Door) -> None:
    with door.client(b"GET /") as client:
        client.shutdown(socket.SHUT_WR)
        server, _ = door.http.accept()
        with server:
            assert server.recv(64) == b"GET /"
            assert server.recv(64) == b""
            server.sendall(b"200")
        assert client.recv(64) == b"200"


@contextlib.contextmanager
def _no_more_descriptors(left: int = 0) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(name) for name in os.listdir("/proc/self/fd")) + 8, limits[1]))
    fillers = []
    with contextlib.suppress(OSError):
        while True:
            fillers.append(os.open("/dev/null", os.O_RDONLY))
    for _ in range(left):
        os.close(fillers.pop())
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in fillers:
            os.close(fd)


def test_a_client_is_not_accepted_with_the_last_descriptor(door: Door) -> None:
    client = socket.socket(socket.AF_UNIX)
    with client:
        with _no_more_descriptors(left=1):
            client.connect(door.path)
            client.sendall(b"GET /")
            assert select.select([door.http], [], [], 0.5) == ([], [], [])
        server, _ = door.http.accept()
        with server:
            assert server.recv(64) == b"GET /"


def test_without_descriptors_the_forwarder_rests_and_then_goes_on(door: Door) -> None:
    client = socket.socket(socket.AF_UNIX)
    with client:
        with _no_more_descriptors():
            client.connect(door.path)
            client.sendall(b"GET /")
            began_s = time.process_time()
            assert select.select([door.http], [], [], 0.5) == ([], [], [])
            assert time.process_time() - began_s < 0.1
        server, _ = door.http.accept()
        with server:
            assert server.recv(64) == b"GET /"
