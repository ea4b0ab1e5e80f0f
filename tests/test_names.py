"""Names: a class name means one thing in the package; modules and functions stay small."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "quantx"
MOST_LINES = 450  # of a module
MOST_LINES_OF_A_FUNCTION = 60

MODULES = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
NODES = [(name, node) for name, text in MODULES.items() for node in ast.walk(ast.parse(text))]


def test_a_class_name_means_one_thing_in_the_whole_package() -> None:
    places = defaultdict(list)
    for module, node in NODES:
        if isinstance(node, ast.ClassDef):
            places[node.name].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def test_no_module_is_longer_than_one_sitting() -> None:
    lengths = {name: len(text.splitlines()) for name, text in MODULES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_function_is_long() -> None:
    long = {
        f"{module}:{node.name}"
        for module, node in NODES
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    }
    assert long == set()
