"""The features that the series rules use: bars with their neighbours, gaps, runs without trading, and jumps.

A few passes over whole columns compute them. Only bars that jump get the expensive features: medians of the sessions
before them. A step is the logarithm of close over the close before, without the splits and dividends of the day.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from quantx.core.calendars import held_sessions
from quantx.core.prices import CASH_KINDS, PRICES
from quantx.core.symbols import venue_of
from quantx.errors import InvalidSymbol

JUMP = math.log(1.25)  # a smaller step is never a jump
_BEFORE = 63  # sessions before a jump (a quarter) that define the usual values
_LATELY = 10  # the last of these sessions
_BACK = 10  # a jump that comes back does so within this number of bars
_NO_ACTIONS = {"symbol": pl.String, "ex_date": pl.Date, "kind": pl.String, "value": pl.Float64}


@dataclass(frozen=True)
class SeriesFeatures:
    """Four views of the bars of one source, for the series rules."""

    bars: pl.DataFrame  # every bar, with columns about the bar before it
    gaps: pl.DataFrame  # stretches of sessions without a bar, between two bars
    runs: pl.DataFrame  # stretches of bars without a trade or without a move
    jumps: pl.DataFrame  # bars that jump, with the usual values before and the return after


def series_features(
    bars: pl.DataFrame, actions: pl.DataFrame, *, rejected: pl.DataFrame | None = None, adjusted: bool = False
) -> SeriesFeatures:
    """Compute the features of `bars`, one row per symbol and date.

    Columns: symbol, date, open, high, low, close, volume, and optionally currency. `actions` (symbol, ex_date, kind,
    value) are of the same source; with `adjusted`, the bars and the dividends are already divided by the splits.
    `rejected` (symbol, date) are bars that a row rule removed: they are not missing.
    """
    applied = actions.filter(pl.col("kind") != "split") if adjusted else actions
    rows = _with_neighbours(bars.sort("symbol", "date"), applied)
    return SeriesFeatures(rows, _gaps(rows, rejected), _runs(rows), _jumps(rows, actions))


def _with_neighbours(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Add columns about the bar before.

    `before` is its close, `currency_before` its currency; `missed` counts the sessions between, `split` and `paid` are
    the events since, `step` is the move.
    """
    if "currency" not in bars.columns:
        bars = bars.with_columns(currency=pl.lit(None, dtype=pl.String))
    bars = bars.with_row_index("row").with_columns(follows=pl.col("symbol") == pl.col("symbol").shift(1))
    bars = bars.with_columns(
        _event_values(bars, actions, ("split",), pl.col("value").product(), 1.0).alias("split"),
        _event_values(bars, actions, CASH_KINDS, pl.col("value").sum(), 0.0).alias("paid"),
        _sessions_so_far(bars).alias("session"),
    )
    before, currency = (pl.when("follows").then(pl.col(c).shift(1)) for c in ("close", "currency"))
    plain = (pl.col("close") * pl.col("split") / before).log()
    paid = ((pl.col("close") + pl.col("paid")) * pl.col("split") / before).log()
    return bars.with_columns(
        before=before,
        currency_before=currency,
        # A dividend explains, and never makes, a jump.
        step=pl.when(paid.abs() < plain.abs()).then(paid).otherwise(plain),
        missed=pl.when("follows").then((pl.col("session") - pl.col("session").shift(1) - 1).clip(0)),
        idle=(pl.col("volume") == 0)
        | (pl.all_horizontal(pl.col(c) == pl.col(c).shift(1) for c in PRICES) & pl.col("follows")),
    )


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


def _calendars(symbols: pl.Series) -> pl.DataFrame:
    """Return the calendar's code of each symbol; null where no known market has such a symbol."""
    codes: list[str | None] = []
    for symbol in symbols:
        try:
            codes.append(venue_of(symbol).calendar)
        except InvalidSymbol:
            codes.append(None)
    return pl.DataFrame({"symbol": symbols, "calendar": codes}, schema={"symbol": pl.String, "calendar": pl.String})


def is_session(bars: pl.DataFrame) -> pl.Series:
    """Return for each bar (symbol, date) whether its exchange traded; true where no known market has the symbol."""
    codes = _calendars(bars["symbol"].unique())
    days = bars["date"].unique()
    traded = [pl.DataFrame(schema={"calendar": pl.String, "date": pl.Date, "traded": pl.Boolean})]
    for code in codes["calendar"].drop_nulls().unique():
        sessions = pl.Series(held_sessions(code), dtype=pl.Date)
        traded.append(pl.DataFrame({"calendar": code, "date": days, "traded": days.is_in(sessions.implode())}))
    days_of_bars = bars.select("symbol", "date").join(codes, on="symbol", how="left", maintain_order="left")
    marked = days_of_bars.join(pl.concat(traded), on=["calendar", "date"], how="left", maintain_order="left")
    return marked["traded"].fill_null(True)


def _sessions_so_far(bars: pl.DataFrame) -> pl.Series:
    """Return each bar's place among the sessions of its exchange; other days have the place of the next session.

    The days of all calendars, one calendar after the other, make one list; each bar's place is an index into it.
    """
    if bars.is_empty():
        return pl.Series(dtype=pl.Int64)
    begins = ~bars["follows"].fill_null(False)
    codes = _calendars(bars["symbol"].filter(begins))["calendar"]
    calendars = codes.drop_nulls().unique(maintain_order=True)
    first, last = bars.select(first=pl.col("date").min(), last=pl.col("date").max()).row(0)
    days = pl.select(pl.date_range(first, last)).to_series()
    places = [pl.Series(held_sessions(code), dtype=pl.Date).search_sorted(days).cast(pl.Int64) for code in calendars]
    nowhere = pl.Series([None], dtype=pl.Int64).new_from_index(0, len(days))
    count = len(calendars)
    which = codes.replace_strict(calendars, range(count), default=count, return_dtype=pl.Int64)
    day = (bars["date"] - first).dt.total_days()
    return pl.concat([*places, nowhere]).gather(which.gather(begins.cum_sum() - 1) * len(days) + day)


