"""Adjust prices: pure functions between as-traded, split-adjusted and fully adjusted frames.

split factor(d)    = Π 1/ratio over splits with ex-date > d
dividend factor(d) = Π (1 − D / close of the session before the ex-date) over ex-dates > d, D and close in the same
                     shares (Yahoo's documented rule for its adjusted close; CRSP's differs at spin-offs). D is the sum
                     of the day's dividends and capital gains
total              = split × dividend. Volume is divided by the split factor.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from quantx.core.adjustment import AdjustmentSteps, with_adjustments
from quantx.core.ordering import is_sorted_by

Adjust = Literal["none", "split", "total"]
ADJUSTMENTS: tuple[Adjust, ...] = ("none", "split", "total")
PRICES = ("open", "high", "low", "close")
CASH_KINDS = ("dividend", "capital_gain")  # actions that pay cash; the price falls by them


def factors_after(actions: pl.DataFrame, factor: pl.Expr, *, key: str = "symbol") -> pl.DataFrame:
    """Return, per symbol and ex-date, the product of `factor` over that ex-date and all later ones.

    `actions` has `key`, ex_date and the columns of `factor`. The result has `key`, ex_date (increasing) and `factor`.
    """
    return (
        actions.select(key, "ex_date", factor.alias("factor"))
        .group_by(key, "ex_date")
        .agg(pl.col("factor").product())
        .sort(key, "ex_date")
        .with_columns(pl.col("factor").reverse().cum_prod().reverse().over(key))
    )


def with_factor(
    frame: pl.DataFrame, steps: pl.DataFrame, name: str, *, on: str = "date", key: str = "symbol"
) -> pl.DataFrame:
    """Add the column `name`: the product of all factors with an ex-date after `frame[on]`, else 1.0."""
    order = "__order"
    rows = frame.select(key, on).with_row_index(order).filter(pl.col(key).is_in(steps[key].unique().implode()))
    if rows.is_empty():  # most series have no split
        return frame.with_columns(pl.lit(1.0).alias(name))
    factors = rows.sort(on).join_asof(  # only these columns are sorted
        steps.rename({"factor": name, "ex_date": "__ex_date"}).sort("__ex_date"),
        left_on=on,
        right_on="__ex_date",
        by=key,
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,  # both sides are sorted above
    )
    ones = pl.repeat(1.0, frame.height, dtype=pl.Float64, eager=True).alias(name)
    return frame.with_columns(ones.scatter(factors[order], factors[name].fill_null(1.0)))


def split_steps(actions: pl.DataFrame, *, key: str = "symbol") -> pl.DataFrame:
    """Return the steps of the cumulated split ratios (new shares per old one)."""
    return factors_after(actions.filter(pl.col("kind") == "split"), pl.col("value"), key=key)


def dividend_steps(actions: pl.DataFrame, *, key: str = "symbol") -> pl.DataFrame:
    """Return the steps of the cumulated dividend factors.

    A dividend or capital gain without a close before it has no factor and is left out; so are those of a day that are
    not below that close together.
    """
    usable = pl.col("kind").is_in(CASH_KINDS) & (pl.col("value") < pl.col("reference_close"))
    share = pl.col("value") / pl.col("reference_close")
    paid = actions.filter(usable).group_by(key, "ex_date").agg(share.sum().alias("share"))
    return factors_after(paid.filter(pl.col("share") < 1), 1 - pl.col("share"), key=key)


def to_as_traded(bars: pl.DataFrame, actions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Convert split-adjusted bars and dividends to as-traded ones, with the splits after each.

    `bars` (key, date, open, high, low, close, volume as float) and `actions` (key, ex_date, kind, value) have a column
    `series` that identifies the payload, because each payload has its own basis. `actions` must have every split
    between the earliest bar and the time of the request. The returned bars have `volume_step`: the traded shares per
    unit of the vendor's volume. The returned actions have `reference_close`.
    """
    steps = split_steps(actions, key="series")
    traded = with_factor(bars, steps, "ratio", key="series").with_columns(
        *(pl.col(c) * pl.col("ratio") for c in PRICES),
        pl.col("volume") / pl.col("ratio"),
        (1 / pl.col("ratio")).clip(lower_bound=1.0).alias("volume_step"),
    )
    # Dividends: the amount is divided by the splits after the ex-date; the close before it must be in the same shares.
    paid = with_factor(actions, steps, "ratio", on="ex_date", key="series")
    closes = bars.filter(pl.col("close").is_finite() & (pl.col("close") > 0)).select(
        "series", "date", pl.col("close").alias("__close")
    )
    closes = closes if is_sorted_by(closes, ["series", "date"], distinct=True) else closes.sort("date")
    paid = (
        paid.with_row_index("__order")
        .sort("ex_date")
        .join_asof(
            closes,
            left_on="ex_date",
            right_on="date",
            by="series",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,  # both sides are sorted by date within each series
        )
        .sort("__order")
        .drop("__order", "date", strict=False)
    )
    is_dividend = pl.col("kind").is_in(CASH_KINDS)
    paid = paid.with_columns(
        pl.when(is_dividend).then(pl.col("value") * pl.col("ratio")).otherwise(pl.col("value")).alias("value"),
        pl.when(is_dividend).then(pl.col("__close") * pl.col("ratio")).alias("reference_close"),
    )
    return traded.drop("ratio"), paid.drop("ratio", "__close")


def adjust_bars(bars: pl.DataFrame, actions: pl.DataFrame, how: Adjust) -> pl.DataFrame:
    """Adjust as-traded bars with `actions` and add `adj_close`, the split- and dividend-adjusted close.

    Rows keep their order. "split" divides prices by the later splits and multiplies the volume. "total" also applies
    the dividends to the prices. The base is the last action in `actions`: pass the actions up to a date to adjust to
    it.
    """
    return adjust_by_steps(bars, AdjustmentSteps(actions), how)


def adjust_by_steps(bars: pl.DataFrame, steps: AdjustmentSteps, how: Adjust) -> pl.DataFrame:
    """Adjust as `adjust_bars` does, with the steps of the actions."""
    frame = with_adjustments(bars, steps)
    total = pl.col("__dividend") / pl.col("__split")
    adjusted = [(pl.col("close") * total).alias("adj_close")]
    if how != "none":
        factor = total if how == "total" else 1 / pl.col("__split")
        adjusted += [pl.col(c) * factor for c in PRICES if c in frame.columns]
        adjusted.append((pl.col("volume") * pl.col("__split")).round().cast(pl.Int64).alias("volume"))
    return frame.with_columns(adjusted).drop("__split", "__dividend")
