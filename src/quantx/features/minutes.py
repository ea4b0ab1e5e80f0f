"""What a build of minute features reads. Each session begins anew, so that a month is computed from its own bars.

Months are the unit of everything: a chunk is some symbols in one month, a partition of the table is a month, and a
build computes those symbols and months again whose bars have changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import polars as pl

from quantx.core.features.feature import FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.table import Table
from quantx.core.tables import BARS_1M, SYMBOL_HISTORY, TABLES
from quantx.features.inputs import BuildInputs
from quantx.lake.changed_rows import changed_rows
from quantx.reader.feature_changes import inputs_of
from quantx.reader.selection import Selection
from quantx.reader.symbol_history import SymbolRequest
from quantx.settings import MARKETS

_SYMBOLS = 48  # of a chunk: with a month of New York's minutes 400,000 bars
_END = timedelta(minutes=1)  # a bar is public with the end of its minute

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

    def minute_bars(self, requests: Sequence[SymbolRequest], first: date | None, last: date | None) -> pl.DataFrame:
        """Return the minutes of regular sessions as traded, by requested symbol, sorted; their factors are 1."""
        return self._minute_bars(requests, first, last)

    def minute_rows(self, requests: Sequence[SymbolRequest], bars: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Return values as rows of a table, under the symbol of their day."""
        rows = values.with_columns(bars["source"], (pl.col("time") + _END).alias("public_at"))
        return self._securities().of_day(rows.with_columns(bars["known_from"]), requests, "date")

    def stored_minutes(
        self, table: Table, requests: Sequence[SymbolRequest], first: date | None, last: date | None
    ) -> pl.DataFrame:
        """Return the stored rows of securities in a month."""
        wanted = Selection.of(self._securities().stored_symbols(requests)).between(first, last)
        rows = self._stored.rows(table, wanted)
        return rows if rows.is_empty() else self._securities().without_others(rows, requests, "date")


def days_of(month: int) -> tuple[date, date]:
    """Return the first and the last day of a month.

    >>> days_of(202402)
    (datetime.date(2024, 2, 1), datetime.date(2024, 2, 29))
    """
    year, number = divmod(month, 100)
    following = date(year + number // 12, number % 12 + 1, 1)
    return date(year, number, 1), following - timedelta(days=1)
