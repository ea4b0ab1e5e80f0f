"""Who is right where two vendors differ: a third vendor or the calendar decides; else nobody does.

From the decisions follow the rows of `agreements` (a pair's month) and of `verdicts` (a bar that is not to be trusted),
and a score for each vendor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add

import polars as pl

from quantx.core.prices import PRICES, dividend_steps, split_steps, with_factor
from quantx.core.quality.vendor_comparison import FIELDS, KEY, OTHER, TOLERANCES, Compared
from quantx.core.tables import AGREEMENTS, INSTANT, VERDICTS

# In `decided_by`: no vendor, but the exchange's calendar; or the vendor's own bars around, by the rules of series.
CALENDAR, SERIES = "calendar", "series"
# A vendor's adjusted prices are rounded, and tell returns only: 0.23 % of Stooq's returns differ from Yahoo's by more than
# 0.3 % (61,926 of 15 shares).
RETURNS = 3.0
_NEARER = 3
_SAID = "__said"


@dataclass(frozen=True)
class Witness:
    """A vendor that is asked about two others: its bars in their units, and how many times the tolerance it may be off."""

    name: str
    bars: pl.DataFrame  # symbol, date, open, high, low, close, volume: null where it has nothing to say
    slack: float = 1.0


def witness_of_returns(
    name: str, adjusted: pl.DataFrame, bars: pl.DataFrame, odd: pl.DataFrame, actions: pl.DataFrame
) -> Witness:
    """Make a witness of a vendor that sells adjusted prices only: they tell returns, and the shape of a day.

    Its prices are scaled to `bars`, as traded, of which both vendors have the session: to the last one before each odd row
    that is not odd itself, with the splits and dividends of `actions` between.
    """
    concerned = pl.col("symbol").is_in(odd["symbol"].unique().implode())
    sure = bars.filter(concerned).join(odd, on=KEY, how="anti").select(*KEY, pl.col("close").alias("__sure"))
    rows = adjusted.filter(concerned).select(*KEY, *PRICES).join(sure, on=KEY, how="left").sort(KEY)
    rows = with_factor(rows, split_steps(actions), "__split")
    rows = with_factor(rows, dividend_steps(actions), "__dividend")
    total = pl.col("__dividend") / pl.col("__split")
    scale = pl.col("__sure") * total / pl.col("close")
    known = scale.forward_fill().backward_fill().over("symbol")
    traded = rows.with_columns(known.alias("__scale")).with_columns(pl.col(*PRICES) * pl.col("__scale") / total)
    return Witness(name, traded.select(*KEY, *PRICES, pl.lit(None, dtype=pl.Float64).alias("volume")), RETURNS)


def decide(
    odd: pl.DataFrame,
    witnesses: Sequence[Witness],
    market: str,
    in_error: tuple[pl.DataFrame, pl.DataFrame] | None = None,
) -> pl.DataFrame:
    """Add `outcome` (a_wrong, b_wrong, or null where nobody decides) and `decided_by`.

    A witness speaks for one of two vendors where it is within the tolerance of it in all fields in which they differ, and
    at least three times nearer to it than they are to each other. It speaks for a bar that only one has by having one. More
    witnesses decide; where none speaks about a bar that only one has, the calendar does. Where no witness decides between
    two bars, the rules of series do, if they call just one of them wrong: `in_error` has those (symbol, date) of a and b.
    """
    names = [witness.name for witness in witnesses]
    heard = reduce(lambda rows, witness: _hear(rows, witness, market), witnesses, _with_errors(odd, in_error))
    for_a, for_b = (reduce(add, [pl.col(f"{n}:{s}").cast(pl.Int32) for n in names], pl.lit(0)) for s in "ab")
    voted = pl.when(for_a > for_b).then(pl.lit("b")).when(for_b > for_a).then(pl.lit("a"))
    lacks, unheard = pl.col("lacks"), (for_a == 0) & (for_b == 0)
    # That other vendors lack a bar, too, does not make it wrong: the calendar speaks for it.
    wrong = pl.coalesce(
        "stray",
        pl.when(lacks.is_null() | (voted == lacks)).then(voted),
        pl.when(lacks.is_not_null() & unheard).then(lacks),
        pl.when(lacks.is_null()).then("__in_error"),
    )
    by_series = pl.col("stray").is_null() & lacks.is_null() & voted.is_null()
    by_calendar = pl.col("stray").is_not_null() | (lacks.is_not_null() & unheard)
    decided_by = (
        pl.when(by_calendar)
        .then(pl.lit(CALENDAR))
        .when(by_series & pl.col("__wrong").is_not_null())
        .then(pl.lit(SERIES))
        .when(pl.col("__wrong") == "b")
        .then(_speakers(names, "a"))
        .when(pl.col("__wrong") == "a")
        .then(_speakers(names, "b"))
    )
    judged = heard.with_columns(wrong.alias("__wrong")).with_columns(decided_by.alias("decided_by"))
    return judged.select(*odd.columns, (pl.col("__wrong") + "_wrong").alias("outcome"), "decided_by")


def _with_errors(odd: pl.DataFrame, in_error: tuple[pl.DataFrame, pl.DataFrame] | None) -> pl.DataFrame:
    """Add `__in_error`: the side whose bar alone is wrong by the rules of series."""
    if in_error is None:
        return odd.with_columns(pl.lit(None, dtype=pl.String).alias("__in_error"))
    for side, days in zip("ab", in_error, strict=True):
        told = days.with_columns(pl.lit(True).alias(f"__{side}"))
        odd = odd.join(told, on=KEY, how="left", maintain_order="left")
    a, b = (pl.col(f"__{side}").fill_null(False) for side in "ab")
    alone = pl.when(a & ~b).then(pl.lit("a")).when(b & ~a).then(pl.lit("b"))
    return odd.with_columns(alone.alias("__in_error")).drop("__a", "__b")


def _speakers(names: Sequence[str], side: str) -> pl.Expr:
    if not names:
        return pl.lit(None, dtype=pl.String)
    return pl.concat_str(
        [pl.when(pl.col(f"{n}:{side}")).then(pl.lit(n)) for n in names], separator=",", ignore_nulls=True
    )


def _hear(odd: pl.DataFrame, witness: Witness, market: str) -> pl.DataFrame:
    """Add `<name>:a` and `<name>:b`: for which of the two vendors a witness speaks."""
    bars, day = witness.bars.drop_nulls("close").select(*KEY, *FIELDS), pl.col("date")
    spans = bars.group_by("symbol").agg(day.min().alias("__from"), day.max().alias("__to"))
    rows = odd.join(bars, on=KEY, how="left", suffix=_SAID, maintain_order="left")
    rows = rows.join(spans, on="symbol", how="left", maintain_order="left")
    has, lacks = pl.col("close" + _SAID).is_not_null(), pl.col("lacks")
    about = [pl.col(f"differs_{f}") & pl.col(f + _SAID).is_not_null() for f in FIELDS]
    for side, own in (("a", ""), ("b", OTHER)):
        near = [~asked | _near(f, own, witness.slack, market) for asked, f in zip(about, FIELDS, strict=True)]
        of_bar = pl.when(lacks == side).then(~has & day.is_between("__from", "__to")).otherwise(has)
        of_values = pl.any_horizontal(about) & pl.all_horizontal(near)
        speaks = pl.when(lacks.is_not_null()).then(of_bar).otherwise(of_values).fill_null(False)
        rows = rows.with_columns(speaks.alias(f"{witness.name}:{side}"))
    return rows.drop("__from", "__to", *(f + _SAID for f in FIELDS))


def _near(field: str, own: str, slack: float, market: str) -> pl.Expr:
    """Tell whether what the witness said of a field is what one vendor says, and not the other."""
    said, one, tolerance = pl.col(field + _SAID), pl.col(field + own), TOLERANCES[market]
    gap, apart = (said - one).abs(), (pl.col(field) - pl.col(field + OTHER)).abs()
    allowed = pl.max_horizontal(tolerance.allowed(field, said, one) * slack, tolerance.least(field, said, one))
    return (gap <= allowed) & (gap * _NEARER <= apart)


def agreements_of(compared: Compared, judged: pl.DataFrame, a: str, b: str, market: str, now: datetime) -> pl.DataFrame:
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
    months = compared.months.join(bad, on=["symbol", "month"], how="full", coalesce=True).with_columns(
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
    """Return agree, a_wrong, b_wrong or both_doubtful: one vendor is wrong where it is in all `odd` rows (wrong_a, wrong_b)."""
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
    """Return the rows of `verdicts`: the bars of a pair that are not to be trusted.

    Where nobody decides, both bars are doubtful; so is a bar that only one vendor has, where others lack it, too.
    """
    sides = (("a", "b", a, b, "", OTHER), ("b", "a", b, a, OTHER, ""))
    parts = [_bars_not_trusted(judged, *side) for side in sides]
    return pl.concat(parts).with_columns(pl.lit(now).cast(INSTANT).alias("known_from")).select(list(VERDICTS.schema))


def _bars_not_trusted(
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
    """Keep one row of those that several pairs have about a bar: `wrong` before `doubtful`, then by name."""
    return verdicts.sort("verdict", "against", descending=[True, False]).unique(
        list(VERDICTS.key), keep="first", maintain_order=True
    )


def vendor_scores(agreements: pl.DataFrame) -> pl.DataFrame:
    """Return how far each vendor can be trusted, by source, market and month.

    Columns: source, market, month, compared (sessions, once for each other vendor), agreed, wrong (sessions on which it
    was judged wrong, or lacked a bar), score: 1 less the share of sessions on which it was wrong, and half of the share of
    those that nobody could decide.
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
