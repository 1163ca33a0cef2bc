"""House style S1 and S2: how long a function, a module and a class may be; in C too."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from test.unit.house.tree import ROOT, Function, Module, files, functions, modules

FUNCTION_LINES = 70
PARAMETERS = 6
MODULE_LINES = 700
METHODS = 20
C_FUNCTION_LINES = 90
C_FILE_LINES = 700


def code_lines(function: Function, module: Module) -> int:
    """The lines of a function's body without its docstring, comments and empty lines."""
    body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    lines = module.text.splitlines()[body[0].lineno - 1 : function.end_lineno]
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


def parameters(function: Function) -> int:
    """How many arguments a caller can give."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return len(named) - (1 if named and named[0].arg in ("self", "cls") else 0)


def test_functions_are_short() -> None:
    wrong = [
        f"{module.path}:{function.lineno} {function.name}: {size} code lines (at most {FUNCTION_LINES})"
        for module in modules()
        for function in functions(module)
        if (size := code_lines(function, module)) > FUNCTION_LINES
    ]
    assert not wrong, "\n".join(wrong)


def test_functions_take_few_parameters() -> None:
    wrong = [
        f"{module.path}:{function.lineno} {function.name}: {count} parameters (at most {PARAMETERS})"
        for module in modules("crio", "hack", "test/support", "test/images", "test/bench")
        for function in functions(module)
        if (count := parameters(function)) > PARAMETERS
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_are_short() -> None:
    wrong = [f"{module.path}: {size}" for module in modules() if (size := len(module.text.splitlines())) > MODULE_LINES]
    assert not wrong, "\n".join(wrong)


def test_classes_have_few_methods() -> None:
    wrong = [
        f"{module.path}:{node.lineno} {node.name}: {count} methods (at most {METHODS})"
        for module in modules("crio")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and (count := sum(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in node.body)) > METHODS
    ]
    assert not wrong, "\n".join(wrong)


def c_functions(lines: list[str]) -> Iterator[tuple[int, int]]:
    """First line and code lines of every function: a body opens and closes with a brace in the first column."""
    opened = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            opened = number
        elif line.startswith("}") and opened:
            body = (text.strip() for text in lines[opened : number - 1])
            yield opened, sum(1 for text in body if text and not text.startswith(("//", "/*", "*")))
            opened = 0


def test_c_is_short() -> None:
    wrong = []
    for path in files():
        if path.endswith((".c", ".h")):
            lines = (ROOT / path).read_text().splitlines()
            if len(lines) > C_FILE_LINES:
                wrong.append(f"{path}: {len(lines)} lines (at most {C_FILE_LINES})")
            wrong += [
                f"{path}:{start}: function of {size} code lines (at most {C_FUNCTION_LINES})"
                for start, size in c_functions(lines)
                if size > C_FUNCTION_LINES
            ]
    assert not wrong, "\n".join(wrong)
