"""What a build of minute features reads. Each session begins anew, so that a month is computed from its own bars.

Months are the unit of everything: a chunk is some symbols in one month, a partition of the table is a month, and a
build computes those symbols and months again whose bars have changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial

import polars as pl

from quantx.core.features.feature import Feature, FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.features.tables import table_of
from quantx.core.table import Table
from quantx.core.tables import BARS_1M, SYMBOL_HISTORY, TABLES
from quantx.features.inputs import BuildInputs
from quantx.features.sources import Chunk, OnProgress, Read, joined_scope
from quantx.lake.changed_rows import changed_rows
from quantx.reader.feature_changes import inputs_of
from quantx.reader.selection import Selection
from quantx.reader.symbol_history import SymbolRequest
from quantx.settings import MARKETS

_SYMBOLS = 48  # of a chunk: with a month of New York's minutes 400,000 bars

StaleMonths = Mapping[int, frozenset[str]]  # stored symbols by month, as in 202406


class MinuteInputs(BuildInputs):
    """The inputs of a build of minute features."""

    def minute_orders(self) -> dict[str, list[str]]:
        """Return the preferred vendors of minutes by market."""
        return {market: list(self._sources_of("1m", market)) for market in MARKETS if market != "any"}

    def all_months(self, scope: Sequence[str] | None) -> StaleMonths:
        """Return every month with bars, with all symbols of a scope; None: with all symbols."""
        symbols = frozenset(self._symbols_in(BARS_1M))
        wanted = symbols if scope is None else symbols.intersection(scope)
        version = self._stored.version(BARS_1M)
        files = version.files if version is not None else ()
        return {int(file.partition["month"]): wanted for file in files}

    def stale_months(
        self, feature_set: FeatureSet, record: BuildRecord, scope: Sequence[str] | None
    ) -> StaleMonths | None:
        """Return the months and symbols whose rows may have changed since a record; None where it is not known."""
        if record.orders != self.minute_orders() or record.symbols != scope:
            return None
        found: dict[int, set[str]] = defaultdict(set)
        every = self.all_months(scope)
        for name, columns in inputs_of(feature_set).items():
            table = TABLES[name]
            rows = changed_rows(
                self._location, self._stored[name], record.inputs.get(name), self._stored.version(table), columns
            )
            if rows is None:
                return None
            if table is SYMBOL_HISTORY and not rows.is_empty():
                renamed = self._symbols_of_changed(table, rows)
                for month, symbols in every.items():
                    found[month] |= symbols.intersection(renamed)
            elif not rows.is_empty():
                month_of = (pl.col("date").dt.year() * 100 + pl.col("date").dt.month()).alias("month")
                for month, symbol in rows.select(month_of, "symbol").unique().iter_rows():
                    found[month].add(symbol)
        return {month: frozenset(symbols.intersection(every.get(month, symbols))) for month, symbols in found.items()}

    def month_chunks(self, months: StaleMonths) -> list[tuple[list[SymbolRequest], date, date]]:
        """Return months and symbols in chunks: securities, without two of one symbol, and the days of the month."""
        found = []
        for month, symbols in sorted(months.items()):
            for layer in self._security_layers(sorted(symbols)) if symbols else ():
                found += [(layer[at : at + _SYMBOLS], *days_of(month)) for at in range(0, len(layer), _SYMBOLS)]
        return found

    def minute_rows(
        self, features: Sequence[Feature], requests: Sequence[SymbolRequest], first: date | None, last: date | None
    ) -> pl.DataFrame:
        """Return rows of a table, under the symbol of their day."""
        return self.of_day(self._minute_rows(features, requests, first, last), requests)

    def stored_minutes(
        self, table: Table, requests: Sequence[SymbolRequest], first: date | None, last: date | None
    ) -> pl.DataFrame:
        """Return the stored rows of securities in a month."""
        wanted = Selection.of(self._securities().stored_symbols(requests)).between(first, last)
        rows = self._stored.rows(table, wanted)
        return rows if rows.is_empty() else self._securities().without_others(rows, requests, "date")


class RowsByMonth:
    """The rows of a minute set by month and symbol. `symbols`: those to add to the table; None: all with minutes."""

    def __init__(
        self,
        inputs: MinuteInputs,
        feature_set: FeatureSet,
        symbols: Sequence[str] | None,
        on_progress: OnProgress,
    ) -> None:
        self._inputs, self._set, self._table = inputs, feature_set, table_of(feature_set)
        self._symbols, self._on_progress = symbols, on_progress
        self._planned: list[Chunk] = []

    def plan(self, record: BuildRecord | None, since: date | None) -> int:
        """Find the months and symbols that are out of date; see RowSource."""
        scope = self.scope(record)["symbols"]
        every = self._inputs.all_months(scope)
        stale = None if record is None else self._inputs.stale_months(self._set, record, scope)
        months = dict(every if stale is None else stale)
        if since is not None:
            months |= {month: symbols for month, symbols in every.items() if days_of(month)[1] >= since}
        self._planned = [Chunk(*each) for each in self._inputs.month_chunks(months)]
        return len({symbol for symbols in months.values() for symbol in symbols})

    def scope(self, record: BuildRecord | None) -> dict[str, Sequence[str] | None]:
        """Return the symbols of the table after the build; see RowSource."""
        return {"symbols": joined_scope(record, self._symbols)}

    def portions(self) -> Iterator[tuple[Read, pl.DataFrame]]:
        """Yield the rows of each chunk and what reads the stored ones; see RowSource."""
        for done, chunk in enumerate(self._planned, 1):
            yield partial(self._inputs.stored_minutes, self._table, *chunk), self.chunk_rows(chunk)
            self._on_progress(done, len(self._planned))

    def chunks(self) -> Sequence[Chunk]:
        """Return the planned chunks; see RowSource."""
        return self._planned

    def chunk_rows(self, chunk: Chunk) -> pl.DataFrame:
        """Return the rows of some securities in a month; see RowSource."""
        return self._inputs.minute_rows(self._set.features, *chunk)


def days_of(month: int) -> tuple[date, date]:
    """Return the first and the last day of a month.

    >>> days_of(202402)
    (datetime.date(2024, 2, 1), datetime.date(2024, 2, 29))
    """
    year, number = divmod(month, 100)
    following = date(year + number // 12, number % 12 + 1, 1)
    return date(year, number, 1), following - timedelta(days=1)
