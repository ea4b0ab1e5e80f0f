"""The events that the program logs, with their fields, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_LEVELS = {"debug", "info", "warning", "error"}
ADDED = frozenset({"event", "level", "timestamp"})  # to every event


def logged_events() -> Mapping[str, set[str]]:
    """Return the fields of each event; `**` stands for fields that are known only at run time."""
    found: dict[str, set[str]] = {}
    for folder in ("src", "azure_functions"):
        for path in (_ROOT / folder).rglob("*.py"):
            if "sandbox" not in path.parts:
                _read(ast.parse(path.read_text("utf-8")), found)
    return found


def _read(module: ast.Module, found: dict[str, set[str]]) -> None:
    for node in ast.walk(module):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                args=[ast.Constant(value=str(event))],
                keywords=keywords,
            ) if level in _LEVELS:
                found.setdefault(event, set(ADDED)).update(word.arg or "**" for word in keywords)
