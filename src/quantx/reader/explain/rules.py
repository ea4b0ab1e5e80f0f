"""The rules that a curated row passed: those in force that reject rows of its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from quantx.core.quality.policy import Policy
from quantx.core.quality.rule import Rule, with_classes
from quantx.core.table import Table
from quantx.core.tables import BARS_1D, BARS_1M
from quantx.reader.explain.facts import RuleResult, RuleResults, RuleState


def rules_of(table: Table, row: Mapping[str, Any], facts: Mapping[str, bool | None], *, accepted: bool) -> RuleResults:
    """Return the rules in force for a row of a table, with their results.

    `facts` are columns beside the table's that rules use, as in `in_calendar`; None: not known here. `accepted`: a
    manual decision curated the row.
    """
    policy = Policy()
    rules = {BARS_1D.name: policy.daily, BARS_1M.name: policy.minutes}.get(table.name, ())
    known = {name: value for name, value in facts.items() if value is not None}
    frame = pl.DataFrame([dict(row)], schema_overrides={c: t for c, t in table.schema.items() if c in row})
    frame = with_classes(frame.with_columns(pl.lit(value).alias(name) for name, value in known.items()))
    results = [
        RuleResult(rule.id, rule.meaning, _state(rule, frame, accepted=accepted))
        for rule in rules
        if rule.applies_to(row["symbol"]) and rule.severity == "reject"
    ]
    return RuleResults(policy=policy.version, results=results)


def _state(rule: Rule, row: pl.DataFrame, *, accepted: bool) -> RuleState:
    if not set(rule.broken.meta.root_names()) <= set(row.columns):
        return "checked"
    if row.select(rule.broken.alias("broken")).item() is not True:
        return "passed"
    return "overridden" if accepted else "broken"
