"""The tables that SQL has: the stored ones, and views of them with the questions that people ask.

A view is declared as data: its meaning, the stored tables that it reads, and its SQL. The reference of the
documentation is generated from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from quantx.core.asset_classes import FORMS_OF_MARKETS
from quantx.core.fact_tables import FILER_SYMBOLS, FUNDAMENTALS
from quantx.core.symbols import VENUES_BY_SUFFIX, VENUES_OF_INDICES
from quantx.core.table import Table
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, SESSIONS, SYMBOL_HISTORY, TABLES, UNIVERSE_MEMBERS
from quantx.reader.filers import PREFERRED
from quantx.reader.fundamentals import CONCEPT_COLUMNS
from quantx.reader.sql.fundamentals import PUBLIC_BY_MOMENT, by_symbol
from quantx.settings import MARKETS

SourcesOf = Callable[[str, str], Sequence[str]]
STEPS, RENAMED = "adjustment_steps", "renamed_bars"  # computed by the reader; see steps.py
_BARS = "symbol, date, open, high, low, close, volume, currency, source, known_from"
_MINUTES = "symbol, time, date, open, high, low, close, volume, currency, source, known_from"
_ADJUSTED = ("symbol", "date", "open", "high", "low", "close", "volume", "adj_close", "source", "known_from")
_TYPES: dict[object, str] = {
    pl.String: "VARCHAR",
    pl.Int32: "INTEGER",
    pl.Int64: "BIGINT",
    pl.Float64: "DOUBLE",
    pl.Boolean: "BOOLEAN",
    pl.Date: "DATE",
}


@dataclass(frozen=True)
class Preference:
    """What decides which vendor's row a view shows: the vendors with rows, and the order of each market."""

    sources: tuple[str, ...] | None = None  # of the table that the view reads; None: unknown
    orders: tuple[tuple[str, tuple[str, ...]], ...] = ()  # by market

    def rank(self) -> str | None:
        """Return the rank of a row's vendor as SQL, 1 first; None where all rows are of one vendor."""
        if self.sources is not None and len(self.sources) < 2:
            return None
        ranks = {market: _position(order) for market, order in self.orders}
        if len(set(ranks.values())) <= 1:
            return next(iter(ranks.values()), "1")
        cases = " ".join(f"WHEN {text(market)} THEN {rank}" for market, rank in ranks.items())
        return f"CASE {_market()} {cases} END"


@dataclass(frozen=True)
class SqlView:
    """A view, or with a parameter a table function, of stored tables."""

    name: str
    meaning: str
    reads: tuple[str, ...]
    select: Callable[[Preference], str]
    parameters: tuple[str, ...] = ()
    timeframe: str = "1d"  # of the order of vendors
    adjusts: bool = False
    columns: tuple[str, ...] = ()  # where they are not those of the first table

    @property
    def call(self) -> str:
        """Return the view as it is written in a query."""
        return f"{self.name}({', '.join(self.parameters)})" if self.parameters else self.name

    def definition(self, preference: Preference) -> tuple[str, str]:
        """Return what is created, a view or a macro, and its SELECT."""
        select = self.select(preference)
        if not self.parameters:
            return f"VIEW {name(self.name)}", select
        return f"MACRO {name(self.name)}({', '.join(self.parameters)})", f"TABLE {select}"


