"""A rule, and how rules split rows into accepted and rejected ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import polars as pl

from quantx.core.asset_classes import ASSET_CLASS_NAMES, class_of
from quantx.core.model import Severity as FindingSeverity
from quantx.core.symbols import MARKETS, market_of

# Curated rows are a function of the raw replies and of this number. Raise it whenever a rule or a normaliser changes
# which rows are accepted. `quantx reprocess` then derives the curated tables again; quarantine keeps the policy that
# rejected each row.
POLICY_VERSION = 7

RuleSeverity = Literal["reject", "warn", "info"]

# The severity of a finding that a broken rule opens. A rejected row is in quarantine; its finding is an `error`.
FINDING_SEVERITY: Mapping[RuleSeverity, FindingSeverity] = {"reject": "error", "warn": "warn", "info": "info"}


_CLASSES = pl.Enum(ASSET_CLASS_NAMES)  # a byte per row
_SHARE = pl.lit("equity", _CLASSES)


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
    classes: tuple[str, ...] = ASSET_CLASS_NAMES

    def applies_to(self, symbol: str) -> bool:
        """Return whether the rule is one for the market and the class of a symbol; true for an unknown symbol."""
        market = market_of(symbol)
        return market is None or (market in self.markets and class_of(symbol) in self.classes)


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
    broken = rule.broken
    if rule.markets != MARKETS and "market" in rows.columns:
        broken &= pl.col("market").is_in(rule.markets)
    if rule.classes != ASSET_CLASS_NAMES:
        broken &= pl.col("asset_class").is_in(rule.classes)
    return broken


def with_classes(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `asset_class`, the class of each row's `symbol`."""
    classes = {symbol: class_of(symbol) for symbol in rows["symbol"].unique()}
    return rows.with_columns(pl.col("symbol").replace_strict(classes, return_dtype=_CLASSES).alias("asset_class"))


def split_by(rows: pl.DataFrame, rules: Sequence[Rule]) -> Checked:
    """Split `rows` by `rules`; both parts keep all columns and the order of the rows.

    Broken rules are listed in the order of `rules`. A rule for some markets uses the column `market`; rows without that
    column are checked by every rule. Rows without the column `asset_class` are those of shares.
    """
    # A lazy frame computes once what several rules use.
    classed = rows if "asset_class" in rows.columns else rows.with_columns(asset_class=_SHARE)
    broken = classed.lazy().select(_broken(rule, rows).alias(rule.id) for rule in rules).collect()
    any_broken = broken.select(pl.any_horizontal(pl.all()).fill_null(False)).to_series()
    if not any_broken.any():
        return Checked(rows, rows.clear().with_columns(pl.lit("").alias("rules")))
    named = broken.filter(any_broken).select(
        pl.concat_str(
            [pl.when(pl.col(rule.id)).then(pl.lit(rule.id)) for rule in rules], separator=",", ignore_nulls=True
        ).alias("rules")
    )
    return Checked(rows.filter(~any_broken), rows.filter(any_broken).with_columns(named["rules"]))
