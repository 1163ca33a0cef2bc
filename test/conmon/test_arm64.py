"""The C programs for arm64: cross-compiled, and run as far as an emulated processor on the host's own kernel goes.

That is every unit test and every program's version. A container is not run: QEMU's user emulation does not know all of the system
calls that the monitor needs, among them the one that makes it the parent of orphans.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from test.nodes import debs
from test.support import isolation
from test.support.gotools import cached

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "conmon"
BUILD_TIMEOUT_S = 300
RUN_TIMEOUT_S = 60
LIBRARIES = ("libbz2-dev", "liblzma-dev", "libzstd-dev")
# The other programs are only ever called by ours, and print no version.
VERSIONS = ("bin/conmon", "bin/pinns", "libexec/crio/pause", "libexec/crio/unpack")
TESTS = ("conmon_framing_test", "conmon_options_test", "conmon_text_test", "lib_parse_test", "pinns_mapping_test", "unpack_pure_test")


def _isal(folder: pathlib.Path) -> None:
    command = [str(SOURCES / "unpack" / "isal.sh"), str(folder), "aarch64", "aarch64-linux-gnu-gcc"]
    with isolation.first_network():
        subprocess.run(command, cwd=SOURCES, env={**os.environ, "PYTHON": sys.executable}, check=True, timeout=BUILD_TIMEOUT_S)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder with everything for arm64; only what others wrote comes from the cache."""
    out = tmp_path_factory.mktemp("arm64")
    recipe = (SOURCES / "unpack" / "isal.sh").read_bytes()
    shutil.copytree(cached(f"isal-aarch64-{debs.key_of(recipe)}", _isal), out / "build" / "isal-aarch64", copy_function=shutil.copyfile)
    libraries = debs.unpacked(debs.host_suite(), "arm64", LIBRARIES) / "usr/lib/aarch64-linux-gnu"
    words = ["ARCH=aarch64", f"OUT={out}", f"LDFLAGS=-L{libraries}", f"PYTHON={sys.executable}"]
    command = ["make", "-s", "-j2", "-C", str(SOURCES), *words, "all", "tests"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    return out


def _run(*command: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["qemu-aarch64-static", *command], capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)


@pytest.mark.parametrize("path", VERSIONS)
def test_a_program_for_arm64_says_its_version(built: pathlib.Path, path: str) -> None:
    done = _run(built / path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{pathlib.Path(path).name} version ")


@pytest.mark.parametrize("name", TESTS)
def test_the_unit_tests_pass_on_arm64(built: pathlib.Path, name: str) -> None:
    done = _run(built / "build" / "release-aarch64" / "test" / name)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_every_program_and_unit_test_is_for_arm64_and_static(built: pathlib.Path) -> None:
    made = [path for folder in ("bin", "libexec/crio", "build/release-aarch64/test") for path in (built / folder).iterdir()]
    assert {path.name for path in made} >= {*TESTS, *(path.rpartition("/")[2] for path in VERSIONS)}
    for path in made:
        header = subprocess.run(["readelf", "--file-header", "--program-headers", path], capture_output=True, text=True, check=True).stdout
        assert "AArch64" in header and "INTERP" not in header, path
