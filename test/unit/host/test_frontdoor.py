"""The daemon's socket: who has it, and who may enter."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from crio.core.errors import AlreadyExists
from crio.host.frontdoor import FrontDoor


def test_a_daemon_that_is_still_starting_keeps_its_private_sockets(tmp_path: Path) -> None:
    path = str(tmp_path / "crio.sock")
    first = FrontDoor(path)
    try:
        with pytest.raises(AlreadyExists, match="another daemon uses the socket"):
            FrontDoor(path)
        assert os.path.exists(first.http_path)
    finally:
        first.close()


def test_what_a_killed_daemon_left_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "crio.sock"
    (tmp_path / "crio.sock.d").mkdir()
    (tmp_path / "crio.sock.d" / "grpc.sock").touch()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    door = FrontDoor(str(path))
    try:
        door.open()
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        assert stat.S_IMODE(os.stat(os.path.dirname(door.grpc_path)).st_mode) == 0o700
        assert not os.path.exists(door.grpc_path)
    finally:
        door.close()
    assert os.listdir(tmp_path) == []
