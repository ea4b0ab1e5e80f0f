"""The stored rows that a reply is compared with before it is curated: a port, and what reads the tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol

import polars as pl

from quantx.core.fact_tables import FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.lake.protocol import CuratedTable, Tables

CLOSES = ("symbol", "date", "close", "known_from", "raw")
FILING_TIMES = ("symbol", "accession", "public_at", "public_how")
EVENTS = ("symbol", "ex_date", "kind", "value", "reference_close")


class KnownRows(Protocol):
    """The current rows of one vendor's daily bars, actions, filings and facts."""

    def closes(self, source: str, spans: pl.DataFrame) -> pl.DataFrame:
        """Return CLOSES within the days of `spans` (symbol, first, last)."""
        ...

    def actions(self, source: str, symbols: list[str]) -> pl.DataFrame:
        """Return EVENTS of some symbols."""
        ...

    def bars_before(self, source: str, symbol: str, day: date) -> pl.DataFrame:
        """Return the rows of BARS_1D of a symbol before a day, in order."""
        ...

    def filing_times(self, source: str, symbols: list[str]) -> pl.DataFrame:
        """Return FILING_TIMES of some filers."""
        ...

    def facts_beside(self, source: str, facts: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of FUNDAMENTALS_FACTS of the same filers that are not among `facts`."""
        ...

    def values_beside(self, source: str, facts: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of FUNDAMENTALS of the filers of `facts` that are not among `values`."""
        ...


class NothingKnown:
    """No stored rows: a fresh history."""

    def closes(self, source: str, spans: pl.DataFrame) -> pl.DataFrame:
        """Return no rows."""
        return BARS_1D.empty().select(CLOSES)

    def actions(self, source: str, symbols: list[str]) -> pl.DataFrame:
        """Return no rows."""
        return ACTIONS.empty().select(EVENTS)

    def bars_before(self, source: str, symbol: str, day: date) -> pl.DataFrame:
        """Return no rows."""
        return BARS_1D.empty()

    def filing_times(self, source: str, symbols: list[str]) -> pl.DataFrame:
        """Return no rows."""
        return FILINGS.empty().select(FILING_TIMES)

    def facts_beside(self, source: str, facts: pl.DataFrame) -> pl.DataFrame:
        """Return no rows."""
        return FUNDAMENTALS_FACTS.empty()

    def values_beside(self, source: str, facts: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Return no rows."""
        return FUNDAMENTALS.empty()


@dataclass(frozen=True)
class RowsOfTables:
    """The rows of curated tables, and the bars that the same round adds to them."""

    tables: Tables
    added: tuple[pl.DataFrame, ...] = ()

    def with_bars(self, bars: pl.DataFrame | None) -> RowsOfTables:
        """Return the rows with more bars."""
        return self if bars is None or bars.is_empty() else RowsOfTables(self.tables, (*self.added, bars))

    def closes(self, source: str, spans: pl.DataFrame) -> pl.DataFrame:
        """Return CLOSES within the days of `spans`; symbols whose bars begin in one year are read together."""
        stored = self.tables[BARS_1D.name]
        parts = [BARS_1D.empty().select(CLOSES)]
        for _, group in spans.group_by(pl.col("first").dt.year()):
            first, last = group.select(pl.col("first").min(), pl.col("last").max()).row(0)
            where = (pl.col("source") == source) & pl.col("symbol").is_in(group["symbol"].to_list())
            where &= pl.col("date").is_between(first, last)
            where &= pl.col("year").is_between(pl.lit(first.year), pl.lit(last.year))
            current = stored.collect(stored.scan().filter(where).select(CLOSES))
            rows = pl.concat([*(bars.filter(where).select(CLOSES) for bars in self.added), current])
            rows = rows.unique(["symbol", "date"], keep="first", maintain_order=True)
            inside = rows.join(group, on="symbol").filter(pl.col("date").is_between("first", "last"))
            parts.append(inside.select(CLOSES))
        return pl.concat(parts)

    def actions(self, source: str, symbols: list[str]) -> pl.DataFrame:
        """Return EVENTS of some symbols."""
        where = (pl.col("source") == source) & pl.col("symbol").is_in(symbols)
        return self.tables[ACTIONS.name].read(where).select(EVENTS)

    def bars_before(self, source: str, symbol: str, day: date) -> pl.DataFrame:
        """Return the rows of BARS_1D of a symbol before a day, in order."""
        where = (pl.col("source") == source) & (pl.col("symbol") == symbol) & (pl.col("date") < day)
        where &= pl.col("year") <= day.year
        return self.tables[BARS_1D.name].read(where).sort("date")

    def filing_times(self, source: str, symbols: list[str]) -> pl.DataFrame:
        """Return FILING_TIMES of some filers."""
        stored = self.tables[FILINGS.name]
        where = (pl.col("source") == source) & pl.col("symbol").is_in(symbols)
        return stored.collect(stored.scan().filter(where).select(FILING_TIMES))

    def facts_beside(self, source: str, facts: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of FUNDAMENTALS_FACTS of the same filers that are not among `facts`."""
        return _beside(self.tables[FUNDAMENTALS_FACTS.name], source, facts, facts)

    def values_beside(self, source: str, facts: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of FUNDAMENTALS of the filers of `facts` that are not among `values`."""
        return _beside(self.tables[FUNDAMENTALS.name], source, facts, values)


def _beside(stored: CuratedTable, source: str, filers: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the stored rows of some filers whose keys no row has."""
    key = list(stored.table.key)
    where = (pl.col("source") == source) & pl.col("symbol").is_in(filers["symbol"].unique().to_list())
    # Only the keys are read: a reply has nearly always all of them.
    keys = stored.collect(stored.scan().filter(where).select(key)).join(rows, on=key, how="anti", nulls_equal=True)
    if keys.is_empty():
        return stored.table.empty()
    few = where & pl.col("accession").is_in(keys["accession"].unique().to_list())
    found = stored.collect(stored.scan().filter(few).select(list(stored.table.schema)))
    return found.join(keys, on=key, how="semi", nulls_equal=True)
