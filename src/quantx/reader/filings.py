"""Queries of filings: all of a filer, and those with its results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from quantx.core.fact_tables import FILINGS
from quantx.core.symbols import US
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, On, to_date, to_texts, to_vendor
from quantx.reader.filers import FilerQueries, Filers
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

FILING_COLUMNS = (
    *("symbol", "cik", "accession", "form", "items", "report_end", "filed", "public_at", "public_how", "description"),
    *("url", "source", "filer", "known_from"),
)
EARNINGS_COLUMNS = (
    *("symbol", "date", "public_at", "when", "session", "report_end", "accession", "items", "url", "source", "filer"),
    "known_from",
)
# "Results of Operations and Financial Condition" is item 2.02 since 2004-08-23, and was item 12 since March 2003
# (SEC releases 33-8400 and 33-8176).
_RESULTS, _EARLIER_RESULTS, _RENUMBERED = "2.02", "12", date(2004, 8, 23)


class FilingQueries(FilerQueries):
    """Filings."""

    @one_state
    def filings(
        self,
        symbols: Filers,
        forms: str | Sequence[str] | None = None,
        *,
        items: str | Sequence[str] | None = None,
        start: Day | None = None,
        end: Day | None = None,
        public_by: Day | None = None,
        as_of: Day | None = None,
        on: On | None = None,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Return the filings of filers, sorted by symbol and public_at.

        Columns: symbol (as requested), cik, accession, form, items (of an 8-K, comma-separated), report_end (the last
        day of the period, or the day of the event), filed, public_at (UTC), public_how, description, url, source, filer
        (the series in the lake), known_from (UTC).

        `forms` as in "10-K" (an amendment is "10-K/A"), `items` as in "2.02": filings with any of them; `start` and
        `end` limit the day of filing. The other arguments are those of `fundamentals`.
        """
        wanted = _filed_between(Selection(source=to_vendor(source)), start, end)
        if forms is not None:
            wanted = wanted.filtered(pl.col("form").is_in(to_texts(forms, "forms")))
        if items is not None:
            wanted = wanted.filtered(_has_item(to_texts(items, "items")))
        rows = self._filings(symbols, wanted, PointInTime.of_filings(as_of, public_by, self._sessions), on)
        return rows.select(FILING_COLUMNS)

    @one_state
    def earnings_dates(
        self,
        symbols: Filers,
        *,
        start: Day | None = None,
        end: Day | None = None,
        public_by: Day | None = None,
        as_of: Day | None = None,
        on: On | None = None,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Return when filers published their results: the 8-K filings with item 2.02, sorted by symbol and public_at.

        Columns: symbol (as requested), date (the day in New York), public_at (UTC), when (before, during or after the
        session of that day; closed: a day without one), session (the first one that closes after it), report_end,
        accession, items, url, source, filer, known_from (UTC). Arguments are those of `filings`.

        Filers of other forms, such as 6-K, name no items and have no rows.
        """
        early = _has_item([_EARLIER_RESULTS]) & (pl.col("filed") < _RENUMBERED)
        wanted = _filed_between(Selection(source=to_vendor(source)), start, end).filtered(
            (pl.col("form") == "8-K") & (_has_item([_RESULTS]) | early)
        )
        rows = self._filings(symbols, wanted, PointInTime.of_filings(as_of, public_by, self._sessions), on)
        return with_sessions(rows, self._sessions.of(US.calendar)).select(EARNINGS_COLUMNS)

    def _filings(self, symbols: Filers, wanted: Selection, moment: PointInTime, on: On | None) -> pl.DataFrame:
        requests = self._filer_requests(symbols, on)
        rows = self._filed_rows(FILINGS, requests, wanted, moment)
        self._check_filed(FILINGS, requests, rows, wanted, moment)
        return rows.sort("symbol", "public_at", "accession")


def with_sessions(rows: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Add date (of `public_at`, in New York), session and when to filings; `sessions` have date, open, close (UTC)."""
    at = sessions["close"].search_sorted(rows["public_at"], side="right")
    following = sessions["date"].extend_constant(None, 1).gather(at).alias("session")
    day = rows["public_at"].dt.convert_time_zone(US.timezone).dt.date().alias("date")
    own = pl.DataFrame([day]).join(
        sessions.rename({"open": "__open", "close": "__close"}), on="date", how="left", maintain_order="left"
    )
    public = pl.col("public_at")
    when = (
        pl.when(pl.col("__open").is_null())
        .then(pl.lit("closed"))
        .when(public < pl.col("__open"))
        .then(pl.lit("before"))
        .when(public < pl.col("__close"))
        .then(pl.lit("during"))
        .otherwise(pl.lit("after"))
    )
    return rows.hstack([following, *own.get_columns()]).with_columns(when.alias("when"))


def _has_item(items: Sequence[str]) -> pl.Expr:
    listed = pl.col("items").str.replace_all(" ", "").str.split(",")
    return listed.list.eval(pl.element().is_in(items)).list.any().fill_null(False)


def _filed_between(wanted: Selection, start: Day | None, end: Day | None) -> Selection:
    first, last = to_date(start), to_date(end)
    if first is not None and last is not None and first > last:
        raise ConfigError(f"the start {first} lies after the end {last}")
    return wanted.between(first, last)
