"""`open_lake()`: the Python interface of the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from quantx.core.completeness import completeness, held_days
from quantx.core.preference import (
    BEST,
    events_of_shown_bars,
    least_doubted,
    of_one_source,
    preferred,
    with_doubts,
    with_first,
    without_absurd,
    without_wrong_vendors,
)
from quantx.core.prices import ADJUSTMENTS, Adjust, adjust_bars
from quantx.core.symbol_history import history_of
from quantx.core.symbols import parse_symbol
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, SYMBOL_HISTORY, TABLES, UNIVERSE_MEMBERS, VERDICTS, Table
from quantx.errors import ConfigError
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import open_tables
from quantx.reader.moments import Day, to_date, to_instant
from quantx.reader.symbol_history import SecurityRows, SymbolRequest
from quantx.settings import load_settings, source_of

if TYPE_CHECKING:
    from quantx.reader.export import ExportResult, OnProgress

BAR_COLUMNS = ("symbol", "date", "open", "high", "low", "close", "volume", "adj_close", "source", "known_from")
MINUTE_COLUMNS = ("symbol", "time", *BAR_COLUMNS[1:])
BARS = {"1d": BARS_1D, "1m": BARS_1M}
Symbols = str | Sequence[str]
On = Day | Mapping[str, Day | None]  # a day, or a day for each symbol
SymbolsAs = Literal["asked", "of_day"]
_BESIDE = timedelta(days=20)  # of bars before and after the requested ones, for three neighbours of each
SourcesOf = Callable[[str, str], Sequence[str]]  # the vendors of a timeframe and a market, in order of preference


def open_lake(url: str | None = None) -> Lake:
    """Open a lake by its URL or path, or the one of the settings (`QUANTX_LAKE_URL`)."""
    settings = load_settings(lake_url=url)
    return Lake(open_location(settings.lake_url, settings, create=False), settings.sources_of)


class Lake:
    """A lake, open for reading. Frames are `polars.DataFrame`; `.to_pandas()` gives pandas.

    Of two vendors with a bar for the same session, queries show the preferred one of the timeframe and the market.
    `sources_of` gives the order of preference, as the setting `sources` does; other vendors come last.
    """

    def __init__(self, location: LakeLocation, sources_of: SourcesOf = lambda timeframe, market: ()) -> None:
        self._sources_of = sources_of
        self._tables = open_tables(location, TABLES)
        self._security_rows: SecurityRows | None = None
        self.url = location.url

    def bars(
        self,
        symbols: Symbols,
        start: Day | None = None,
        end: Day | None = None,
        *,
        timeframe: str = "1d",
        adjust: Adjust = "none",
        as_of: Day | None = None,
        source: str | None = None,
        columns: Sequence[str] | None = None,
        base: Day | None = None,
        extended: bool = False,
        on: On | None = None,
        symbols_as: SymbolsAs = "asked",
    ) -> pl.DataFrame:
        """Return bars, sorted by symbol and date (1m: and time); start and end are sessions, both inclusive.

        A symbol means a security with its whole history, including earlier symbols that the lake knows: META includes
        the bars of FB. With `on` (a day, or a day per symbol) it is the security that carried the symbol on that day.
        Without it, it is the one that carries the symbol now or, with an end, carried it between start and end. The
        frame has the requested symbol, or with `symbols_as="of_day"` the symbol of each day.

        Columns: symbol, date (session of the exchange), open, high, low, close, volume, adj_close, source, known_from
        (UTC), or those in `columns` (also `currency`, the unit of the prices, and `raw`, the raw object's id).

        `timeframe`: "1d", or "1m" for minutes. Minutes also have `time`, the start of the minute (UTC), and `columns`
        may include `regular`. Minutes outside of the regular session need `extended`. All minutes of one session are of
        one source.

        `source`: a vendor's name, or "best": per session the bar of the first vendor that no other vendor contradicts,
        by the verdicts of `quantx crossvalidate reconcile` (a doubtful bar only if there is no other, a wrong one
        last). A bar that is 20 times the bars before and after it, or a 20th of them, is never shown.

        `adjust`: "none" gives prices and volume as traded, "split" applies later splits, "total" also dividends by
        Yahoo's rule. `adj_close` is the total-adjusted close in every case. `base` adjusts to that day instead of to
        the last known action. `as_of` gives bars and actions as known at that time.

        Raises ConfigError for an invalid symbol, date or name, and if several securities carried a symbol.
        """
        table = _bars_table(timeframe)
        if symbols_as not in ("asked", "of_day"):
            raise ConfigError(f"symbols_as={symbols_as!r} must be asked or of_day")
        if adjust not in ADJUSTMENTS:
            raise ConfigError(f"adjust={adjust!r} must be one of {', '.join(ADJUSTMENTS)}")
        minutes = table is BARS_1M
        shown = _shown(columns, minutes=minutes)
        names = _names(symbols)
        first, last = to_date(start), to_date(end)
        if first is not None and last is not None and first > last:
            raise ConfigError(f"the start {first} lies after the end {last}")
        best = source == BEST
        if best and minutes:
            raise ConfigError("source='best' needs verdicts, which exist only for daily bars; use timeframe='1d'")
        securities = self._securities()
        requests = securities.requests(names, first, last, _days(names, on))
        stored_rows = _where(securities.stored_symbols(requests), source)
        beside = _BESIDE if best else timedelta(0)
        wanted = stored_rows & _within(table, first and first - beside, last and last + beside)
        if minutes and not extended:
            wanted &= pl.col("regular")
        moment = to_instant(as_of)
        stored = self._known_at(table, wanted, moment)
        if best:
            stored = without_absurd(stored).filter(_between(first, last))
            stored = with_doubts(stored, self._known_at(VERDICTS, stored_rows, moment))
        rows = securities.rows(stored, requests, "date", ("time",) if minutes else ("date",))
        if best:
            rows = least_doubted(rows, ("symbol", "date"), partial(self._sources_of, timeframe))
        elif minutes:
            rows = of_one_source(rows, ("symbol", "date"), partial(self._sources_of, timeframe))
        else:
            rows = preferred(rows, ("symbol", "date"), partial(self._sources_of, timeframe))
        # Events come with daily bars: a vendor of minutes only has none.
        actions = self._actions(
            requests, None if minutes else source, moment, to_date(base), first=None if best else source
        )
        frame = adjust_bars(rows, actions, adjust)
        if symbols_as == "of_day":
            frame = securities.of_day(frame, requests, "date")
        return frame.sort(table.sort).select(shown)

    def panel(
        self,
        field: str = "close",
        *,
        universe: str | None = None,
        symbols: Symbols | None = None,
        start: Day | None = None,
        end: Day | None = None,
        timeframe: str = "1d",
        adjust: Adjust = "none",
        as_of: Day | None = None,
        source: str | None = None,
        extended: bool = False,
        on: On | None = None,
    ) -> pl.DataFrame:
        """Return one row per session and one column per symbol, filled with `field`; null without a bar.

        With `timeframe="1m"` it has a row per minute (`time`, UTC) with a bar of any symbol. The symbols are `symbols`,
        or all that were members of `universe` on any day between start and end.
        """
        if (universe is None) == (symbols is None):
            raise ConfigError("a panel needs either a universe or symbols")
        when: On | None = on
        if symbols is not None:
            names = _names(symbols)
        else:
            members = self._members_between(str(universe), to_date(start), to_date(end))
            names, when = list(members), on or members
        index = "date" if _bars_table(timeframe) is BARS_1D else "time"
        bars = self.bars(
            names,
            start,
            end,
            timeframe=timeframe,
            adjust=adjust,
            as_of=as_of,
            source=source,
            columns=["symbol", index, field],
            extended=extended,
            on=when,
        )
        wide = bars.pivot("symbol", index=index, values=field, sort_columns=True)
        return wide.sort(index)

    def actions(
        self, symbols: Symbols, *, as_of: Day | None = None, source: str | None = None, on: On | None = None
    ) -> pl.DataFrame:
        """Return splits, dividends and capital gains, sorted by symbol and ex-date.

        Columns: symbol, ex_date, kind (split, dividend, capital_gain), value (new shares per old one; cash per share of
        the ex-date in `currency`), reference_close (the close before, in the shares of the ex-date; null: the event
        moves no price, as a gain that the dividend contains), currency, source, known_from.
        """
        names = _names(symbols)
        requests = self._securities().requests(names, None, None, _days(names, on))
        frame = self._actions(requests, source, to_instant(as_of), None)
        order = [c for c in ACTIONS.schema if c not in ("source", "raw", "known_from")]
        return frame.select(*order, "source", "known_from")

    def revisions(
        self, symbols: Symbols | None = None, *, timeframe: str = "1d", source: str | None = None
    ) -> pl.DataFrame:
        """Return the bars that a vendor changed later: the values known from `known_from` until `known_to`.

        If the two are equal, `quantx reprocess` withdrew the bar: no `as_of` shows it.
        """
        table = _bars_table(timeframe)
        wanted = _where(_names(symbols) if symbols is not None else None, source)
        frame = self._tables[table.revisions.name].read(wanted)
        return frame.drop(_period_column(table)).sort(*table.sort, "known_from")

    def symbol_history(self, symbols: Symbols | None = None) -> pl.DataFrame:
        """Return the symbol history of all securities, or of those that ever carried one of `symbols`.

        Columns: instrument, symbol, symbol_from (null: since before the record began), symbol_to (null: still).
        """
        history = self._tables[SYMBOL_HISTORY.name].read()
        if symbols is not None:
            carried = history.filter(pl.col("symbol").is_in(_names(symbols)))
            history = history.join(carried, on="instrument", how="semi")
        shown = history.select("instrument", "symbol", "symbol_from", "symbol_to")
        return shown.sort("instrument", "symbol_from", nulls_last=False)

    def _securities(self) -> SecurityRows:
        """Return the selection of rows by security; this handle reads the symbol history once."""
        if self._security_rows is None:
            self._security_rows = SecurityRows(history_of(self._tables[SYMBOL_HISTORY.name].read()))
        return self._security_rows

    def universe(self, name: str, on: Day | None = None) -> pl.DataFrame:
        """Return the members of a universe on a day (default: now): symbol, market, name, member_from, member_to."""
        members = self._universe(name)
        day = to_date(on)
        if day is None:
            members = members.filter(pl.col("member_to").is_null())
        else:
            began = pl.col("member_from").is_null() | (pl.col("member_from") <= day)
            members = members.filter(began & (pl.col("member_to").is_null() | (pl.col("member_to") >= day)))
        return members.select("symbol", "market", "name", "member_from", "member_to").sort("symbol")

    def coverage(
        self, universe: str | None = None, *, by: Literal["month", "symbol"] = "month", until: Day | None = None
    ) -> pl.DataFrame:
        """Return the expected and the present daily sessions of any vendor, for all universes or for one.

        Columns: universe (null: symbols in no universe), market, month (as in 202410), expected, present and share; by
        symbol: universe, market, symbol, expected, present, share, and the first and last month with a missing session.
        The expected sessions of a symbol start at its first bar or its joining, whichever is later. They end at the
        last session that has settled by now (or by `until`), at its leaving or at its delisting, whichever is first.
        """
        if by not in ("month", "symbol"):
            raise ConfigError(f"by={by!r} must be month or symbol")
        members = self._tables[UNIVERSE_MEMBERS.name].read() if universe is None else self._universe(universe)
        bars = self._tables[BARS_1D.name]
        held = bars.collect(held_days(bars.scan()), in_pieces=True)
        moment = to_instant(until) or datetime.now(UTC)
        counts = completeness(held, members, self._tables[SYMBOL_HISTORY.name].read(), moment)
        rows = counts.by_month() if by == "month" else counts.by_symbol()
        return rows if universe is None else rows.filter(pl.col("universe") == universe)

    def export(
        self,
        folder: str | Path,
        layout: str,
        *,
        symbols: Symbols | None = None,
        universe: str | None = None,
        phase: str | None = None,
        start: Day | None = None,
        end: Day | None = None,
        adjust: Adjust = "none",
        source: str | None = None,
        timeframe: str | None = None,
        extended: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ExportResult:
        """Write bars into a folder in the layout of another tool; a later call writes only what has changed.

        Layouts: hive-ticker, hive-symbol-source, flat-json, hive-day, csv (docs/reference/exports.md has their paths
        and columns). Without symbols, universe and phase it is the whole lake. With `symbols`, those of earlier exports
        to the folder stay and are updated, too. `adjust`, `source`, `timeframe` and `extended` are those of `bars`;
        flat-json has both timeframes by default. `on_progress` is called with the symbols done, all symbols, and the
        last one.

        Raises ConfigError if the folder has other files, or an export with other settings.
        """
        from quantx.reader.export import ExportReads, ExportRequest, run_export

        first, last = to_date(start), to_date(end)
        request = ExportRequest(
            layout=layout,
            symbols=None if symbols is None else tuple(_names(symbols)),
            universe=universe,
            phase=phase,
            start=first,
            end=last,
            adjust=adjust,
            source=None if source is None else source_of(source),
            timeframe=timeframe,
            extended=extended,
        )
        securities = self._securities()
        reads = ExportReads(
            url=self.url,
            tables=self._tables,
            history=history_of(self._tables[SYMBOL_HISTORY.name].read()),
            bars=self.bars,
            actions=self.actions,
            sources_of=self._sources_of,
            members=lambda name: {n: to_date(day) for n, day in self._members_between(name, first, last).items()},
            preferred=lambda days: [
                each.symbol for each in securities.unique(securities.requests(list(days), first, last, days))
            ],
        )
        return run_export(reads, Path(folder), request, on_progress)

    def _universe(self, name: str) -> pl.DataFrame:
        table = self._tables[UNIVERSE_MEMBERS.name].read()
        members = table.filter(pl.col("universe") == name)
        if members.is_empty():
            known = ", ".join(table["universe"].unique().sort()) or "none; run `quantx refresh-universe`"
            raise ConfigError(f"the lake has no universe {name!r}; it has {known}")
        return members

    def _members_between(self, name: str, start: date | None, end: date | None) -> dict[str, Day | None]:
        """Return the members between two days with their last day; each security once, by its last symbol."""
        members = self._universe(name)
        if end is not None:
            members = members.filter(pl.col("member_from").is_null() | (pl.col("member_from") <= end))
        if start is not None:
            members = members.filter(pl.col("member_to").is_null() | (pl.col("member_to") >= start))
        lasts = members.group_by("symbol").agg(
            pl.when(pl.col("member_to").is_not_null().all()).then(pl.col("member_to").max()).alias("last")
        )
        by_last = lasts.sort("last", "symbol", nulls_last=True).iter_rows()
        days: dict[str, date | None] = {symbol: last or date.max for symbol, last in by_last}
        requests = self._securities().requests(list(days), start, end, days)
        return {each.symbol: days[each.symbol] for each in self._securities().unique(requests)}

    def _actions(
        self,
        requests: Sequence[SymbolRequest],
        source: str | None,
        moment: datetime | None,
        base: date | None,
        *,
        first: str | None = None,
    ) -> pl.DataFrame:
        securities = self._securities()
        wanted = _where(securities.stored_symbols(requests), source)
        if base is not None:
            wanted &= pl.col("ex_date") <= base
        stored, any_source = self._known_at(ACTIONS, wanted, moment), _where(securities.stored_symbols(requests), None)
        verdicts = self._known_at(VERDICTS, any_source, moment) if source == BEST else VERDICTS.empty()
        # If a vendor is wrong by a factor, its splits are wrong; its dividends are in the units of their close.
        split = pl.col("kind") == "split"
        usable = pl.concat([without_wrong_vendors(stored.filter(split), verdicts, "ex_date"), stored.filter(~split)])
        effect = pl.when(pl.col("kind") == "split").then(pl.col("value") != 1.0).otherwise(pl.col("value") != 0.0)
        rows = securities.rows(usable.filter(effect), requests, "ex_date", ("ex_date", "kind"))
        if rows["source"].n_unique() > 1:
            days = any_source & pl.col("date").is_in(rows["ex_date"].unique().to_list())
            shown = without_wrong_vendors(self._known_at(BARS_1D, days, moment), verdicts, "date")
            bars = securities.rows(shown, requests, "date", ("date",))
            rows = events_of_shown_bars(rows, bars, with_first(first, partial(self._sources_of, "1d")))
        return rows.sort("symbol", "ex_date", "kind")

    def _known_at(self, table: Table, wanted: pl.Expr, moment: datetime | None) -> pl.DataFrame:
        """Return the current rows, or the rows as known at `moment`."""
        if moment is None:
            return self._tables[table.name].read(wanted)
        known = wanted & (pl.col("known_from") <= moment)
        replaced = self._tables[table.revisions.name].read(known & (pl.col("known_to") > moment))
        current = self._tables[table.name].read(known)
        # Between the two commits of a round a row is current and a revision at once.
        replaced = replaced.join(current, on=list(table.revisions.key), how="anti", nulls_equal=True)
        return pl.concat([current, replaced.select(list(table.schema))])


def _names(symbols: object) -> list[str]:
    given = list(symbols) if isinstance(symbols, Iterable) and not isinstance(symbols, str) else [symbols]
    names = []
    for symbol in given:
        if not isinstance(symbol, str):
            raise ConfigError(f"{symbol!r} is not a symbol; use a text, or a list of texts")
        names.append(parse_symbol(symbol))
    return list(dict.fromkeys(names))


def _bars_table(timeframe: str) -> Table:
    if timeframe not in BARS:
        raise ConfigError(f"unknown timeframe {timeframe!r}; use {' or '.join(BARS)}")
    return BARS[timeframe]


def _shown(columns: Sequence[str] | None, *, minutes: bool) -> list[str]:
    usual = MINUTE_COLUMNS if minutes else BAR_COLUMNS
    shown = list(columns) if columns is not None else list(usual)
    allowed = [*usual, "currency", "raw", *(["regular"] if minutes else [])]
    if len(set(shown)) < len(shown):
        raise ConfigError(f"columns has a duplicate: {', '.join(shown)}")
    unknown = [c for c in shown if c not in allowed]
    if unknown:
        raise ConfigError(f"unknown column {unknown[0]!r}; use {', '.join(allowed)}")
    return shown


def _period_column(table: Table) -> str:
    """Return the partition column of a table's periods."""
    return "month" if "month" in table.schema else "year"


def _between(first: date | None, last: date | None) -> pl.Expr:
    """Return the filter of the dates from `first` to `last`."""
    day = pl.col("date")
    return (day >= first if first else pl.lit(True)) & (day <= last if last else pl.lit(True))


def _within(table: Table, first: date | None, last: date | None) -> pl.Expr:
    """Return the filter of the sessions from `first` to `last`, with a filter of their partitions."""
    wanted, period = pl.lit(True), _period_column(table)
    if first is not None:
        number = first.year if period == "year" else first.year * 100 + first.month
        wanted &= (pl.col("date") >= first) & (pl.col(period) >= number)
    if last is not None:
        number = last.year if period == "year" else last.year * 100 + last.month
        wanted &= (pl.col("date") <= last) & (pl.col(period) <= number)
    return wanted


def _days(names: Sequence[str], on: On | None) -> dict[str, date | None]:
    if isinstance(on, Mapping):
        days = {parse_symbol(symbol): to_date(day) for symbol, day in on.items()}
        return {name: days.get(name) for name in names}
    return dict.fromkeys(names, to_date(on))


def _where(names: Sequence[str] | None, source: str | None) -> pl.Expr:
    wanted = pl.lit(True)
    if names is not None:
        wanted &= pl.col("symbol").is_in(list(names))
    return wanted if source is None or source == BEST else wanted & (pl.col("source") == source_of(source))
