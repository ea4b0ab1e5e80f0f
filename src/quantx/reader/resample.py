"""Resample bars to longer ones: minutes within their session, sessions to weeks and longer periods."""

from __future__ import annotations

import re
from datetime import timedelta

import polars as pl

from quantx.core.pairs import inverse_bars
from quantx.core.symbols import venue_of
from quantx.errors import ConfigError
from quantx.reader.handle import LakeHandle

PERIODS = ("1d", "1w", "1mo", "1q", "1y")
_USE = f"use minutes as in 5m, hours as in 1h, or one of {', '.join(PERIODS)}"
# How the bars of one period become one. Other columns are left out: they are of one bar.
_RULES = {
    "open": pl.col("open").drop_nulls().first(),
    "high": pl.col("high").max(),
    "low": pl.col("low").min(),
    "close": pl.col("close").drop_nulls().last(),
    "adj_close": pl.col("adj_close").drop_nulls().last(),
    "volume": pl.when(pl.col("volume").count() > 0).then(pl.col("volume").sum()),
    "currency": pl.col("currency").last(),
    "source": pl.col("source").unique().sort().str.join(","),
    "known_from": pl.col("known_from").max(),
    "regular": pl.col("regular").all(),
}


class ResampleQueries(LakeHandle):
    """Longer bars of read ones, and pairs quoted the other way round."""

    def inverse(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Return `bars()` of currency pairs with base and quote exchanged: those of EURUSD=X as USDEUR=X.

        Prices are their inverse, and the inverse of the low is the high. Raises ConfigError for a frame without
        symbols, or with one that is no pair.
        """
        if not _is_of_bars(bars):
            raise ConfigError("inverse needs a Polars frame with the columns symbol and date, as bars() returns it")
        return inverse_bars(bars)

    def resample(self, bars: pl.DataFrame, every: str) -> pl.DataFrame:
        """Return the bars of `bars()` as longer ones: every "5m", "1h", "1d", "1w", "1mo", "1q" or "1y".

        Open is the first, high the highest, low the lowest, close and adj_close the last, volume the sum. `source`
        names all vendors; `known_from` is the newest one: by then the whole bar was known. Prices stay adjusted as they
        are: resample adjusted bars where a split lies within a period.

        Minutes and hours need minute bars. They count from the open of the session, as 09:30, 10:30 … in New York,
        never cross a session, and `time` is their start (UTC). Of longer periods `date` is the last session with a bar
        of the exchange's symbols: a week's bar stands where it was complete. Weeks begin on Monday. A last period that
        has not ended is included.

        Raises ConfigError for another frequency, and for a frame without symbol and date.
        """
        if not _is_of_bars(bars):
            raise ConfigError("resample needs a Polars frame with the columns symbol and date, as bars() returns it")
        calendars = {symbol: venue_of(symbol).calendar for symbol in bars["symbol"].unique().drop_nulls()}
        code = pl.col("symbol").replace_strict(calendars, return_dtype=pl.String).alias("__calendar")
        if every in PERIODS:
            return _by_period(bars.with_columns(code), every)
        step = re.fullmatch(r"([1-9][0-9]{0,3})(m|h)", str(every))
        if step is None:
            raise ConfigError(f"{every!r} is not a frequency; {_USE}")
        if "time" not in bars.columns:
            raise ConfigError(f"bars of {every} need minute bars with the column time; use bars(…, timeframe='1m')")
        length = timedelta(**{"minutes" if step[2] == "m" else "hours": int(step[1])})
        opens = [
            self._sessions.of(each).select(pl.lit(each).alias("__calendar"), "date", pl.col("open").alias("__open"))
            for each in sorted(set(calendars.values()))
        ]
        return _within_sessions(bars.with_columns(code), length, opens)


def _is_of_bars(frame: object) -> bool:
    schema = frame.schema if isinstance(frame, pl.DataFrame) else pl.Schema()
    return schema.get("symbol") == pl.String and schema.get("date") == pl.Date


def _within_sessions(bars: pl.DataFrame, length: timedelta, opens: list[pl.DataFrame]) -> pl.DataFrame:
    """Return bars of some length, counted from the open of each session."""
    key = ["__calendar", "date"]
    marked = bars.join(pl.concat(opens), on=key, how="left", maintain_order="left") if opens else bars.clear()
    if not opens:
        marked = marked.with_columns(pl.col("time").alias("__open"))
    # A session that the calendar does not know begins with its first bar.
    begin = pl.coalesce("__open", pl.col("time").min().over("symbol", "date"))
    since = (pl.col("time") - begin).dt.total_microseconds()
    number = since.floordiv(int(length / timedelta(microseconds=1)))
    start = begin + pl.duration(microseconds=number * int(length / timedelta(microseconds=1)))
    return _joined(marked.sort("symbol", "time").with_columns(start.alias("time")), bars, ["symbol", "date", "time"])


def _by_period(bars: pl.DataFrame, every: str) -> pl.DataFrame:
    """Return a bar per period, at the last session with a bar on the symbol's exchange."""
    period = pl.col("date").dt.truncate(every)
    last = pl.col("date").max().over("__calendar", period)
    order = ["symbol", "date", *(["time"] if "time" in bars.columns else [])]
    return _joined(
        bars.sort(order).with_columns(last.alias("date")), bars.drop("time", strict=False), ["symbol", "date"]
    )


def _joined(marked: pl.DataFrame, bars: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return one row per key by the rules, with the columns in the order of `bars`."""
    shown = [c for c in bars.columns if c in key or c in _RULES]
    rules = [_RULES[c].alias(c) for c in shown if c not in key]
    return marked.group_by(key, maintain_order=True).agg(rules).select(shown).sort(key)
