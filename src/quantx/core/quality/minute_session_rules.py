"""Rules over sessions of minutes: completeness, and agreement with the day before, the daily bar, the calendar.

They use the columns of `sessions_of`, which makes one row of each session of a series.
"""

from __future__ import annotations

import polars as pl

from quantx.core.hours import trading_hours
from quantx.core.prices import CASH_KINDS
from quantx.core.quality.gaps import exchange_of
from quantx.core.quality.rule import Rule

LONGEST_GAP = 15  # minutes in a row without a bar in a dense series
_DENSE = 0.95  # of a session's minutes: the median of the other sessions
_JUMP = 0.05  # of the close before
_FIT = 0.01  # of the daily bar
_AS_TRADED = 0.25  # of the volume of a regular minute: after hours, even index funds have a few hundredths
_BESIDE = 10  # sessions before and after that show what is usual
_FEW = 0.5  # of the usual minutes, in a series that usually has as large a share of them
_PRICES = ("open", "high", "low", "close")
_KEY = ["source", "symbol", "date"]

_complete = pl.col("minutes") == pl.col("expected")
_dense = pl.col("usual") >= _DENSE
_traded = pl.col("volume") > 0  # not an index, whose day is longer than the session of its exchange
_jumps = _traded & ((pl.col("open") / pl.col("close_before") - 1).abs() > _JUMP).fill_null(False)
_confirmed = ((pl.col("open") / pl.col("daily_open") - 1).abs() <= _FIT).fill_null(False)
_after_hours = (pl.col("volume_after") > 0) & (pl.col("volume_after") < _AS_TRADED * pl.col("volume_usual"))

SESSION_RULES = (
    Rule(
        "minutes_complete",
        "info",
        "bars_1m",
        meaning="a minute of the regular session has no bar (New York has 390, on a half day 210, Hong Kong 330)",
        why="a minute without a trade has no bar; a count of bars is not a count of minutes for thin shares",
        reference="Alpha Vantage 2019-02: SLV 333 to 376 of 390; exchange_calendars",
        broken=~_complete,
    ),
    Rule(
        "minutes_without_hole",
        "warn",
        "bars_1m",
        meaning=f"{LONGEST_GAP} minutes in a row or more are missing in a series that has {_DENSE:.0%} of them on"
        " other days",
        why="an outage of the vendor looks like a quiet quarter of an hour",
        reference="a trading pause of New York (limit up, limit down) lasts five minutes, seldom ten",
        broken=_dense & (pl.col("longest_gap") >= LONGEST_GAP),
    ),
    Rule(
        "minutes_fewer_than_usual",
        "warn",
        "bars_1m",
        meaning=f"a session has less than {_FEW:.0%} of the minutes that the sessions around it have, in a series that"
        f" usually has {_FEW:.0%} to {_DENSE:.0%} of them",
        why="a reply that was cut off looks like a session of few trades",
        reference="a backfill with 6 of 390 minutes; of 111 recorded sessions none has less than 91 % of its"
        " series' usual minutes",
        broken=~_dense & (pl.col("usual") >= _FEW) & (pl.col("minutes") < _FEW * pl.col("usual") * pl.col("expected")),
    ),
    Rule(
        "half_day_ends_early",
        "warn",
        "bars_1m",
        meaning="on a half day half of the minutes or more from the early close to the usual one have bars, and their"
        f" volume is zero or {_AS_TRADED:.0%} or more of the session's (medians): not after-hours trading",
        why="a vendor or a calendar without the half day shows an afternoon that did not happen, with the volume of a"
        " session or without any",
        reference="QuantConnect GOOG 2015-12-24: every minute until 13:00, few prints until 16:11; on half days New"
        " York trades after hours until 17:00",
        broken=(pl.col("minutes_after") * 2 >= pl.col("minutes_off").clip(lower_bound=1)) & ~_after_hours,
    ),
    Rule(
        "opening_near_close_before",
        "warn",
        "bars_1m",
        meaning=f"the first minute opens more than {_JUMP:.0%} away from the close before, net of splits and dividends",
        why="a jump that neither an event nor the daily bar confirms is a wrong scale or a bad print",
        reference="AAPL 2014-06-09, 7:1: 645.57 and then 92.70",
        broken=_jumps & ~_confirmed,
    ),
    Rule(
        "opening_jump_confirmed",
        "info",
        "bars_1m",
        meaning=f"the first minute opens more than {_JUMP:.0%} away from the close before, and the daily bar confirms"
        " it",
        why="news comes overnight; the jump is real",
        reference="earnings reports after the close",
        broken=_jumps & _confirmed,
    ),
    Rule(
        "minutes_add_up_to_day",
        "warn",
        "bars_1m",
        meaning=f"the regular minutes differ from the daily prices by more than {_FIT:.0%}, or exceed the daily volume",
        why="two series of one vendor that contradict each other can't both be right",
        reference="Alpha Vantage 2019-02: 17 shares within 0.8 %, 63 to 99 % of the volume; VIX, without volume, up"
        " to 8.7 % off",
        broken=_traded
        & pl.any_horizontal(
            *((pl.col(p) / pl.col(f"daily_{p}") - 1).abs() > _FIT for p in _PRICES),
            pl.col("volume") > pl.col("daily_volume") * (1 + _FIT),
        ).fill_null(False),
    ),
)


