"""Which rows of a table a query needs, in the parts by which files and offsets are chosen."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce
from operator import and_

import polars as pl

from quantx.core.table import Table
from quantx.lake.table_version import LiveFile, day_of


@dataclass(frozen=True)
class Selection:
    """Rows by stored symbol, vendor and day (both ends inclusive); None: all. `where` is a further condition.

    `filters` are parts of `where`: a file's rows may be limited by those of one column before others are read.
    """

    symbols: tuple[str, ...] | None = None
    source: str | None = None
    first: date | None = None
    last: date | None = None
    where: pl.Expr | None = None
    filters: tuple[pl.Expr, ...] = ()
    underlyings: tuple[str, ...] | None = None  # of tables that are partitioned by it; None: all

    @staticmethod
    def of(symbols: Sequence[str] | None = None, source: str | None = None) -> Selection:
        """Return the selection of some stored symbols of a vendor."""
        return Selection(None if symbols is None else tuple(symbols), source)

    def between(self, first: date | None, last: date | None) -> Selection:
        """Return the same selection, of the days from `first` to `last` only."""
        return replace(self, first=first, last=last)

    def on(self, underlyings: Sequence[str]) -> Selection:
        """Return the same selection, of some underlyings only."""
        return replace(self, underlyings=tuple(underlyings))

    def filtered(self, where: pl.Expr) -> Selection:
        """Return the same selection under one more condition."""
        every = where if self.where is None else self.where & where
        return replace(self, where=every, filters=(*self.filters, where))

    @property
    def by_column(self) -> list[tuple[str, pl.Expr]]:
        """Return the filters of one column each, with its name."""
        named = [(each.meta.root_names(), each) for each in self.filters]
        return [(names[0], each) for names, each in named if len(set(names)) == 1]

    def files(self, files: Sequence[LiveFile]) -> list[LiveFile]:
        """Return the files that may have rows of the selection, by their partitions and statistics."""
        first, last, source = self.first, self.last, self.source
        symbols = None if self.symbols is None else sorted(self.symbols)
        chosen = []
        for file in files:
            of = file.partition
            if source is not None and of.get("source", source) != source:
                continue
            if self.underlyings is not None and of.get("underlying") not in (None, *self.underlyings):
                continue
            if first is not None and file.last_day is not None and file.last_day < first:
                continue
            if last is not None and file.first_day is not None and file.first_day > last:
                continue
            if symbols is not None and file.first_symbol is not None and file.last_symbol is not None:
                at = bisect_left(symbols, file.first_symbol)
                if at == len(symbols) or symbols[at] > file.last_symbol:
                    continue
            chosen.append(file)
        return chosen

    def of_rows(self, table: Table) -> pl.Expr:
        """Return the symbols and the days as a filter of the rows of files that `files` has chosen."""
        return _all_of(self._rows(table))

    def condition(self, table: Table) -> pl.Expr:
        """Return the selection as a filter of the table's rows, with a filter of its partitions."""
        return _all_of(self.conditions(table))

    def conditions(self, table: Table) -> list[pl.Expr]:
        """Return the parts of `condition`, none of them a constant: Polars 1.33 fails on constants over partitions."""
        wanted = self._rows(table)
        if self.source is not None:
            wanted.append(pl.col("source") == self.source)
        if self.underlyings is not None:
            wanted.append(pl.col("underlying").is_in(list(self.underlyings)))
        for column, number in (("year", year_number), ("month", month_number)):
            if column in table.partitions and table.day is not None:
                wanted += [] if self.first is None else [pl.col(column) >= number(self.first)]
                wanted += [] if self.last is None else [pl.col(column) <= number(self.last)]
        return wanted if self.where is None else [*wanted, self.where]

    def _rows(self, table: Table) -> list[pl.Expr]:
        wanted = []
        if self.symbols is not None:
            only = self.symbols[0] if len(self.symbols) == 1 else None
            symbol = pl.col("symbol")
            wanted.append(symbol.is_in(list(self.symbols)) if only is None else symbol == only)
        if self.first is not None:
            wanted.append(pl.col(day_of(table)) >= self.first)
        if self.last is not None:
            wanted.append(pl.col(day_of(table)) <= self.last)
        return wanted


def _all_of(conditions: Sequence[pl.Expr]) -> pl.Expr:
    return reduce(and_, conditions) if conditions else pl.lit(True)


def year_number(day: date) -> int:
    """Return the year of a day, as partitions have it."""
    return day.year


def month_number(day: date) -> int:
    """Return the month of a day, as in 202410."""
    return day.year * 100 + day.month
