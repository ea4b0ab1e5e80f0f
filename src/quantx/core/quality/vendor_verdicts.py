"""Decide between two vendors that differ: a third vendor, the calendar or the series rules decide; else no one does.

The decisions give the rows of `agreements` (a pair's month) and of `verdicts` (an untrusted bar), and each vendor's
score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add

import polars as pl

from quantx.core.prices import PRICES, dividend_steps, split_steps, with_factor
from quantx.core.quality.vendor_comparison import FIELDS, KEY, OTHER, TOLERANCES, Comparison
from quantx.core.table import INSTANT
from quantx.core.tables import AGREEMENTS, VERDICTS

# Values of `decided_by` that are not a vendor: the exchange's calendar, or the series rules on the vendor's own bars.
CALENDAR, SERIES = "calendar", "series"
# A vendor's adjusted prices are rounded, and give returns only: 0.23 % of Stooq's returns differ from Yahoo's by more
# than 0.3 % (61,926 returns of 15 shares).
RETURNS = 3.0
_NEARER = 3
_THIRD = "__third"


@dataclass(frozen=True)
class Witness:
    """A third vendor that decides between two others: its bars in their units, and a multiple of the tolerance."""

    name: str
    bars: pl.DataFrame  # symbol, date, open, high, low, close, volume; null where unknown
    slack: float = 1.0


def witness_of_returns(
    name: str, adjusted: pl.DataFrame, bars: pl.DataFrame, odd: pl.DataFrame, actions: pl.DataFrame
) -> Witness:
    """Return a witness from a vendor with adjusted prices only: they give returns, and the range of a day.

    Its prices are scaled to `bars` (as traded, sessions of both vendors): to the last bar before each odd row that is
    not odd itself, with the splits and dividends of `actions` in between.
    """
    concerned = pl.col("symbol").is_in(odd["symbol"].unique().implode())
    sure = bars.filter(concerned).join(odd, on=KEY, how="anti").select(*KEY, pl.col("close").alias("__sure"))
    rows = adjusted.filter(concerned).select(*KEY, *PRICES).join(sure, on=KEY, how="left").sort(KEY)
    rows = with_factor(rows, split_steps(actions), "__split")
    rows = with_factor(rows, dividend_steps(actions), "__dividend")
    total = pl.col("__dividend") / pl.col("__split")
    scale = pl.col("__sure") * total / pl.col("close")
    filled = scale.forward_fill().backward_fill().over("symbol")
    traded = rows.with_columns(filled.alias("__scale")).with_columns(pl.col(*PRICES) * pl.col("__scale") / total)
    return Witness(name, traded.select(*KEY, *PRICES, pl.lit(None, dtype=pl.Float64).alias("volume")), RETURNS)


def decide(
    odd: pl.DataFrame,
    witnesses: Sequence[Witness],
    market: str,
    in_error: tuple[pl.DataFrame, pl.DataFrame] | None = None,
) -> pl.DataFrame:
    """Add `outcome` (a_wrong, b_wrong, or null without a decision) and `decided_by`.

    A witness votes for one of two vendors if it is within the tolerance of it in all fields in which they differ, and
    at least three times nearer to it than they are to each other. It votes for a bar that only one vendor has if it has
    a bar, too. The majority decides. Without a vote about a bar that only one vendor has, the calendar decides. Without
    a majority between two bars, the series rules decide if exactly one of the bars is wrong by them: `in_error` has
    those bars (symbol, date) of a and of b.
    """
    names = [witness.name for witness in witnesses]
    votes = reduce(lambda rows, witness: _add_votes(rows, witness, market), witnesses, _with_errors(odd, in_error))
    for_a, for_b = (reduce(add, [pl.col(f"{n}:{s}").cast(pl.Int32) for n in names], pl.lit(0)) for s in "ab")
    voted = pl.when(for_a > for_b).then(pl.lit("b")).when(for_b > for_a).then(pl.lit("a"))
    lacks, no_votes = pl.col("lacks"), (for_a == 0) & (for_b == 0)
    # A bar that is missing at other vendors, too, is not wrong: the session is in the calendar.
    wrong = pl.coalesce(
        "stray",
        pl.when(lacks.is_null() | (voted == lacks)).then(voted),
        pl.when(lacks.is_not_null() & no_votes).then(lacks),
        pl.when(lacks.is_null()).then("__in_error"),
    )
    by_series = pl.col("stray").is_null() & lacks.is_null() & voted.is_null()
    by_calendar = pl.col("stray").is_not_null() | (lacks.is_not_null() & no_votes)
    decided_by = (
        pl.when(by_calendar)
        .then(pl.lit(CALENDAR))
        .when(by_series & pl.col("__wrong").is_not_null())
        .then(pl.lit(SERIES))
        .when(pl.col("__wrong") == "b")
        .then(_voters(names, "a"))
        .when(pl.col("__wrong") == "a")
        .then(_voters(names, "b"))
    )
    judged = votes.with_columns(wrong.alias("__wrong")).with_columns(decided_by.alias("decided_by"))
    return judged.select(*odd.columns, (pl.col("__wrong") + "_wrong").alias("outcome"), "decided_by")


def _with_errors(odd: pl.DataFrame, in_error: tuple[pl.DataFrame, pl.DataFrame] | None) -> pl.DataFrame:
    """Add `__in_error`: the only side whose bar is wrong by the series rules."""
    if in_error is None:
        return odd.with_columns(pl.lit(None, dtype=pl.String).alias("__in_error"))
    for side, days in zip("ab", in_error, strict=True):
        flags = days.with_columns(pl.lit(True).alias(f"__{side}"))
        odd = odd.join(flags, on=KEY, how="left", maintain_order="left")
    a, b = (pl.col(f"__{side}").fill_null(False) for side in "ab")
    alone = pl.when(a & ~b).then(pl.lit("a")).when(b & ~a).then(pl.lit("b"))
    return odd.with_columns(alone.alias("__in_error")).drop("__a", "__b")


def _voters(names: Sequence[str], side: str) -> pl.Expr:
    if not names:
        return pl.lit(None, dtype=pl.String)
    return pl.concat_str(
        [pl.when(pl.col(f"{n}:{side}")).then(pl.lit(n)) for n in names], separator=",", ignore_nulls=True
    )


def _add_votes(odd: pl.DataFrame, witness: Witness, market: str) -> pl.DataFrame:
    """Add `<name>:a` and `<name>:b`: the witness's votes for the two vendors."""
    bars, day = witness.bars.drop_nulls("close").select(*KEY, *FIELDS), pl.col("date")
    spans = bars.group_by("symbol").agg(day.min().alias("__from"), day.max().alias("__to"))
    rows = odd.join(bars, on=KEY, how="left", suffix=_THIRD, maintain_order="left")
    rows = rows.join(spans, on="symbol", how="left", maintain_order="left")
    has, lacks = pl.col("close" + _THIRD).is_not_null(), pl.col("lacks")
    about = [pl.col(f"differs_{f}") & pl.col(f + _THIRD).is_not_null() for f in FIELDS]
    for side, own in (("a", ""), ("b", OTHER)):
        near = [~differs | _near(f, own, witness.slack, market) for differs, f in zip(about, FIELDS, strict=True)]
        of_bar = pl.when(lacks == side).then(~has & day.is_between("__from", "__to")).otherwise(has)
        of_values = pl.any_horizontal(about) & pl.all_horizontal(near)
        vote = pl.when(lacks.is_not_null()).then(of_bar).otherwise(of_values).fill_null(False)
        rows = rows.with_columns(vote.alias(f"{witness.name}:{side}"))
    return rows.drop("__from", "__to", *(f + _THIRD for f in FIELDS))


