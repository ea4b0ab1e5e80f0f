"""Normalize a vendor's minute bars to rows of `bars_1m`: pure, and one pass over each column.

The facts of a series (symbol, window, time of the reply) stay in `facts` as long as possible. Rows refer to them by
number, and get their values only when they are accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from quantx.core.hours import HOURS, trading_hours
from quantx.core.model import SETTLED_AFTER
from quantx.core.prices import PRICES
from quantx.core.quality.repeated_rows import without_repeats
from quantx.core.quality.row_policy import RowPolicy, known_from
from quantx.core.quality.rule import split_by, with_classes
from quantx.core.table import INSTANT
from quantx.core.tables import BARS_1M
from quantx.pipeline.curating.quarantine_rows import rejected_bars

_MINUTE = timedelta(minutes=1)
_MINUTE_US = 60_000_000

# The facts of each reply, of days or of minutes, by `series`.
FACTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "series": pl.Int64,
    "symbol": pl.String,
    "calendar": pl.String,
    "window_start": pl.Date,
    "window_end": pl.Date,
    "as_of": INSTANT,
    "today": pl.Date,  # the date at the exchange
    "settled": pl.Date,  # the last session that had settled; null: none
    "currency": pl.String,
    "raw": pl.String,
    "payload_sha256": pl.String,
    "known_from": INSTANT,
}


@dataclass(frozen=True)
class MinuteRows:
    """Rows for the tables, and the sessions that the replies show of each symbol."""

    bars: pl.DataFrame  # BARS_1M, in the order of the replies
    rejected: pl.DataFrame  # QUARANTINE
    answered: Mapping[str, tuple[date, date]]  # first and last session with a bar, accepted or rejected, by symbol
    sessions: Mapping[str, tuple[date, date]]  # first and last session with an accepted bar, by symbol
    repeated: pl.DataFrame  # symbol, date and copies of the rows that the replies have twice


def normalize_minutes(source: str, bars: pl.DataFrame, facts: pl.DataFrame, policy: RowPolicy) -> MinuteRows:
    """Apply the rules to the bars of one source.

    `bars` has the columns of VENDOR_BARS, as traded, and `series`, an index into `facts`, which has the
    columns of FACTS and one row per series.

    Dropped are bars outside the series' window, minutes that were not final at the time of the reply (the session must
    have settled, and the minute must be as old), and rows without a trade: no price, and no volume.
    """
    final, repeated = _final(bars, facts)
    checked = split_by(final, policy.rules.minutes)
    rejected = _rejected(checked.rejected, facts, source, policy)
    empty = checked.rejected["rules"].str.contains("prices_present")
    answers = checked.rejected.filter(~empty, pl.col("in_calendar"), pl.col("in_past"))
    bars = policy.accepted_rows(checked, rejected, ("series", "time"))
    accepted = _spans(bars)
    return MinuteRows(
        bars=_curated(bars, facts, source),
        rejected=rejected,
        answered=_by_symbol(pl.concat([accepted, _spans(answers)]), facts),
        sessions=_by_symbol(accepted, facts),
        repeated=repeated.join(facts.select("series", "symbol"), on="series").select("symbol", "date", "copies"),
    )


def _final(bars: pl.DataFrame, facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the final bars of each series' window with the facts that the rules need, and the repeated rows."""
    codes = facts["calendar"].unique().sort()
    exchange = pl.col("calendar").rank("dense").cast(pl.Int64) - 1  # its place in `codes`
    # Two replies may be about one symbol, as when a page ends in the middle of a day: a minute is the symbol's.
    named = pl.col("symbol").rank("dense").cast(pl.Int64)
    keys = with_classes(facts).select(
        "series", "window_start", "window_end", "as_of", "asset_class", exchange=exchange, name=named
    )
    bars = bars.select("series", "time", "date", *PRICES, "volume").join(
        keys, on="series", how="left", maintain_order="left"
    )
    bars = bars.filter(
        pl.col("date").is_between(pl.col("window_start"), pl.col("window_end")),
        pl.any_horizontal(pl.col(c).is_not_null() for c in PRICES) | (pl.col("volume") != 0),
    )
    bars = bars.with_columns(day=_day(pl.col("exchange"))).join(
        _hours(codes, bars["date"].unique()), on="day", how="left", maintain_order="left"
    )
    final = (pl.col("close_time") + SETTLED_AFTER <= pl.col("as_of")) & (
        pl.col("time") + _MINUTE + SETTLED_AFTER <= pl.col("as_of")
    )
    # Bars far in the future or on a day without a session are for the rules. A clock that is minutes behind is no fault
    # of the row.
    far = (pl.col("time") > pl.col("as_of") + SETTLED_AFTER) | pl.col("close_time").is_null()
    bars = bars.filter((final | far).fill_null(True)).with_columns(  # null: a row without a stamp
        in_calendar=pl.col("close_time").is_not_null(),
        in_past=(pl.col("time") <= pl.col("as_of")).fill_null(False),
        aligned=(pl.col("time").to_physical() % _MINUTE_US == 0).fill_null(False),
        in_hours=_in_hours(),
        regular=pl.col("time").is_between(pl.col("open_time"), pl.col("close_time"), closed="left"),
        minute=pl.col("name") * 2**32 + pl.col("time").to_physical() // _MINUTE_US,
    )
    return _mark_last_of_minute(bars.drop("name", "exchange", "day", "as_of", "window_start", "window_end", *_HOURS))


