"""The features that the series rules use: bars with their neighbours, gaps, runs without trading, notable bars.

A few passes over whole columns compute them. Only notable bars get the expensive features: see `notable_bars`. A step
is the logarithm of close over the close before, without the splits and dividends of the day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from quantx.core.asset_classes import WITHOUT_VOLUME, class_of
from quantx.core.calendars import expected_sessions
from quantx.core.prices import CASH_KINDS, PRICES
from quantx.core.quality.calendar_days import calendars_of, sessions_so_far
from quantx.core.quality.market_moves import lagged, market_steps
from quantx.core.quality.notable_bars import notable_bars

# A share at a cent has the same four prices on most days: below this range equal prices are a repeated bar.
_NARROW = 1.2
_FLAT = (
    (pl.col("high") == pl.col("low"))
    & (pl.col("open") == pl.col("close"))
    & (pl.col("close") != pl.col("before"))
    & (pl.col("volume") > 0)
).fill_null(False)


@dataclass(frozen=True)
class SeriesFeatures:
    """The views of the bars of one source, for the series rules."""

    bars: pl.DataFrame  # every bar, with columns about the bar before it
    gaps: pl.DataFrame  # stretches of sessions without a bar, between two bars
    idle: pl.DataFrame  # stretches of bars without a trade, or that repeat the bar before
    flat: pl.DataFrame  # stretches of traded bars with one price for open, high, low and close, another one each day
    notable: pl.DataFrame  # bars with a jump, a spike or an unusual volume, with the usual values around
    lagged: pl.DataFrame  # years of bars, with their correlation with the market


def series_features(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    *,
    rejected: pl.DataFrame | None = None,
    adjusted: bool = False,
    market: pl.DataFrame | None = None,
) -> SeriesFeatures:
    """Compute the features of `bars`, one row per symbol and date.

    Columns: symbol, date, open, high, low, close, volume, and optionally currency. `actions` (symbol, ex_date, kind,
    value) are of the same source; with `adjusted`, the bars and the dividends are already divided by the splits.
    `rejected` (symbol, date) are bars that a row rule removed: they are not missing. `market` is that of `market_of`.
    """
    applied = actions.filter(pl.col("kind") != "split") if adjusted else actions
    rows = with_neighbours(bars.sort("symbol", "date"), applied)
    rows = rows.with_columns(market_steps(rows, market).alias("market"))
    return SeriesFeatures(
        rows,
        _gaps(rows, rejected),
        consecutive_bars(rows.filter(pl.col("idle").fill_null(False))),
        consecutive_bars(rows.filter(_FLAT)),
        notable_bars(rows, actions),
        lagged(rows, market),
    )


def with_neighbours(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Add columns about the bar before.

    `before` is its close, `currency_before` its currency; `missed` counts the sessions between, `split` and `paid` are
    the events since, `step` is the move; it is null where a close is zero or negative, as the ratio is no return, and
    for a rate, which moves by points. A bar of a class without volumes is `idle` only where it repeats the one before.
    """
    if "currency" not in bars.columns:
        bars = bars.with_columns(currency=pl.lit(None, dtype=pl.String))
    bars = bars.with_row_index("row").with_columns(follows=pl.col("symbol") == pl.col("symbol").shift(1))
    bars = bars.with_columns(
        _event_values(bars, actions, ("split",), pl.col("value").product(), 1.0).alias("split"),
        _event_values(bars, actions, CASH_KINDS, pl.col("value").sum(), 0.0).alias("paid"),
        sessions_so_far(bars).alias("session"),
    )
    before, currency = (pl.when("follows").then(pl.col(c).shift(1)) for c in ("close", "currency"))
    symbols = bars["symbol"].unique()
    ratio = pl.lit(True)
    if in_points := [symbol for symbol in symbols if class_of(symbol) == "rate"]:
        ratio = pl.col("symbol").is_in(in_points).not_()
    close, earlier = (pl.when(price > 0, ratio).then(price) for price in (pl.col("close"), before))
    plain = (close * pl.col("split") / earlier).log()
    paid = ((close + pl.col("paid")) * pl.col("split") / earlier).log()
    without_volume = [symbol for symbol in symbols if class_of(symbol) in WITHOUT_VOLUME]
    untraded = pl.col("volume") == 0
    if without_volume:
        untraded &= pl.col("symbol").is_in(without_volume).not_()
    return bars.with_columns(
        before=before,
        currency_before=currency,
        # A dividend explains, and never makes, a jump.
        step=pl.when(paid.abs() < plain.abs()).then(paid).otherwise(plain),
        missed=pl.when("follows").then((pl.col("session") - pl.col("session").shift(1) - 1).clip(0)),
        idle=untraded | (_repeats() & pl.col("follows")),
    )


