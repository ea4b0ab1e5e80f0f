"""What has changed since features were built: the earliest day from which the rows of a security are out of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property

import polars as pl

from quantx.core.fact_tables import FILER_SYMBOLS, FUNDAMENTALS
from quantx.core.features.feature import FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.option_tables import (
    OPTION_TABLES,
    OPTIONS_CONTRACTS,
    OPTIONS_OHLCV_1D,
    OPTIONS_OPEN_INTEREST,
    OPTIONS_QUOTES_1D,
    OPTIONS_QUOTES_1M,
)
from quantx.core.symbols import is_filer
from quantx.core.table import Table
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, INSTRUMENTS, SYMBOL_HISTORY, TABLES, UNIVERSE_MEMBERS
from quantx.lake.changed_rows import changed_rows
from quantx.reader.feature_inputs import FeatureInputs
from quantx.reader.filers import FilerQueries
from quantx.reader.symbol_history import SymbolRequest
from quantx.settings import MARKETS

EVERYTHING = date.min  # from the first row on
_BARS = ("source", "symbol", "date", "open", "high", "low", "close", "volume")
_EVENTS = ("source", "symbol", "ex_date", "kind", "value", "reference_close")
_NAMINGS = ("instrument", "symbol", "symbol_from", "symbol_to")
_VALUES = ("source", "symbol", "concept", "period", "end", "value", "unit", "public_at")
_FILERS = ("symbol", "filer", "symbol_from", "symbol_to")
_MEMBERS = ("universe", "symbol", "member_from", "member_to")
_SECTORS = ("instrument", "sector")
_SERIES: Mapping[str, Sequence[str]] = {BARS_1D.name: _BARS, ACTIONS.name: _EVENTS, SYMBOL_HISTORY.name: _NAMINGS}
_FILED: Mapping[str, Sequence[str]] = {FUNDAMENTALS.name: _VALUES, FILER_SYMBOLS.name: _FILERS}
_MINUTES: Mapping[str, Sequence[str]] = {
    BARS_1M.name: (*_BARS, "time", "regular"),
    SYMBOL_HISTORY.name: _NAMINGS,
}
_CROSS: Mapping[str, Sequence[str]] = {UNIVERSE_MEMBERS.name: _MEMBERS, INSTRUMENTS.name: _SECTORS}

_QUOTED = ("source", "underlying", "date", "contract")
_OPTIONS: Mapping[str, Sequence[str]] = {
    OPTIONS_CONTRACTS.name: ("source", "underlying", "contract", "settlement"),
    OPTIONS_QUOTES_1M.name: (*_QUOTED, "time", "bid", "ask"),
    OPTIONS_QUOTES_1D.name: (*_QUOTED, "bid_close", "ask_close"),
    OPTIONS_OHLCV_1D.name: (*_QUOTED, "volume"),
    OPTIONS_OPEN_INTEREST.name: (*_QUOTED, "open_interest", "public_at"),
}


def inputs_of(feature_set: FeatureSet) -> Mapping[str, Sequence[str]]:
    """Return the tables that the rows of a set are made of, with the columns that matter."""
    if feature_set.timeframe == "1m":
        return _MINUTES
    kinds = {each.kind for each in feature_set.features}
    if "cross_section" in kinds:
        return {**_SERIES, **_FILED, **_CROSS}
    if "option" in kinds:
        return {**_SERIES, **_OPTIONS}
    return {**_SERIES, **_FILED} if "fundamental" in kinds else _SERIES


class ChangedDays(dict[str, date]):
    """The earliest changed day by stored symbol, by filer, and by universe, as in universe:us_sp500."""

    @cached_property
    def has_filers(self) -> bool:
        """Return whether facts of any filer have changed."""
        return any(map(is_filer, self))


class FeatureChanges(FeatureInputs, FilerQueries):
    """The inputs of features that have changed since a build."""

    def _changes_since(self, feature_set: FeatureSet, record: BuildRecord) -> ChangedDays | None:
        """Return the earliest changed day by stored symbol (or filer); None where it is not known.

        A bar matters from its session on, an action from its ex-date on, a fact from the day on which it was public.
        """
        if record.orders != self._orders(feature_set.timeframe):
            return None
        found = ChangedDays()
        for name, columns in inputs_of(feature_set).items():
            version = self._stored.version(TABLES[name])
            if version is not None and version.number == record.inputs.get(name):
                continue
            rows = changed_rows(self._location, self._stored[name], record.inputs.get(name), version, columns)
            if rows is None:
                return None
            if not rows.is_empty():
                found = earliest(found, self._first_changes(TABLES[name], rows))
        return found

    def _first_changes(self, table: Table, rows: pl.DataFrame) -> dict[str, date]:
        """Return the earliest day by symbol from which the changed rows of an input matter."""
        if table in (SYMBOL_HISTORY, INSTRUMENTS):
            return dict.fromkeys(self._symbols_of_changed(table, rows), EVERYTHING)
        if table is FILER_SYMBOLS:
            return dict.fromkeys(pl.concat([rows["symbol"], rows["filer"]]).unique(), EVERYTHING)
        if table is OPTIONS_CONTRACTS:
            return dict.fromkeys(rows["underlying"].unique(), EVERYTHING)
        if table in OPTION_TABLES:
            return dict(rows.group_by("underlying").agg(pl.col("date").min()).iter_rows())
        if table is UNIVERSE_MEMBERS:
            return _first_memberships(rows)
        day = pl.col("public_at").dt.date() if table is FUNDAMENTALS else pl.col(table.day or "date")
        return dict(rows.group_by("symbol").agg(day.min()).iter_rows())

    def _symbols_of_changed(self, table: Table, rows: pl.DataFrame) -> list[str]:
        """Return every symbol that the instruments of changed rows, and other carriers of their symbols, ever had."""
        namings = self._symbol_history().select("instrument", "symbol")
        named = namings if table is INSTRUMENTS else pl.concat([namings, rows.select("instrument", "symbol")])
        symbols = named.join(rows.select("instrument").unique(), on="instrument", how="semi").select("symbol")
        carriers = named.join(symbols.unique(), on="symbol", how="semi").select("instrument").unique()
        return named.join(carriers, on="instrument", how="semi")["symbol"].unique().to_list()

    def _first_stale(self, request: SymbolRequest, changes: ChangedDays) -> date | None:
        """Return the day from which the rows of a security are out of date; None: they are as the inputs are."""
        symbols = self._securities().stored_symbols([request])
        filers = self._filers_of(request, None) if changes.has_filers else ()
        days = [changes[symbol] for symbol in (*symbols, *filers) if symbol in changes]
        return min(days, default=None)

    def _symbols_of(self, changes: Iterable[str]) -> list[str]:
        """Return the symbols among changed names, and those that the changed filers ever carried."""
        names = list(changes)
        filers = [name for name in names if is_filer(name)]
        if not filers:
            return names
        carried = self._stored.rows(FILER_SYMBOLS, columns=["filer", "symbol"])
        symbols = carried.filter(pl.col("filer").is_in(filers))["symbol"]
        return sorted({*(name for name in names if not is_filer(name)), *symbols})

    def _orders(self, timeframe: str = "1d") -> dict[str, list[str]]:
        """Return the preferred vendors of bars by market."""
        return {market: list(self._sources_of(timeframe, market)) for market in MARKETS if market != "any"}

    def _table_versions(self, names: Iterable[str]) -> dict[str, int | None]:
        """Return the versions of some tables that queries read now."""
        found = {name: self._stored.version(TABLES[name]) for name in names}
        return {name: None if version is None else version.number for name, version in found.items()}


def earliest(found: Mapping[str, date], more: Mapping[str, date]) -> ChangedDays:
    """Return the earlier day of each symbol."""
    names = {**found, **more}
    return ChangedDays({name: min(found.get(name, date.max), more.get(name, date.max)) for name in names})


def _first_memberships(rows: pl.DataFrame) -> dict[str, date]:
    """Return the first day on which changed intervals of membership differ, as in universe:us_sp500."""
    found: dict[str, date] = {}
    intervals = rows.partition_by("universe", "symbol", "member_from", as_dict=True)
    for (universe, _, begin), part in intervals.items():
        ends = [end for end in part["member_to"] if end is not None]
        day = min(ends) + timedelta(days=1) if part.height > 1 and ends else begin or EVERYTHING
        name = f"universe:{universe}"
        found[name] = min(day, found.get(name, date.max))
    return found
