"""Record which securities are funds: only a list says so, as the symbol of a fund has the form of a share's."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import polars as pl

from quantx.core.symbol_history import history_of, unnamed_instrument
from quantx.core.symbols import venue_of
from quantx.core.table import INSTANT
from quantx.core.tables import INSTRUMENTS, SYMBOL_HISTORY
from quantx.lake.protocol import Tables
from quantx.pipeline.curating.restate import StoredRows
from quantx.pipeline.curating.restate_in_role import restate_in_role
from quantx.pipeline.runtime.context import Context

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

    restate_in_role(context, tables, INSTRUMENTS, "instruments", rows)


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
