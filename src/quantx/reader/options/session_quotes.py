"""The minute quotes of one session in memory, in which the last quote of each contract at a minute is found fast."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import date, datetime

import polars as pl

from quantx.core.option_tables import CONTRACT_COLUMNS, CONTRACT_ORDER

OF_CONTRACT = ("source", "underlying", *CONTRACT_COLUMNS)
OF_QUOTE = ("time", "bid", "ask", "bid_size", "ask_size", "last", "last_size", "last_time", "known_from")
COLUMNS = ("date", *OF_CONTRACT, *OF_QUOTE)

_HELD = 512_000_000  # bytes of sessions that stay in memory


class SessionQuotes:
    """The quotes of one session: a run of rows for each contract of each source, ordered by time."""

    def __init__(self, rows: pl.DataFrame) -> None:
        """Take rows with COLUMNS in any order."""
        starts = _starts(rows)
        if not _is_ordered(rows, starts):
            rows = rows.sort("source", *CONTRACT_ORDER, "contract", "time", maintain_order=True)
            starts = _starts(rows)
        self._contracts = rows.select("date", *OF_CONTRACT)[starts]
        self._quotes = rows.select(OF_QUOTE).rechunk()
        self._starts = starts
        self._ends = starts.extend_constant(rows.height, 1).slice(1) if rows.height else starts
        self.bytes = int(self._quotes.estimated_size() + self._contracts.estimated_size())

    def at(self, moment: datetime) -> pl.DataFrame:
        """Return the last quote of each contract at or before a moment, with COLUMNS; contracts without one are absent.

        Times increase within a contract's run, so that the number of rows until then gives the place of the last one.
        """
        early = self._quotes["time"] <= moment
        until = early.cast(pl.UInt32).cum_sum().extend_constant(0, 1)  # the last value is for "before the first row"
        last = self._ends - 1
        before = pl.Series([until.len() - 1], dtype=self._starts.dtype).append(last).head(last.len())
        count = until.gather(last) - until.gather(before)
        quoted = count > 0
        places = (self._starts + count - 1).filter(quoted)
        return pl.concat([self._contracts.filter(quoted), self._quotes[places]], how="horizontal").select(COLUMNS)


class HeldSessions:
    """The sessions that queries used last, by data file; threads may share it."""

    def __init__(self, most: int = _HELD) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, int, date], SessionQuotes] = OrderedDict()

    def get(self, path: str, size: int, day: date, read: Callable[[], pl.DataFrame]) -> SessionQuotes:
        """Return the session of a file, whose bytes never change; `read` gives its rows where it is not held."""
        key = (path, size, day)
        with self._lock:
            if (found := self._held.get(key)) is not None:
                self._held.move_to_end(key)
                return found
        found = SessionQuotes(read())
        with self._lock:
            self._held[key] = found
            while len(self._held) > 1 and sum(each.bytes for each in self._held.values()) > self._most:
                self._held.popitem(last=False)
        return found


def _starts(rows: pl.DataFrame) -> pl.Series:
    """Return the number of the first row of each run of one contract and source."""
    changed = rows.select(
        pl.col("contract").ne_missing(pl.col("contract").shift())
        | pl.col("source").ne_missing(pl.col("source").shift())
        | (pl.int_range(pl.len()) == 0)
    ).to_series()
    return changed.arg_true().cast(pl.UInt32)


def _is_ordered(rows: pl.DataFrame, starts: pl.Series) -> bool:
    """Return whether each contract has one run, and the times within it do not fall."""
    falls = (rows["time"].diff().dt.total_microseconds() < 0).fill_null(False)
    runs = rows.select("source", "contract")[starts]
    return falls.arg_true().is_in(starts.implode()).all() and not runs.is_duplicated().any()
