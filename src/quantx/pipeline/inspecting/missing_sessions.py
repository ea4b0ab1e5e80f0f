"""Missing sessions of series in the lake, and the evidence that may explain them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from quantx.core.completeness import days_of
from quantx.core.model import Series, Window
from quantx.core.quality.frequency import coarse_stretches, outside_of
from quantx.core.quality.gaps import (
    exchange_of,
    market_wide_gaps,
    missing_sessions,
    only_sessions,
    spans_of,
    symbols_with_gaps,
)
from quantx.core.table import Table
from quantx.core.tables import BARS_1M, QUARANTINE
from quantx.lake.protocol import Tables
from quantx.lake.store import LakeLocation
from quantx.pipeline.reporting.held_days import stored_days
from quantx.state.series.port import SeriesBook
from quantx.state.values import Named

_MINUTES_BACK = timedelta(days=40)  # minutes are many; gaps found earlier are checked again by `known`
_PROBES = 5  # series that are requested first for a session that most of an exchange miss
_NONE = pl.DataFrame(schema={"symbol": pl.String, "date": pl.Date})


@dataclass(frozen=True)
class MissingSessions:
    """The sessions that the series of one vendor miss in one table."""

    source: str
    table: Table
    # symbol, date, calendar; rules: those that its quarantined row breaks; listed: the symbol was in use; elsewhere: a
    # vendor that has the bar; expected, missing: series of the exchange, where most of them miss the session
    sessions: pl.DataFrame

    @property
    def timeframe(self) -> str:
        """Return the timeframe of the series."""
        return timeframe_of(self.table)


def timeframe_of(table: Table) -> str:
    """Return the timeframe of the series in a table of bars."""
    return "1m" if table is BARS_1M else "1d"


def sample_market_gaps(sessions: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Sample market-wide gaps: keep at least five probe symbols per session.

    Twice as many probes are kept as series that have the session, so that all are requested soon once the vendor has
    it again. `known` are sessions (symbol, date) that were requested before: their symbols stay probes.
    """
    known = known.with_columns(known=pl.lit(True))
    placed = sessions.join(known, on=["symbol", "date"], how="left").sort("known", "symbol", nulls_last=True)
    probes = pl.max_horizontal(pl.lit(_PROBES), 2 * (pl.col("expected") - pl.col("missing")))
    place = pl.int_range(pl.len()).over("calendar", "date")
    kept = pl.col("missing").is_null() | pl.col("known").fill_null(False) | (place < probes)
    return placed.filter(kept).drop("known").sort("symbol", "date")