def _gaps(bars: pl.DataFrame, rejected: pl.DataFrame | None) -> pl.DataFrame:
    """Return stretches of missing sessions: symbol, first_day, last_day, rows (sessions)."""
    after = bars.filter(pl.col("missed") > 0).select("symbol", "session", "missed")
    missing = after.with_columns(
        session=pl.int_ranges(pl.col("session") - pl.col("missed"), pl.col("session"))
    ).explode("session", empty_as_null=False)
    missing = missing.join(_calendars(missing["symbol"].unique()), on="symbol")
    dated = [pl.DataFrame(schema={"symbol": pl.String, "session": pl.Int64, "date": pl.Date})]
    for (code,), part in missing.group_by("calendar"):
        days = pl.Series(held_sessions(str(code)), dtype=pl.Date)
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


def _runs(bars: pl.DataFrame) -> pl.DataFrame:
    """Return stretches of bars without a trade, or with the prices of the bar before."""
    return consecutive_bars(bars.filter(pl.col("idle").fill_null(False)))


def _jumps(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Return the bars that jump; each part below documents the columns that it adds."""
    logs = bars.select(
        "row",
        "symbol",
        "date",
        "step",
        "missed",
        "split",
        "idle",
        "volume",
        gap=(pl.col("open") / pl.col("before") * pl.col("split")).log(),
        range=(pl.col("high") / pl.col("low")).log(),
        worth=pl.col("close") * pl.col("volume"),
        level=pl.col("step").fill_null(0.0).cum_sum(),
        number=(~pl.col("follows").fill_null(False)).cum_sum(),
        starts=pl.when(~pl.col("follows").fill_null(False)).then(pl.col("row")).forward_fill().cast(pl.Int64),
    )
    jumps = logs.filter(pl.col("step").abs() >= JUMP)
    return _with_own_splits(_with_returns(_with_usual(jumps, logs)), actions)


def _with_usual(jumps: pl.DataFrame, logs: pl.DataFrame) -> pl.DataFrame:
    """Add medians of the traded sessions before a jump: steps, ranges, close × volume (`last_worth`: the last ten)."""
    rows = jumps.select("number", jump="row").with_columns(
        row=pl.int_ranges(pl.max_horizontal(pl.col("jump").cast(pl.Int64) - _BEFORE, 0), pl.col("jump"))
    )
    around = rows.explode("row", empty_as_null=False).with_columns(pl.col("row").cast(pl.UInt32))
    seen = logs.select("step", "range", "worth", "idle", of="number")[around["row"]]
    usual = (
        pl.concat([around, seen], how="horizontal")
        .filter(pl.col("number") == pl.col("of"), ~pl.col("idle").fill_null(False))
        .group_by("jump")
        .agg(
            usual_step=pl.col("step").abs().median(),
            usual_range=pl.col("range").median(),
            usual_worth=pl.col("worth").median(),
            last_worth=pl.col("worth").sort_by("row").tail(_LATELY).median(),
            seen=pl.len(),
        )
    )
    return jumps.join(usual, left_on="row", right_on="jump", how="left", maintain_order="left").with_columns(
        pl.col("seen").fill_null(0)
    )


def _with_returns(jumps: pl.DataFrame) -> pl.DataFrame:
    """Add `back_on` and `back_rows`: the jump that leads back to the level before, within a few bars."""
    before = pl.col("level") - pl.col("step")
    candidates = []
    for n in (1, 2, 3):
        near = (pl.col("number").shift(-n) == pl.col("number")) & (pl.col("row").shift(-n) - pl.col("row") <= _BACK)
        opposite = pl.col("step").shift(-n) * pl.col("step") < 0
        whole = pl.col("step").shift(-n).abs() >= 0.7 * pl.col("step").abs()
        level = (pl.col("level").shift(-n) - before).abs() <= 0.2 * pl.col("step").abs()
        candidates.append(pl.when(near & opposite & whole & level).then(pl.int_range(pl.len()) + n))
    jumps = jumps.with_columns(back=pl.coalesce(candidates))
    ends = jumps["back"]
    return jumps.with_columns(
        back_on=jumps["date"].gather(ends),
        back_rows=jumps["row"].gather(ends).cast(pl.Int64) - pl.col("row"),
        returns=pl.int_range(pl.len()).is_in(ends.drop_nulls().implode()),
    )


def _with_own_splits(jumps: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Add `own_split`: the logarithm of a split of the symbol near that day that is as large as the jump."""
    splits = actions.filter(pl.col("kind") == "split", pl.col("value") > 0).select(
        "symbol", "ex_date", size=pl.col("value").log()
    )
    near = (
        jumps.select("row", "symbol", "date", "step")
        .join(splits, on="symbol")
        .filter((pl.col("ex_date") - pl.col("date")).dt.total_days().abs() <= 45)
        .with_columns(off=(pl.col("step").abs() - pl.col("size").abs()).abs())
        .filter(pl.col("off") <= 0.1 * pl.col("size").abs())
        .sort("row", "off")
        .unique("row", keep="first")
        .select("row", own_split="size", split_on="ex_date")
    )
    return jumps.join(near, on="row", how="left", maintain_order="left")
