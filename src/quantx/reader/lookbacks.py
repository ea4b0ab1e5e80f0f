"""Lookback windows: the last sessions before each of many days, as they looked on that day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Literal

import polars as pl

from quantx.core.adjustment import AdjustmentSteps, with_adjustments
from quantx.core.prices import PRICES, Adjust
from quantx.core.tables import ACTIONS
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, On, Symbols, shifted, to_date
from quantx.reader.bar_request import BarRequest
from quantx.reader.panels import PanelQueries
from quantx.reader.point_in_time import PointInTime
from quantx.reader.reshape import wide
from quantx.reader.stored import one_state

_FIELDS = (*PRICES, "volume", "adj_close")
_SPLIT, _DIVIDEND = "__split", "__dividend"


class LookbackQueries(PanelQueries):
    """Windows of bars for days of rebalancing."""

    @one_state
    def lookback(
        self,
        field: str = "close",
        *,
        dates: Day | Iterable[Day],
        sessions: int,
        universe: str | None = None,
        symbols: Symbols | None = None,
        members_only: bool = True,
        adjust: Adjust = "total",
        as_of: Day | Literal["each"] | None = None,
        source: str | None = None,
        on: On | None = None,
    ) -> pl.DataFrame:
        """Return, for each of `dates`, the last `sessions` sessions up to it, adjusted as of that day.

        Columns: seen_on (one of `dates`), date (session), and one per symbol. The rows of a day equal
        `panel(field, end=day, base=day, …).tail(sessions)`: splits and dividends with a later ex-date do not count.
        All days take one read. Sessions are days with a bar of any of the symbols.

        `field` is open, high, low, close, volume or adj_close, of daily bars. Of a universe the columns are all that
        were members on any of the days from the first to the last; with `members_only` a column is null in the windows
        of days on which the security was no member. `as_of` is one moment for all days, or "each": every window as this
        system knew it at the end of its day, by one read per day (of members as known now). Other arguments are those
        of `panel`.

        A return between two sessions is the same for every base; levels, and sums of amounts, are not.
        """
        given = dates if isinstance(dates, Iterable) and not isinstance(dates, str) else [dates]
        days = sorted({day for each in given if (day := to_date(each)) is not None})
        if field not in _FIELDS:
            raise ConfigError(f"a lookback of {field!r} can't be adjusted; use {', '.join(_FIELDS)}")
        if not days or not _is_count(sessions):
            raise ConfigError("a lookback needs at least one date, and sessions=1 or more, a whole number")
        moment = PointInTime.parse(None if as_of == "each" else as_of, None)
        members = self._panel_members(universe, symbols, days[0], days[-1], moment)
        request = BarRequest.parse(
            list(members.on) if members is not None else () if symbols is None else symbols,
            days[0],
            days[-1],
            adjust=adjust,
            as_of=moment.as_of,
            source=source,
            columns=["symbol", "date", field],
            on=on if on is not None or members is None else members.on,
        )
        frame = self._windows(request, field, days, sessions, each=as_of == "each")
        if members is None or not members_only:
            return frame
        self._check_reach(str(universe), days[0], request.moment)
        mask = members.mask(pl.Series(days, dtype=pl.Date))
        of_rows = frame.select("seen_on").join(
            mask, left_on="seen_on", right_on="date", how="left", maintain_order="left"
        )
        return frame.with_columns(pl.when(of_rows[name]).then(pl.col(name)).alias(name) for name in frame.columns[2:])

    def _windows(
        self, request: BarRequest, field: str, days: Sequence[date], sessions: int, *, each: bool
    ) -> pl.DataFrame:
        """Return the windows of all days by one read, or `each` as known at the end of its day."""
        frames = []
        for group in [[day] for day in days] if each else [days]:
            moment = PointInTime.parse(group[0], None) if each else request.moment
            read = replace(request, last=group[-1], base=group[-1], moment=moment)
            requests, traded = self._read_traded(replace(read, first=shifted(group[0], -2 * sessions - 30)))
            if traded.filter(pl.col("date") <= group[0])["date"].n_unique() < sessions:  # none for a long time
                requests, traded = self._read_traded(replace(read, first=None))
            steps = self._adjustment_steps(read, requests) if read.adjusted else AdjustmentSteps(ACTIONS.empty())
            frames.append(_adjusted_windows(field, traded, steps, request.names, group, sessions, request.adjust))
        frame = pl.concat(frames)
        present = [name for name in request.names if frame[name].null_count() < frame.height]
        self._check_bars(read.table, requests, present, source=read.vendor, moment=read.moment)
        return frame


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value > 0


def _adjusted_windows(
    field: str,
    traded: pl.DataFrame,
    steps: AdjustmentSteps,
    symbols: Sequence[str],
    days: Sequence[date],
    sessions: int,
    adjust: Adjust,
) -> pl.DataFrame:
    """Return the windows of as-traded bars, each adjusted with the steps between its rows and its day.

    The factor from a row to a day is the row's factor to the last day, divided by the day's factor to the last day.
    """
    at_days = pl.DataFrame({"symbol": symbols}, schema={"symbol": pl.String}).join(
        pl.DataFrame({"date": days}, schema={"date": pl.Date}), how="cross"
    )
    traded, at_days = with_adjustments(traded, steps), with_adjustments(at_days, steps)
    held = traded["date"].unique().sort()
    ends = held.search_sorted(pl.Series(days, dtype=pl.Date), side="right")
    pairs = [(n, row) for n, end in enumerate(ends) for row in range(max(0, end - sessions), end)]
    of_day = pl.Series([n for n, _ in pairs], dtype=pl.UInt32)
    of_row = pl.Series([row for _, row in pairs], dtype=pl.UInt32)

    def factor(name: str) -> pl.DataFrame:
        """Return a factor from each row of the windows to the day of its window."""
        at_rows = wide(traded, "date", [name], symbols).drop("date")
        return at_rows[of_row] / wide(at_days, "date", [name], symbols).drop("date")[of_day]

    values = wide(traded, "date", ["close" if field == "adj_close" else field], symbols).drop("date")[of_row]
    how = "total" if field == "adj_close" else adjust
    if how != "none" and field == "volume":
        values = (values * factor(_SPLIT)).select(pl.all().round().cast(pl.Int64))
    elif how != "none":
        values = values / factor(_SPLIT)
        values = values * factor(_DIVIDEND) if how == "total" else values
    index = pl.DataFrame({"seen_on": pl.Series(days, dtype=pl.Date)[of_day], "date": held[of_row]})
    return index.hstack(values)