def orders(timeframe: str, sources_of: SourcesOf) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the order of vendors of each market."""
    return tuple((market, tuple(sources_of(timeframe, market))) for market in MARKETS if market != "any")


def text(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + value.replace('"', '""') + '"'


def sql_type(kind: object) -> str:
    """Return the SQL type of a column."""
    return _TYPES.get(kind, "TIMESTAMP WITH TIME ZONE")


def empty(table: Table) -> str:
    """Return a SELECT of no rows with the columns of a table."""
    return f"SELECT {nulls(table, table.schema)} WHERE false"


def nulls(table: Table, columns: Iterable[str]) -> str:
    """Return typed nulls for some columns of a table."""
    return ", ".join(f"CAST(NULL AS {sql_type(table.schema[c])}) AS {name(c)}" for c in columns)


def needed(names: Iterable[str]) -> tuple[list[str], list[SqlView]]:
    """Return the stored tables and the views that a query needs for the names that it uses, in order of creation."""
    views = [VIEWS[each] for each in VIEWS if each in set(names)]
    stored = [each for each in names if each in TABLES] + [table for view in views for table in view.reads]
    # Revisions last: a round commits them first, and no row is in neither.
    return sorted(set(stored), key=lambda table: (table.endswith("_revisions"), table)), views


def columns_of() -> dict[str, list[str]]:
    """Return the columns of each table and view that a query can name."""
    columns = {table: list(TABLES[table].schema) for table in TABLES}
    for view in VIEWS.values():
        columns[view.name] = list(_view_columns(view))
    return columns


def _view_columns(view: SqlView) -> list[str]:
    if view.columns:
        return list(view.columns)
    if view.name in ("bars", "bars_asof"):
        return _BARS.split(", ")
    if view.name == "minutes":
        return _MINUTES.split(", ")
    if view.adjusts:
        return list(_ADJUSTED)
    if view.name == "universe_on":
        return ["symbol", "market", "name", "member_from", "member_to"]
    return list(TABLES[view.reads[0]].schema)


# ---------------------------------------------------------------------------------------------------------------- views


def _position(order: Sequence[str]) -> str:
    listed = ", ".join(text(each) for each in order)
    return f"coalesce(list_position([{listed}]::VARCHAR[], source), {len(order) + 1})"


def _market() -> str:
    """Return the market of a row's symbol as SQL."""
    by_market: dict[str, list[str]] = {}
    for suffix, venue in VENUES_BY_SUFFIX.items():
        by_market.setdefault(venue.market, []).append(suffix)
    cases = [
        f"WHEN regexp_extract(symbol, '\\.([A-Z]+)$', 1) IN ({', '.join(map(text, suffixes))}) THEN {text(market)}"
        for market, suffixes in by_market.items()
    ]
    indices = [
        f"WHEN symbol = {text(index)} THEN {text(venue.market)}"
        for index, venue in VENUES_OF_INDICES.items()
        if venue.market != "us"
    ]
    forms = [
        f"WHEN regexp_matches(symbol, {text(form)}) THEN {text(market)}" for market, form in FORMS_OF_MARKETS.items()
    ]
    return f"(CASE {' '.join([*indices, *cases, *forms])} ELSE 'us' END)"


def _preferred_bars(rows: str, preference: Preference) -> str:
    """Return the bar of the preferred vendor of each session."""
    rank = preference.rank()
    if rank is None:
        return f"SELECT {_BARS} FROM {rows}"
    return (
        f"SELECT {_BARS} FROM {rows} QUALIFY row_number() OVER (PARTITION BY symbol, date ORDER BY {rank}, source) = 1"
    )


def _bars(preference: Preference) -> str:
    return _preferred_bars(BARS_1D.name, preference)


def _minutes(preference: Preference) -> str:
    rank = preference.rank()
    regular = f"(SELECT * FROM {BARS_1M.name} WHERE regular)"
    if rank is None:
        return f"SELECT {_MINUTES} FROM {regular}"
    placed = f"struct_pack(rank := {rank}, source := source)"
    return f"SELECT {_MINUTES} FROM {regular} QUALIFY {placed} = min({placed}) OVER (PARTITION BY symbol, date)"


def _known_at(table: Table) -> str:
    """Return the rows of a table as known at the parameter `moment`; a date means its end, in UTC."""
    columns = ", ".join(name(c) for c in table.schema)
    end = (
        "(CASE WHEN length(trim(moment::VARCHAR)) <= 10"
        " THEN (moment::VARCHAR)::DATE + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND"
        " ELSE (moment::VARCHAR)::TIMESTAMP WITH TIME ZONE END)::TIMESTAMP WITH TIME ZONE"
    )
    # Between the two commits of a round a row is current and a revision at once.
    same = " AND ".join(f"c.{name(k)} IS NOT DISTINCT FROM r.{name(k)}" for k in table.revisions.key)
    return (
        f"SELECT {columns} FROM {table.name} WHERE known_from <= {end} UNION ALL"
        f" SELECT {columns} FROM {table.revisions.name} r WHERE known_from <= {end} AND known_to > {end}"
        f" AND NOT EXISTS (SELECT 1 FROM {table.name} c WHERE {same})"
    )


def _bars_asof(preference: Preference) -> str:
    return _preferred_bars(f"({_known_at(BARS_1D)})", preference)


