"""The rules applied to a daily file that somebody has: what the lake would reject, and what the series shows."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quantx.core.daily_files import DailyFile
from quantx.core.quality.bars import check_daily_bars, tell_doubles
from quantx.core.quality.series import check_series
from quantx.core.quality.study import is_session


@dataclass(frozen=True)
class FileReport:
    """What was found in a file."""

    symbol: str
    rows: int
    rejected: pl.DataFrame  # time (as written), date, open, high, low, close, volume, rules
    found: pl.DataFrame  # FOUND
    strange: int  # lines that are no rows


def check_file(symbol: str, file: DailyFile) -> FileReport:
    """Judge the rows of a file by the row rules, and what is left of it as a series.

    A file of bars within the day (its rows have a time) is judged row by row alone: the series rules are about sessions.
    """
    rows = file.rows.with_columns(symbol=pl.lit(symbol))
    rows = tell_doubles(rows.unique(maintain_order=True), ["date" if file.is_daily else "time"])
    rows = rows.with_columns(in_calendar=is_session(rows), in_past=pl.lit(True))
    checked = check_daily_bars(rows)
    shown = ["time", "date", "open", "high", "low", "close", "volume", "rules"]
    found = check_series(
        checked.accepted if file.is_daily else checked.accepted.clear(),
        events_of(rows),
        rejected=checked.rejected.select("symbol", "date").unique(),
        adjusted=file.layout.basis != "as_traded",
    )
    return FileReport(symbol, rows.height, checked.rejected.select(shown), found, len(file.strange))


def events_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the splits and dividends that stand in a file's rows: symbol, ex_date, kind, value."""
    kinds = {"split": (pl.col("split") > 0) & (pl.col("split") != 1), "dividend": pl.col("dividend") > 0}
    return pl.concat(
        rows.filter(there).select("symbol", ex_date="date", kind=pl.lit(kind), value=kind)
        for kind, there in kinds.items()
    )
