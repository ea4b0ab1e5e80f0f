"""Instruments and their symbol history: import from files, manual delistings, and the copy that planning reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import TypeVar

import polars as pl
import structlog

from quantx.core.asset_classes import class_of
from quantx.core.quality.operational_rules import DELISTING_SUSPECTED
from quantx.core.symbol_history import (
    SecurityHistory,
    SymbolHistory,
    history_of,
    history_rows,
    merge_history,
    unnamed_instrument,
    with_end,
)
from quantx.core.symbols import parse_symbol, venue_of
from quantx.core.tables import INSTRUMENTS, SYMBOL_HISTORY
from quantx.errors import ConfigError, StateError
from quantx.lake.protocol import Tables
from quantx.pipeline.curating.restate import read_stored, restate
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role
from quantx.state.instruments.port import Instruments

log = structlog.get_logger()

T = TypeVar("T")

_MANUAL = "the word of"  # stored: the prefix of the evidence of a manual delisting


@dataclass(frozen=True)
class ImportSummary:
    """The counts of an import."""

    instruments: int
    new: int  # not in the history before
    symbols: int
    delisted: int


def symbol_history(tables: Tables) -> SymbolHistory:
    """Return the symbol history in the lake."""
    return history_of(tables[SYMBOL_HISTORY.name].read())


def copy_history_to_state(tables: Tables, instruments: Instruments) -> None:
    """Copy the lake's symbol history to the state, for planning, which reads no tables."""
    namings = symbol_history(tables).namings
    instruments.put([(n.instrument, n.symbol, n.first, n.last) for n in namings])


def import_history(context: Context, tables: Tables, securities: Sequence[SecurityHistory]) -> ImportSummary:
    """Record the complete symbol history of these securities; the ids of instruments in the lake stay.

    Raises ConfigError if the securities contradict each other or the history in the lake; then nothing is recorded.
    """

    def carry_out(by: RoleHolder) -> ImportSummary:
        before = symbol_history(tables)
        after, ids = merge_history(before, [naming for each in securities for naming in each.namings])
        by_id = {ids[each.namings[0].instrument]: each for each in securities}
        after, by_id = _keep_manual_delistings(tables, after, by_id)
        new = sum(not before.symbols_of(instrument) for instrument in by_id)
        _record(context, tables, by, after, {i: _facts(i, after, each) for i, each in by_id.items()})
        ended = sum(each.reason is not None for each in securities)
        return ImportSummary(len(by_id), new, sum(len(each.namings) for each in securities), ended)

    imported = exclusively(context, tables, carry_out)
    log.info("instruments.imported", **vars(imported))
    return imported


def delist(context: Context, tables: Tables, symbol: str, on: date, *, reason: str, by: str) -> str:
    """Record a manual delisting with `on` as the security's last day of trading; return the id of the instrument."""
    symbol = parse_symbol(symbol)
    if not reason.strip():
        raise ConfigError("the reason is empty; give the reason for the record")

    def carry_out(holder: RoleHolder) -> str:
        market = venue_of(symbol).market
        after, instrument = with_end(symbol_history(tables), symbol, on, f"{market}.{symbol}.before-{on:%Y%m%d}")
        stored = tables[INSTRUMENTS.name].read(pl.col("instrument") == instrument)
        name, kind = (stored[c][0] if stored.height else None for c in ("name", "asset_class"))
        security = SecurityHistory(
            tuple(after.symbols_of(instrument)), market, f"{_MANUAL} {by}", name=name, reason=reason, asset_class=kind
        )
        _record(context, tables, holder, after, {instrument: _facts(instrument, after, security)})
        return instrument

    instrument = exclusively(context, tables, carry_out)
    context.state.findings.resolve(DELISTING_SUSPECTED, [symbol], f"delisted on {on}: {reason}")
    log.info("instrument.delisted", instrument=instrument, symbol=symbol, on=str(on))
    return instrument


