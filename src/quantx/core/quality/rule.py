"""What a rule is, and how rows are split by rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from quantx.core.model import Severity as FindingSeverity

# Curated rows are a function of the raw replies and of this number. It rises whenever a rule or a normaliser changes what
# is accepted: then `quantx reprocess` derives the curated tables again, and quarantine tells which policy had rejected.
POLICY_VERSION = 2

RuleSeverity = Literal["reject", "warn", "info"]
MARKETS = ("us", "hk", "jp", "eu")

# A rejected row is in quarantine; of a finding that is as bad, the word is `error`.
FINDING_SEVERITY: Mapping[RuleSeverity, FindingSeverity] = {"reject": "error", "warn": "warn", "info": "info"}


@dataclass(frozen=True)
class Rule:
    """One rule. `broken` is true for what breaks it; which columns it may ask for, the module of the rule says."""

    id: str
    severity: RuleSeverity  # reject: the row goes to quarantine; warn: look at it; info: good to know
    dataset: str  # the table, or tables with commas between
    meaning: str  # what must hold
    why: str  # one sentence: what goes wrong otherwise
    reference: str  # where that was seen or is defined
    broken: pl.Expr
    markets: tuple[str, ...] = MARKETS


def by_id(*groups: Sequence[Rule]) -> dict[str, Rule]:
    """Return the rules by their ids; ValueError where two different ones share an id."""
    found: dict[str, Rule] = {}
    for rule in (rule for group in groups for rule in group):
        if found.setdefault(rule.id, rule) is not rule:
            raise ValueError(f"two rules have the id {rule.id}")
    return found


@dataclass(frozen=True)
class Checked:
    """Rows that obey every rule, and those that do not with the ids of the rules they break in `rules`."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame


def _where_it_holds(rule: Rule, rows: pl.DataFrame) -> pl.Expr:
    if rule.markets == MARKETS or "market" not in rows.columns:
        return rule.broken
    return rule.broken & pl.col("market").is_in(rule.markets)


def split_by(rows: pl.DataFrame, rules: Sequence[Rule]) -> Checked:
    """Split `rows` by `rules`, which are named in their order; both parts keep all columns and the order of the rows.

    A rule of some markets asks for the column `market`; rows without it are judged by the rules of all markets.
    """
    broken = rows.select(_where_it_holds(rule, rows).alias(rule.id) for rule in rules)
    any_broken = broken.select(pl.any_horizontal(pl.all())).to_series()
    if not any_broken.any():
        return Checked(rows, rows.clear().with_columns(pl.lit("").alias("rules")))
    named = broken.filter(any_broken).select(
        pl.concat_str(
            [pl.when(pl.col(rule.id)).then(pl.lit(rule.id)) for rule in rules], separator=",", ignore_nulls=True
        ).alias("rules")
    )
    return Checked(rows.filter(~any_broken), rows.filter(any_broken).with_columns(named["rules"]))
