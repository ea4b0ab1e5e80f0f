"""Find series of minutes whose stamps are hours off: by where the volume of the session lies."""

from __future__ import annotations

import polars as pl

from quantx.core.hours import CLOSING_AUCTION, trading_hours
from quantx.core.quality.gaps import exchange_of
from quantx.core.quality.rule import Rule
from quantx.core.symbols import venue_of

HOURS_OFF = "minutes_hours_off"

_HOURS = range(-13, 14)
_QUARTER = 15  # minutes
_AUCTION = int(CLOSING_AUCTION.total_seconds()) // 60
# A session's volume lies in its hours, and is highest at its open and close; before and after, shares trade little. In
# 111 recorded sessions of New York 97 % or more lies within them, and an hour moved outside has 15 % or more.
_MOST = 0.85  # of the volume lies in the moved hours
_LEAST = 0.05  # of the volume lies in the moved hours only
_TIMES = 3  # so often the volume of the hours that the move takes away
_FEWEST = 30  # minutes of a session that is judged
_SESSIONS, _FULL = 3, 100  # of one series; fewer sessions must have as many minutes

SHIFT_RULES = (
    Rule(
        HOURS_OFF,
        "reject",
        "bars_1m",
        meaning="the minutes of a series are hours early or late: the volume of the session lies in other hours",
        why="stamps in another time zone, or without daylight saving time, give a backtest prices of the future or the"
        " past; only the minutes that leave the hours go to quarantine",
        reference="UTC read as New York's time moves the open to 14:30; a fixed offset is an hour off in summer",
        broken=pl.col("hours") != 0,
    ),
)


def session_shifts(minutes: pl.DataFrame) -> pl.DataFrame:
    """Return each session's shift: source, symbol, date, rows, outside, hours, zone (hours of the exchange from UTC).

    `minutes` (source, symbol, date, time, volume, outside) also has those that `within_hours` rejects, as `outside`.
    `hours` is positive where the minutes are late, and 0 where their volume does not lie in other hours.
    """
    key, place = ["source", "symbol", "date"], pl.col("place")
    # A quarter of an hour is one row: sessions begin and end, and shifts move, by whole quarters.
    quarters = (
        _placed(minutes)
        .group_by(*key, pl.col("place") // _QUARTER * _QUARTER)
        .agg(pl.col("length", "zone").first(), pl.col("volume", "outside").sum(), pl.len().cast(pl.Int64).alias("rows"))
    )
    weight = pl.when(pl.col("volume").sum().over(key) > 0).then("volume").otherwise("rows").cast(pl.Float64)
    rows = quarters.with_columns(weight.alias("weight"))
    here = place.is_between(0, pl.col("length") + _AUCTION, closed="left")
    moved = {h: place.is_between(60 * h, pl.col("length") + _AUCTION + 60 * h, closed="left") for h in _HOURS}

    def share(where: pl.Expr) -> pl.Expr:
        return pl.col("weight").filter(where).sum() / pl.col("weight").sum()

    sessions = rows.group_by(key).agg(
        pl.col("zone").first(),
        pl.col("rows").sum(),
        pl.col("outside").sum().cast(pl.Int64),
        *(share(moved[h]).alias(f"in{h}") for h in _HOURS),
        *(share(moved[h] & ~here).alias(f"gain{h}") for h in _HOURS),
        *(share(here & ~moved[h]).alias(f"loss{h}") for h in _HOURS),
    )
    most = pl.max_horizontal(f"in{h}" for h in _HOURS)
    moves = [
        pl.when(
            pl.col(f"in{h}") == most,
            pl.col(f"in{h}") >= _MOST,
            pl.col(f"gain{h}") >= pl.max_horizontal(pl.lit(_LEAST), _TIMES * pl.col(f"loss{h}")),
            pl.col("rows") >= _FEWEST,
        ).then(pl.lit(h))
        for h in sorted(_HOURS, key=abs)
    ]
    hours = pl.when(pl.col("in0") == most).then(0).otherwise(pl.coalesce(*moves, pl.lit(0))).cast(pl.Int64)
    return sessions.select(*key, "rows", "outside", hours.alias("hours"), "zone").sort(key)


def shifted_series(sessions: pl.DataFrame) -> pl.DataFrame:
    """Return the series that are hours off, one row each, from rows of `session_shifts`.

    Columns: source, symbol, first, last, sessions (those that are off), checked, rows, outside, `shifts` (hours, first,
    last, sessions of each shift) and cause. Three sessions are enough; of fewer, all must be off.
    """
    key = ["source", "symbol"]
    checked = sessions.group_by(key).agg(pl.len().alias("checked"))
    off = sessions.filter(SHIFT_RULES[0].broken)
    shifts = (
        off.group_by(*key, "hours")
        .agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"), pl.len().alias("sessions"))
        .sort("first")
        .group_by(key, maintain_order=True)
        .agg(pl.struct("hours", "first", "last", "sessions").alias("shifts"))
    )
    series = off.group_by(key).agg(
        pl.col("date").min().alias("first"),
        pl.col("date").max().alias("last"),
        pl.len().alias("sessions"),
        pl.col("rows", "outside").sum(),
        pl.col("rows").min().alias("fewest"),
        (pl.col("hours") == -pl.col("zone")).all().alias("utc_as_local"),
        (pl.col("hours") == pl.col("zone")).all().alias("local_as_utc"),
        (pl.col("hours").abs() == 1).all().alias("an_hour"),
    )
    series = series.join(checked, on=key).join(shifts, on=key)
    alone = (pl.col("sessions") == pl.col("checked")) & (pl.col("fewest") >= _FULL)
    cause = (
        pl.when("utc_as_local")
        .then(pl.lit("UTC read as the exchange's time"))
        .when("local_as_utc")
        .then(pl.lit("the exchange's time read as UTC"))
        .when("an_hour")
        .then(pl.lit("an error of daylight saving time, or a neighbouring time zone"))
        .otherwise(pl.lit("stamps in another time zone"))
    )
    found = series.filter((pl.col("sessions") >= _SESSIONS) | alone).with_columns(cause.alias("cause"))
    columns = (*key, "first", "last", "sessions", "checked", "rows", "outside", "shifts", "cause")
    return found.select(columns).sort(key)


def _placed(minutes: pl.DataFrame) -> pl.DataFrame:
    """Add `place` (minutes after the opening of the minute's session), `length` of the session, and `zone`."""
    codes = exchange_of(minutes["symbol"])
    some = codes.group_by("calendar").agg(pl.col("symbol").first()).sort("calendar")
    hours = [_hours("XNYS", "UTC").clear()]
    hours += [_hours(code, venue_of(symbol).timezone) for code, symbol in some.iter_rows()]
    placed = minutes.join(codes, on="symbol").join(pl.concat(hours), on=["calendar", "date"])
    return placed.with_columns(place=(pl.col("time") - pl.col("open_time")).dt.total_minutes())


def _hours(code: str, zone: str) -> pl.DataFrame:
    local = pl.col("open_time").dt.convert_time_zone(zone)
    return trading_hours(code).select(
        pl.lit(code).alias("calendar"),
        "date",
        "open_time",
        length=(pl.col("close_time") - pl.col("open_time")).dt.total_minutes(),
        zone=(local.dt.base_utc_offset() + local.dt.dst_offset()).dt.total_hours(),
    )
