"""Compare the standard concepts of two sources: the values of a company, concept and period that are in force.

Periods are matched by their ends, which may differ by a week: some vendors write the last day of the month. A value
that differs may be the one that the other source had before a restatement: that is no disagreement.
"""

from __future__ import annotations

import polars as pl

from quantx.core.quality.fact_findings import number
from quantx.core.quality.rule import Rule
from quantx.core.quality.statement_rules import in_force

TOLERANCE = 0.005
_CENT = 0.0051  # vendors round amounts per share to cents
_SAME_PERIOD = "7d"
_PERIODS = ("quarter", "annual")
_SERIES = ["cik", "concept", "period"]

AGREES, EARLIER, DIFFERS, OTHER_UNIT = "agrees", "earlier", "differs", "other_unit"

COMPARISON_RULES: tuple[Rule, ...] = (
    Rule(
        "fundamentals_differ",
        "warn",
        "fundamentals",
        meaning="two sources differ in the value of a concept by more than 0.5 %, in every version",
        why="one of them has taken another line of the statement, a wrong sign or a wrong scale",
        reference="vendors standardize statements by hand and by rules; FMP's totalDebt contains leases",
        broken=pl.col("outcome") == DIFFERS,
    ),
    Rule(
        "fundamentals_other_unit",
        "warn",
        "fundamentals",
        meaning="two sources report a concept in different units",
        why="a ratio of amounts in two currencies is senseless",
        reference="foreign filers report in their currency, vendors convert some of them",
        broken=pl.col("outcome") == OTHER_UNIT,
    ),
)


def compare_sources(values: pl.DataFrame, a: str, b: str) -> pl.DataFrame:
    """Return each value of `a` with that of `b` for the same company, concept and period, and the outcome.

    `values` are rows of FUNDAMENTALS of both sources, all versions, with `cik`. Columns: cik, symbol, symbol_b,
    concept, period, end, value, value_b, unit, outcome. `value` or `value_b` is null, and `outcome`, too, where one
    source has no value of a period between its own first and last one.
    """
    known = values.filter(pl.col("value").is_not_null(), pl.col("cik").is_not_null(), pl.col("period").is_in(_PERIODS))
    left, right = (_one_of_each(known.filter(pl.col("source") == name)) for name in (a, b))
    pairs = _matched(left, right)
    pairs = pairs.with_columns(_outcome().alias("outcome"))
    pairs = _with_earlier(pairs, known.filter(pl.col("source") == a), known.filter(pl.col("source") == b))
    return pl.concat([pairs, _missing(left, right, pairs)], how="diagonal").select(
        *("cik", "symbol", "symbol_b", "concept", "period", "end", "value", "value_b", "unit", "outcome")
    )


def summary_of(compared: pl.DataFrame) -> pl.DataFrame:
    """Return the counts of a comparison by concept: compared, agrees, earlier, differs, other_unit, only_a, only_b."""
    both = pl.col("outcome").is_not_null()
    counts = [(pl.col("outcome") == name).sum().alias(name) for name in (AGREES, EARLIER, DIFFERS, OTHER_UNIT)]
    only = [
        (~both & pl.col(there).is_null()).sum().alias(name)
        for there, name in (("value_b", "only_a"), ("value", "only_b"))
    ]
    rows = compared.group_by("concept").agg(both.sum().alias("compared"), *counts, *only)
    share = (pl.col(AGREES) + pl.col(EARLIER)) / pl.when(pl.col("compared") > 0).then(pl.col("compared"))
    return rows.with_columns(share.alias("agreement")).sort("concept")


def described() -> pl.Expr:
    """Return the text of a pair of values, as in `revenue annual 2024-09-28: 391035000000 and 383285000000`."""
    return pl.format(
        "{} {} {}: {} and {}", "concept", "period", "end", number(pl.col("value")), number(pl.col("value_b"))
    )


def _one_of_each(values: pl.DataFrame) -> pl.DataFrame:
    """Return the values in force of one source; of several symbols of a company those of the first."""
    rows = in_force(values).sort("symbol").unique([*_SERIES, "end"], keep="first")
    return rows.select(*_SERIES, "end", "symbol", "value", "unit").sort("end")


def _matched(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Return the values of both sources whose periods end within a week, each at most once."""
    there = right.select(*_SERIES, end_b="end", symbol_b="symbol", value_b="value", unit_b="unit").sort("end_b")
    pairs = left.join_asof(
        there,
        left_on="end",
        right_on="end_b",
        by=_SERIES,
        strategy="nearest",
        tolerance=_SAME_PERIOD,
        check_sortedness=False,
    )
    pairs = pairs.filter(pl.col("end_b").is_not_null()).with_columns(
        (pl.col("end") - pl.col("end_b")).abs().alias("apart")
    )
    return pairs.sort("apart").unique([*_SERIES, "end_b"], keep="first").drop("apart")


def _agree(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    cents = pl.when(pl.col("unit").str.ends_with("/shares")).then(_CENT).otherwise(0.0)
    allowed = pl.max_horizontal(pl.max_horizontal(one.abs(), other.abs()) * TOLERANCE, cents)
    return (one - other).abs() <= allowed


def _outcome() -> pl.Expr:
    return (
        pl.when(pl.col("unit") != pl.col("unit_b"))
        .then(pl.lit(OTHER_UNIT))
        .when(_agree(pl.col("value"), pl.col("value_b")))
        .then(pl.lit(AGREES))
        .otherwise(pl.lit(DIFFERS))
    )


def _with_earlier(pairs: pl.DataFrame, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs; one that differs, but agrees with an earlier version of the other source, is `earlier`."""
    odd = pairs.filter(pl.col("outcome") == DIFFERS)
    if odd.is_empty():
        return pairs
    found = []
    for versions, end, value in ((left, "end", "value_b"), (right, "end_b", "value")):
        before = versions.select(*_SERIES, pl.col("end").alias(end), version="value")
        joined = odd.join(before, on=[*_SERIES, end], how="inner")
        found.append(joined.filter(_agree(pl.col(value), pl.col("version"))).select(*_SERIES, "end"))
    earlier = pl.concat(found).unique().with_columns(pl.lit(EARLIER).alias("__earlier"))
    pairs = pairs.join(earlier, on=[*_SERIES, "end"], how="left")
    return pairs.with_columns(pl.coalesce("__earlier", "outcome").alias("outcome")).drop("__earlier")


def _missing(left: pl.DataFrame, right: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the values that only one source has, within the periods of which the other has any of the concept."""
    parts = []
    for own, other, end, renamed in (
        (left, right, "end", {}),
        (right, left, "end_b", {"value": "value_b", "symbol": "symbol_b"}),
    ):
        spans = other.group_by(_SERIES).agg(pl.col("end").min().alias("first"), pl.col("end").max().alias("last"))
        alone = own.join(pairs.select(*_SERIES, pl.col(end).alias("end")), on=[*_SERIES, "end"], how="anti")
        alone = alone.join(spans, on=_SERIES).filter(pl.col("end").is_between("first", "last"))
        parts.append(alone.drop("first", "last").rename(renamed))
    return pl.concat(parts, how="diagonal")
