"""What the lake says about sessions that series lack: where they are, and what is known that may explain them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from quantx.core.model import Series, Window
from quantx.core.quality.gaps import (
    exchange_of,
    market_wide_gaps,
    missing_sessions,
    only_sessions,
    spans_of,
    symbols_with_gaps,
)
from quantx.core.tables import BARS_1M, QUARANTINE, Table
from quantx.pipeline.runtime.platform import Platform

_MINUTES_BACK = timedelta(days=40)  # minutes are many; what was found before is not forgotten
_WITNESSES = 5  # series that are asked at first for a hole that most of an exchange have


@dataclass(frozen=True)
class Holes:
    """What the series of one vendor lack in one table."""

    source: str
    table: Table
    # symbol, date, calendar; rules: of its row in quarantine; listed: somebody carried the symbol; elsewhere: a vendor
    # that has the bar; expected, missing: how many series of the exchange, where most lack the session
    sessions: pl.DataFrame

    @property
    def timeframe(self) -> str:
        """Return the timeframe of the series."""
        return timeframe_of(self.table)


def find_holes(
    platform: Platform, table: Table, source: str, known: pl.DataFrame, symbols: Collection[str] | None = None
) -> Holes:
    """Return the sessions between the first and the last bar of each series that were asked for and are not there.

    Two columns of the table are read for it, and more only of series that lack something; of minutes the last months.
    `known` are sessions (symbol, date) that were missing before: those that still are so are found again.
    """
    stored = platform.tables[table.name]
    own = _days_of(platform, table).filter(pl.col("source") == source)
    if symbols is not None:
        own = own.filter(pl.col("symbol").is_in(list(symbols)))
    own = own.select("symbol", "date")
    own = own.unique() if table is BARS_1M else own
    spans = stored.collect(spans_of(own))
    suspects = symbols_with_gaps(spans)
    missing = missing_sessions(stored.collect(own.filter(pl.col("symbol").is_in(suspects))) if suspects else _NONE)
    missing = _answered(platform, table, source, missing, spans)
    older = known.join(missing, on=["symbol", "date"], how="anti")
    missing = pl.concat([missing, _still_missing(platform, table, source, older)])
    shared = market_wide_gaps(missing, spans)
    found = missing.join(exchange_of(missing["symbol"]), on="symbol", how="left")
    for evidence in (_quarantined(platform, table, source, missing), _elsewhere(platform, table, source, missing)):
        found = found.join(evidence, on=["symbol", "date"], how="left")
    found = found.join(_unlisted(platform, missing), on=["symbol", "date"], how="left")
    found = found.with_columns(pl.col("listed").fill_null(True))
    found = found.join(shared, on=["calendar", "date"], how="left")
    return Holes(source, table, found.sort("symbol", "date"))


def timeframe_of(table: Table) -> str:
    """Return the timeframe of the series in a table of bars."""
    return "1m" if table is BARS_1M else "1d"


def witnesses(sessions: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Leave of holes that most series of an exchange have only so many as are worth asking for.

    Those are twice as many as have the session, so that all are asked soon where the vendor has it again. `known` are
    sessions (symbol, date) that were asked for before: they are witnesses already.
    """
    known = known.with_columns(known=pl.lit(True))
    placed = sessions.join(known, on=["symbol", "date"], how="left").sort("known", "symbol", nulls_last=True)
    most = pl.max_horizontal(pl.lit(_WITNESSES), 2 * (pl.col("expected") - pl.col("missing")))
    place = pl.int_range(pl.len()).over("calendar", "date")
    asked = pl.col("missing").is_null() | pl.col("known").fill_null(False) | (place < most)
    return placed.filter(asked).drop("known").sort("symbol", "date")


_NONE = pl.DataFrame(schema={"symbol": pl.String, "date": pl.Date})


def _days_of(platform: Platform, table: Table) -> pl.LazyFrame:
    rows = platform.tables[table.name].scan()
    if table is not BARS_1M:
        return rows
    since = platform.clock.now().date() - _MINUTES_BACK
    return rows.filter(pl.col("month") >= since.year * 100 + since.month)


