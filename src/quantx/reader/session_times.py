"""Opens and closes of sessions for readers: from the lake's table `sessions`, else from the calendars' library."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

import polars as pl

from quantx.core.tables import SESSIONS
from quantx.errors import ConfigError
from quantx.lake.table_version import TableVersion
from quantx.reader.selection import Selection
from quantx.reader.stored import LakeTables

Edge = Literal["open", "close"]


class SessionTimes:
    """The sessions of the exchanges, by the code of their calendar."""

    def __init__(self, tables: LakeTables) -> None:
        self._tables = tables
        self._known: tuple[TableVersion | None, dict[str, pl.DataFrame]] | None = None  # sessions by code at a version

    def of(self, code: str) -> pl.DataFrame:
        """Return date, open and close (UTC) of each session of a calendar, in order."""
        version, known = self._tables.version(SESSIONS), self._known
        if known is None or known[0] is not version:
            known = self._known = (version, {})
        if code not in known[1]:
            known[1][code] = self._read(code, version)
        return known[1][code]

    def last(self, code: str, moment: datetime, edge: Edge) -> date | None:
        """Return the last session that opened, or closed, by a moment; None before the first one."""
        day = self.of(code).filter(pl.col(edge) <= moment)["date"].max()
        return day if isinstance(day, date) else None

    def days(self, codes: Iterable[str], first: date, last: date) -> pl.Series:
        """Return the days from `first` to `last` that are a session of any of the calendars, in order."""
        days = [self.of(code)["date"] for code in codes]
        every = pl.concat(days) if days else pl.Series("date", [], pl.Date)
        return every.filter(every.is_between(first, last)).unique().sort()

    def _read(self, code: str, version: TableVersion | None) -> pl.DataFrame:
        columns = ("date", "open", "close")
        if version is not None:
            stored = self._tables.rows(SESSIONS, Selection(where=pl.col("calendar") == code))
            if stored.height:
                return stored.select(columns).sort("date")
        try:
            from quantx.core.calendars import calendar  # of an optional library

            found = calendar(code)
        except ImportError:
            raise ConfigError(
                f"the lake has no sessions of {code} yet, and the calendars' library is not installed; `quantx"
                " update-daily` publishes the sessions, or install quantx-data-builder[local]"
            ) from None
        schema = {name: SESSIONS.schema[name] for name in columns}
        return pl.DataFrame({"date": found.days, "open": found.opens, "close": found.closes}, schema=schema)
