"""Compare the steps of the vendor's adjusted close with the splits and dividends of the actions table.

A vendor's factor is adjusted close / close. From one session to the next it steps by

    vendors = (adjusted close / close of the session before) / (adjusted close / close)

and the actions give the expected step. With D the cash per share and r the new shares per old one it is

    previous_close  (1 − D / close before) / r    Yahoo's rule (help.yahoo.com, "What is the adjusted close?")
    ex_close        1 / (r · (1 + D / close))     Quandl WIKI's

where r is 1 if the close is already divided by splits, and close before is in the shares of the ex-date. D is the sum
of the day's dividends and capital gains. The steps are compared reply by reply, on the vendor's own basis. Two steps
agree within the rounding of the published figures.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from quantx.core.ordering import last_of_each
from quantx.core.prices import CASH_KINDS
from quantx.core.quality.rule import Rule

Formula = Literal["previous_close", "ex_close"]
Verdict = Literal[
    "agree",
    "missing_dividend",
    "missing_split",
    "wrong_factor",
    "applied_twice",
    "not_applied",
    "spin_off_as_cash",
    "unexplained",
]
AGREEING = ("agree", "spin_off_as_cash")  # both sides make the same step

# Half a unit of the sixth decimal: vendors publish at most six decimals, and Yahoo's files have six.
_HALF_UNIT = 5e-7
# Yahoo multiplies its factors in single precision (24 bits): a relative error of up to 6e-7 in 365 files.
_SINGLE_PRECISION = 2**-20
_EQUAL = 1e-9  # two steps that differ less are one number
# FINRA rule 11140(b)(2) separates a distribution of a quarter of the price or more from ordinary dividends.
_LARGE = 0.25
# A smaller one is a spin-off where the company pays no dividend for a year before and after.
_LARGE_ALONE, _ALONE = 0.10, 365
# A step without an action belongs to an event within so many days, if its cash is the same up to this share.
_BESIDE, _SAME_CASH = 7, 0.05

ADJUSTMENT_RULES = (
    Rule(
        "adjustment_agrees",
        "warn",
        "adjustment_proofs",
        meaning="the vendor's adjusted close steps at a session by another factor than its splits and dividends give",
        why="one of the two is wrong, and returns over that day are wrong by the difference",
        reference="Quandl WIKI BAC 2018-03-01: 0.12 applied twice; Yahoo REL.L 2024-08-01: a dividend that is not"
        " applied",
        # Where both leave out a dividend that is above the price, the steps are equal, and another rule names it.
        broken=pl.col("verdict").is_in(AGREEING).not_() & ((pl.col("vendors") / pl.col("ours") - 1).abs() > _EQUAL),
    ),
    Rule(
        "spin_off_as_cash",
        "info",
        "adjustment_proofs",
        meaning="a distribution is a quarter of the price or more (of companies that pay no dividends: a tenth)",
        why="shares of another company are booked as cash: returns are right, the dividend yield is not",
        reference="Quandl WIKI ABT 2013-01-02: AbbVie as a dividend of 34.65; FINRA rule 11140(b)(2)",
        broken=pl.col("verdict") == "spin_off_as_cash",
    ),
    Rule(
        "adjusted_close_positive",
        "warn",
        "bars_1d",
        meaning="the vendor's adjusted close of a positive close is not positive or not finite",
        why="a dividend above the price changes the sign of every adjusted close before it",
        reference="Yahoo VATE: negative on 2,729 rows from 2009-07-13 to 2020-05-13; SSNLF: minus infinity in 2001",
        broken=(pl.col("close") > 0)
        & ((pl.col("vendor_adj_close") > 0) & pl.col("vendor_adj_close").is_finite()).not_(),
    ),
)
_AGREES, _SPIN_OFF, ADJUSTED_CLOSE_POSITIVE = ADJUSTMENT_RULES


def prove(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    *,
    split_in_close: bool,
    formula: Formula = "previous_close",
    key: str = "series",
) -> pl.DataFrame:
    """Return one row per session at which the vendor's factor steps or an action takes effect.

    `bars` has `key`, date, close and vendor_adj_close as the vendor sends them. `actions` has `key`, ex_date, kind and
    value, on the basis of the close; with `split_in_close` the close is divided by later splits. Kinds are split,
    dividend and capital_gain; a session with any other kind is left out. The first session of each key has no step.

    The result has `key`, ex_date, ours, vendors (steps: factor before / factor after) and verdict (`Verdict`).
    """
    steps = _steps(bars, key)
    if steps.is_empty():
        return steps.select(key, ex_date="date", ours="vendors", vendors="vendors", verdict=pl.lit(""))
    rows = _with_events(steps, actions, key)
    share = pl.col("paid") / pl.col("close_before") * (1.0 if split_in_close else pl.col("ratio"))
    if formula == "ex_close":
        share = pl.col("paid") / (pl.col("close") + pl.col("paid"))
    ratio_in_factor = pl.lit(1.0) if split_in_close else pl.col("ratio")
    rows = rows.with_columns(
        pl.when(share < 1).then(share).otherwise(0.0).alias("share"),  # a dividend above the price has no factor
        (pl.col("tolerance") + (pl.col("paid") > 0) * _HALF_UNIT / pl.col("close_before")).alias("tolerance"),
        (1 / ratio_in_factor).alias("split_step"),
    ).with_columns((pl.col("split_step") * (1 - pl.col("share"))).alias("ours"))
    rows = rows.with_columns(_verdict().alias("verdict"))
    return rows.select(key, "ex_date", "ours", "vendors", _verdict_with_neighbours(key).alias("verdict"))


def unusable_adjusted(bars: pl.DataFrame, key: str = "series") -> pl.DataFrame:
    """Return per key the first date, last date and count (`rows`) of violations of `adjusted_close_positive`."""
    present = bars.filter(pl.col("vendor_adj_close").is_not_null() & pl.col("vendor_adj_close").is_not_nan())
    return (
        present.filter(ADJUSTED_CLOSE_POSITIVE.broken)
        .group_by(key, maintain_order=True)
        .agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"), pl.len().alias("rows"))
    )


def _steps(bars: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the vendor's step at each session after the first, and its largest relative rounding error."""
    adjusted, close = pl.col("vendor_adj_close"), pl.col("close")
    usable = close.is_finite() & (close > 0) & adjusted.is_finite() & (adjusted != 0)
    rows = last_of_each(bars.filter(usable).select(key, "date", "close", "vendor_adj_close"), [key, "date"])
    rows = rows.join(_half_unit(rows, key), on=key, how="left", maintain_order="left")
    # A figure x rounded by h was at least x - h: the relative error of x is at most h / (x - h).
    error = _relative(pl.col("half_unit"), adjusted.abs()) + _relative(pl.lit(_HALF_UNIT), close) + _SINGLE_PRECISION
    rows = rows.select(key, "date", "close", (adjusted / close).alias("factor"), error.alias("error"))
    before = pl.col("date", "close", "factor", "error").shift(1).name.suffix("_before")
    return (
        rows.with_columns(before, (pl.col(key) == pl.col(key).shift(1)).alias("has_before"))
        .filter("has_before")
        .select(
            *(key, "date", "date_before", "close", "close_before"),
            (pl.col("factor_before") / pl.col("factor")).alias("vendors"),
            ((1 + pl.col("error")) * (1 + pl.col("error_before")) - 1).alias("tolerance"),
        )
    )


