"""Fingerprints of a symbol's data: equal ones mean that its exported files need no new look."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from quantx.core.table import Table
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, VERDICTS
from quantx.lake.protocol import StoredTables

_TABLES = {"1d": BARS_1D, "1m": BARS_1M}


@dataclass(frozen=True)
class StoredBars:
    """What the lake has under one symbol in the window of the export."""

    rows: int
    first: date
    last: date
    known_from: datetime
    sources: tuple[str, ...]


class Changes:
    """The state of the lake by stored symbol, from one pass over each table."""

    def __init__(
        self,
        tables: StoredTables,
        timeframes: Sequence[str],
        window: tuple[date | None, date | None],
        symbols: Iterable[str] | None,
    ) -> None:
        """Read the state of some stored symbols, or of all; the memory grows with the symbols, not with the rows."""
        self._wanted = pl.lit(True) if symbols is None else pl.col("symbol").is_in(sorted(symbols))
        self.stored: dict[str, dict[str, StoredBars]] = {t: {} for t in timeframes}
        self._hashes: dict[str, list[str]] = {}
        # Daily bars always count, of all days: the vendor of an event is the one of the bar on its ex-date.
        for timeframe in dict.fromkeys(("1d", *timeframes)):
            self._read_bars(tables, timeframe, window)
        for table in (ACTIONS, VERDICTS):
            stored = tables[table.name]
            rows = stored.scan().filter(self._wanted).select("symbol", _hash(table))
            self._add(table.name, stored.collect(rows.group_by("symbol").agg(pl.col("hash").sum()), in_pieces=True))

    def sources(self, timeframe: str) -> set[str]:
        """Return the vendors of all bars in the window."""
        return {source for bars in self.stored[timeframe].values() for source in bars.sources}

    def fingerprint(self, symbols: Iterable[str], salt: Sequence[object]) -> str:
        """Return the fingerprint of the data under some symbols; `salt` is what else decides about the files."""
        parts = [str(each) for each in salt]
        for symbol in sorted(symbols):
            parts += [symbol, *sorted(self._hashes.get(symbol, ()))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def _read_bars(self, tables: StoredTables, timeframe: str, window: tuple[date | None, date | None]) -> None:
        table, stored = _TABLES[timeframe], tables[_TABLES[timeframe].name]
        inside = pl.lit(True)
        if window[0] is not None:
            inside &= pl.col("date") >= window[0]
        if window[1] is not None:
            inside &= pl.col("date") <= window[1]
        rows = stored.scan().filter(self._wanted if timeframe == "1d" else self._wanted & inside)
        date, known_from = (pl.when(inside).then(pl.col(c)) for c in ("date", "known_from"))
        # The engine keeps no rows for sums, counts and extremes of columns; for other aggregates it would keep all.
        shown = rows.select("symbol", "source", _hash(table), date.alias("date"), known_from.alias("known_from"))
        sums = stored.collect(
            shown.group_by("symbol", "source").agg(
                pl.col("hash").sum(),
                pl.col("date").count().alias("rows"),
                pl.col("date").min().alias("first"),
                pl.col("date").max().alias("last"),
                pl.col("known_from").max(),
            ),
            in_pieces=True,
        )
        self._add(table.name, sums)
        if timeframe in self.stored:
            by_symbol = (
                sums.filter(pl.col("rows") > 0)
                .group_by("symbol")
                .agg(
                    pl.col("rows").sum(),
                    pl.col("first").min(),
                    pl.col("last").max(),
                    pl.col("known_from").max(),
                    pl.col("source").sort(),
                )
            )
            self.stored[timeframe] = {
                row[0]: StoredBars(row[1], row[2], row[3], row[4], tuple(row[5])) for row in by_symbol.iter_rows()
            }

    def _add(self, table: str, sums: pl.DataFrame) -> None:
        for symbol, value in sums.select("symbol", "hash").iter_rows():
            self._hashes.setdefault(symbol, []).append(f"{table} {value}")


def _hash(table: Table) -> pl.Expr:
    """Return the hash of each row; their sum does not depend on the order of the rows, or on their files."""
    return pl.struct(list(table.schema)).hash().alias("hash")


def versions(tables: StoredTables, names: Sequence[str]) -> Mapping[str, int | None]:
    """Return the versions of some tables, for the manifest."""
    return {name: tables[name].version() for name in names}
