"""Actions and reference data of an export, as `flat-json` has them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import polars as pl

from quantx.core.asset_classes import class_of
from quantx.core.symbol_history import SymbolHistory
from quantx.core.symbols import venue_of
from quantx.core.tables import INSTRUMENTS, UNIVERSE_MEMBERS
from quantx.lake.protocol import StoredTables
from quantx.reader.export.encodings import parquet_bytes

ACTIONS_PATH = "corporate_actions/{name}/actions.json"
# The columns with their meanings, for the reference of exports.
ACTION_COLUMNS: Mapping[str, str] = {
    "symbol": "canonical symbol",
    "date": "ex-date: first session without the dividend, or in new shares",
    "action_type": "split, dividend, or foreign_dividend (in another currency; not applied to prices)",
    "value": "split: new shares per old one; dividend: cash per share of the ex-date, in the quoted currency",
    "adjustment_factor": "factor of this action for the prices before its date: split 1 / value, dividend"
    " 1 − value / close of the session before; null: not applied to prices",
}
METADATA_COLUMNS: Mapping[str, str] = {
    "symbol": "canonical symbol",
    "instrument": "permanent id of the security; null: the lake has no symbol history of it",
    "name": "name from a universe or from the symbol history",
    "market": "us, hk, jp, eu, fx, crypto or futures",
    "asset_class": "equity, fund, index, currency_pair, crypto, future or rate",
    "currency": "usual currency of the quotes (GBX is pence)",
    "timezone": "IANA time zone of the exchange",
    "status": "listed or delisted; null: unknown",
    "listing_date": "first known day; null: since before the record began",
    "delisting_date": "last day of trading; null: listed, or unknown",
    "delisting_reason": "reason of the delisting; null: listed, or unknown",
}
HISTORY_COLUMNS: Mapping[str, str] = {
    "old_symbol": "symbol until the day before",
    "new_symbol": "symbol from that day on",
    "effective_date": "first day of the new symbol",
    "instrument": "permanent id of the security",
}
CONSTITUENT_COLUMNS: Mapping[str, str] = {
    "index": "name of the universe, as in us_sp500",
    "symbol": "canonical symbol",
    "name": "the source's name for the security",
    "start_date": "first day of membership; null: since before the list began",
    "end_date": "last day of membership; null: still a member",
}

FILES: Mapping[str, Mapping[str, str]] = {
    ACTIONS_PATH: ACTION_COLUMNS,
    "reference/ticker_metadata.parquet": METADATA_COLUMNS,
    "reference/ticker_history.parquet": HISTORY_COLUMNS,
    "reference/index_constituents.parquet": CONSTITUENT_COLUMNS,
}


def action_rows(actions: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `Lake.actions` as the files of actions have them."""
    paid = (pl.col("kind") == "dividend") & (pl.col("value") < pl.col("reference_close"))
    factor = (
        pl.when(pl.col("kind") == "split")
        .then(1 / pl.col("value"))
        .when(paid)
        .then(1 - pl.col("value") / pl.col("reference_close"))
    )
    return actions.select(
        "symbol",
        pl.col("ex_date").alias("date"),
        pl.col("kind").alias("action_type"),
        "value",
        factor.alias("adjustment_factor"),
    )


def reference_files(tables: StoredTables, history: SymbolHistory, owners: Mapping[str, str | None]) -> dict[str, bytes]:
    """Return the files of reference data of the exported symbols; `owners` are their instruments."""
    members = tables[UNIVERSE_MEMBERS.name].read()
    frames = (_metadata(tables, members, owners), _history(history, owners), _constituents(members, history, owners))
    return {path: parquet_bytes(frame) for path, frame in zip(list(FILES)[1:], frames, strict=True)}


def _metadata(tables: StoredTables, members: pl.DataFrame, owners: Mapping[str, str | None]) -> pl.DataFrame:
    known = {row["instrument"]: row for row in tables[INSTRUMENTS.name].read().iter_rows(named=True)}
    named = members.filter(pl.col("name").is_not_null()).sort("known_from", "universe")
    names = dict(named.select("symbol", "name").iter_rows())
    rows = []
    for symbol in sorted(owners):
        venue, security = venue_of(symbol), known.get(owners[symbol] or "", {})
        name = security.get("name") or names.get(symbol)
        facts = (security.get(c) for c in ("status", "listed_on", "delisted_on"))
        reason = security.get("reason") if security.get("delisted_on") is not None else None
        kind = security.get("asset_class") or class_of(symbol)
        rows.append((symbol, owners[symbol], name, venue.market, kind, venue.currency, venue.timezone, *facts, reason))
    days = ("listing_date", "delisting_date")
    schema = {c: pl.Date if c in days else pl.String for c in METADATA_COLUMNS}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _history(history: SymbolHistory, owners: Mapping[str, str | None]) -> pl.DataFrame:
    rows = []
    for instrument in sorted({owner for owner in owners.values() if owner is not None}):
        namings = history.symbols_of(instrument)
        rows += [(a.symbol, b.symbol, b.first, instrument) for a, b in pairwise(namings)]
    schema = {c: pl.Date if c == "effective_date" else pl.String for c in HISTORY_COLUMNS}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _constituents(members: pl.DataFrame, history: SymbolHistory, owners: Mapping[str, str | None]) -> pl.DataFrame:
    symbols = list(owners) + [n.symbol for i in owners.values() if i is not None for n in history.symbols_of(i)]
    return (
        members.filter(pl.col("symbol").is_in(symbols))
        .select(
            pl.col("universe").alias("index"),
            "symbol",
            "name",
            pl.col("member_from").alias("start_date"),
            pl.col("member_to").alias("end_date"),
        )
        .sort("index", "symbol", "start_date")
    )
