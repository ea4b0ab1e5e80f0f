"""The filers of symbols in the lake: the SEC's lists as they come, declared predecessors, and the filers' industries.

The record is the table `filer_symbols`, which belongs to the role that changes instruments. Each list is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import polars as pl
import structlog

from quantx.core.fact_tables import FILER_SYMBOLS, FILERS, FILINGS
from quantx.core.fundamentals.filer_symbols import (
    DECLARED,
    FilerSymbol,
    add_tickers,
    filer_symbol_rows,
    filer_symbols_of,
    filers_by_symbol,
    link,
    observe_list,
)
from quantx.core.fundamentals.industries import INDUSTRY, with_industries
from quantx.core.model import Finding
from quantx.core.quality.operational_rules import PREDECESSOR_UNKNOWN
from quantx.core.symbol_history import history_of, unnamed_instrument
from quantx.core.symbols import is_filer, parse_symbol
from quantx.core.tables import INSTRUMENTS, SYMBOL_HISTORY
from quantx.errors import ConfigError, RefusedList
from quantx.lake.protocol import Tables
from quantx.pipeline.curating.restate import read_stored, restate
from quantx.pipeline.planning.fundamentals import FILERS_FILE, recorded_filers
from quantx.pipeline.planning.sec_site import SOURCE, fetch_site_file
from quantx.pipeline.reference.instruments import exclusively
from quantx.pipeline.reference.snapshots import keep_document
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.roles import RoleHolder
from quantx.providers.sec_lists import TICKERS_PATH, read_tickers
from quantx.universes.protocol import Document

log = structlog.get_logger()

T = TypeVar("T")

_LIST = "sec_tickers"  # the name of the kept documents
_TURN_SECONDS = 30.0
_DESCRIBED = "meta/sec/described.json"  # up to which versions of the tables their contents are recorded
_SUCCESSION = r"^8-K(12B|12G3|15D5)"
_FEWEST = 0.8  # of the open tickers that a plausible list still has


def refresh_filer_symbols(context: Context, tables: Tables, wanted: Sequence[str] = ()) -> None:
    """Record the SEC's list of tickers, once a day; at once where it does not have one of the `wanted` symbols.

    Raises RefusedList for a list that lacks a fifth of the known tickers: it is kept, and the record stays.
    """
    day = context.clock.now().date()
    listed_on, known = _written(context), recorded_filers(context.location)
    unknown = [s for s in wanted if not is_filer(s.strip().upper()) and parse_symbol(s) not in known]
    if listed_on == str(day) and not unknown:
        return
    document = fetch_site_file(context, TICKERS_PATH)
    if document is None:
        raise RefusedList("the SEC has no list of tickers at its address; the last one stays")
    keep_document(context.location, _LIST, Document(document.request, document.body), ".json")
    listed = {each.symbol: each.filer for each in read_tickers(document)}

    def change(known: Sequence[FilerSymbol]) -> list[FilerSymbol]:
        current = {each.symbol for each in known if each.last is None}
        if len(current & listed.keys()) < _FEWEST * len(current):
            raise RefusedList(
                f"the SEC's list of {day} lacks {len(current - listed.keys()):,} of {len(current):,} tickers; it is"
                " kept, and the record of tickers stays as it was"
            )
        return observe_list(known, listed, day)

    _restate(context, tables, change, listed_on=day)


def link_filer(context: Context, tables: Tables, symbol: str, filer: str, until: date, *, reason: str, by: str) -> None:
    """Record that a filer had a symbol up to a day: the predecessor of the one that has it now."""
    symbol, filer = parse_symbol(symbol), filer.strip().upper()
    if not is_filer(filer):
        raise ConfigError(f"{filer[:40]!a} is no filer; write it as in CIK0001058057")
    if until >= (today := context.clock.now().date()):
        raise ConfigError(f"the last day {until} is not before today ({today}); give the last day of the predecessor")
    if not reason.strip():
        raise ConfigError("the reason is empty; give the reason for the record")
    _restate(context, tables, lambda known: link(known, symbol, filer, until, f"{DECLARED}: {reason} ({by})"))
    context.state.findings.resolve(PREDECESSOR_UNKNOWN, [symbol], f"its predecessor {filer} is recorded")


def describe_filers(context: Context, tables: Tables) -> None:
    """Record the tickers, predecessors and industries that the replies of filers have brought since the last call."""
    versions, since = _described_until(context)
    if _versions(tables) == versions or tables[FILERS.name].version() is None:
        return
    now = context.clock.now()
    record_tickers(context, tables)
    record_successions(context, tables, since)
    describe_instruments(context, tables)
    document = {"versions": _versions(tables), "until": now.isoformat()}
    context.location.put(_DESCRIBED, json.dumps(document).encode())


def _versions(tables: Tables) -> list[int | None]:
    return [tables[table.name].version() for table in (FILERS, FILINGS, FILER_SYMBOLS)]


def _described_until(context: Context) -> tuple[list[int | None] | None, datetime | None]:
    """Return the versions of the tables at the last call, and its time."""
    if not context.location.has(_DESCRIBED):
        return None, None
    document = json.loads(context.location.get(_DESCRIBED))
    return document["versions"], datetime.fromisoformat(document["until"])


def record_tickers(context: Context, tables: Tables) -> None:
    """Record the tickers in filers' submissions, where no list has named them: an archive comes without a list."""
    filers = tables[FILERS.name].read(pl.col("tickers").is_not_null()).select("symbol", "tickers").sort("symbol")
    pairs = filers.with_columns(pl.col("tickers").str.split(",")).explode("tickers").rows()
    known = recorded_filers(context.location)
    if any(symbol not in known for _, symbol in pairs):
        day = context.clock.now().date()
        _restate(context, tables, lambda record: add_tickers(record, pairs, day))


