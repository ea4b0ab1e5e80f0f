"""Securities and the symbols they carried: learnt from files, ended on a person's word, asked for by planning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date

import polars as pl
import structlog

from quantx.core.symbol_history import SecurityHistory, SymbolHistory, history_of, history_rows, merge_history, with_end
from quantx.core.symbols import parse_symbol, venue_of
from quantx.core.tables import INSTRUMENTS, SYMBOL_HISTORY
from quantx.errors import ConfigError, StateError
from quantx.pipeline.curating.restate import restate
from quantx.pipeline.runtime.platform import Platform

log = structlog.get_logger()

_SUSPECTED = "delisting_suspected"
_WORD = "the word of"  # how the evidence of a person begins


@dataclass(frozen=True)
class Imported:
    """What an import has told."""

    instruments: int
    new: int  # that were not known before
    symbols: int
    delisted: int


def known_identity(platform: Platform) -> SymbolHistory:
    """Return who carried which symbol when, as far as the lake knows."""
    return history_of(platform.tables[SYMBOL_HISTORY.name].read())


def remember_namings(platform: Platform) -> None:
    """Tell the state what the lake knows of symbols: planning reads no tables."""
    namings = known_identity(platform).namings
    platform.state.instruments.put([(n.instrument, n.symbol, n.first, n.last) for n in namings])


def import_history(platform: Platform, told: Sequence[SecurityHistory]) -> Imported:
    """Record what files tell about securities: all symbols of each; ids that are known already stay.

    ConfigError where they contradict one another or what is known; then nothing is recorded.
    """
    with _alone(platform):
        known = known_identity(platform)
        after, ids = merge_history(known, [naming for each in told for naming in each.namings])
        by_id = {ids[each.namings[0].instrument]: each for each in told}
        after, by_id = _heed_words(platform, after, by_id)
        new = sum(not known.symbols_of(instrument) for instrument in by_id)
        _record(platform, after, {i: _facts(i, after, each) for i, each in by_id.items()})
    ended = sum(each.reason is not None for each in told)
    imported = Imported(len(by_id), new, sum(len(each.namings) for each in told), ended)
    log.info("instruments.imported", **vars(imported))
    return imported


def delist(platform: Platform, symbol: str, on: date, *, reason: str, by: str) -> str:
    """Record on a person's word that a security's last day of trading was `on`; return its id."""
    symbol = parse_symbol(symbol)
    if not reason.strip():
        raise ConfigError("the reason is empty; say why, for who reads it later")
    with _alone(platform):
        market = venue_of(symbol).market
        after, instrument = with_end(known_identity(platform), symbol, on, f"{market}.{symbol}.before-{on:%Y%m%d}")
        stored = platform.tables[INSTRUMENTS.name].read(pl.col("instrument") == instrument)
        name = stored["name"][0] if stored.height else None
        told = SecurityHistory(tuple(after.symbols_of(instrument)), market, f"{_WORD} {by}", name=name, reason=reason)
        _record(platform, after, {instrument: _facts(instrument, after, told)})
    platform.state.findings.resolve(_SUSPECTED, [symbol], f"delisted on {on}: {reason}")
    log.info("instrument.delisted", instrument=instrument, symbol=symbol, on=str(on))
    return instrument


@contextmanager
def _alone(platform: Platform) -> Iterator[None]:
    with platform.state.exclusive("instruments") as mine:
        if mine is None:
            raise StateError("another process is changing instruments; try again when it has ended")
        yield


def _heed_words(
    platform: Platform, after: SymbolHistory, told: Mapping[str, SecurityHistory]
) -> tuple[SymbolHistory, dict[str, SecurityHistory]]:
    """Let what a person has said to be delisted stay so, where a file does not know of it."""
    heeded = dict(told)
    said = pl.col("evidence").str.starts_with(_WORD) & pl.col("delisted_on").is_not_null()
    for row in platform.tables[INSTRUMENTS.name].read(said).iter_rows(named=True):
        instrument, last = row["instrument"], row["delisted_on"]
        if instrument in told and (final := after.symbols_of(instrument)[-1]).last is None and final.begins <= last:
            after, _ = with_end(after, final.symbol, last, instrument)
            heeded[instrument] = replace(told[instrument], evidence=row["evidence"], reason=row["reason"])
    return after, heeded


def _facts(instrument: str, known: SymbolHistory, told: SecurityHistory) -> dict[str, object]:
    namings = known.symbols_of(instrument)
    ended = namings[-1].last
    return {
        "instrument": instrument,
        "market": told.market,
        "name": told.name,
        "status": "listed" if ended is None else "delisted",
        "listed_on": namings[0].first,
        "delisted_on": ended,
        "reason": told.reason,
        "evidence": told.evidence,
    }


def _record(platform: Platform, known: SymbolHistory, told: Mapping[str, Mapping[str, object]]) -> None:
    """Bring both tables to what is known; rows about instruments of which nothing was told stay as they are."""
    now = platform.clock.now()
    evidence = {instrument: str(facts["evidence"]) for instrument, facts in told.items()}
    here = pl.col("instrument").is_in(list(told))
    stored = platform.tables[INSTRUMENTS.name].read()
    facts = pl.DataFrame([{**each, "known_from": now} for each in told.values()], schema=dict(INSTRUMENTS.schema))
    names = dict(stored.select("instrument", "name").iter_rows())  # who tells no name does not take one away
    facts = facts.with_columns(
        pl.coalesce("name", pl.col("instrument").replace_strict(names, default=None, return_dtype=pl.String))
    )
    restate(platform.tables, INSTRUMENTS, stored, pl.concat([stored.filter(~here), facts]), now)
    history = platform.tables[SYMBOL_HISTORY.name].read()
    rows = history_rows(known, evidence, now).filter(here)
    restate(platform.tables, SYMBOL_HISTORY, history, pl.concat([history.filter(~here), rows]), now)
    remember_namings(platform)


def described(platform: Platform, symbol: str | None, on: date | None) -> list[dict[str, object]]:
    """Return securities with their symbols for people: all, or those that carried a symbol (on a day)."""
    known = known_identity(platform)
    rows = {row["instrument"]: row for row in platform.tables[INSTRUMENTS.name].read().iter_rows(named=True)}
    wanted = set(rows)
    if symbol is not None:
        wanted = {n.instrument for n in known.namings_of(parse_symbol(symbol), on, on)}
    return [
        {
            **{c: rows[i][c] for c in INSTRUMENTS.schema if c != "known_from"},
            "symbols": [{"symbol": n.symbol, "from": n.first, "to": n.last} for n in known.symbols_of(i)],
        }
        for i in sorted(wanted & set(rows))
    ]
