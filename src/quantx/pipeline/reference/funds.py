"""Record which securities are funds: only a list says so, as the symbol of a fund has the form of a share's."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import partial

import polars as pl

from quantx.core.symbol_history import history_of, unnamed_instrument
from quantx.core.symbols import venue_of
from quantx.core.table import INSTANT
from quantx.core.tables import INSTRUMENTS, SYMBOL_HISTORY
from quantx.lake.protocol import Tables
from quantx.pipeline.curating.restate import StoredRows, is_restated, read_stored, restate
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role

_EVIDENCE = "a list of securities with their funds"


def record_funds(context: Context, tables: Tables, symbols: Collection[str]) -> None:
    """Record the class `fund` of the securities that have these symbols now; each without a row gets one.

    It does nothing while another process changes instruments; the next refresh does it.
    """
    if not symbols:
        return
    today = context.clock.now().date()
    history = history_of(tables[SYMBOL_HISTORY.name].read())
    owners = {history.resolve(symbol, today) or unnamed_instrument(symbol): symbol for symbol in sorted(symbols)}

    def rows(stored: StoredRows, now: datetime) -> pl.DataFrame:
        return _with_funds(stored.rows, owners, now)

    stored = read_stored(tables[INSTRUMENTS.name])
    if is_restated(INSTRUMENTS, stored, rows(stored, context.clock.now())):
        return

    def carry_out(holder: RoleHolder | None) -> None:
        if holder is not None:
            current, now = read_stored(tables[INSTRUMENTS.name]), context.clock.now()
            restate(tables, INSTRUMENTS, current, rows(current, now), now, holder)

    committing(partial(take_role, context.location, tables, context.state, "instruments"), carry_out)


def _with_funds(instruments: pl.DataFrame, owners: dict[str, str], now: datetime) -> pl.DataFrame:
    changed = pl.col("instrument").is_in(list(owners)) & pl.col("asset_class").ne_missing("fund")
    known = instruments.with_columns(
        pl.when(changed).then(pl.lit(now, INSTANT)).otherwise("known_from").alias("known_from"),
        pl.when(changed).then(pl.lit("fund")).otherwise("asset_class").alias("asset_class"),
    )
    new = [
        {
            "instrument": instrument,
            "market": venue_of(symbol).market,
            "asset_class": "fund",
            "status": "listed",
            "evidence": _EVIDENCE,
            "known_from": now,
        }
        for instrument, symbol in owners.items()
    ]
    rows = pl.DataFrame(new, schema=dict(INSTRUMENTS.schema), orient="row")
    return pl.concat([known, rows.join(known, on="instrument", how="anti")])
