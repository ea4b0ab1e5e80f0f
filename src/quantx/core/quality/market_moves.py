"""The market's own moves: the median return of each session, a second witness for the series of a single vendor.

A median of many symbols does not feel one wrong series, a split or a bad tick. So it needs no events.
"""

from __future__ import annotations

import polars as pl

from quantx.core.quality.calendar_days import calendars_of, of_calendar_days

LEAST_SYMBOLS = 10  # with a return on a day; the median of fewer symbols is not the market
# The market's move of a session, as the logarithm of a ratio.
MARKET = {"calendar": pl.String, "date": pl.Date, "move": pl.Float64}
# Sessions over which a series is compared with the market: correlations of a year have an error of 0.06.
BLOCK, _FEWEST = 252, 60
# A share that moves less often trades so seldom that it follows the market late.
_MOVED = 0.8
# A larger move is the symbol's own, and would hide the others.
_MOST = 0.1


def returns_of(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the moves of each symbol between two bars (calendar, date, move); `bars` has symbol, date, close."""
    rows = bars.select("symbol", "date", "close").sort("symbol", "date")
    follows = pl.col("symbol") == pl.col("symbol").shift(1)
    close = pl.when(pl.col("close") > 0).then(pl.col("close"))
    moves = rows.with_columns(move=(close / close.shift(1)).log()).filter(follows, pl.col("move").is_finite())
    named = calendars_of(moves["symbol"].unique()).drop_nulls()
    return moves.join(named, on="symbol").select(pl.col(c).cast(t) for c, t in MARKET.items())


def market_of(returns: pl.DataFrame) -> pl.DataFrame:
    """Return the median of `returns_of` by calendar and date, where at least LEAST_SYMBOLS symbols have a return."""
    days = returns.group_by("calendar", "date").agg(pl.col("move").median(), symbols=pl.len())
    return days.filter(pl.col("symbols") >= LEAST_SYMBOLS).select(list(MARKET)).sort("calendar", "date")


def market_steps(bars: pl.DataFrame, market: pl.DataFrame | None) -> pl.Series:
    """Return the market's move since the bar before each of `bars` (symbol, date, follows); null where unknown."""
    if market is None or market.is_empty():
        return pl.repeat(None, bars.height, dtype=pl.Float64, eager=True)
    levels = market.with_columns(pl.col("move").cum_sum().over("calendar"))
    level = _on_days(bars, levels)
    follows = bars["follows"].fill_null(False)
    return pl.select(pl.when(follows).then(level - level.shift(1))).to_series()


def lagged(bars: pl.DataFrame, market: pl.DataFrame | None, before: pl.Series | None = None) -> pl.DataFrame:
    """Return how each year of each series follows the market.

    `bars` has row, symbol, date, follows and step; `before` is for each the number of bars of its series before the
    first of these (None: none). The result has symbol, block (the number of the year), first_day, last_day, rows and
    the correlations of the symbol's steps with the market's moves of the same session (`same`), of the session before
    (`late`) and of the one after (`early`).
    """
    if market is None or market.is_empty():
        market = pl.DataFrame(schema=MARKET)
        bars, before = bars.clear(), None
    near = {"same": 0, "late": 1, "early": -1}
    moves = {n: market.with_columns(pl.col("move").shift(by).over("calendar")) for n, by in near.items()}
    begins = ~pl.col("follows").fill_null(False)
    blocks = bars.select(
        "symbol",
        "date",
        step=pl.col("step").clip(-_MOST, _MOST),
        block=(pl.col("row") - pl.when(begins).then("row").forward_fill() + (0 if before is None else before)) // BLOCK,
        **{name: _on_days(bars, of_day).clip(-_MOST, _MOST) for name, of_day in moves.items()},
    ).drop_nulls()
    return (
        blocks.group_by("symbol", "block", maintain_order=True)
        .agg(
            pl.col("date").min().alias("first_day"),
            pl.col("date").max().alias("last_day"),
            pl.len().alias("rows"),
            (pl.col("step") != 0).mean().alias("moved"),
            *(pl.corr("step", name).fill_nan(0.0).alias(name) for name in near),
        )
        .filter(pl.col("rows") >= _FEWEST, pl.col("moved") >= _MOVED)
        .drop("moved")
    )


def _on_days(bars: pl.DataFrame, market: pl.DataFrame) -> pl.Series:
    """Return the market's value on the day of each bar."""

    def values(code: str, days: pl.Series) -> pl.Series:
        here = market.filter(pl.col("calendar") == code).select("date", "move")
        return days.to_frame("date").join(here, on="date", how="left", maintain_order="left")["move"]

    return of_calendar_days(bars, values, pl.Float64)
