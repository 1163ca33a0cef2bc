"""Stores for tests: each in a directory of its own, shared with this machine's tools, and gone afterwards with all mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
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


def loop_mount(folder: str, maker: tuple[str, ...], size_mb: int, options: str = "") -> str:
    """Make a file system in a file below ``folder`` and mount it; the ``folder`` fixture unmounts it."""
    image, point = f"{folder}/disk.img", f"{folder}/disk"
    os.mkdir(point)
    with open(image, "wb") as file:
        file.truncate(size_mb << 20)
    subprocess.run([*maker, image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", ",".join(filter(None, ("loop", options))), image, point], check=True, capture_output=True)
    return point