def _repeats() -> pl.Expr:
    """Return whether a bar repeats the one before: prices and volume, or four different prices on any volume.

    A share that trades a million times at its only price repeats nothing.
    """
    same = pl.all_horizontal(pl.col(c) == pl.col(c).shift(1) for c in PRICES)
    ranged = (pl.col("high") > pl.col("low")) & (pl.col("high") < pl.col("low") * _NARROW)
    return same & ((pl.col("volume") == pl.col("volume").shift(1)) | ranged)


def _event_values(
    bars: pl.DataFrame, actions: pl.DataFrame, kinds: Sequence[str], combined: pl.Expr, none: float
) -> pl.Series:
    """Return a value per bar: the `combined` values of its symbol's events since the bar before it."""
    column = pl.repeat(none, bars.height, dtype=pl.Float64, eager=True)
    events = actions.filter(pl.col("kind").is_in(kinds), pl.col("value") > 0)
    if events.is_empty() or bars.is_empty():
        return column
    firsts = bars.filter(~pl.col("follows").fill_null(False)).select("symbol", number=pl.int_range(pl.len()))
    day = pl.col("number") * 2**32 + pl.col("day").cast(pl.Int32)
    places = bars.select(
        number=(~pl.col("follows").fill_null(False)).cum_sum().cast(pl.Int64) - 1, day=pl.col("date")
    ).select(day=day)["day"]
    placed = events.join(firsts, on="symbol").with_columns(day=pl.col("ex_date")).with_columns(day=day)
    placed = placed.with_columns(row=places.search_sorted(placed["day"]))
    placed = placed.filter(pl.col("row") < bars.height)
    values = placed.filter(bars["symbol"].gather(placed["row"]) == placed["symbol"]).group_by("row").agg(combined)
    return column.scatter(values["row"], values["value"])


def _gaps(bars: pl.DataFrame, rejected: pl.DataFrame | None) -> pl.DataFrame:
    """Return stretches of missing sessions: symbol, first_day, last_day, rows (sessions)."""
    after = bars.filter(pl.col("missed") > 0).select("symbol", "session", "missed")
    missing = after.with_columns(
        session=pl.int_ranges(pl.col("session") - pl.col("missed"), pl.col("session"))
    ).explode("session", empty_as_null=False)
    missing = missing.join(calendars_of(missing["symbol"].unique()), on="symbol")
    dated = [pl.DataFrame(schema={"symbol": pl.String, "session": pl.Int64, "date": pl.Date})]
    for (code,), part in missing.group_by("calendar"):
        days = pl.Series(expected_sessions(str(code)), dtype=pl.Date)
        dated.append(part.select("symbol", "session", date=days.gather(part["session"])))
    gaps = pl.concat(dated)
    if rejected is not None:
        gaps = gaps.join(rejected, on=["symbol", "date"], how="anti")
    gaps = gaps.sort("symbol", "session")
    begins = (pl.col("session") != pl.col("session").shift(1) + 1) | (pl.col("symbol") != pl.col("symbol").shift(1))
    return stretches(gaps.with_columns(begins=begins))


def stretches(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per stretch, from a row that `begins` to the next one: symbol, first_day, last_day, rows."""
    return (
        rows.with_columns(stretch=pl.col("begins").fill_null(True).cum_sum())
        .group_by("stretch", maintain_order=True)
        .agg(
            pl.col("symbol").first(),
            pl.col("date").first().alias("first_day"),
            pl.col("date").last().alias("last_day"),
            pl.len().alias("rows"),
        )
        .drop("stretch")
    )


def consecutive_bars(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per stretch of consecutive bars of a symbol: symbol, first_day, last_day, rows."""
    begins = (pl.col("row") != pl.col("row").shift(1) + 1) | (pl.col("symbol") != pl.col("symbol").shift(1))
    return stretches(rows.with_columns(begins=begins))