_HOURS = [c for c in HOURS if c != "date"]


def _day(exchange: pl.Expr) -> pl.Expr:
    return exchange * 2**32 + pl.col("date").cast(pl.Int32)


def _hours(codes: pl.Series, dates: pl.Series) -> pl.DataFrame:
    """Return the hours of the exchanges on these dates, by `day`."""
    parts = [pl.DataFrame(schema={"day": pl.Int64, **{c: HOURS[c] for c in _HOURS}})]
    for number, code in enumerate(codes):
        hours = trading_hours(code).filter(pl.col("date").is_in(dates.implode()))
        parts.append(hours.select(_day(pl.lit(number, dtype=pl.Int64)).alias("day"), *_HOURS))
    return pl.concat(parts)


def _in_hours() -> pl.Expr:
    """Return whether a minute lies in its session's hours; true on a day without a session, which has its own rule."""
    inside = pl.col("time").is_between(pl.col("first_time"), pl.col("end_time"), closed="left")
    at_lunch = pl.col("time").is_between(pl.col("break_start"), pl.col("break_end"), closed="left")
    return (inside & ~at_lunch.fill_null(False)).fill_null(True)


def _mark_last_of_minute(bars: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Drop repeated rows, and mark the last row with prices of each minute; return also the repeated rows."""
    nothing = bars.clear().select("series", "date", pl.lit(0, pl.UInt32).alias("copies"))
    if (bars["minute"].diff() > 0).all():  # as vendors send them: symbol by symbol, in the order of time
        return bars.with_columns(last_of_minute=pl.lit(True)).drop("minute"), nothing
    # A stamp with seconds is rejected; it must not replace the row of the minute itself.
    key = pl.when("aligned").then("minute").otherwise(-1 - pl.int_range(pl.len()))
    bars = bars.with_columns(minute=key)
    doubled = bars["minute"].is_duplicated()
    if not doubled.any():
        return bars.with_columns(last_of_minute=pl.lit(True)).drop("minute"), nothing
    bars = bars.with_row_index("place")
    twice, repeated = without_repeats(bars.filter(doubled), ["minute"])
    repeated = repeated.join(twice.unique("minute").select("minute", "series", "date"), on="minute")
    with_prices = pl.when(pl.col("close").is_not_null()).then("place").max().over("minute")
    last = pl.coalesce(with_prices, pl.col("place").max().over("minute"))
    twice = twice.with_columns(last_of_minute=pl.col("place") == last)
    once = bars.filter(~doubled).with_columns(last_of_minute=pl.lit(True))
    return pl.concat([once, twice]).sort("place").drop("place", "minute"), repeated.select(nothing.columns)


def _spans(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.group_by("series").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))


def _by_symbol(spans: pl.DataFrame, facts: pl.DataFrame) -> dict[str, tuple[date, date]]:
    named = spans.join(facts.select("series", "symbol"), on="series")
    by_symbol = named.group_by("symbol").agg(pl.col("first").min(), pl.col("last").max())
    return {symbol: (first, last) for symbol, first, last in by_symbol.iter_rows()}


def _curated(accepted: pl.DataFrame, facts: pl.DataFrame, source: str) -> pl.DataFrame:
    columns = facts.select("series", "symbol", "currency", "raw", "known_from")
    return (
        accepted.join(columns, on="series", how="left", maintain_order="left")
        .with_columns(
            pl.lit(source).alias("source"),
            (pl.col("date").dt.year() * 100 + pl.col("date").dt.month()).alias("month"),
            pl.col("volume").fill_nan(None).fill_null(0).round().cast(pl.Int64),
            known_from(),
        )
        .select(list(BARS_1M.schema))
    )


def _rejected(rejected: pl.DataFrame, facts: pl.DataFrame, source: str, policy: RowPolicy) -> pl.DataFrame:
    columns = facts.select("series", "symbol", "currency", "payload_sha256", "raw", "known_from")
    rows = rejected.join(columns, on="series", how="left", maintain_order="left")
    return rejected_bars(rows, rows.select(*PRICES, "volume", "currency"), source, BARS_1M, policy)