def _still_missing(platform: Platform, table: Table, source: str, known: pl.DataFrame) -> pl.DataFrame:
    """Return which of these sessions are not in the table, and sessions of their exchange still."""
    if known.is_empty():
        return known
    stored = platform.tables[table.name]
    names, dates = (known[c].unique() for c in ("symbol", "date"))
    there = stored.scan().filter(
        pl.col("source") == source, pl.col("symbol").is_in(names.implode()), _is_on(table, dates)
    )
    present = stored.collect(there.select("symbol", "date").unique())
    return only_sessions(known.join(present, on=["symbol", "date"], how="anti"))


def _is_on(table: Table, dates: pl.Series) -> pl.Expr:
    """Tell whether a row of a table of bars is of one of these dates; files of other years, or months, are not opened."""
    if "year" in table.schema:
        part, parts = "year", dates.dt.year()
    else:
        part, parts = "month", dates.dt.year() * 100 + dates.dt.month()
    return pl.col(part).is_in(parts.unique().implode()) & pl.col("date").is_in(dates.implode())


def _answered(
    platform: Platform, table: Table, source: str, missing: pl.DataFrame, spans: pl.DataFrame
) -> pl.DataFrame:
    """Leave out the sessions for which the vendor was never asked, as between two backfills."""
    timeframe = timeframe_of(table)
    there = spans.filter(pl.col("symbol").is_in(missing["symbol"].unique().implode()))
    asked = [
        (Series(source, "bars", timeframe, symbol), Window(first, last))
        for symbol, first, last in there.select("symbol", "first", "last").iter_rows()
    ]
    never = platform.state.series.uncovered(asked, platform.clock.now(), 0) if asked else {}
    rows = [(symbol, w.start, w.end) for symbol, windows in never.items() for w in windows]
    parts = pl.DataFrame(rows, schema={"symbol": pl.String, "from": pl.Date, "to": pl.Date}, orient="row")
    inside = missing.join(parts, on="symbol").filter(pl.col("date").is_between("from", "to"))
    return missing.join(inside, on=["symbol", "date"], how="anti")


def _quarantined(platform: Platform, table: Table, source: str, missing: pl.DataFrame) -> pl.DataFrame:
    """Return the rules that the vendor's newest row of each session has broken, where it is in quarantine."""
    if missing.is_empty():
        return _NONE.with_columns(rules=pl.lit("")).clear()
    names = missing["symbol"].unique().to_list()
    rows = platform.tables[QUARANTINE.name].read(
        (pl.col("source") == source) & (pl.col("dataset") == table.name) & pl.col("symbol").is_in(names)
    )
    return rows.sort("known_from").group_by("symbol", "date").agg(pl.col("rules").last())


def _elsewhere(platform: Platform, table: Table, source: str, missing: pl.DataFrame) -> pl.DataFrame:
    """Return another vendor that has the bar of each session, where one does."""
    if missing.is_empty():
        return _NONE.with_columns(elsewhere=pl.lit("")).clear()
    names, dates = (missing[c].unique() for c in ("symbol", "date"))
    stored = platform.tables[table.name]
    others = stored.scan().filter(
        pl.col("source") != source, pl.col("symbol").is_in(names.implode()), _is_on(table, dates)
    )
    return stored.collect(others.group_by("symbol", "date").agg(pl.col("source").min().alias("elsewhere")))


def _unlisted(platform: Platform, missing: pl.DataFrame) -> pl.DataFrame:
    """Return the sessions on which nobody carried the symbol: after one security had it, and before another did.

    Before the first one that is known it may have had another symbol, under which the vendor does not show it.
    """
    schema = {"instrument": pl.String, "symbol": pl.String, "from": pl.Date, "to": pl.Date}
    known = pl.DataFrame(platform.state.instruments.namings(), schema=schema, orient="row")
    before, after = (pl.col("to") < pl.col("date")).fill_null(False), (pl.col("from") > pl.col("date")).fill_null(False)
    told = missing.join(known, on="symbol").group_by("symbol", "date")
    between = before.any() & after.any() & (before | after).all()
    return told.agg(listed=~between).filter(~pl.col("listed"))
