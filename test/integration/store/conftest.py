"""Stores for tests: each in a directory of its own, shared with this machine's tools, and gone afterwards with all mounts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crio.host import syscalls
from crio.host.store import Store
from test.integration.store.kit import Tools, make_tools


def mounts_below(path: str) -> list[str]:
    """Return the mount points below ``path``, deepest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{path}/")), key=len, reverse=True)


@pytest.fixture
def folder() -> Iterator[str]:
    """A directory on a real disk."""
    path = tempfile.mkdtemp(prefix="crio-store-", dir="/var/tmp")
    yield path
    for point in mounts_below(path):
        syscalls.umount(point, syscalls.MNT_DETACH)
    shutil.rmtree(path)


@pytest.fixture
def tools(folder: str) -> Tools:
    """podman, skopeo and buildah on an empty store."""
    return make_tools(folder)


@pytest.fixture
def store(tools: Tools) -> Iterator[Store]:
    """Our store on the same directories."""
    opened = tools.open()
    yield opened
    opened.shutdown()
