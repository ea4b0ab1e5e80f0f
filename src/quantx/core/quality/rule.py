"""A rule, and how rules split rows into accepted and rejected ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import polars as pl

from quantx.core.model import Severity as FindingSeverity

# Curated rows are a function of the raw replies and of this number. Raise it whenever a rule or a normaliser changes
# which rows are accepted. `quantx reprocess` then derives the curated tables again; quarantine keeps the policy that
# rejected each row.
POLICY_VERSION = 5

RuleSeverity = Literal["reject", "warn", "info"]
MARKETS = ("us", "hk", "jp", "eu")

# The severity of a finding that a broken rule opens. A rejected row is in quarantine; its finding is an `error`.
FINDING_SEVERITY: Mapping[RuleSeverity, FindingSeverity] = {"reject": "error", "warn": "warn", "info": "info"}


@dataclass(frozen=True)
class Rule:
    """One rule. `broken` is true for a row that breaks it; the module of the rule lists the columns it may use."""

    id: str
    severity: RuleSeverity  # reject: the row goes to quarantine; warn: a finding to check; info: informational
    dataset: str  # the table, or tables with commas between
    _: KW_ONLY
    meaning: str  # the violation: what is wrong where the rule is broken
    why: str  # one sentence: the damage that such data does
    reference: str  # where the violation was seen or is defined
    broken: pl.Expr
    markets: tuple[str, ...] = MARKETS


def by_id(*groups: Sequence[Rule]) -> dict[str, Rule]:
    """Return the rules by id; raise ValueError where two different rules share an id."""
    rules: dict[str, Rule] = {}
    for rule in (rule for group in groups for rule in group):
        if rules.setdefault(rule.id, rule) is not rule:
            raise ValueError(f"two rules have the id {rule.id}")
    return rules


@dataclass(frozen=True)
class Checked:
    """The rows that break no rule, and the rejected rows with the ids of their broken rules in `rules`."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame


def _broken(rule: Rule, rows: pl.DataFrame) -> pl.Expr:
    if rule.markets == MARKETS or "market" not in rows.columns:
        return rule.broken
    return rule.broken & pl.col("market").is_in(rule.markets)


def split_by(rows: pl.DataFrame, rules: Sequence[Rule]) -> Checked:
    """Split `rows` by `rules`; both parts keep all columns and the order of the rows.

    Broken rules are listed in the order of `rules`. A rule for some markets uses the column `market`; rows without that
    column are checked by every rule.
    """
    # A lazy frame computes once what several rules use.
    broken = rows.lazy().select(_broken(rule, rows).alias(rule.id) for rule in rules).collect()
    any_broken = broken.select(pl.any_horizontal(pl.all()).fill_null(False)).to_series()
    if not any_broken.any():
        return Checked(rows, rows.clear().with_columns(pl.lit("").alias("rules")))
    named = broken.filter(any_broken).select(
        pl.concat_str(
            [pl.when(pl.col(rule.id)).then(pl.lit(rule.id)) for rule in rules], separator=",", ignore_nulls=True
        ).alias("rules")
    )
    return Checked(rows.filter(~any_broken), rows.filter(any_broken).with_columns(named["rules"]))
