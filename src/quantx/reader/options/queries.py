"""Queries of options: a chain at a minute, series of quotes, expirations, and open interest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from quantx.core.option_tables import (
    CONTRACT_ORDER,
    OPTIONS_CONTRACTS,
    OPTIONS_OPEN_INTEREST,
    OPTIONS_QUOTES_1D,
    OPTIONS_QUOTES_1M,
)
from quantx.core.options.roots import is_adjusted, terms
from quantx.core.options.symbols import parse_contract
from quantx.core.symbols import US, symbol_of
from quantx.core.table import INSTANT, Table
from quantx.errors import ConfigError, InvalidSymbol, NotInLake
from quantx.extras import extra
from quantx.lake.table_version import LiveFile, TableVersion
from quantx.reader.arguments import Day, did_you_mean, to_date, to_source, to_text, to_texts
from quantx.reader.known_names import KnownNames, warn_user
from quantx.reader.options.moments import ChainMoment
from quantx.reader.options.session_quotes import COLUMNS, OF_QUOTE, READ, HeldSessions, SessionQuotes
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

CHAIN_COLUMNS = (
    *("underlying", "contract", "root", "expiration", "right", "strike", "bid", "ask", "bid_size", "ask_size"),
    *("last", "last_size", "last_time", "time", "age", "settlement", "multiplier", "source", "known_from"),
)
_QUOTES = {"1m": OPTIONS_QUOTES_1M, "1d": OPTIONS_QUOTES_1D}
_TERMS = ("source", "contract", "multiplier", "settlement")


class OptionQueries(KnownNames):
    """Options of the exchanges of the United States."""

    @one_state
    def chain(
        self,
        underlying: str,
        at: Day,
        *,
        greeks: bool = False,
        expiration: Day | Sequence[Day] | None = None,
        rate: float | None = None,
        adjusted: bool = False,
        as_of: Day | None = None,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Return the chain of an underlying at a minute: the last quote of each contract at or before it.

        `at`: a time without a zone is New York's ("2025-08-07T15:30"), others are instants; a date is the close of that
        session. Quotes are of the same session only. Columns: underlying, contract, root, expiration, right, strike,
        bid, ask, bid_size, ask_size, last, last_size, last_time, time (UTC, of the quote), age (seconds since the
        quote), settlement (AM or PM), multiplier, source, known_from; sorted by expiration, root, right
        and strike. Null: unknown. `expiration` limits it to some. Roots with an adjusted deliverable, as SPY1, need
        `adjusted`. `as_of` gives quotes as this system knew them. Of several sources, rows of the first by name.

        `greeks` adds years, forward, discount, mid, iv (per √year), delta, gamma, vega, theta, rho
        (quantx.core.options.black76 has their units) and reason, which says why iv is null. Black-76 is a European
        model: options that may be exercised early have another value far in the money and before a dividend. The
        forward of each root and expiration comes from put–call parity, its discount from the slope over the strikes or
        from `rate` (yearly, continuous).

        Where the lake has no minute quotes of the session, a date gives the closing quotes of the daily table.
        Raises NotInLake for an underlying without quotes, and ConfigError for an invalid argument; warns with
        IncompleteData where the session has none.
        """
        name, moment = symbol_of(to_text(underlying, "underlying")), ChainMoment.parse(at)
        known, vendor = PointInTime.parse(as_of, None), to_source(source)
        days = None if expiration is None else _days(expiration)
        rows = self._quotes_at(name, moment, known, vendor)
        if vendor is None and rows["source"].n_unique() > 1:
            rows = rows.filter(pl.col("source") == rows["source"].min())
        if days is not None:
            rows = rows.filter(pl.col("expiration").is_in(days))
        if not adjusted:
            rows = rows.filter(~pl.col("root").is_in([root for root in rows["root"].unique() if is_adjusted(root)]))
        if rows.is_empty():
            self._check_underlying(name)
            warn_user(f"no option quotes of {name} at {at} in the lake, or none that were known then", [name])
        rows = self._with_terms(rows.sort(*CONTRACT_ORDER), vendor)
        instant = self._instant(moment)
        rows = rows.with_columns((pl.lit(instant) - pl.col("time")).dt.total_seconds().alias("age"))
        shown = rows.select(CHAIN_COLUMNS)
        if not greeks:
            return shown
        with extra("local", "the volatilities of a chain"):
            from quantx.core.options.greeks import with_greeks  # loads NumPy and the calendars

            return with_greeks(shown, instant, rate)

    @one_state
    def option_quotes(
        self,
        contracts: str | Sequence[str],
        start: Day | None = None,
        end: Day | None = None,
        *,
        timeframe: str = "1m",
        as_of: Day | None = None,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Return the quotes of contracts, or of all contracts of an underlying, sorted by contract and time.

        A contract is written as OSI does ("SPY   250807C00450000") or without the spaces. `start` and `end` are
        sessions, both inclusive. The columns are those of the table options_quotes_1m, or options_quotes_1d with
        `timeframe="1d"`. `as_of` gives quotes as this system knew them. Raises NotInLake for an underlying without
        quotes, and ConfigError for an invalid argument; warns with IncompleteData where there are none.
        """
        if timeframe not in _QUOTES:
            raise ConfigError(f"unknown timeframe {timeframe!r}; use {' or '.join(_QUOTES)}")
        table = _QUOTES[timeframe]
        ids, underlyings = _contracts(to_texts(contracts, "contracts"))
        selection = Selection(source=None).between(to_date(start), to_date(end))
        of = {each: parse_contract(each).underlying for each in ids}
        selection = selection.on([*of.values(), *underlyings])
        wanted = pl.col("contract").is_in(list(ids)) | pl.col("underlying").is_in(list(underlyings))
        selection, known = _of_source(selection.filtered(wanted), source), PointInTime.parse(as_of, None)
        if underlyings or known.as_of is not None:
            rows = self._known(table, selection, known)
        else:
            rows = self._rows_of_contracts(table, selection, ids)
        if rows.is_empty():
            for name in dict.fromkeys([*of.values(), *underlyings]):
                self._check_underlying(name)
            warn_user("no quotes of these contracts on these days in the lake, or none that were known then", list(ids))
        return rows.sort("contract", "time" if timeframe == "1m" else "date", "source")

    @one_state
    def expirations(self, underlying: str, on: Day | None = None, *, adjusted: bool = False) -> pl.DataFrame:
        """Return the expirations of an underlying's contracts, sorted; with `on` those that were listed on a day.

        Columns: expiration (as listed; monthlies carried the Saturday until 2015-02), root, settlement (AM or PM),
        last_session (the last session on or before it), expires (UTC: the open or the close of that session, which is
        earlier on half days), contracts, lowest_strike, highest_strike. Raises NotInLake for an underlying without
        contracts.
        """
        name, day = symbol_of(to_text(underlying, "underlying")), to_date(on)
        rows = self._contract_rows(name)
        if rows.is_empty():
            self._check_underlying(name)
            warn_user(f"no contracts of {name} in the table options_contracts", [name])
        if day is not None:
            rows = rows.filter((pl.col("first_date") <= day) & (pl.col("expiration") >= day))
        if not adjusted:
            rows = rows.filter(~pl.col("root").is_in([root for root in rows["root"].unique() if is_adjusted(root)]))
        rows = rows.with_columns(pl.coalesce("settlement", _settlement()).alias("settlement"))
        found = rows.group_by("expiration", "root", "settlement").agg(
            pl.col("contract").n_unique().alias("contracts"),
            pl.col("strike").min().alias("lowest_strike"),
            pl.col("strike").max().alias("highest_strike"),
        )
        with extra("local", "the times of expirations"):
            from quantx.core.options.expirations import expiration_session, expires_at

            days = found.select("expiration", "settlement").rows()
            sessions = [expiration_session(day) for day, _ in days]
            ends = [expires_at(*each) for each in days]
        timed = found.with_columns(pl.Series("last_session", sessions, pl.Date), pl.Series("expires", ends, INSTANT))
        first = ("expiration", "root", "settlement", "last_session", "expires")
        return timed.select(*first, "contracts", "lowest_strike", "highest_strike").sort("expiration", "root")

    @one_state
    def open_interest(
        self,
        underlying: str,
        start: Day | None = None,
        end: Day | None = None,
        *,
        public_by: Day | None = None,
        as_of: Day | None = None,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Return the open interest of an underlying's contracts, sorted by date, expiration, root, right and strike.

        `date` is the session at whose end it stood; it is public on the morning of the next session (`public_at`).
        `public_by` gives what was public then, `as_of` what this system knew. Columns: those of the table
        options_open_interest. Raises NotInLake for an underlying without contracts; warns with IncompleteData where
        there is none.
        """
        name = symbol_of(to_text(underlying, "underlying"))
        selection = _of_source(Selection().on([name]).between(to_date(start), to_date(end)), source)
        rows = self._known(OPTIONS_OPEN_INTEREST, selection, PointInTime.parse(as_of, public_by))
        rows = rows.filter(pl.col("underlying") == name)
        if rows.is_empty():
            self._check_underlying(name)
            warn_user(f"no open interest of {name} on these days, or none that was known or public then", [name])
        return rows.sort("date", *CONTRACT_ORDER, "source")

    def _rows_of_contracts(self, table: Table, selection: Selection, ids: Sequence[str]) -> pl.DataFrame:
        """Return the current rows of some contracts; of a file only the row groups of their expirations are read."""
        version = self._stored.version(table)
        files = [] if version is None else selection.files(version.files)
        if not files:
            return table.empty()
        days = [parse_contract(each).expiration for each in ids]
        near = pl.col("expiration").is_between(min(days), max(days))  # Polars skips row groups by a range
        where = selection.of_rows(table) & near & pl.col("contract").is_in(list(ids))
        rows = self._stored[table.name].read_files(files, where, list(table.schema))
        return rows if selection.where is None else rows.filter(selection.where)

    def _quotes_at(self, name: str, moment: ChainMoment, known: PointInTime, vendor: str | None) -> pl.DataFrame:
        """Return the last quote of each contract and source at a moment, with the columns of session_quotes."""
        day, instant = moment.session, self._instant(moment)
        selection = Selection().on([name]).between(day, day)
        if known.as_of is None:
            parts = [each.at(instant) for each in self._sessions_of(selection, day)]
            rows = pl.concat(parts) if parts else OPTIONS_QUOTES_1M.empty().select(COLUMNS)
        else:
            rows = SessionQuotes(self._known(OPTIONS_QUOTES_1M, selection, known, READ)).at(instant)
        if rows.is_empty() and moment.instant is None:
            rows = self._closing_quotes(selection, known, instant)
        return rows.filter((pl.col("underlying") == name) & (True if vendor is None else pl.col("source") == vendor))

    def _sessions_of(self, selection: Selection, day: date) -> list[SessionQuotes]:
        version = self._stored.version(OPTIONS_QUOTES_1M)
        if version is None:
            return []
        reader, on_day = self._stored[OPTIONS_QUOTES_1M.name], pl.col("date") == day

        def session(live: LiveFile) -> SessionQuotes:
            return self._held_sessions.get(live.path, live.size, day, lambda: reader.read_files([live], on_day, READ))

        return [session(live) for live in selection.files(version.files)]

    def _closing_quotes(self, selection: Selection, known: PointInTime, close: datetime) -> pl.DataFrame:
        """Return the closing quotes of a session from the daily table, with the columns of a minute's."""
        rows = self._known(OPTIONS_QUOTES_1D, selection, known).with_columns(
            pl.lit(close).alias("time"), bid="bid_close", ask="ask_close"
        )
        missing = [
            pl.lit(None, OPTIONS_QUOTES_1M.schema[c]).alias(c) for c in OF_QUOTE if c not in OPTIONS_QUOTES_1D.schema
        ]
        return rows.with_columns(each for each in missing if each.meta.output_name() not in rows.columns).select(
            COLUMNS
        )

    def _instant(self, moment: ChainMoment) -> datetime:
        """Return the instant of a chain; of a date the close of its session."""
        if moment.instant is not None:
            return moment.instant
        found = self._sessions.of(US.calendar).filter(pl.col("date") == moment.session)["close"]
        if found.is_empty():
            raise ConfigError(f"{moment.session} is no session of New York's exchanges; use a day on which they trade")
        close: datetime = found[0]
        return close

    def _with_terms(self, rows: pl.DataFrame, vendor: str | None) -> pl.DataFrame:
        """Add multiplier and settlement of each contract; a settlement that no source states is that of the root."""
        name = rows["underlying"][0] if rows.height else None
        terms = OPTIONS_CONTRACTS.empty() if name is None else self._contract_rows(name)
        terms = terms.select(_TERMS).unique(["source", "contract"], keep="last")
        rows = rows.join(terms, on=["source", "contract"], how="left", maintain_order="left")
        return rows.with_columns(pl.coalesce("settlement", _settlement()).alias("settlement"))

    def _contract_rows(self, name: str) -> pl.DataFrame:
        """Return the stored contracts of an underlying; they are read once per version of the table."""
        version = self._stored.version(OPTIONS_CONTRACTS)
        memo: dict[str, tuple[TableVersion | None, pl.DataFrame]] = self.__dict__.setdefault("_contracts_by_name", {})
        known = memo.get(name)
        if known is None or known[0] is not version:
            rows = self._stored.rows(OPTIONS_CONTRACTS, Selection().filtered(pl.col("underlying") == name))
            known = memo[name] = (version, rows)
        return known[1]

    @property
    def _held_sessions(self) -> HeldSessions:
        held: HeldSessions = self.__dict__.setdefault("_held_option_sessions", HeldSessions())
        return held

    def _check_underlying(self, name: str) -> None:
        """Raise NotInLake for an underlying without rows in any table of options."""
        known: set[str] = set()
        for table in (OPTIONS_QUOTES_1M, OPTIONS_QUOTES_1D, OPTIONS_OPEN_INTEREST):
            known.update(self._underlyings_in(table))
        known.update(self._stored.rows(OPTIONS_CONTRACTS, columns=["underlying"])["underlying"].unique())
        if name in known:
            return
        if not known:
            raise NotInLake("the lake has no options yet; `quantx options import PATH` imports an archive", [name])
        others = f"{did_you_mean(name, known)}; it has those of {', '.join(sorted(known)[:10])}"
        raise NotInLake(f"the lake has no options of {name}{others}", [name])

    def _underlyings_in(self, table: Table) -> set[str]:
        version = self._stored.version(table)
        return set() if version is None else {str(file.partition["underlying"]) for file in version.files}


def _settlement() -> pl.Expr:
    """Return AM or PM as the root of each row states it."""
    return next(each for each in terms(pl.col("root")) if each.meta.output_name() == "settlement")


def _of_source(selection: Selection, source: str | None) -> Selection:
    vendor = to_source(source)
    return selection if vendor is None else selection.filtered(pl.col("source") == vendor)


def _days(given: Day | Sequence[Day]) -> list[date]:
    many = [given] if isinstance(given, str | date) else list(given)
    return [day for each in many if (day := to_date(each)) is not None]


def _contracts(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids of contracts, and the underlyings, of a list that may have both."""
    ids, underlyings = [], []
    for name in names:
        try:
            ids.append(parse_contract(name).id)
        except InvalidSymbol:
            if any(each.isdigit() for each in name.strip()[-8:]) and len(name.strip()) > len("250807C00450000"):
                raise
            underlyings.append(symbol_of(name))
    return tuple(dict.fromkeys(ids)), tuple(dict.fromkeys(underlyings))
