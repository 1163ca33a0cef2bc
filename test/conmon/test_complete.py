"""Every item of the checklist has a test that carries its number, or a reason why it has none."""

from __future__ import annotations

import ast
import pathlib
import re

from test.conmon import upstream
from test.conmon.checklist.elsewhere import ELSEWHERE, NOT_HERE

HERE = pathlib.Path(__file__).resolve().parent
LAST = 101
NUMBERED = re.compile(r"test_(\d+)_\w+")


def _tests() -> set[str]:
    """The names of all test functions of the ring."""
    found = set()
    for path in HERE.rglob("test_*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        found |= {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    return found


def test_every_item_has_a_test_or_a_reason() -> None:
    numbers = {int(match[1]) for name in _tests() if (match := NUMBERED.fullmatch(name))}
    assert numbers <= set(range(1, LAST + 1))
    assert set(range(1, LAST + 1)) - numbers == NOT_HERE
    assert not NOT_HERE - set(ELSEWHERE)


def test_what_upstream_is_known_for_exists() -> None:
    assert {name.partition("[")[0] for name in upstream.KNOWN} <= _tests()
