"""The filers behind symbols: which series of the tables of facts belong to the security of a symbol.

Facts of a filer of the SEC are stored under its CIK, facts of a vendor that knows no filers under the symbol. A
reorganisation moves a symbol to another filer within days: the two are one company, and the rows of both are joined,
those of the earlier filer up to the day on which it lost the symbol. A symbol that was free for longer went to another
company, which is not joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

import polars as pl

from quantx.core.fact_tables import ESG_FACTS, FILER_SYMBOLS, FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.fundamentals.newest import RANK
from quantx.core.symbols import filer_symbol, is_filer, market_of, symbol_of
from quantx.core.table import Table
from quantx.core.tables import BARS_1D
from quantx.errors import NotInLake
from quantx.lake.table_version import TableVersion
from quantx.reader.actions import ActionQueries
from quantx.reader.arguments import On, did_you_mean, to_days, to_names
from quantx.reader.known_names import names_in, warn_user
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.symbol_history import SymbolRequest, all_plain

Filers = str | int | Sequence[str | int]  # symbols, or filers: 320193, CIK0000320193
FILER = "filer"  # the symbol of the stored series, beside `symbol`, which is the requested one
PREFERRED = ("sec", "fmp")  # where the setting `sources` has no order
MOVES_WITHIN = timedelta(days=10)  # from the last day of a symbol at one filer to its first day at the next one


class Carrier(NamedTuple):
    """A filer that carried a symbol for some time; both days are inclusive."""

    filer: str
    first: date | None  # None: since before the record began
    last: date | None  # None: still


@dataclass(frozen=True)
class FilerRequest:
    """A requested symbol, and the filers whose rows are its own, with the last day of filing that counts."""

    security: SymbolRequest
    filers: Mapping[str, date | None]

    @property
    def symbol(self) -> str:
        """Return the requested symbol."""
        return self.security.symbol


class FilerQueries(ActionQueries):
    """Rows of the tables of facts by symbol."""

    def _filer_requests(self, symbols: Filers, on: On | None) -> list[FilerRequest]:
        """Return the filers of each symbol; raise ConfigError for what is neither a symbol nor a CIK."""
        names = to_filers(symbols)
        days, securities = to_days([n for n in names if not is_filer(n)], on), self._securities()
        traded = {each.symbol: each for each in securities.requests(list(days), None, None, days)}
        requests = []
        for name in names:
            security = traded.get(name, SymbolRequest(name, None))
            filers = {name: None} if is_filer(name) else self._filers_of(security, days[name])
            requests.append(FilerRequest(security, filers))
        return requests

    def _filers_of(self, security: SymbolRequest, on: date | None) -> dict[str, date | None]:
        """Return the filers of a security, each with the last day of its filings that count; None: all.

        A symbol that the security gave up, or that another one has now, is evidence only for filers that lost it, too.
        """
        carriers, securities, found = self._carriers(), self._securities(), list[Carrier]()
        namings = securities.namings(security)
        for naming in namings:
            own = carriers.get(naming.symbol, [])
            if own and (naming is not namings[-1] or securities.is_reused(naming)):
                found += [c for c in own if c.last is not None and naming.overlaps(c.first, c.last)]
            elif own:
                found += _chain(own, naming.last or on)
        return {each.filer: None if each.filer == found[-1].filer else each.last for each in found}

    def _carriers(self) -> dict[str, list[Carrier]]:
        """Return the filers that carried each symbol, in order; the table is read once per version."""
        version = self._stored.version(FILER_SYMBOLS)
        memo: tuple[TableVersion | None, dict[str, list[Carrier]]] | None = self.__dict__.get("_carriers_at")
        if memo is None or memo[0] is not version:
            found: dict[str, list[Carrier]] = {}
            rows = self._stored.rows(FILER_SYMBOLS).sort("symbol_from", "filer", nulls_last=False)
            for symbol, *carrier in rows.select("symbol", "filer", "symbol_from", "symbol_to").iter_rows():
                found.setdefault(symbol, []).append(Carrier(*carrier))
            memo = self.__dict__["_carriers_at"] = version, found
        return memo[1]

    def _filed_rows(
        self,
        table: Table,
        requests: Sequence[FilerRequest],
        wanted: Selection,
        moment: PointInTime,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return the rows of a selection by requested symbol, with `filer` (the stored symbol) and `rank`."""
        securities, traded = self._securities(), [r.security for r in requests if not is_filer(r.symbol)]
        of_filers = dict.fromkeys(filer for each in requests for filer in each.filers)
        of_symbols = dict.fromkeys(securities.stored_symbols(traded))
        stored = self._known(table, replace(wanted, symbols=(*of_filers, *of_symbols)), moment, columns)
        by_filer = _by_filer(stored, requests)
        if not set(stored["symbol"].unique()).intersection(of_symbols):
            return self._ranked(by_filer)
        by_symbol = stored.filter(pl.col("symbol").is_in(list(of_symbols))).with_columns(pl.col("symbol").alias(FILER))
        if not all_plain(traded):
            by_symbol = securities.rows(
                by_symbol, traded, "filed", [k for k in table.key if k not in ("source", "symbol")]
            )
        return self._ranked(pl.concat([by_filer, by_symbol.select(by_filer.columns)]))

    def _ranked(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Add the place of each row's source in the order of preference."""
        sources = rows["source"].unique().sort().to_list()
        if len(sources) <= 1:
            return rows.with_columns(pl.lit(0, pl.Int32).alias(RANK))
        markets = {s: market_of(s) or "us" for s in rows["symbol"].unique()}
        places = {
            (symbol, source): n
            for symbol, market in markets.items()
            for n, source in enumerate([*dict.fromkeys([*self._fact_sources(market), *sources])])
        }
        ranks = pl.DataFrame(
            [(*pair, n) for pair, n in places.items()],
            schema={"symbol": pl.String, "source": pl.String, RANK: pl.Int32},
            orient="row",
        )
        return rows.join(ranks, on=["symbol", "source"], how="left", maintain_order="left")

    def _fact_sources(self, market: str) -> Sequence[str]:
        return self._sources_of("fundamentals", market) or PREFERRED

    # ---------------------------------------------------------------------------------------- symbols without rows

    def _check_filed(
        self,
        table: Table,
        requests: Sequence[FilerRequest],
        rows: pl.DataFrame,
        wanted: Selection,
        moment: PointInTime,
    ) -> None:
        """Warn of requested symbols without rows; raise NotInLake for those that the lake does not know at all."""
        present = set(rows["symbol"].unique())
        absent = [each for each in requests if each.symbol not in present]
        if not absent:
            return
        kind, names = _KINDS.get(table.name, f"rows of {table.name}"), [each.symbol for each in absent]
        if self._stored.version(table) is None:
            warn_user(
                f"no {kind}: the lake {self.url} has no table {table.name} yet; `quantx fundamentals update` fetches"
                " filings",
                names,
            )
            return
        self._check_source(table, wanted.source)
        stored = self._filed_rows(table, absent, Selection(), PointInTime(), ["symbol", "filed", "known_from", *_KEYS])
        spans = {
            symbol: (public, known)
            for symbol, public, known in stored.group_by("symbol")
            .agg(pl.col("public_at").min(), pl.col("known_from").min())
            .iter_rows()
        }
        self._check_filers([each for each in absent if each.symbol not in spans])
        warn_user(f"no {kind} of {names_in(names)} ({'; '.join(_reasons(names, spans, moment))})", names)

    def _check_filers(self, requests: Sequence[FilerRequest]) -> None:
        """Raise NotInLake for symbols that neither the tables of facts nor those of prices know."""
        names = [each.symbol for each in requests if not any(f != each.symbol for f in each.filers)]
        if not names:
            return
        known = self._declared_symbols().union(self._carriers())
        unknown = [name for name in names if name not in known]
        for table in (BARS_1D, FUNDAMENTALS, FUNDAMENTALS_FACTS, FILINGS):
            if unknown:
                found = set(self._stored.rows(table, Selection.of(unknown), ["symbol"])["symbol"])
                unknown = [name for name in unknown if name not in found]
        if unknown:
            every = known.union(self._symbols_in(BARS_1D), self._symbols_in(FILINGS))
            alike = did_you_mean(unknown[0], every) if len(unknown) == 1 else ""
            raise NotInLake(
                f"the lake knows no filer or symbol {names_in(unknown, 'or')}{alike}; `quantx fundamentals update"
                f" --symbols {','.join(unknown[:5])}` fetches filings",
                unknown,
            )


_KEYS = ("source", "public_at")
_KINDS = {
    FUNDAMENTALS.name: "fundamentals",
    FUNDAMENTALS_FACTS.name: "facts",
    FILINGS.name: "filings",
    ESG_FACTS.name: "ESG facts",
}


def to_filers(symbols: object) -> list[str]:
    """Return canonical symbols and symbols of filers, each once; a number is a CIK."""
    given = [symbols] if isinstance(symbols, str | int) or not isinstance(symbols, Iterable) else list(symbols)
    return list(dict.fromkeys(map(_to_filer, given)))


def _to_filer(given: object) -> str:
    if isinstance(given, int) and not isinstance(given, bool):
        return filer_symbol(given)
    if isinstance(given, str):
        text = given.strip().upper()
        if text.isascii() and text.isdigit():
            return filer_symbol(text)
        return text if is_filer(text) else symbol_of(given)
    return to_names(given)[0]


def _chain(carriers: Sequence[Carrier], on: date | None) -> Sequence[Carrier]:
    """Return the filers of one company among those of a symbol: that of a day, or the last one, and those beside it."""
    at = len(carriers) - 1
    if on is not None:
        at = next((n for n, each in enumerate(carriers) if _carries(each, on)), at)
    begin = end = at
    while begin > 0 and _moved(carriers[begin - 1], carriers[begin]):
        begin -= 1
    while end + 1 < len(carriers) and _moved(carriers[end], carriers[end + 1]):
        end += 1
    return carriers[begin : end + 1]


def _carries(carrier: Carrier, day: date) -> bool:
    return (carrier.first or date.min) <= day <= (carrier.last or date.max)


def _moved(before: Carrier, after: Carrier) -> bool:
    """Return whether a symbol went from one filer to the next without a pause."""
    if before.filer == after.filer:
        return True
    return before.last is not None and after.first is not None and after.first - before.last <= MOVES_WITHIN


def _by_filer(stored: pl.DataFrame, requests: Sequence[FilerRequest]) -> pl.DataFrame:
    """Return the rows of filers by requested symbol, with their stored symbol as `filer`."""
    places = [(filer, each.symbol, last) for each in requests for filer, last in each.filers.items()]
    symbol_of = {filer: symbol for filer, symbol, _ in places}
    if len(symbol_of) == len(places) and all(last is None for *_, last in places):
        symbols = pl.col("symbol").replace_strict(symbol_of, default=None, return_dtype=pl.String)
        named = stored.with_columns(pl.col("symbol").alias(FILER), symbols.alias("symbol"))
        return named.filter(pl.col("symbol").is_not_null()) if named["symbol"].has_nulls() else named
    schema: dict[str, pl.DataType | type[pl.DataType]] = {FILER: pl.String, "symbol": pl.String, "__last": pl.Date}
    by_filer = pl.DataFrame(places, schema=schema, orient="row")
    joined = stored.rename({"symbol": FILER}).join(by_filer, on=FILER, maintain_order="left")
    joined = joined.filter(pl.col("__last").is_null() | (pl.col("filed") <= pl.col("__last")))
    return joined.select(*stored.columns, FILER)


def _reasons(names: Sequence[str], spans: Mapping[str, tuple[datetime, datetime]], moment: PointInTime) -> list[str]:
    """Return why symbols have no rows."""
    reasons = []
    late = [spans[n][1] for n in names if n in spans and moment.as_of is not None and spans[n][1] > moment.as_of]
    later = [
        spans[n][0] for n in names if n in spans and moment.public_by is not None and spans[n][0] > moment.public_by
    ]
    never = [n for n in names if n not in spans]
    if late:
        reasons.append(f"{len(late):,} known since {min(late):%Y-%m-%d %H:%M} UTC, after as_of")
    if later:
        reasons.append(f"{len(later):,} public since {min(later):%Y-%m-%d %H:%M} UTC, after public_by")
    if never:
        given = ",".join(never[:5])
        reasons.append(f"{len(never):,} never fetched; `quantx fundamentals update --symbols {given}` fetches filings")
    return reasons or ["other items or periods only"]
