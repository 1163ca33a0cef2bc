"""ruff and mypy as tests, and the documents that must agree with the tree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from crio import __version__
from test.unit.house.tree import ROOT, Module, modules

TIMEOUT_S = 600
CHECKS = {
    "ruff finds nothing": ["ruff", "check", "--quiet", "--output-format=concise", "crio", "hack", "test"],
    "the layout is ruff's": ["ruff", "format", "--check", "--quiet", "--output-format=concise", "crio", "hack", "test"],
    "mypy --strict finds nothing": ["mypy", "--no-error-summary", "-p", "crio", "-p", "hack", "-p", "test.support", "-p", "test.images"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_the_tool_agrees(check: str) -> None:
    done = subprocess.run([sys.executable, "-m", *CHECKS[check]], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def asked_for(layer: str) -> set[str]:
    """The packages that a requirements file names."""
    lines = (ROOT / "requirements" / f"{layer}.in").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_the_readme_gives_a_reason_for_every_dependency() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = set(re.findall(r"`([\w.-]+)`", " ".join(line for line in readme.splitlines() if line.startswith("|"))))
    missing = set().union(*map(asked_for, ("run", "build", "dev"))) - rows
    assert not missing, f"no row of a README table names {sorted(missing)}"


def test_the_package_asks_for_what_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) == asked_for("run")


def test_the_package_says_the_version_of_the_project() -> None:
    """pyproject.toml decides; the C programs read it when they are built, the package cannot where it runs."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__


def test_everything_asked_for_is_pinned_with_hashes() -> None:
    for layer in ("run", "build", "dev"):
        blocks = re.findall(r"^([a-z0-9-]+)==\S+((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", _lock(layer), re.MULTILINE)
        assert asked_for(layer) <= {name for name, _ in blocks}


def _lock(layer: str) -> str:
    return (ROOT / "requirements" / f"{layer}.txt").read_text()


def undocumented(module: Module) -> Iterator[str]:
    """Where a module, or a public function or class at its top level, has no docstring."""
    if not ast.get_docstring(module.tree):
        yield module.path
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_") or ast.get_docstring(node):
                continue
            yield f"{module.path}:{node.lineno} {node.name}"


def test_public_things_of_the_daemon_have_a_docstring() -> None:
    wrong = [place for module in modules("crio") for place in undocumented(module)]
    assert not wrong, "\n".join(wrong)