def sessions_of(minutes: pl.DataFrame, daily: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Return one row per session with a regular minute: its minutes, the expected ones, and the bars to compare with.

    `minutes` are rows of bars_1m, `daily` of bars_1d, both as traded; `actions` of the actions table. Columns are those
    of `regular_sessions`, and:

    - `usual` (the median share of minutes in the ten sessions before and after);
    - daily_open … daily_volume of the daily bar, or null;
    - `close_before`, in the shares of the session and net of its dividend.
    """
    return with_references(regular_sessions(minutes), daily, actions)


def regular_sessions(minutes: pl.DataFrame) -> pl.DataFrame:
    """Return one row per session with a regular minute, by series and date; `minutes` are rows of bars_1m.

    Columns:

    - source, symbol, date, calendar;
    - `minutes` and `expected` (both regular), `longest_gap` (the most missing minutes in a row);
    - `minutes_off` (from an early close to the usual one) and `minutes_after` (of those, with a bar);
    - `volume_usual` and `volume_after`: the median volume of a regular minute and of one after it, 0 without one;
    - open, high, low, close, volume of the regular minutes.
    """
    placed = _placed(minutes)
    regular = placed.filter(pl.col("regular"))
    place = pl.col("place")
    sessions = regular.group_by(_KEY).agg(
        pl.col("calendar", "expected", "minutes_off").first(),
        pl.len().cast(pl.Int64).alias("minutes"),
        pl.max_horizontal(
            place.sort().diff().max().fill_null(0) - 1, place.min(), pl.col("expected").first() - 1 - place.max()
        ).alias("longest_gap"),
        pl.col("open").sort_by("time").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").sort_by("time").last(),
        pl.col("volume").sum(),
        pl.col("volume").median().alias("volume_usual"),
    )
    off = placed.filter(pl.col("time").is_between("close_time", "usual_close", closed="left"))
    after = off.group_by(_KEY).agg(pl.len().alias("minutes_after"), pl.col("volume").median().alias("volume_after"))
    return (
        sessions.join(after, on=_KEY, how="left")
        .with_columns(
            pl.col("minutes_after").fill_null(0).cast(pl.Int64), pl.col("volume_usual", "volume_after").fill_null(0.0)
        )
        .sort(_KEY)
    )


def with_references(sessions: pl.DataFrame, daily: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Add `usual`, the daily bars and `close_before` to rows of `regular_sessions`: see `sessions_of`."""
    bars = daily.select(*_KEY, *(pl.col(c).alias(f"daily_{c}") for c in (*_PRICES, "volume")))
    joined = sessions.join(bars, on=_KEY, how="left").sort(_KEY)
    return _with_close_before(_with_usual(joined), daily, actions)


def _placed(minutes: pl.DataFrame) -> pl.DataFrame:
    """Add each minute's exchange, its session hours and `place`: the number of regular minutes before it."""
    codes = exchange_of(minutes["symbol"])
    hours = [_hours("XNYS").clear(), *(_hours(code) for code in codes["calendar"].unique().sort())]
    placed = minutes.join(codes, on="symbol").join(pl.concat(hours), on=["calendar", "date"])
    after_lunch = pl.when(pl.col("time") >= pl.col("break_end")).then("lunch").otherwise(0)
    return placed.with_columns(place=(pl.col("time") - pl.col("open_time")).dt.total_minutes() - after_lunch)


def _hours(code: str) -> pl.DataFrame:
    """Return the sessions of an exchange (calendar, date) with their minutes, and the usual close of the period.

    The usual session is the longest of the ten before and after: hours change, as Tokyo's on 2024-11-05.
    """
    length = (pl.col("close_time") - pl.col("open_time")).dt.total_minutes()
    lunch = (pl.col("break_end") - pl.col("break_start")).dt.total_minutes().fill_null(0)
    usual = length.rolling_max(21, center=True, min_samples=1)
    return trading_hours(code).select(
        pl.lit(code).alias("calendar"),
        "date",
        "open_time",
        "close_time",
        "break_end",
        usual_close=pl.col("open_time") + pl.duration(minutes=usual),
        lunch=lunch,
        expected=length - lunch,
        minutes_off=usual - length,
    )


def _with_usual(sessions: pl.DataFrame) -> pl.DataFrame:
    """Add the median share of minutes in the neighbouring sessions of each series, null where there is none."""
    share = pl.col("minutes") / pl.col("expected")
    others = [share.shift(by).over("source", "symbol") for by in range(-_BESIDE, _BESIDE + 1) if by]
    return sessions.with_columns(pl.concat_list(others).list.drop_nulls().list.median().alias("usual"))


def _with_close_before(sessions: pl.DataFrame, daily: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Add the close of the session before: from the daily bar, else from the last minute."""
    key = ["source", "symbol"]
    days = [
        trading_hours(code).select(pl.lit(code).alias("calendar"), "date", before=pl.col("date").shift())
        for code in sessions["calendar"].unique().sort()
    ]
    if not days:
        return sessions.with_columns(close_before=pl.lit(None, pl.Float64))
    closes = [f.select(*key, pl.col("date").alias("before"), pl.col("close").alias("known")) for f in (daily, sessions)]
    closes_before = pl.concat(closes).unique([*key, "before"], keep="first", maintain_order=True)
    dated = sessions.join(pl.concat(days), on=["calendar", "date"], how="left")
    joined = dated.join(closes_before, on=[*key, "before"], how="left")
    events = actions.unique(["symbol", "ex_date", "kind"], keep="first", maintain_order=True)
    value = pl.col("value")
    events = events.group_by("symbol", pl.col("ex_date").alias("date")).agg(
        value.filter(pl.col("kind") == "split").product().alias("ratio"),
        value.filter(pl.col("kind").is_in(CASH_KINDS)).sum().alias("paid"),
    )
    joined = joined.join(events, on=["symbol", "date"], how="left")
    before = pl.col("known") / pl.col("ratio").fill_null(1.0) - pl.col("paid").fill_null(0.0)
    return joined.with_columns(close_before=before).drop("before", "known", "ratio", "paid").sort(*key, "date")
