"""Alpha Vantage's minute bars, with stamps that are the minutes' beginnings or their ends.

Recordings of 2019 (1min: 09:31 to 16:00) and 2020 (with extended hours: 04:01 to 20:00) stamp the end, one of 2023
(15min: 09:30 to 15:45) the beginning; no document defines it. So the stamps of each reply decide:

* regular hours only: a stamp at a session's open means beginnings, one at its close means ends;
* with extended hours (04:00 to 20:00): a stamp at 04:00 means beginnings, one at 20:00 means ends;
* both: the reply contradicts itself and is malformed;
* neither (a few minutes within a day): beginnings, as in the newest replies.

Ends are shifted by a minute, with a note, as the newest replies differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Any, Literal

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.symbols import US
from quantx.core.table import INSTANT
from quantx.providers.protocol import VENDOR_BARS, Note
from quantx.providers.reply_values import WrongForm, spelt_numbers, texts

Stamps = Literal["start", "end", "unknown"]

_FIELDS = {"open": "1. open", "high": "2. high", "low": "3. low", "close": "4. close", "volume": "5. volume"}
_REGULAR = (time(9, 30), time(16))  # where both are inside, there are no extended hours
_EXTENDED = (time(4), time(20))
_MINUTE = timedelta(minutes=1)


def minute_bars(symbol: str, series: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """Return VENDOR_BARS, newest first as sent; `time` is the minute's beginning, whatever the stamps mean.

    Raises ValueError, TypeError, KeyError or polars' errors where the form is another.
    """
    local = _local_times(series)
    shift = _MINUTE if _stamps(local) == "end" else timedelta(0)
    start = (local - shift).dt.replace_time_zone(US.timezone)
    columns = {name: spelt_numbers(texts(name, [r[wire] for r in series.values()])) for name, wire in _FIELDS.items()}
    frame = pl.DataFrame({"time": start.dt.convert_time_zone("UTC").cast(INSTANT), "date": start.dt.date(), **columns})
    return frame.with_columns(
        pl.lit(symbol).alias("symbol"), pl.lit(None, dtype=pl.Float64).alias("vendor_adj_close")
    ).select(list(VENDOR_BARS))


def stamps_of(series: Mapping[str, Any]) -> Stamps:
    """Return the meaning of a reply's stamps by the rules above; the reply is one that `minute_bars` reads."""
    return _stamps(_local_times(series))


def note_of(series: Mapping[str, Any]) -> Note | None:
    """Return a note where the stamps of a reply mean ends; None where they are as usual."""
    if stamps_of(series) != "end":
        return None
    return Note(
        rule="minutes_stamped_at_end",
        severity="warn",
        subject="alphavantage",
        message="Alpha Vantage stamps minutes with their end again, for the first time since 2023; they are shifted by"
        " a minute: compare a session with another vendor's",
    )


def _local_times(series: Mapping[str, Any]) -> pl.Series:
    stamps = texts("time", list(series))
    if not (stamps.str.len_bytes() == len("2019-02-15 16:00:00")).all():
        raise WrongForm("a stamp has another form")
    times = stamps.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us")
    if times.null_count() or not (times.dt.second() == 0).all():
        raise WrongForm("a stamp is no whole minute")
    return times


def _stamps(local: pl.Series) -> Stamps:
    clock = local.dt.time()
    if clock.is_between(*_REGULAR).all():
        sessions = calendar(US.calendar)
        days = sessions.sessions(local.dt.date().min(), local.dt.date().max()) if len(local) else ()  # type: ignore[arg-type]
        marks = [[sessions.open_of(day) for day in days], [sessions.close_of(day) for day in days]]
        instants = local.dt.replace_time_zone(US.timezone).dt.convert_time_zone("UTC").cast(INSTANT)
        begins, ends = (instants.is_in(pl.Series(at, dtype=INSTANT).implode()).any() for at in marks)
    else:
        begins, ends = ((clock == at).any() for at in _EXTENDED)
    if begins and ends:
        raise WrongForm("its stamps are minutes' beginnings and ends at once: the vendor has changed its habit")
    return "start" if begins else "end" if ends else "unknown"
