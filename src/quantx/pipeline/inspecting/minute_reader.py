"""Read sessions of minutes for checks: a month of some symbols at a time is in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta

import polars as pl

from quantx.core.coverage import months_of
from quantx.core.model import Window
from quantx.core.quality.minute_session_rules import regular_sessions, with_references
from quantx.core.quality.minute_shift import session_shifts
from quantx.core.table import INSTANT
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, QUARANTINE
from quantx.lake.protocol import Tables

_MINUTES = 1_000_000  # in memory at once
_A_SESSION = 400  # minutes
_BEFORE = timedelta(days=14)  # the previous session is at most so far back
_OUTSIDE = "within_hours"  # the row rule that minutes of another time zone break
_COLUMNS = ("source", "symbol", "date", "time", "open", "high", "low", "close", "volume", "regular")
_STAMPS = ("source", "symbol", "date", "time", "volume")


class MinuteReader:
    """Reads the sessions from `since` to `until` (None: all later ones) of a source (None: all)."""

    def __init__(self, tables: Tables, since: date, until: date | None, source: str | None) -> None:
        self.bars = 0  # minutes that were read
        self._tables = tables
        self._first = since if until is None else since - _BEFORE
        self._last = None if until is None else until + _BEFORE
        self._since, self._until = since, until
        self._own = pl.lit(True) if source is None else pl.col("source") == source

    def read(self, symbols: Collection[str] | None) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the sessions as of `sessions_of`, and the shifts of those in the window as of `session_shifts`."""
        names, months = self._stored(symbols)
        sessions, shifts = [_no_sessions()], [session_shifts(_no_stamps())]
        days = max((w.end - w.start for w in months), default=timedelta(0)).days + 1
        at_once = max(10, _MINUTES // (_A_SESSION * min(days, 22)))
        for start in range(0, len(names), at_once):
            regular, moved = self._of_symbols(names[start : start + at_once], months)
            sessions.append(regular)
            shifts.append(moved)
        return pl.concat(sessions), pl.concat(shifts)

    def _of_symbols(self, names: Sequence[str], months: Sequence[Window]) -> tuple[pl.DataFrame, pl.DataFrame]:
        wanted = pl.col("symbol").is_in(names) & self._own
        regular, shifts = [], []
        for month in months:
            minutes = self._minutes(wanted, month)
            self.bars += minutes.height
            regular.append(regular_sessions(minutes))
            stamps = minutes.select(*_STAMPS, pl.lit(False).alias("outside"))
            shifts.append(session_shifts(pl.concat([stamps, self._outside(wanted, month)])))
        from_ = self._first - _BEFORE
        daily = self._tables[BARS_1D.name].read(wanted & (pl.col("year") >= from_.year) & (pl.col("date") >= from_))
        actions = self._tables[ACTIONS.name].read(pl.col("symbol").is_in(names) & (pl.col("ex_date") >= self._first))
        within = pl.col("date").is_between(self._since, self._until or date.max)
        return with_references(pl.concat(regular), daily, actions), pl.concat(shifts).filter(within)

    def _stored(self, symbols: Collection[str] | None) -> tuple[list[str], list[Window]]:
        """Return the symbols and the months of the window with minutes, accepted or rejected for their hours."""
        table, rejected = self._tables[BARS_1M.name], self._tables[QUARANTINE.name]
        wanted = self._own if symbols is None else self._own & pl.col("symbol").is_in(list(symbols))
        from_, to = self._first.year * 100 + self._first.month, pl.col("date") <= (self._last or date.max)
        bars = table.scan().filter(wanted, pl.col("month") >= from_, pl.col("date") >= self._first, to)
        parts = [table.collect(bars.select("symbol", "date").unique())] if table.version() is not None else []
        if rejected.version() is not None:
            rows = rejected.scan().filter(wanted, _is_outside(), pl.col("date") >= self._first, to)
            parts.append(rejected.collect(rows.select("symbol", "date").unique()))
        found = pl.concat([_no_stamps().select("symbol", "date"), *parts])
        if found.is_empty():
            return [], []
        days = Window(found["date"].min(), found["date"].max())  # type: ignore[arg-type]
        return found["symbol"].unique().sort().to_list(), list(_with_days(months_of(days), found["date"]))

    def _minutes(self, wanted: pl.Expr, month: Window) -> pl.DataFrame:
        table = self._tables[BARS_1M.name]
        days = pl.col("date").is_between(month.start, month.end)
        of_month = pl.col("month") == month.start.year * 100 + month.start.month
        return table.collect(table.scan().filter(wanted, of_month, days).select(_COLUMNS))

    def _outside(self, wanted: pl.Expr, month: Window) -> pl.DataFrame:
        """Return the stamps of the minutes that were rejected for their hours."""
        rows = self._tables[QUARANTINE.name].read(
            wanted & _is_outside() & pl.col("date").is_between(month.start, month.end)
        )
        values = pl.col("row").str.json_decode(pl.Struct({"time": pl.String, "volume": pl.Float64}))
        quoted = rows.with_columns(values.alias("quoted")).unnest("quoted")
        time = pl.col("time").str.to_datetime(time_unit="us", time_zone="UTC", strict=False).cast(INSTANT)
        stamps = quoted.select("source", "symbol", "date", time, pl.col("volume").fill_null(0.0).cast(pl.Int64))
        return stamps.unique(["source", "symbol", "time"]).with_columns(outside=pl.lit(True))


def _is_outside() -> pl.Expr:
    rules = pl.col("rules").str.split(",")
    return (pl.col("dataset") == BARS_1M.name) & rules.list.contains(_OUTSIDE) & pl.col("passed").is_null()


def _with_days(months: Sequence[Window], days: pl.Series) -> Iterator[Window]:
    """Yield the months in which one of these days lies."""
    present = {(day.year, day.month) for day in days.unique()}
    yield from (month for month in months if (month.start.year, month.start.month) in present)


def _no_stamps() -> pl.DataFrame:
    return BARS_1M.empty().select(*_STAMPS, pl.lit(False).alias("outside"))


def _no_sessions() -> pl.DataFrame:
    return with_references(regular_sessions(BARS_1M.empty()), BARS_1D.empty(), ACTIONS.empty())
