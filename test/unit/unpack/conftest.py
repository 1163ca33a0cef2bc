"""A directory per test in which the unpacker runs."""

from __future__ import annotations

import functools
import pathlib

import pytest

from .support import PROGRAM, Unpack, run


@pytest.fixture
def unpack(tmp_path: pathlib.Path) -> Unpack:
    """Runs the unpacker: ``unpack(blob, *options, tree=None)``."""
    assert PROGRAM.exists(), f"{PROGRAM} is missing: make -C conmon"
    return functools.partial(run, tmp_path)
