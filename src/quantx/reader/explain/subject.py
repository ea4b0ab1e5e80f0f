"""What is explained: a security's value of a day, and the rows of the lake about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from quantx.core.preference import Order, preferred
from quantx.core.symbols import Venue, venue_of
from quantx.core.table import Table
from quantx.errors import ConfigError
from quantx.reader.arguments import to_instant
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import LakeTables
from quantx.reader.symbol_history import SecurityRows, SymbolRequest

STORED = "stored_symbol"  # beside `symbol`, which is the requested one


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A session (and minute) of a security, in a table."""

    table: Table
    request: SymbolRequest
    symbols: Sequence[str]  # under which its rows may be stored
    day: date
    time: datetime | None  # of a minute

    @property
    def symbol(self) -> str:
        """Return the requested symbol."""
        return self.request.symbol

    @property
    def venue(self) -> Venue:
        """Return the exchange of the security."""
        return venue_of(self.symbol)

    @property
    def name(self) -> str:
        """Return the subject for messages, as in `AAPL 2024-06-10`."""
        return f"{self.symbol} {self.day if self.time is None else f'{self.time:%Y-%m-%d %H:%M} UTC'}"

    @property
    def here(self) -> Selection:
        """Return the selection of all rows of this session or minute."""
        of_day = Selection.of(self.symbols).between(self.day, self.day)
        return of_day if self.time is None else of_day.filtered(pl.col("time") == self.time)


@dataclass(frozen=True)
class SubjectRows:
    """Rows of the lake about a subject; `known` returns rows of a table as known, and public, at a moment."""

    tables: LakeTables
    securities: SecurityRows
    known: Callable[[Table, Selection, PointInTime], pl.DataFrame]

    def by_vendor(self, subject: Subject, moment: PointInTime) -> pl.DataFrame:
        """Return the row of each vendor as of a moment, with the stored symbol in a column of its own."""
        stored = self.known(subject.table, subject.here, moment)
        key = ("date",) if subject.time is None else ("time",)
        return self.securities.rows(stored.with_columns(pl.col("symbol").alias(STORED)), [subject.request], "date", key)

    def revisions(self, subject: Subject, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the earlier values of a row, the oldest first."""
        earlier = subject.table.revisions
        where = Selection.of([row[STORED]], row["source"]).between(subject.day, subject.day)
        if subject.time is not None:
            where = where.filtered(pl.col("time") == subject.time)
        columns = [*subject.table.values, "raw", "known_from", "known_to"]
        return self.tables.rows(earlier, where).sort("known_from").select(columns).to_dicts()

    def of_day(self, table: Table, subject: Subject, *, key: str = "date") -> pl.DataFrame:
        """Return the current rows of another table about the security and the day."""
        return self.tables.rows(table, Selection.of(subject.symbols).filtered(pl.col(key) == subject.day))


def chosen_row(rows: pl.DataFrame, order: Order) -> dict[str, Any] | None:
    """Return the row that queries show: that of the first vendor; None if there is none."""
    return None if rows.is_empty() else preferred(rows, ("symbol", "date"), order).row(0, named=True)


def to_minute(text: str | datetime | None, day: date, venue: Venue) -> datetime | None:
    """Return the start of a minute in UTC, from the exchange's time of the day (as in 10:31) or an instant.

    Raises ConfigError for what is neither.
    """
    from zoneinfo import ZoneInfo

    if text is None:
        return None
    if isinstance(text, str) and len(text.strip()) <= len("10:31:00"):
        try:
            local = datetime.fromisoformat(f"{day}T{text.strip():0>5}")
        except ValueError:
            raise ConfigError(f"{text!r} is not a time of the day; use HH:MM in {venue.timezone}") from None
        return local.replace(tzinfo=ZoneInfo(venue.timezone)).astimezone(UTC)
    return to_instant(text)
