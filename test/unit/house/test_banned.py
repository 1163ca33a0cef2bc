"""House style A1, A5, V5 and the rest: calls and words that do not occur, found in the syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from test.unit.house.tree import ROOT, Module, dotted, files, modules

EVERYWHERE = {
    "time.sleep": "wait for an event, or poll with test.support.waiting",
    "asyncio.create_task": "tasks live in a TaskGroup",
    "asyncio.ensure_future": "tasks live in a TaskGroup",
    "asyncio.gather": "tasks live in a TaskGroup",
    "os.fork": "a started gRPC process has threads",
    "os.system": "an argument list, never a shell",
    "os.popen": "an argument list, never a shell",
}
EXTRACTION = {".extract", ".extractall", "tarfile.open().extractall"}
# The one module that may start processes, and the build step that runs before it exists.
MAY_START = {"crio/host/process.py", "crio/host/native/build.py"}
STARTERS = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call", "subprocess.check_output"}
STARTERS |= {"asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "os.posix_spawn", "os.posix_spawnp"}
SKIPS = {"pytest.skip", "pytest.xfail", "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail", "pytest.importorskip"}
# The polling helper: the only place of the suite with a pause in it.
MAY_PAUSE = {"test/support/waiting.py"}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def calls(module: Module) -> Iterator[tuple[ast.Call, str]]:
    """Every call with its dotted target."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func)


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((word.value for word in call.keywords if word.arg == name), None)


def _reasons(module: Module, call: ast.Call, target: str) -> Iterator[str]:
    if target in EVERYWHERE:
        yield f"{target}: {EVERYWHERE[target]}"
    if _keyword(call, "preexec_fn") is not None:
        yield "preexec_fn: runs Python between fork and exec"
    shell = _keyword(call, "shell")
    if isinstance(shell, ast.Constant) and shell.value is True:
        yield "shell=True: an argument list, never a shell"
    if "tarfile" in module.text and any(target.endswith(name) for name in EXTRACTION):
        yield f"{target}: archives are unpacked by the C unpacker alone"
    if module.path.startswith("crio/") and module.path not in MAY_START and target in STARTERS:
        yield f"{target}: processes are started by crio.host.process alone"
    if target == "asyncio.sleep" and module.path.startswith("test/") and module.path not in MAY_PAUSE:
        first = call.args[0] if call.args else None
        if not (isinstance(first, ast.Constant) and first.value == 0):
            yield "asyncio.sleep: wait for an event, or poll with test.support.waiting"


def test_no_banned_call() -> None:
    wrong = [
        f"{module.path}:{call.lineno} {reason}"
        for module in modules()
        for call, target in calls(module)
        for reason in _reasons(module, call, target)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_test_is_skipped() -> None:
    wrong = [
        f"{module.path}:{node.lineno} {dotted(node)}"
        for module in modules("test")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and dotted(node) in SKIPS
    ]
    assert not wrong, "\n".join(wrong)


def test_no_bare_except() -> None:
    wrong = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not wrong, "\n".join(wrong)


def test_no_any_in_core() -> None:
    wrong = [
        f"{module.path}:{node.lineno}"
        for module in modules("crio/core")
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.Attribute) and node.attr == "Any")
    ]
    assert not wrong, "\n".join(wrong)


TEXTS = tuple(path for path in files() if path.endswith((".py", ".c", ".h", ".sh", ".md", ".mk", ".toml", "Makefile")))
FOREIGN = {
    "a path of the machine it was written on": re.compile(
        r"/wo" r"rk/(main|shared|steering|\.)|/tmp/bash_jo" r"bs|/tmp/br" r"ief|\.py" r"env/|/ro" r"ot/(?!\.)"
    ),
    "the host of a package registry": re.compile(
        r"py" r"pi\.org|python" r"hosted\.org|npm" r"js\.org|proxy\.go" r"lang\.org|crates\.i" r"o\b|deb\.deb" r"ian\.org"
    ),
    "an unfinished mark": UNFINISHED,
    "a stub": re.compile(r"raise NotImplemented" r"Error"),
}
# Where a folder of the superuser is part of a container's file system, or of the words of a specification.
EXCEPT = re.compile(r":/root:|\"/root\"|'/root'|\broot/\.")


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_contains(what: str) -> None:
    wrong = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in TEXTS
        for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1)
        if FOREIGN[what].search(line) and not EXCEPT.search(line)
    ]
    assert not wrong, "\n".join(wrong)