def exclusively(context: Context, tables: Tables, work: Callable[[RoleHolder], T]) -> T:
    """Do work under the role that changes instruments; return its result."""

    def held(holder: RoleHolder | None) -> T:
        if holder is None:
            raise StateError("another process is changing instruments; try again when it has ended")
        return work(holder)

    return committing(partial(take_role, context.location, tables, context.state, "instruments"), held)


def _keep_manual_delistings(
    tables: Tables, after: SymbolHistory, securities: Mapping[str, SecurityHistory]
) -> tuple[SymbolHistory, dict[str, SecurityHistory]]:
    """Keep the manual delistings of instruments that a file still lists."""
    kept = dict(securities)
    manual = pl.col("evidence").str.starts_with(_MANUAL) & pl.col("delisted_on").is_not_null()
    for row in tables[INSTRUMENTS.name].read(manual).iter_rows(named=True):
        instrument, last = row["instrument"], row["delisted_on"]
        if (
            instrument in securities
            and (final := after.symbols_of(instrument)[-1]).last is None
            and final.begins <= last
        ):
            after, _ = with_end(after, final.symbol, last, instrument)
            kept[instrument] = replace(securities[instrument], evidence=row["evidence"], reason=row["reason"])
    return after, kept


def _facts(instrument: str, history: SymbolHistory, security: SecurityHistory) -> dict[str, object]:
    namings = history.symbols_of(instrument)
    ended = namings[-1].last
    return {
        "instrument": instrument,
        "market": security.market,
        "asset_class": security.asset_class or class_of(namings[-1].symbol),
        "name": security.name,
        "status": "listed" if ended is None else "delisted",
        "listed_on": namings[0].first,
        "delisted_on": ended,
        "reason": security.reason,
        "evidence": security.evidence,
    }


def _record(
    context: Context,
    tables: Tables,
    holder: RoleHolder,
    history: SymbolHistory,
    changed: Mapping[str, Mapping[str, object]],
) -> None:
    """Restate both tables for the `changed` instruments and copy the history to the state; other instruments stay."""
    now = context.clock.now()
    evidence = {instrument: str(facts["evidence"]) for instrument, facts in changed.items()}
    here = pl.col("instrument").is_in(list(changed))
    stored = read_stored(tables[INSTRUMENTS.name])
    facts = pl.DataFrame([{**each, "known_from": now} for each in changed.values()], schema=dict(INSTRUMENTS.schema))
    kept = ("name", "sic", "industry", "sector")  # a source without them removes none
    known = stored.rows.select("instrument", *(pl.col(c).alias(f"{c}_known") for c in kept))
    facts = facts.join(known, on="instrument", how="left").with_columns(
        *(pl.coalesce(c, f"{c}_known").alias(c) for c in kept)
    )
    facts = facts.select(list(INSTRUMENTS.schema))
    restate(tables, INSTRUMENTS, stored, pl.concat([stored.rows.filter(~here), facts]), now, holder)
    stored = read_stored(tables[SYMBOL_HISTORY.name])
    rows = history_rows(history, evidence, now).filter(here)
    restate(tables, SYMBOL_HISTORY, stored, pl.concat([stored.rows.filter(~here), rows]), now, holder)
    copy_history_to_state(tables, context.state.instruments)


def instrument_rows(tables: Tables, symbol: str | None, on: date | None) -> list[dict[str, object]]:
    """Return instruments with their symbols as rows for display: all, or those that had a symbol (on a day)."""
    history = symbol_history(tables)
    rows = {row["instrument"]: row for row in tables[INSTRUMENTS.name].read().iter_rows(named=True)}
    wanted = set(rows)
    if symbol is not None:
        wanted = {n.instrument for n in history.namings_of(parse_symbol(symbol), on, on)}
        wanted = wanted or {unnamed_instrument(parse_symbol(symbol))}
    return [
        {
            **{c: rows[i][c] for c in INSTRUMENTS.schema if c != "known_from"},
            "symbols": [{"symbol": n.symbol, "from": n.first, "to": n.last} for n in history.symbols_of(i)]
            or [{"symbol": i.partition(".")[2], "from": None, "to": None}],
        }
        for i in sorted(wanted & set(rows))
    ]