@dataclass(frozen=True, kw_only=True)
class SessionSearch:
    """A search for missing sessions, with the parts of lake and state that it reads."""

    location: LakeLocation
    tables: Tables
    series: SeriesBook
    namings: Sequence[Named]
    now: datetime

    def find(
        self, table: Table, source: str, known: pl.DataFrame, symbols: Collection[str] | None = None
    ) -> MissingSessions:
        """Return the requested sessions between the first and the last bar of each series that the table misses.

        Only files that have changed are read; of minutes two columns of the last weeks. `known` are
        sessions (symbol, date) that were missing before: those that still are missing are returned too.
        """
        of_source = pl.col("source") == source
        here = of_source if symbols is None else of_source & pl.col("symbol").is_in(list(symbols))
        spans, days = self._minutes(table, here) if table is BARS_1M else self._days(table, here)
        missing = outside_of(missing_sessions(days), self._rarer_bars(table, source, days))
        missing = self._requested(table, source, missing, spans)
        older = known.join(missing, on=["symbol", "date"], how="anti")
        missing = pl.concat([missing, self._still_missing(table, source, older)])
        sessions = missing.join(exchange_of(missing["symbol"]), on="symbol", how="left")
        for evidence in (self._quarantined(table, source, missing), self._elsewhere(table, source, missing)):
            sessions = sessions.join(evidence, on=["symbol", "date"], how="left")
        sessions = sessions.join(_unlisted(self.namings, missing), on=["symbol", "date"], how="left")
        sessions = sessions.with_columns(pl.col("listed").fill_null(True))
        sessions = sessions.join(market_wide_gaps(missing, spans), on=["calendar", "date"], how="left")
        return MissingSessions(source, table, sessions.sort("symbol", "date"))

    def _days(self, table: Table, here: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the spans of series, and the days of those with gaps."""
        held = stored_days(self.location, self.tables[table.name]).filter(here)
        spans = held.group_by("symbol").agg(
            pl.col("first").min(), pl.col("last").max(), pl.col("bars").sum(), days=pl.col("ordinals").sum()
        )
        return spans, days_of(held.filter(pl.col("symbol").is_in(symbols_with_gaps(spans))))

    def _minutes(self, table: Table, here: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the same of the recent months of minutes."""
        stored, since = self.tables[table.name], self.now.date() - _MINUTES_BACK
        own = stored.scan().filter(here, pl.col("month") >= since.year * 100 + since.month)
        own = own.select("symbol", "date").unique()
        spans = stored.collect(spans_of(own))
        suspects = symbols_with_gaps(spans)
        return spans, stored.collect(own.filter(pl.col("symbol").is_in(suspects))) if suspects else _NONE

    def _rarer_bars(self, table: Table, source: str, days: pl.DataFrame) -> pl.DataFrame:
        """Return the stretches of weekly or rarer bars in series of daily ones: nothing is missing between them."""
        if table is BARS_1M or days.is_empty():
            return coarse_stretches(_NONE)
        names = days["symbol"].unique().to_list()
        rejected = self.tables[QUARANTINE.name].read(
            (pl.col("source") == source) & (pl.col("dataset") == table.name) & pl.col("symbol").is_in(names)
        )
        return coarse_stretches(pl.concat([days, rejected.drop_nulls("date").select("symbol", "date")]))

    def _still_missing(self, table: Table, source: str, known: pl.DataFrame) -> pl.DataFrame:
        """Return those of these sessions that the table still misses and the calendar still has."""
        if known.is_empty():
            return known
        stored = self.tables[table.name]
        names, dates = (known[c].unique() for c in ("symbol", "date"))
        rows = stored.scan().filter(
            pl.col("source") == source, pl.col("symbol").is_in(names.implode()), _is_on(table, dates)
        )
        present = stored.collect(rows.select("symbol", "date").unique())
        return only_sessions(known.join(present, on=["symbol", "date"], how="anti"))

    def _requested(self, table: Table, source: str, missing: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
        """Drop the sessions that were never requested from the vendor, such as those between two backfills."""
        timeframe = timeframe_of(table)
        with_gaps = spans.filter(pl.col("symbol").is_in(missing["symbol"].unique().implode()))
        windows = [
            (Series(source, "bars", timeframe, symbol), Window(first, last))
            for symbol, first, last in with_gaps.select("symbol", "first", "last").iter_rows()
        ]
        uncovered = self.series.uncovered(windows, self.now, 0) if windows else {}
        rows = [(symbol, w.start, w.end) for symbol, parts in uncovered.items() for w in parts]
        schema = {"symbol": pl.String, "from": pl.Date, "to": pl.Date}
        inside = missing.join(pl.DataFrame(rows, schema=schema, orient="row"), on="symbol")
        never = inside.filter(pl.col("date").is_between("from", "to"))
        return missing.join(never, on=["symbol", "date"], how="anti")

    def _quarantined(self, table: Table, source: str, missing: pl.DataFrame) -> pl.DataFrame:
        """Return the rules that the vendor's newest quarantined row of each session breaks."""
        if missing.is_empty():
            return _NONE.with_columns(rules=pl.lit("")).clear()
        names = missing["symbol"].unique().to_list()
        rows = self.tables[QUARANTINE.name].read(
            (pl.col("source") == source) & (pl.col("dataset") == table.name) & pl.col("symbol").is_in(names)
        )
        return rows.sort("known_from").group_by("symbol", "date").agg(pl.col("rules").last())

    def _elsewhere(self, table: Table, source: str, missing: pl.DataFrame) -> pl.DataFrame:
        """Return another vendor that has the bar of each session, where one does."""
        if missing.is_empty():
            return _NONE.with_columns(elsewhere=pl.lit("")).clear()
        names, dates = (missing[c].unique() for c in ("symbol", "date"))
        stored = self.tables[table.name]
        others = stored.scan().filter(
            pl.col("source") != source, pl.col("symbol").is_in(names.implode()), _is_on(table, dates)
        )
        return stored.collect(others.group_by("symbol", "date").agg(pl.col("source").min().alias("elsewhere")))


def _is_on(table: Table, dates: pl.Series) -> pl.Expr:
    """Return a filter on these dates that prunes the files of other years, or months."""
    if "year" in table.schema:
        part, parts = "year", dates.dt.year()
    else:
        part, parts = "month", dates.dt.year() * 100 + dates.dt.month()
    return pl.col(part).is_in(parts.unique().implode()) & pl.col("date").is_in(dates.implode())


def _unlisted(namings: Sequence[Named], missing: pl.DataFrame) -> pl.DataFrame:
    """Return the sessions on which no security had the symbol: after one had it, and before another one did.

    Before the first naming in the history the security may have had another symbol, under which the vendor has no bars.
    """
    schema = {"instrument": pl.String, "symbol": pl.String, "from": pl.Date, "to": pl.Date}
    history = pl.DataFrame(namings, schema=schema, orient="row")
    before, after = (pl.col("to") < pl.col("date")).fill_null(False), (pl.col("from") > pl.col("date")).fill_null(False)
    sessions = missing.join(history, on="symbol").group_by("symbol", "date")
    between = before.any() & after.any() & (before | after).all()
    return sessions.agg(listed=~between).filter(~pl.col("listed"))
