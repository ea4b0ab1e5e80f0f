"""The forward price and the discount of each expiration, from put-call parity.

At each strike K with quotes of both sides, C - P = D · (F - K): a line over the strikes, whose slope is -D and which
crosses zero at the forward F. No yield curve is needed: D comes from the line, or from an explicit rate. The middle of
a quote is uncertain by its spread, so strikes weigh 1 / spread²; strikes far from the forward are left out, where the
early exercise of American contracts breaks the parity. A strike that lies off the line of most others, as of a quote
that is wrong, is left out too.
"""

from __future__ import annotations

import polars as pl

EXPIRATION = ("root", "expiration")
FEWEST_STRIKES = 2
FEWEST_FOR_DISCOUNT = 4
NEAR = 0.25  # of the first estimate of the forward: the strikes that count
FEWEST_TO_COMPARE = 5  # strikes from which on one of them can be off the line
OFF_THE_LINE = 5.0  # of the median distance from the line; within the spreads of both quotes no strike is off it
_TICK = 0.01  # the least spread
_LARGEST_RATE = 0.25  # a year; a discount beyond it is no discount
_SLACK = 0.01  # of a discount, where the time is short and the line is uncertain

NO_FORWARD = "no forward: fewer than two strikes have a bid and an offer of the call and of the put"
NO_PARITY = "no forward: the calls and puts of the expiration contradict put-call parity"


def forwards(quotes: pl.DataFrame, rate: float | None = None) -> pl.DataFrame:
    """Return forward, discount and `no_forward` (a reason, or null) of each root and expiration.

    `quotes` has root, expiration, strike, right, years, and `mid` and `spread` (null where a quote is not usable).
    With `rate`, a continuous rate a year, the discount is exp(-rate · years).
    """
    pairs = _pairs(quotes)
    groups = quotes.group_by(EXPIRATION, maintain_order=True).agg(pl.col("years").first())
    if rate is not None:
        pairs = pairs.with_columns(discount=(-rate * pl.col("years")).exp())
        found = pairs.group_by(EXPIRATION).agg(
            pl.len().alias("strikes"),
            _weighted(pl.col("strike") + pl.col("difference") / pl.col("discount")).alias("forward"),
            pl.col("discount").first(),
        )
    else:
        found = pairs.group_by(EXPIRATION).agg(pl.len().alias("strikes"), *_line())
    return groups.join(found, on=EXPIRATION, how="left", maintain_order="left").select(
        *EXPIRATION, *_checked(pl.col("forward"), pl.col("discount"), pl.col("strikes").fill_null(0))
    )


def _pairs(quotes: pl.DataFrame) -> pl.DataFrame:
    """Return the strikes near the forward with usable quotes of both sides: `difference` and `weight`."""
    key = [*EXPIRATION, "strike"]
    usable = quotes.filter(pl.col("mid").is_not_null())
    calls = usable.filter(pl.col("right") == "C").select(*key, "years", "mid", "spread")
    puts = usable.filter(pl.col("right") == "P").select(*key, "mid", "spread")
    near = (
        calls.join(puts, on=key, suffix="_put")
        .with_columns(
            difference=pl.col("mid") - pl.col("mid_put"),
            weight=1 / (pl.col("spread").pow(2) + pl.col("spread_put").pow(2)).clip(lower_bound=_TICK**2),
        )
        .with_columns(
            first=(pl.col("strike") + pl.col("difference")).sort_by(pl.col("difference").abs()).first().over(EXPIRATION)
        )
        .filter((pl.col("strike") / pl.col("first") - 1).abs() <= NEAR)
    )
    return near.sort(*key).filter(_on_the_line())


def _on_the_line() -> pl.Expr:
    """Return whether each strike is near the line of most others: a few wrong quotes do not move the medians.

    The slope is the median of those between strikes half of the range apart (Theil and Sen).
    """
    strike, difference, half = pl.col("strike"), pl.col("difference"), pl.len() // 2
    rises = difference.slice(half) - difference.head(pl.len() - half)
    slope = (rises / (strike.slice(half) - strike.head(pl.len() - half))).median()
    offset = difference - slope * strike
    off = (offset - offset.median()).abs()
    known = (off <= OFF_THE_LINE * off.median()) | (off <= pl.col("spread") + pl.col("spread_put"))
    return ((pl.len() < FEWEST_TO_COMPARE) | known).over(EXPIRATION)


def _weighted(value: pl.Expr) -> pl.Expr:
    return (pl.col("weight") * value).sum() / pl.col("weight").sum()


def _line() -> tuple[pl.Expr, pl.Expr]:
    """Return forward and discount of the weighted line through the differences."""
    strike, difference = pl.col("strike"), pl.col("difference")
    mean_strike, mean_difference = _weighted(strike), _weighted(difference)
    spread_out = _weighted((strike - mean_strike) * (difference - mean_difference))
    discount = -spread_out / _weighted((strike - mean_strike).pow(2))
    discount = pl.when(pl.len() >= FEWEST_FOR_DISCOUNT).then(discount.clip(upper_bound=1.0)).otherwise(1.0)
    return (mean_strike + mean_difference / discount).alias("forward"), discount.alias("discount")


def _checked(forward: pl.Expr, discount: pl.Expr, strikes: pl.Expr) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    few = strikes < FEWEST_STRIKES
    least = (-_LARGEST_RATE * pl.col("years").clip(lower_bound=0)).exp() - _SLACK
    broken = ~(forward.is_finite() & (forward > 0) & (discount >= least) & discount.is_finite())
    reason = pl.when(few).then(pl.lit(NO_FORWARD)).when(broken).then(pl.lit(NO_PARITY))
    usable = ~(few | broken)
    return (
        pl.when(usable).then(forward).alias("forward"),
        pl.when(usable).then(discount).alias("discount"),
        reason.alias("no_forward"),
    )
