"""House style L1: imports follow ``core <- host <- ops <- cri, streaming, status <- cli, main``; no cycles; core is pure."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator

from test.unit.house.tree import Module, modules

RANKS = {"core": 0, "host": 1, "ops": 2, "cri": 3, "streaming": 3, "status": 3, "cli": 4, "main": 4}
# What reaches the machine, the clock or chance: a pure rule takes those as arguments.
IMPURE = {
    *("asyncio", "subprocess", "socket", "select", "selectors", "signal", "threading", "multiprocessing", "concurrent"),
    *("tempfile", "shutil", "glob", "fcntl", "mmap", "http", "ssl", "time", "random", "secrets", "uuid", "logging"),
    *("grpc", "aiohttp", "pyroute2", "cffi", "os", "platform", "resource", "pwd", "grp"),
}


def imports(module: Module) -> Iterator[str]:
    """The dotted names that a module imports, wherever the statement stands, absolute."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def rank(name: str) -> int | None:
    """The layer of a module of the daemon; None for the package itself and for everything foreign."""
    parts = name.split(".")
    return RANKS[parts[1]] if len(parts) > 1 and parts[0] == "crio" and parts[1] in RANKS else None


def test_every_folder_of_the_daemon_has_a_layer() -> None:
    tops = {module.name.split(".")[1] for module in modules("crio") if "." in module.name}
    assert tops <= set(RANKS), f"no layer for {sorted(tops - set(RANKS))}"


def test_imports_point_down() -> None:
    wrong = [
        f"{module.path} imports {name}"
        for module in modules("crio")
        for name in imports(module)
        if (above := rank(name)) is not None and (own := rank(module.name)) is not None and above > own
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_have_no_cycle() -> None:
    known = {module.name: module for module in modules("crio")}
    graph: dict[str, set[str]] = {}
    for module in known.values():
        targets = {name if name in known else name.rpartition(".")[0] for name in imports(module)}
        graph[module.name] = {name for name in targets if name in known and name != module.name}
    graphlib.TopologicalSorter(graph).prepare()


def test_core_is_pure() -> None:
    wrong = [f"{module.path} imports {name}" for module in modules("crio/core") for name in imports(module) if name.split(".")[0] in IMPURE]
    wrong += [
        f"{module.path}:{node.lineno} opens a file or waits"
        for module in modules("crio/core")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "print", "input"))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_daemon_never_imports_its_tests_or_tools() -> None:
    wrong = [
        f"{module.path} imports {name}" for module in modules("crio") for name in imports(module) if name.split(".")[0] in ("test", "hack")
    ]
    assert not wrong, "\n".join(wrong)
