"""What the house tests look at: the files of the tree, parsed once."""

from __future__ import annotations

import ast
import functools
import pathlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[3]
GENERATED = ("crio/cri/api_pb2.py", "crio/cri/api_pb2.pyi", "crio/host/native/_native.c")


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file: its path below the root, dotted name, text and syntax tree."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        """Whether this is the ``__init__`` of a package."""
        return self.path.endswith("__init__.py")


@functools.cache
def files() -> tuple[str, ...]:
    """The paths of every file that is, or is about to be, in version control, below the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(sorted(path for path in set(listed) if path and (ROOT / path).is_file() and path not in GENERATED))


@functools.cache
def _module(path: str) -> Module:
    text = (ROOT / path).read_text()
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Module(path, name, text, ast.parse(text, path))


def modules(*tops: str) -> tuple[Module, ...]:
    """The Python files below these folders, all when none is named."""
    below = tuple(f"{top}/" for top in tops)
    return tuple(_module(path) for path in files() if path.endswith(".py") and (not tops or path.startswith(below)))


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(module: Module) -> Iterator[Function]:
    """Every function and method of a module, nested ones too."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def dotted(node: ast.expr) -> str:
    """The dotted name of a call's target, or an empty string when it is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else f".{node.attr}"
    return ""