def record_successions(context: Context, tables: Tables, since: datetime | None = None) -> None:
    """Link the successors of reorganised filers to their predecessors, as far as filings name both.

    A successor files a form 8-K12B (8-K12G3, 8-K15D5). Where the predecessor has filed the same one, they are linked;
    otherwise a finding asks for the predecessor. `since`: only filings that the lake has since then.
    """
    known = recorded_filers(context.location)
    current = {filers[0]: symbol for symbol, filers in known.items() if len(filers) == 1}
    where = pl.col("form").str.contains(_SUCCESSION)
    filed = tables[FILINGS.name].read(where if since is None else where & (pl.col("known_from") >= since))
    filed = filed.sort("filed")
    for row in filed.filter(pl.col("symbol").is_in(list(current))).iter_rows(named=True):
        symbol, until = current[row["symbol"]], row["filed"] - timedelta(days=1)
        both = filed.filter(pl.col("accession") == row["accession"], pl.col("symbol") != row["symbol"])
        if both.height == 1 and both["symbol"][0] not in current:
            evidence = f"{row['form']} {row['accession']} of both filers"
            change = partial(link, symbol=symbol, filer=both["symbol"][0], until=until, evidence=evidence)
            _restate(context, tables, change)
            context.state.findings.resolve(PREDECESSOR_UNKNOWN, [symbol], f"{evidence} links them")
        else:
            context.state.findings.note([_unknown_predecessor(symbol, row)])


def _unknown_predecessor(symbol: str, filing: Mapping[str, Any]) -> Finding:
    day = filing["filed"]
    return Finding(
        PREDECESSOR_UNKNOWN,
        "info",
        symbol,
        f"{filing['symbol']} has the symbol {symbol} as the successor of another filer ({filing['form']} of {day},"
        f" {filing['url']}), whose earlier facts are not linked; if that is so, record it: quantx fundamentals link"
        f" {symbol} CIK… --until {day - timedelta(days=1)} --reason …",
        source=SOURCE,
        dataset="fundamentals",
        first_day=day,
        last_day=day,
    )


def describe_instruments(context: Context, tables: Tables) -> bool:
    """Write the industries of filers to their securities in `instruments`; return whether a row has changed.

    A security without a known history gets a row of its own, named by its symbol, as in us.AAPL.
    """
    now = context.clock.now()
    if _described(tables, tables[INSTRUMENTS.name].read(), now) is None:
        return False

    def carry_out(holder: RoleHolder) -> bool:
        stored = read_stored(tables[INSTRUMENTS.name])
        rows = _described(tables, stored.rows, now)
        return rows is not None and restate(tables, INSTRUMENTS, stored, rows, now, holder)

    return _in_turn(context, tables, carry_out)


def _described(tables: Tables, instruments: pl.DataFrame, now: datetime) -> pl.DataFrame | None:
    """Return the instruments with the industries of their filers; None where nothing changes."""
    filers = tables[FILERS.name].read().select(pl.col("symbol").alias("filer"), "name", *INDUSTRY)
    if filers.is_empty():
        return None
    current = tables[FILER_SYMBOLS.name].read(pl.col("symbol_to").is_null()).select("filer", "symbol")
    history = history_of(tables[SYMBOL_HISTORY.name].read())
    securities = current.join(filers, on="filer").sort("symbol")
    ids = [history.resolve(symbol, now.date()) or unnamed_instrument(symbol) for symbol in securities["symbol"]]
    securities = securities.with_columns(pl.Series("instrument", ids, dtype=pl.String))
    securities = securities.unique("instrument", keep="first", maintain_order=True)
    rows = with_industries(instruments, securities, now)
    return None if rows.sort("instrument").equals(instruments.sort("instrument")) else rows


def _restate(
    context: Context,
    tables: Tables,
    change: Callable[[Sequence[FilerSymbol]], list[FilerSymbol]],
    listed_on: date | None = None,
) -> None:
    """Replace the record by what `change` makes of it, and write the file for planning."""

    def carry_out(holder: RoleHolder) -> None:
        now, stored = context.clock.now(), read_stored(tables[FILER_SYMBOLS.name])
        after = change(filer_symbols_of(stored.rows))
        restate(tables, FILER_SYMBOLS, stored, filer_symbol_rows(after, now), now, holder)
        day = str(listed_on) if listed_on else _written(context)
        document = {"listed_on": day, "symbols": filers_by_symbol(after)}
        context.location.put(FILERS_FILE, json.dumps(document, separators=(",", ":")).encode())
        log.info("filers.recorded", tickers=sum(each.last is None for each in after), record=len(after))

    _in_turn(context, tables, carry_out)


def _in_turn(context: Context, tables: Tables, work: Callable[[RoleHolder], T]) -> T:
    """Do work under the role that changes instruments; another process has it for a moment only."""
    return Retry(context.runtime, _TURN_SECONDS).call(lambda: exclusively(context, tables, work))


def _written(context: Context) -> str | None:
    """Return the day of the list that the file for planning has."""
    if not context.location.has(FILERS_FILE):
        return None
    day: str | None = json.loads(context.location.get(FILERS_FILE))["listed_on"]
    return day
