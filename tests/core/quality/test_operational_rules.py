"""Every rule id that a finding or a vendor's note can carry is declared, with the severity that it has."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import quantx
from quantx.core.quality import FINDING_RULES, RULES
from quantx.core.quality.operational_rules import DRIFT_RULES, OPERATIONAL_RULES, OperationalRule

SOURCE = Path(quantx.__file__).parent
CALLS = ("Finding", "Note")


def recorded() -> Iterator[tuple[str, ast.Call]]:
    """Yield the modules that make findings or notes, with the calls."""
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(["quantx", *path.relative_to(SOURCE).with_suffix("").parts])
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
                yield module, node


def argument(call: ast.Call, place: int, name: str) -> ast.expr:
    """Return an argument of a call, given by its place or its name."""
    return call.args[place] if len(call.args) > place else next(k.value for k in call.keywords if k.arg == name)


def rules_of(module: str, call: ast.Call) -> list[str]:
    """Return the ids that a call names; none where the id is taken from an entry."""
    return named(module, call, argument(call, 0, "rule"))


def named(module: str, call: ast.Call, first: ast.expr) -> list[str]:
    """Return the ids in the first argument of a call."""
    if isinstance(first, ast.Constant):
        return [str(first.value)]
    if isinstance(first, ast.Name):
        return [str(getattr(importlib.import_module(module), first.id))]
    if isinstance(first, ast.IfExp):
        return [*named(module, call, first.body), *named(module, call, first.orelse)]
    # The id of a declared rule, or that of a note: notes are checked where they are made.
    assert isinstance(first, ast.Attribute), f"{module} line {call.lineno}: {ast.unparse(first)}"
    assert first.attr in ("id", "rule"), f"{module} line {call.lineno}: {ast.unparse(first)}"
    return []


CASES = [(module, rule, call) for module, call in recorded() for rule in rules_of(module, call)]


@pytest.mark.parametrize(("module", "rule", "call"), CASES, ids=[f"{m.split('.')[-1]}-{r}" for m, r, _ in CASES])
def test_a_rule_that_a_finding_names_is_declared(module: str, rule: str, call: ast.Call) -> None:
    entry, severity = FINDING_RULES[rule], argument(call, 1, "severity")
    if isinstance(entry, OperationalRule) and isinstance(severity, ast.Constant):
        assert severity.value == entry.severity, f"{module} line {call.lineno}"


def test_every_operational_rule_is_recorded_somewhere() -> None:
    by_kind = {rule.id for rule in DRIFT_RULES.values()}  # tests/pipeline/curating/test_schema_drift.py
    assert {rule.id for rule in OPERATIONAL_RULES} - by_kind <= {rule for _, rule, _ in CASES}


def test_rules_share_no_id() -> None:
    ids = [*RULES, *(rule.id for rule in OPERATIONAL_RULES)]
    assert len(ids) == len(set(ids)) == len(FINDING_RULES)


@pytest.mark.parametrize("rule", OPERATIONAL_RULES, ids=lambda rule: rule.id)
def test_an_operational_rule_says_what_must_hold_and_why(rule: OperationalRule) -> None:
    assert all((rule.subject, rule.meaning, rule.why, rule.reference))
