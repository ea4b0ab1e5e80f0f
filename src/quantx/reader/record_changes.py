"""Changes beside those of values: rejected rows, delistings, renames, members of universes, deletions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime

import polars as pl

from quantx.core.symbol_history import SymbolHistory, history_of
from quantx.core.table import INSTANT, Table
from quantx.core.tables import INSTRUMENTS, QUARANTINE, SYMBOL_HISTORY, UNIVERSE_MEMBERS
from quantx.core.tombstones import Tombstone
from quantx.reader.selection import Selection

COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "table": pl.String,
    "change": pl.String,
    "symbol": pl.String,
    "source": pl.String,
    "date": pl.Date,
    "time": INSTANT,
    "kind": pl.String,
    "changed_at": INSTANT,
    "fields": pl.List(pl.String),
    "before": pl.Float64,
    "after": pl.Float64,
}
TOMBSTONES = "tombstones"
Rows = Callable[[Table, Selection], pl.DataFrame]
_Change = tuple[str, str, str, str | None, date | None, str | None, datetime]
_SHORT = ("table", "change", "symbol", "source", "date", "kind", "changed_at")


def record_changes(
    rows: Rows,
    table: str,
    since: datetime,
    symbols: Collection[str] | None,
    source: str | None,
    stones: Sequence[Tombstone] = (),
) -> pl.DataFrame:
    """Return the changes of one of RECORD_TABLES since a moment, with COLUMNS."""
    if table == QUARANTINE.name:
        found = _rejected(rows, since, source)
    elif source is not None and table != TOMBSTONES:
        found = []  # the others are of no vendor
    elif table == INSTRUMENTS.name:
        found = _delisted(rows, since)
    elif table == SYMBOL_HISTORY.name:
        found = _renamed(rows, since)
    elif table == UNIVERSE_MEMBERS.name:
        found = _members(rows, since)
    else:
        found = _deleted(stones, since, source)
    if symbols is not None:
        found = [change for change in found if change[2] in symbols]
    frame = pl.DataFrame(found, schema={name: COLUMNS[name] for name in _SHORT}, orient="row")
    return frame.with_columns(pl.lit(None, COLUMNS[c]).alias(c) for c in COLUMNS if c not in _SHORT).select(
        list(COLUMNS)
    )


def _rejected(rows: Rows, since: datetime, source: str | None) -> list[_Change]:
    stored = rows(QUARANTINE, Selection(source=source).filtered(pl.col("known_from") > since))
    columns = ("symbol", "source", "date", "dataset", "rules", "known_from")
    return [
        (QUARANTINE.name, "rejected", symbol, vendor, day, f"{dataset}: {rules}", at)
        for symbol, vendor, day, dataset, rules, at in stored.select(columns).iter_rows()
    ]


def _delisted(rows: Rows, since: datetime) -> list[_Change]:
    came = rows(INSTRUMENTS, Selection().filtered((pl.col("known_from") > since) & (pl.col("status") == "delisted")))
    if came.is_empty():
        return []
    was = (pl.col("known_from") <= since) & (pl.col("known_to") > since) & (pl.col("status") == "delisted")
    before = set(rows(INSTRUMENTS.revisions, Selection().filtered(was))["instrument"])
    history = history_of(rows(SYMBOL_HISTORY, Selection()))
    return [
        (INSTRUMENTS.name, "delisted", _symbol_of(history, r["instrument"]), None, r["delisted_on"], r["reason"],
         r["known_from"])
        for r in came.iter_rows(named=True)
        if r["instrument"] not in before
    ]  # fmt: skip


def _symbol_of(history: SymbolHistory, instrument: str) -> str:
    namings = history.symbols_of(instrument)
    return namings[-1].symbol if namings else instrument.split(".", 1)[-1]


def _renamed(rows: Rows, since: datetime) -> list[_Change]:
    stored = rows(SYMBOL_HISTORY, Selection())
    history = history_of(stored)
    changes = list[_Change]()
    for r in stored.filter(pl.col("known_from") > since, pl.col("symbol_from").is_not_null()).iter_rows(named=True):
        earlier = [n for n in history.symbols_of(r["instrument"]) if n.ends < r["symbol_from"]]
        if earlier and earlier[-1].symbol != r["symbol"]:
            kind = f"{earlier[-1].symbol} to {r['symbol']}"
            changes.append((SYMBOL_HISTORY.name, "renamed", r["symbol"], None, r["symbol_from"], kind, r["known_from"]))
    return changes


def _members(rows: Rows, since: datetime) -> list[_Change]:
    came = rows(UNIVERSE_MEMBERS, Selection().filtered(pl.col("known_from") > since))
    was = rows(UNIVERSE_MEMBERS.revisions, Selection().filtered(pl.col("known_to") > since))
    key = list(UNIVERSE_MEMBERS.key)
    before, first = dict[tuple[object, ...], object](), dict[tuple[object, ...], datetime]()
    for *parts, end, at in was.sort("known_from").select(*key, "member_to", "known_from").iter_rows():
        first.setdefault(tuple(parts), at)
        if at <= since:
            before[tuple(parts)] = end
    changes = list[_Change]()
    for r in came.iter_rows(named=True):
        known, symbol = tuple(r[c] for c in key), r["symbol"]
        if known not in before:
            at = first.get(known, r["known_from"])
            changes.append((UNIVERSE_MEMBERS.name, "joined", symbol, None, r["member_from"], r["universe"], at))
        if r["member_to"] is not None and before.get(known) is None:
            at = r["known_from"]
            changes.append((UNIVERSE_MEMBERS.name, "left", symbol, None, r["member_to"], r["universe"], at))
    return changes


def _deleted(stones: Sequence[Tombstone], since: datetime, source: str | None) -> list[_Change]:
    return [
        (TOMBSTONES, "deleted", span.symbol or "*", stone.source, stone.before, stone.dataset or "everything", stone.at)
        for stone in stones
        if stone.at > since and source in (None, stone.source)
        for span in stone.spans()
    ]


RECORD_TABLES = (QUARANTINE.name, INSTRUMENTS.name, SYMBOL_HISTORY.name, UNIVERSE_MEMBERS.name, TOMBSTONES)
