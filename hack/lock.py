"""Writes requirements/{run,build,dev}.txt: every package pinned, with the hashes of its wheels.

Each ``.in`` file names what we ask for; the ``.txt`` beside it is what pip installs with ``--require-hashes``. The three
are layers: a package that a lower layer pins is not repeated. One version of a package serves every target (CPython of
Debian 12 and 13, x86_64 and aarch64); only wheels count, so that an installation never runs a foreign build script.

Run it with the tree's interpreter (``.venv/bin/python -m hack.lock``) after editing an ``.in`` file, or with
``--upgrade`` to take newer versions of everything.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
LAYERS = ("run", "build", "dev")
PYTHONS = ("3.11", "3.13")
MACHINES = ("x86_64", "aarch64")
# Debian 12 has glibc 2.36: wheels for any older one fit. The legacy tags are spelled out because pip takes them literally.
GLIBC_MINORS = (36, 34, 31, 28, 27, 26, 24, 17, 5)
HEADER = "# Written by `python -m hack.lock` from {layer}.in; not edited by hand.\n"


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file that pip chose for one target."""

    name: str
    version: str
    sha256: str


def platforms(machine: str) -> list[str]:
    """The wheel platform tags that a Debian 12 or 13 of this machine accepts, best first."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS]
    legacy = {"x86_64": ["manylinux2014", "manylinux2010", "manylinux1"], "aarch64": ["manylinux2014"]}
    return tags + [f"{name}_{machine}" for name in legacy[machine]]


def resolve(names: list[str], pins: Mapping[str, str], python: str, machine: str) -> list[Wheel]:
    """The wheels that pip would install for one target; raises CalledProcessError when it finds no solution."""
    digits = python.replace(".", "")
    with tempfile.TemporaryDirectory() as scratch:
        report = pathlib.Path(scratch, "report.json")
        constraints = pathlib.Path(scratch, "constraints.txt")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
        command += ["--abi", f"cp{digits}", "--abi", "abi3", "--abi", "none"]
        for tag in platforms(machine):
            command += ["--platform", tag]
        command += ["--target", str(pathlib.Path(scratch, "none")), "--report", str(report)]
        subprocess.run([*command, "--constraint", str(constraints), *names], check=True)
        found = json.loads(report.read_text())["install"]
    return [
        Wheel(
            re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(),
            item["metadata"]["version"],
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in found
    ]


def wanted(layer: str) -> list[str]:
    """The names asked for by a layer and by those below it."""
    names = []
    for lower in LAYERS[: LAYERS.index(layer) + 1]:
        lines = (FOLDER / f"{lower}.in").read_text().splitlines()
        names += [line for line in lines if line and not line.startswith("#")]
    return names


def pinned() -> dict[str, str]:
    """The versions that the present lock files hold, by package."""
    pins: dict[str, str] = {}
    for layer in LAYERS:
        path = FOLDER / f"{layer}.txt"
        if path.exists():
            pins.update(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), flags=re.MULTILINE))
    return pins


def write(layer: str, versions: Mapping[str, str], hashes: Mapping[str, set[str]]) -> None:
    """Write one lock file, sorted, one hash a line."""
    blocks = []
    for name, version in sorted(versions.items()):
        lines = [f"{name}=={version}", *(f"    --hash=sha256:{digest}" for digest in sorted(hashes[name]))]
        blocks.append(" \\\n".join(lines) + "\n")
    (FOLDER / f"{layer}.txt").write_text(HEADER.format(layer=layer) + "".join(blocks))


def main() -> None:
    """Resolve the top layer for every target, then share the packages out to the layers that first need them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take newer versions than the present pins")
    pins = {} if parser.parse_args().upgrade else pinned()
    first = resolve(wanted("dev"), pins, PYTHONS[0], MACHINES[0])
    fixed = {wheel.name: wheel.version for wheel in first}
    done: set[str] = set()
    for layer in LAYERS:
        versions: dict[str, str] = {}
        hashes: dict[str, set[str]] = collections.defaultdict(set)
        for python in PYTHONS:
            for machine in MACHINES:
                for wheel in resolve(wanted(layer), fixed, python, machine):
                    if wheel.name in done:
                        continue
                    if versions.setdefault(wheel.name, wheel.version) != wheel.version:
                        raise SystemExit(f"{wheel.name}: {versions[wheel.name]} and {wheel.version} for two targets")
                    hashes[wheel.name].add(wheel.sha256)
        write(layer, versions, hashes)
        done.update(versions)


if __name__ == "__main__":
    main()