def _near(field: str, own: str, slack: float, market: str) -> pl.Expr:
    """Return whether the witness's value of a field agrees with one vendor, and not with the other."""
    third, one, tolerance = pl.col(field + _THIRD), pl.col(field + own), TOLERANCES[market]
    gap, apart = (third - one).abs(), (pl.col(field) - pl.col(field + OTHER)).abs()
    allowed = pl.max_horizontal(tolerance.allowed(field, third, one) * slack, tolerance.least(field, third, one))
    return (gap <= allowed) & (gap * _NEARER <= apart)


def agreements_of(
    comparison: Comparison, judged: pl.DataFrame, a: str, b: str, market: str, now: datetime
) -> pl.DataFrame:
    """Return the rows of `agreements`: a pair's months, given its odd rows with `outcome` and `decided_by`."""
    outcome, lacks, here = pl.col("outcome"), pl.col("lacks"), pl.col("stray").is_null()
    bad = judged.group_by("symbol", "month").agg(
        (here & lacks.is_null()).sum().alias("differ"),
        lacks.is_not_null().sum().alias("lacking"),
        pl.len().alias("odd"),
        *((outcome == f"{s}_wrong").sum().alias(f"wrong_{s}") for s in "ab"),
        *(((lacks == s) & (outcome == f"{s}_wrong")).sum().alias(f"lacking_{s}") for s in "ab"),
        pl.col("decided_by").drop_nulls().str.split(",").explode().unique().sort().str.join(",").alias("decided_by"),
    )
    counts = ("both", "differ", "lacking", "odd", "wrong_a", "wrong_b", "lacking_a", "lacking_b")
    months = comparison.months.join(bad, on=["symbol", "month"], how="full", coalesce=True).with_columns(
        pl.col(*counts).fill_null(0).cast(pl.Int32)
    )
    return months.with_columns(
        pl.lit(a).alias("source_a"),
        pl.lit(b).alias("source_b"),
        pl.lit(market).alias("market"),
        (pl.col("both") + pl.col("lacking")).alias("sessions"),
        (pl.col("both") - pl.col("differ")).alias("agreed"),
        verdict_of_counts().alias("verdict"),
        pl.col("decided_by").replace("", None),
        pl.lit(now).cast(INSTANT).alias("known_from"),
    ).select(list(AGREEMENTS.schema))