def _adjusted(how: str) -> Callable[[Preference], str]:
    """Return the view of bars adjusted by a column of the steps: total or split."""

    def select(preference: Preference) -> str:
        prices = ", ".join(f"b.{c} * coalesce(s.{how}, 1) AS {c}" for c in ("open", "high", "low", "close"))
        plain = (
            f"(SELECT * FROM {BARS_1D.name} WHERE symbol NOT IN (SELECT symbol FROM {RENAMED} WHERE adjust IS NULL))"
        )
        return (
            f"SELECT b.symbol, b.date, {prices}, round_even(b.volume * coalesce(s.ratio, 1), 0)::BIGINT AS volume,"
            f" b.close * coalesce(s.total, 1) AS adj_close, b.source, b.known_from"
            f" FROM ({_preferred_bars(plain, preference)}) b LEFT JOIN {STEPS} s"
            " ON s.symbol = b.symbol AND s.year = year(b.date) AND b.date >= s.first AND b.date < s.ex_date"
            f" UNION ALL SELECT {', '.join(_ADJUSTED)} FROM {RENAMED} WHERE adjust = {text(how)}"
        )

    return select


def _as_of_view(table: Table) -> SqlView:
    return SqlView(
        f"{table.name}_asof",
        f"the rows of `{table.name}` as this system knew them at a moment",
        (table.name, table.revisions.name),
        lambda preference: _known_at(table),
        ("moment",),
    )


def _fact_rank(preference: Preference) -> str:
    """Return the rank of a row's source as SQL; without an order in the settings, sec comes first."""
    if any(order for _, order in preference.orders):
        return preference.rank() or "1"
    return _position(PREFERRED)


def _universe_on(preference: Preference) -> str:
    return (
        f"SELECT symbol, market, name, member_from, member_to FROM {UNIVERSE_MEMBERS.name}"
        " WHERE universe = universe_name AND (member_from IS NULL OR member_from <= (day::VARCHAR)::DATE)"
        " AND (member_to IS NULL OR member_to >= (day::VARCHAR)::DATE)"
    )


_ADJUSTED_READS = (BARS_1D.name, ACTIONS.name, SYMBOL_HISTORY.name, "verdicts")
VIEWS: Mapping[str, SqlView] = {
    view.name: view
    for view in (
        SqlView(
            "bars",
            "daily bars as traded: per symbol and session the bar of the preferred vendor",
            (BARS_1D.name,),
            _bars,
        ),
        SqlView(
            "bars_adjusted",
            'daily bars adjusted for splits and dividends, as `lake.bars(…, adjust="total")` gives them',
            _ADJUSTED_READS,
            _adjusted("total"),
            adjusts=True,
        ),
        SqlView(
            "bars_split_adjusted",
            'daily bars adjusted for splits, as `lake.bars(…, adjust="split")` gives them',
            _ADJUSTED_READS,
            _adjusted("split"),
            adjusts=True,
        ),
        SqlView(
            "bars_asof",
            "daily bars as traded, as this system knew them at a moment: a date (its end) or an instant, UTC",
            (BARS_1D.name, BARS_1D.revisions.name),
            _bars_asof,
            ("moment",),
        ),
        SqlView(
            "minutes",
            "minute bars of the regular session: per symbol and session those of the preferred vendor",
            (BARS_1M.name,),
            _minutes,
            timeframe="1m",
        ),
        SqlView(
            "universe_on",
            "the members of a universe on a day",
            (UNIVERSE_MEMBERS.name,),
            _universe_on,
            ("universe_name", "day"),
        ),
        SqlView(
            "fundamentals_by_symbol",
            "standard concepts by the symbol of the share: of each period the last value, as `lake.fundamentals` gives",
            (FUNDAMENTALS.name, FILER_SYMBOLS.name),
            lambda preference: by_symbol(_fact_rank(preference)),
            timeframe="fundamentals",
            columns=CONCEPT_COLUMNS,
        ),
        SqlView(
            "fundamentals_public_by",
            "the same as it was public at a moment: an instant, or a date: before the close of New York's session",
            (FUNDAMENTALS.name, FILER_SYMBOLS.name, SESSIONS.name),
            lambda preference: by_symbol(_fact_rank(preference), PUBLIC_BY_MOMENT),
            ("moment",),
            timeframe="fundamentals",
            columns=CONCEPT_COLUMNS,
        ),
        *(_as_of_view(table) for table in TABLES.values() if table.revisions.name in TABLES),
    )
}
