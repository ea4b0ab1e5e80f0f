"""What a build reads: the lake at one state, the securities of its series, and which of them are out of date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Self

import polars as pl

from quantx.core.features.feature import Feature, FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.table import Table
from quantx.core.tables import BARS_1D, UNIVERSE_MEMBERS
from quantx.pipeline.runtime.context import Context
from quantx.reader.arguments import shifted, to_date, to_names
from quantx.reader.feature_changes import EVERYTHING, earliest
from quantx.reader.feature_request import FeatureRequest
from quantx.reader.features import FeatureQueries
from quantx.reader.point_in_time import NOW
from quantx.reader.selection import Selection
from quantx.reader.snapshots import SnapshotQueries
from quantx.reader.symbol_history import SymbolRequest
from quantx.settings import preferred_vendors

_CHUNK_ROWS = 200_000  # bars of whole series at once: with 70 features 110 MB
_TAIL_ROWS = 1_200_000  # bars of tails at once: few of their rows are results
_FEW_DAYS = 60  # up to which the sessions of many symbols are in memory at once
_DAYS = 1.5  # calendar days per session, and some for holidays
_HOLIDAYS = 15


@dataclass(frozen=True)
class Stale:
    """A security whose rows from a day on may have changed."""

    request: SymbolRequest
    first: date = EVERYTHING

    @property
    def symbol(self) -> str:
        """Return the requested symbol."""
        return self.request.symbol


class BuildInputs(FeatureQueries, SnapshotQueries):
    """The inputs of a build."""

    @classmethod
    def of(cls, context: Context) -> Self:
        """Open the lake of a platform for reading."""
        settings = context.settings
        order = partial(preferred_vendors, settings.sources)
        return cls(context.location, order)  # without copies: a build reads most rows once

    def one_state(self) -> AbstractContextManager[object]:
        """Read one version of each table within the `with` block, in this thread."""
        return self._stored.one_state("build of features")

    def is_whole(self, feature_set: FeatureSet, record: BuildRecord) -> bool:
        """Return whether a feature table has all rows of its last build."""
        return self._is_whole(feature_set, record)

    def record(self, table: Table) -> BuildRecord | None:
        """Return the record of the last build of a table."""
        version = self._stored.version(table)
        return None if version is None else BuildRecord.of(version.properties)

    def versions(self, names: Iterable[str]) -> dict[str, int | None]:
        """Return the versions of some tables that this build reads."""
        return self._table_versions(names)

    def orders(self) -> dict[str, list[str]]:
        """Return the preferred vendors of daily bars by market."""
        return self._orders()

    def row_count(self, table: Table) -> int:
        """Return the number of rows of a table."""
        return self._rows_in(table)

    def securities(self, symbols: Iterable[str] | None) -> list[Stale]:
        """Return every security with bars (of some symbols), in the order of their symbols."""
        return [Stale(each) for layer in self._security_layers(symbols) for each in layer]

    def named(self, symbols: Sequence[str] | None) -> list[str] | None:
        """Return symbols under which their securities' bars are stored; NotInLake for one that the lake does not know.

        None: every series.
        """
        if symbols is None:
            return None
        names, securities = to_names(symbols), self._securities()
        self._check_carried(names, self._symbols_in(BARS_1D))
        return securities.stored_symbols(securities.requests(names, None, None, {}))

    def members(self, universe: str) -> list[str]:
        """Return the symbols of all that were members of a universe at any time."""
        on = self._members_between(universe, None, None).on
        requests = self._securities().requests(list(on), None, None, {name: to_date(day) for name, day in on.items()})
        return self._securities().stored_symbols(requests)

    def stale(
        self, feature_set: FeatureSet, record: BuildRecord, symbols: Sequence[str] | None, forced: date | None = None
    ) -> list[Stale]:
        """Return the securities of a table whose rows may have changed since its record, and those that are new.

        From the day `forced` on those of all securities count as changed.
        """
        since = self._changes_since(feature_set, record)
        if since is None or not self._is_whole(feature_set, record):
            return self.securities(symbols)
        if forced is not None:
            every = self._symbols_in(BARS_1D) if symbols is None else symbols
            since = earliest(since, dict.fromkeys(every, forced))
        scope, built = None if symbols is None else set(symbols), set(record.symbols or ())
        if record.symbols is not None:
            added = self._symbols_in(BARS_1D) if scope is None else scope
            since = earliest(since, dict.fromkeys(set(added) - built, EVERYTHING))
        found = []
        for each in self.securities(self._symbols_of(since)):
            stored = self._securities().stored_symbols([each.request])
            first = self._first_stale(each.request, since)
            if first is not None and (scope is None or not scope.isdisjoint(stored)):
                found.append(Stale(each.request, first))
        return found

    def chunks(self, securities: Sequence[Stale]) -> list[list[Stale]]:
        """Return securities in chunks of whole series, without two of one symbol in one of them."""
        return _chunks(securities, self._whole_at_once()) if securities else []

    def tail_chunks(self, securities: Sequence[Stale], need: int) -> Iterator[list[Stale]]:
        """Yield securities in chunks of tails; those with about the same first day are together."""
        by_day = sorted(securities, key=lambda each: (each.first, each.symbol))
        start = 0
        while start < len(by_day):
            span = _TAIL_ROWS // (need + 20)
            near = shifted(by_day[start].first, 40)
            end = next((n for n in range(start, len(by_day)) if by_day[n].first > near), len(by_day))
            yield from _chunks(by_day[start:end], max(1, span))
            start = end

    def series_bars(self, requests: Sequence[SymbolRequest]) -> pl.DataFrame:
        """Return all bars of securities; see FeatureInputs."""
        return self._feature_bars(requests)

    def tail_bars(self, chunk: Sequence[Stale], need: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the bars of each security from `need` rows before its first stale day on, or those that there are.

        Also return the date of the row before that day, by symbol.
        """
        begin = shifted(min(each.first for each in chunk), -int(need * _DAYS + _HOLIDAYS))
        bars = self._feature_bars([each.request for each in chunk], first=begin)
        firsts = pl.DataFrame({"symbol": [e.symbol for e in chunk], "first": [e.first for e in chunk]})
        bars = bars.join(firsts, on="symbol", how="left", maintain_order="left")
        before = pl.col("date") < pl.col("first")
        last = bars.filter(before).group_by("symbol").agg(pl.col("date").last())
        behind = (before.sum() - pl.int_range(pl.len())).over("symbol")
        return bars.filter(behind <= need).drop("first"), last

    def with_stored(
        self, table: Table, chunk: Sequence[Stale], last: pl.DataFrame, names: Sequence[str]
    ) -> pl.DataFrame:
        """Return symbol, date and the stored values of some features in those rows; null where there are none."""
        if not names or last.is_empty():
            return last.with_columns(pl.lit(None, pl.Float64).alias(name) for name in names)
        requests = [each.request for each in chunk]
        low, high = last.select(pl.col("date").min().alias("low"), pl.col("date").max().alias("high")).row(0)
        wanted = Selection.of(self._securities().stored_symbols(requests)).between(low, high)
        stored = self._stored.rows(table, wanted, ["symbol", "date", *names])
        stored = self._securities().rows_of_day(stored, requests, "date")
        return last.join(stored, on=["symbol", "date"], how="left")

    def stored_rows(self, table: Table, chunk: Sequence[Stale]) -> pl.DataFrame:
        """Return the stored rows of securities from their first stale day on."""
        requests, securities = [each.request for each in chunk], self._securities()
        symbols = securities.stored_symbols(requests)
        rows = self._stored.rows(table, Selection.of(symbols).between(min(each.first for each in chunk), None))
        if rows.is_empty():
            return rows
        firsts: dict[str, date] = {}
        for each in chunk:
            for symbol in securities.stored_symbols([each.request]):
                firsts[symbol] = min(each.first, firsts.get(symbol, date.max))
        first = pl.col("symbol").replace_strict(firsts, return_dtype=pl.Date)
        return securities.without_others(rows.filter(pl.col("date") >= first), requests, "date")

    def feature_rows(self, features: Sequence[Feature], bars: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Return values with their source and clocks; see FeatureValues."""
        return self._feature_rows(features, bars, values)

    def of_day(self, rows: pl.DataFrame, requests: Sequence[SymbolRequest]) -> pl.DataFrame:
        """Return rows under the symbol of their day."""
        return self._securities().of_day(rows, requests, "date")

    def session_chunks(self, securities: Sequence[Stale]) -> Iterator[list[Stale]]:
        """Yield securities in the given order, in chunks whose sessions to compute are not too many."""
        near = shifted(self._bar_days()[1], -_FEW_DAYS)
        yield from self.chunks([each for each in securities if each.first < near])
        yield from _chunks([each for each in securities if each.first >= near], _TAIL_ROWS // _FEW_DAYS)

    def fundamental_rows(
        self, features: Sequence[Feature], requests: Sequence[SymbolRequest], first: date
    ) -> pl.DataFrame:
        """Return the rows of fundamentals from a day on; see FundamentalFeatures."""
        return self._fundamental_rows(features, requests, first=None if first == EVERYTHING else first)

    def option_rows(self, features: Sequence[Feature], requests: Sequence[SymbolRequest], first: date) -> pl.DataFrame:
        """Return the rows of options from a day on; see OptionFeatures."""
        return self._option_rows(features, requests, first=None if first == EVERYTHING else first)

    def universes(self) -> list[str]:
        """Return the names of all universes."""
        return sorted(self._stored.rows(UNIVERSE_MEMBERS, columns=["universe"])["universe"].unique())

    def member_count(self, universe: str) -> int:
        """Return how many securities were members at any time."""
        return len(self._members_between(universe, None, None).on)

    def stale_day(self, feature_set: FeatureSet, record: BuildRecord, universe: str) -> date | None:
        """Return the day from which the stored rows of a universe are out of date; None: they are not."""
        if not self._is_whole(feature_set, record):
            return EVERYTHING
        return self._universe_stale(feature_set, record, self._universe_request(universe, None, None))

    def spans(self, universe: str, first: date) -> list[tuple[date, date]]:
        """Return the days from `first` to the last bar, year by year where the rows are many."""
        begin, end = self._bar_days()
        begin = max(begin, first)
        if begin > end:
            return []
        if (end - begin).days * self.member_count(universe) < _CHUNK_ROWS:
            return [(begin, end)]
        years = range(begin.year, end.year + 1)
        return [(max(begin, date(year, 1, 1)), min(end, date(year, 12, 31))) for year in years]

    def universe_rows(self, feature_set: FeatureSet, universe: str, first: date, last: date) -> pl.DataFrame:
        """Return the rows of a universe between two days under the symbol of their day; see CrossSections."""
        request = self._universe_request(universe, first, last)
        read = partial(self._features_of, members_only=True)
        rows = self._cross_section_rows(feature_set.features, request, read)
        return self.of_day(rows, request.requests)

    def stored_members(self, table: Table, universe: str, first: date, last: date) -> pl.DataFrame:
        """Return the stored rows of a universe between two days."""
        wanted = Selection().between(first, last).filtered(pl.col("universe") == pl.lit(universe))
        return self._stored.rows(table, wanted)

    def _universe_request(self, universe: str, first: date | None, last: date | None) -> FeatureRequest:
        return self._feature_request(None, universe, first, last, NOW, None)

    def _whole_at_once(self) -> int:
        """Return the number of symbols whose whole series are in memory at once."""
        per_symbol = max(250, self._rows_in(BARS_1D) // max(1, len(self._symbols_in(BARS_1D))))
        return max(1, _CHUNK_ROWS // per_symbol)

    def _bar_days(self) -> tuple[date, date]:
        """Return the first and the last day of the daily bars."""
        version = self._stored.version(BARS_1D)
        files = () if version is None else version.files
        first = min((f.first_day for f in files if f.first_day is not None), default=date.max)
        return first, max((f.last_day for f in files if f.last_day is not None), default=date.min)


def since_first(chunk: Sequence[Stale], bars: pl.DataFrame) -> pl.Series | None:
    """Return whether each row is of the first stale day of its security or a later one; None: every row is."""
    if all(each.first == EVERYTHING for each in chunk):
        return None
    firsts = {each.symbol: each.first for each in chunk}
    first = pl.col("symbol").replace_strict(firsts, return_dtype=pl.Date)
    return bars.select(pl.col("date") >= first).to_series()


def _chunks(securities: Sequence[Stale], size: int) -> list[list[Stale]]:
    """Return securities in chunks of up to `size`, without two of one symbol in one of them."""
    found: list[list[Stale]] = []
    symbols: set[str] = set()
    for each in securities:
        if not found or len(found[-1]) >= size or each.symbol in symbols:
            found.append([])
            symbols = set()
        found[-1].append(each)
        symbols.add(each.symbol)
    return found