def verdict_of_counts() -> pl.Expr:
    """Return agree, a_wrong, b_wrong or both_doubtful; a vendor is wrong if it is wrong in all `odd` rows."""
    odd = pl.col("odd")
    return (
        pl.when(odd == 0)
        .then(pl.lit("agree"))
        .when(pl.col("wrong_a") == odd)
        .then(pl.lit("a_wrong"))
        .when(pl.col("wrong_b") == odd)
        .then(pl.lit("b_wrong"))
        .otherwise(pl.lit("both_doubtful"))
    )


def verdicts_of(judged: pl.DataFrame, a: str, b: str, now: datetime) -> pl.DataFrame:
    """Return the rows of `verdicts`: the untrusted bars of a pair.

    Without a decision both bars are doubtful. So is a bar that only one vendor has where it is missing at others, too.
    """
    sides = (("a", "b", a, b, "", OTHER), ("b", "a", b, a, OTHER, ""))
    parts = [_untrusted_bars(judged, *side) for side in sides]
    return pl.concat(parts).with_columns(pl.lit(now).cast(INSTANT).alias("known_from")).select(list(VERDICTS.schema))


def _untrusted_bars(
    judged: pl.DataFrame, side: str, other: str, name: str, against: str, own: str, beside: str
) -> pl.DataFrame:
    outcome, lacks, stray = pl.col("outcome"), pl.col("lacks"), pl.col("stray")
    bar = lacks.is_null() | (lacks == other)
    rows = judged.filter(bar & (stray.is_null() | (stray == side)) & (outcome.is_null() | (outcome == f"{side}_wrong")))
    differs = [pl.col(f"differs_{f}") for f in FIELDS]
    values, others = (
        pl.coalesce([pl.when(d).then(f + suffix) for d, f in zip(differs, FIELDS, strict=True)])
        for suffix in (own, beside)
    )
    field = pl.coalesce(
        [pl.when(pl.col(f"differs_{f}")).then(pl.lit(f)) for f in ("currency", *FIELDS)],
    )
    return rows.select(
        *KEY,
        pl.lit(name).alias("source"),
        pl.when(outcome.is_null()).then(pl.lit("doubtful")).otherwise(pl.lit("wrong")).alias("verdict"),
        "rule",
        pl.lit(against).alias("against"),
        "decided_by",
        field.alias("field"),
        values.alias("value"),
        others.alias("other_value"),
    )


def one_per_bar(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Keep one row per bar of those of several pairs: `wrong` before `doubtful`, then by name."""
    return verdicts.sort("verdict", "against", descending=[True, False]).unique(
        list(VERDICTS.key), keep="first", maintain_order=True
    )


def vendor_scores(agreements: pl.DataFrame) -> pl.DataFrame:
    """Return each vendor's score by source, market and month.

    Columns: source, market, month, compared (sessions, once for each other vendor), agreed, wrong (sessions with a
    wrong or missing bar) and score. The score is 1 less the share of wrong sessions and half of the share of undecided
    ones.
    """
    sides = []
    for side, other in ("ab", "ba"):
        sides.append(
            agreements.select(
                pl.col(f"source_{side}").alias("source"),
                "market",
                "month",
                pl.col("sessions").alias("compared"),
                "agreed",
                pl.col(f"wrong_{side}").alias("wrong"),
                pl.col(f"wrong_{other}").alias("__other"),
            )
        )
    counts = (
        pl.concat(sides).group_by("source", "market", "month").agg(pl.all().sum()).sort("market", "source", "month")
    )
    open_ = (pl.col("compared") - pl.col("agreed") - pl.col("wrong") - pl.col("__other")).clip(lower_bound=0)
    score = 1 - (pl.col("wrong") + open_ / 2) / pl.max_horizontal("compared", pl.lit(1))
    return counts.with_columns(score.clip(lower_bound=0).alias("score")).drop("__other")