def _relative(half_unit: pl.Expr, figure: pl.Expr) -> pl.Expr:
    return pl.when(figure > half_unit).then(half_unit / (figure - half_unit)).otherwise(float("inf"))


def _half_unit(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return per key half a unit of the last decimal of the vendor's adjusted closes, from two decimals to six.

    Only adjusted closes that differ from the close count; the others are prices as quoted.
    """
    moved = rows.filter(pl.col("vendor_adj_close") != pl.col("close"))
    places = {k: pl.col("vendor_adj_close").abs() * 10**k for k in range(2, 6)}
    whole = [((x - x.round()).abs() < 1e-3).all().alias(str(k)) for k, x in places.items()]
    coarse = pl.coalesce(*(pl.when(pl.col(str(k))).then(0.5 * 10.0**-k) for k in places), pl.lit(_HALF_UNIT))
    units = moved.group_by(key).agg(whole).select(key, coarse.alias("half_unit"))
    return (
        rows.select(pl.col(key).unique())
        .join(units, on=key, how="left")
        .with_columns(pl.col("half_unit").fill_null(_HALF_UNIT))
    )


def _with_events(steps: pl.DataFrame, actions: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the sessions with a step of the vendor or an action, with `paid`, `ratio`, `alone` and `ex_date`.

    An action on a day without a usable bar takes effect at the next bar, but not before the first step.
    """
    is_split, is_dividend = pl.col("kind") == "split", pl.col("kind").is_in(CASH_KINDS)
    days = actions.group_by(key, "ex_date").agg(
        pl.col("value").filter(is_dividend).sum().alias("paid"),
        pl.col("value").filter(is_split).product().alias("ratio"),
        (~is_split & ~is_dividend).any().alias("unknown"),
    )
    paid = pl.when(pl.col("paid") > 0).then(pl.col("ex_date"))
    others = days.sort(key, "ex_date").with_columns(
        paid.shift(1).forward_fill().over(key).alias("last_paid"),
        paid.shift(-1).backward_fill().over(key).alias("next_paid"),
    )
    sessions = steps.select(key, "date", "date_before")
    effective = others.join_asof(  # both sides are sorted within each key
        sessions, left_on="ex_date", right_on="date", by=key, strategy="forward", check_sortedness=False
    ).join(sessions.group_by(key).agg(pl.col("date_before").min().alias("first")), on=key, how="left")
    events = (
        effective.filter(pl.col("date").is_not_null() & (pl.col("ex_date") > pl.col("date_before")))
        .group_by(key, "date")
        .agg(
            pl.col("paid").sum(),
            pl.col("ratio").product(),
            pl.col("unknown").any(),
            pl.col("ex_date", "next_paid").max(),
            pl.col("last_paid", "first").min(),
        )
    )
    acting = events["date"].unique().implode()  # most sessions have neither a step nor, at any symbol, an event
    concerned = steps.filter(pl.col("date").is_in(acting) | ~_near(pl.col("vendors"), 1.0))
    joined = concerned.join(events, on=[key, "date"], how="left", maintain_order="left")
    joined = joined.filter(pl.col("ex_date").is_not_null() | ~_near(pl.col("vendors"), 1.0))
    year_before = (pl.col("ex_date") - pl.max_horizontal("first", "last_paid")).dt.total_days() >= _ALONE
    year_after = ((pl.col("next_paid") - pl.col("ex_date")).dt.total_days() >= _ALONE).fill_null(True)
    return joined.filter(~pl.col("unknown").fill_null(False)).with_columns(
        (year_before & year_after).fill_null(False).alias("alone"),
        pl.col("paid").fill_null(0.0),
        pl.col("ratio").fill_null(1.0),
        pl.coalesce("ex_date", "date").alias("ex_date"),
    )


def _near(step: pl.Expr, other: pl.Expr | float) -> pl.Expr:
    return (step / other - 1).abs() <= pl.col("tolerance")


def _verdict() -> pl.Expr:
    """Return the likeliest cause of the difference between the two steps: the first that fits."""
    ours, vendors, ratio = pl.col("ours"), pl.col("vendors"), pl.col("ratio")
    is_paid, is_split = pl.col("paid") > 0, pl.col("ratio") != 1
    # The price fell by at least half of the distribution. Otherwise it was not paid, or is in another unit.
    fell = pl.col("close") / pl.col("close_before") / pl.col("split_step") <= 1 - pl.col("share") / 2
    size = pl.col("paid") / pl.col("close_before") / pl.col("split_step")
    spun_off = (size >= _LARGE) | ((size >= _LARGE_ALONE) & pl.col("alone"))
    twice = (is_paid & _near(vendors, ours * (1 - pl.col("share")))) | (is_split & _near(vendors, ours / ratio))
    without = (is_paid & _near(vendors, pl.col("split_step"))) | (is_split & _near(vendors, ours * ratio))
    return (
        pl.when(_near(vendors, ours) & (pl.col("share") > 0) & spun_off & fell)
        .then(pl.lit("spin_off_as_cash"))
        .when(_near(vendors, ours) & ((pl.col("share") > 0) | ~is_paid))
        .then(pl.lit("agree"))
        .when(twice & ((pl.col("share") > 0) | is_split))
        .then(pl.lit("applied_twice"))
        .when(without)
        .then(pl.lit("not_applied"))
        .when(is_paid)
        .then(pl.lit("wrong_factor"))
        .when(vendors <= 0)
        .then(pl.lit("unexplained"))
        .when(_is_simple_ratio(vendors))
        .then(pl.lit("missing_split"))
        .when(vendors < ours)
        .then(pl.lit("missing_dividend"))
        .otherwise(pl.lit("unexplained"))
    )


def _verdict_with_neighbours(key: str) -> pl.Expr:
    """Return the verdict; a step without an action may repeat, or take back, the event next to it."""
    neighbours = []
    for offset in (1, -1):
        other, day = (pl.col(c).shift(offset).over(key) for c in ("ours", "ex_date"))
        near = (pl.col("ex_date") - day).dt.total_days().abs() <= _BESIDE
        neighbours.append(pl.when(near & (other < 1)).then(1 - other))
    again, taken_back = (
        pl.any_horizontal((((1 - step) / cash - 1).abs() <= _SAME_CASH).fill_null(False) for cash in neighbours)
        for step in (pl.col("vendors"), 1 / pl.col("vendors"))
    )
    return (
        pl.when((pl.col("verdict") == "missing_dividend") & again)
        .then(pl.lit("applied_twice"))
        .when((pl.col("verdict") == "unexplained") & taken_back)
        .then(pl.lit("not_applied"))
        .otherwise("verdict")
    )


def _is_simple_ratio(step: pl.Expr) -> pl.Expr:
    """Return whether a step is a usual split ratio of whole numbers: n for 1, or m for n with n up to 10."""
    size = pl.max_horizontal(step, 1 / step)  # a reverse split has the inverse ratio
    whole = [((size * n - (size * n).round()).abs() <= pl.col("tolerance") * size * n) for n in range(1, 11)]
    return (size >= 1.25) & pl.any_horizontal(whole)
