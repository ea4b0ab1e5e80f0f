"""The days of exchanges for many series at once: the calendar of a symbol, its sessions, a value per day."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from quantx.core.calendars import expected_sessions, held_sessions
from quantx.core.symbols import venue_of
from quantx.errors import InvalidSymbol


def calendars_of(symbols: pl.Series) -> pl.DataFrame:
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
    codes = calendars_of(bars["symbol"].unique())
    days = bars["date"].unique()
    traded = [pl.DataFrame(schema={"calendar": pl.String, "date": pl.Date, "traded": pl.Boolean})]
    for code in codes["calendar"].drop_nulls().unique():
        sessions = pl.Series(held_sessions(code), dtype=pl.Date)
        traded.append(pl.DataFrame({"calendar": code, "date": days, "traded": days.is_in(sessions.implode())}))
    days_of_bars = bars.select("symbol", "date").join(codes, on="symbol", how="left", maintain_order="left")
    marked = days_of_bars.join(pl.concat(traded), on=["calendar", "date"], how="left", maintain_order="left")
    return marked["traded"].fill_null(True)


def sessions_so_far(bars: pl.DataFrame) -> pl.Series:
    """Return each bar's place among the expected sessions of its exchange; other days have that of the next one."""

    def places(code: str, days: pl.Series) -> pl.Series:
        return pl.Series(expected_sessions(code), dtype=pl.Date).search_sorted(days).cast(pl.Int64)

    return of_calendar_days(bars, places, pl.Int64)


def of_calendar_days(
    bars: pl.DataFrame, values: Callable[[str, pl.Series], pl.Series], dtype: type[pl.DataType]
) -> pl.Series:
    """Return for each bar the value of its day; `values` gives those of a calendar for a series of all days.

    `bars` (symbol, date, follows) are sorted; null where no known market has the symbol. The days of all calendars, one
    calendar after the other, make one list; each bar's place is an index into it.
    """
    if bars.is_empty():
        return pl.Series(dtype=dtype)
    begins = ~bars["follows"].fill_null(False)
    codes = calendars_of(bars["symbol"].filter(begins))["calendar"]
    calendars = codes.drop_nulls().unique(maintain_order=True)
    first, last = bars.select(first=pl.col("date").min(), last=pl.col("date").max()).row(0)
    days = pl.select(pl.date_range(first, last)).to_series()
    nowhere = pl.Series([None], dtype=dtype).new_from_index(0, len(days))
    count = len(calendars)
    which = codes.replace_strict(calendars, range(count), default=count, return_dtype=pl.Int64)
    day = (bars["date"] - first).dt.total_days()
    listed = pl.concat([*(values(code, days) for code in calendars), nowhere])
    return listed.gather(which.gather(begins.cum_sum() - 1) * len(days) + day)
