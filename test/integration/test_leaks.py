"""The leak check itself: each thing left behind is told, by a test that leaves it on purpose."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from test.support import leaks


@contextlib.contextmanager
def orphan() -> Iterator[None]:
    """A process that no longer is our child, found by the mark in its environment."""
    command = "setsid tail -f /dev/null >/dev/null 2>&1 & echo $!"
    started = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    yield
    os.kill(int(started.stdout), 9)


@contextlib.contextmanager
def descriptor() -> Iterator[None]:
    """An open file."""
    fd = os.open("/dev/null", os.O_RDONLY)
    yield
    os.close(fd)


@contextlib.contextmanager
def commands(make: str, undo: str) -> Iterator[None]:
    """Something that one command makes and another takes away."""
    subprocess.run(make.split(), check=True)
    yield
    subprocess.run(undo.split(), check=True)


@contextlib.contextmanager
def rule() -> Iterator[None]:
    """A firewall rule in a table of its own."""
    subprocess.run(["nft", "-f", "-"], input="table ip leak { chain c { ip saddr 10.9.9.9 drop; }; }", text=True, check=True)
    yield
    subprocess.run(["nft", "delete", "table", "ip", "leak"], check=True)


@contextlib.contextmanager
def cgroup() -> Iterator[None]:
    """An empty cgroup with the prefix of the tests."""
    hierarchy = next(path for path in leaks.CGROUPS.iterdir() if path.is_dir() and (path / "cgroup.procs").exists())
    path = hierarchy / f"{leaks.CGROUP_PREFIX}leak-{leaks.run_id()}"
    path.mkdir()
    yield
    path.rmdir()


LEFT = {
    "process": orphan,
    "descriptor": descriptor,
    "network namespace": lambda: commands("ip netns add ct-leak", "ip netns delete ct-leak"),
    "interface": lambda: commands("ip link add ct-leak type bridge", "ip link delete ct-leak"),
    "firewall rule": rule,
    "cgroup": cgroup,
}


@pytest.mark.parametrize("kind", LEFT)
def test_what_is_left_behind_is_told(kind: str, leak_scope: leaks.Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "SETTLE_S", 0.1)
    with contextlib.ExitStack() as undo, pytest.raises(AssertionError, match=rf"(?s)left behind:.*{kind}: "), leaks.checked(leak_scope):
        undo.enter_context(LEFT[kind]())


def test_a_mount_left_behind_is_told(leak_scope: leaks.Scope, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(leaks, "SETTLE_S", 0.1)
    with contextlib.ExitStack() as undo, pytest.raises(AssertionError, match=r"mount: .*tmpfs"), leaks.checked(leak_scope):
        undo.enter_context(commands(f"mount -t tmpfs none {tmp_path}", f"umount {tmp_path}"))


def test_what_goes_in_time_is_no_leak(leak_scope: leaks.Scope) -> None:
    with leaks.checked(leak_scope):
        subprocess.run(["sh", "-c", "(read -t 1 x </dev/zero; exit 0) >/dev/null 2>&1 &"], check=True)
