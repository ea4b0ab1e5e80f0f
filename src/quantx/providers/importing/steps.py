"""The timeframe of a file by the steps between its rows, and what the stamps of its minutes are."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from quantx.core.hours import trading_hours
from quantx.core.symbols import venue_of
from quantx.providers.importing.form import FileForm
from quantx.providers.importing.read import FileRows, read_file
from quantx.providers.importing.values import Undeclared
from quantx.providers.reply_values import WrongForm

_LONG_BARS = (("weeks", 6, 8), ("months", 27, 33), ("quarters", 87, 95), ("years", 360, 370))  # days from bar to bar


def timeframe_of(body: bytes, form: FileForm, symbol: str, rows: FileRows) -> str:
    """Return 1d or 1m by the steps between rows; WrongForm for any other bars."""
    days = rows.rows["date"]
    if len(days) < 1.5 * days.n_unique():
        steps = days.unique().sort().diff().drop_nulls().dt.total_days()
        share = 0.8 if len(steps) >= 5 else 0.99
        for name, low, high in _LONG_BARS:
            if len(steps) >= 2 and steps.is_between(low, high).mean() > share:  # type: ignore[operator]
                raise WrongForm(
                    f"its bars are those of {name}; stored are daily bars and minutes: give --timeframe 1d if they are"
                    " days"
                )
        return "1d"
    minute = read_file(body, form.with_values(timeframe="1m", stamps="start", zone=form.zone or "UTC"), symbol).rows
    steps = minute["time"].unique().sort().diff().drop_nulls()
    step = steps.mode().min() if len(steps) else None
    seconds = step.total_seconds() if step is not None else 0  # type: ignore[union-attr]
    if seconds >= 86_400:  # days that the file has twice: what is not equal is judged as any reply's
        return "1d"
    if seconds != 60:
        raise WrongForm(f"its bars are {seconds / 60:g} minutes long; stored are daily bars and minutes")
    return "1m"


def stamps_of(body: bytes, form: FileForm, symbol: str) -> str:
    """Return whether stamps are the start or the end of a minute, by bars at the first and after the last minute."""
    rows = read_file(body, replace(form, stamps="start"), symbol).rows
    code = venue_of(symbol).calendar
    days = rows["date"].unique()
    hours = trading_hours(code).filter(pl.col("date").is_in(days.implode()))
    opens = rows["time"].is_in(hours["open_time"].implode()).sum()
    closes = rows["time"].is_in(hours["close_time"].implode()).sum()
    outside = rows.join(hours, on="date").filter(
        (pl.col("time") < pl.col("open_time")) | (pl.col("time") > pl.col("close_time"))
    )
    if outside.height == 0 and hours.height:
        if opens and not closes:
            return "start"
        if closes and not opens:
            return "end"
    raise Undeclared("a stamp may be the start or the end of its minute: give --stamps start or --stamps end")
