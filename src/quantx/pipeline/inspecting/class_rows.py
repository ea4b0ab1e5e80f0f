"""Rows of `instruments` for what has no symbol history: indices, rates, pairs, crypto currencies and futures.

A share gets its row from a symbol history or from a list of filers. The others have no such list: their symbol is their
permanent name, and shows their class.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

import polars as pl

from quantx.core.asset_classes import class_of, contract_month
from quantx.core.symbol_history import history_of, unnamed_instrument
from quantx.core.symbols import venue_of
from quantx.core.table import INSTANT
from quantx.core.tables import INSTRUMENTS, SYMBOL_HISTORY
from quantx.lake.protocol import Tables
from quantx.pipeline.curating.restate import StoredRows
from quantx.pipeline.curating.restate_in_role import restate_in_role
from quantx.pipeline.runtime.context import Context

_EVIDENCE = "the form of the symbol"
_ENDED = "its month of delivery is over"


def record_classes(context: Context, tables: Tables, symbols: Collection[str]) -> None:
    """Record the securities of these symbols that are no shares, and the class of rows of an earlier version.

    It does nothing while another process changes instruments; the next inspection does it.
    """
    history = history_of(tables[SYMBOL_HISTORY.name].read())
    named = [s for s in symbols if class_of(s) != "equity" and not history.namings_of(s)]
    last_symbols = {naming.instrument: naming.symbol for naming in history.namings}

    def rows(stored: StoredRows, now: datetime) -> pl.DataFrame:
        return _with_classes(stored.rows, named, last_symbols, now)

    restate_in_role(context, tables, INSTRUMENTS, "instruments", rows)


def _with_classes(
    instruments: pl.DataFrame, symbols: Collection[str], last_symbols: dict[str, str], now: datetime
) -> pl.DataFrame:
    """Return the rows of INSTRUMENTS, each with its class, and new ones for these symbols."""
    today = now.date()
    fresh = [_row(symbol, today) for symbol in sorted(symbols)]
    new = pl.DataFrame([{**row, "known_from": now} for row in fresh], schema=dict(INSTRUMENTS.schema))
    ended = new.filter(pl.col("status") == "delisted")["instrument"]
    kept = instruments.filter(~(pl.col("instrument").is_in(ended.implode()) & (pl.col("status") == "listed")))
    classes = {
        instrument: class_of(last_symbols.get(instrument, instrument.partition(".")[2]))
        for instrument in kept.filter(pl.col("asset_class").is_null())["instrument"]
    }
    without = pl.col("asset_class").is_null()
    kept = kept.with_columns(
        pl.when(without).then(pl.lit(now, INSTANT)).otherwise("known_from").alias("known_from"),
        pl.coalesce("asset_class", pl.col("instrument").replace_strict(classes, default=None, return_dtype=pl.String)),
    )
    return pl.concat([kept, new.join(kept, on="instrument", how="anti")])


def _row(symbol: str, today: date) -> dict[str, object]:
    month = contract_month(symbol)
    ended = month is not None and month < today
    return {
        "instrument": unnamed_instrument(symbol),
        "market": venue_of(symbol).market,
        "asset_class": class_of(symbol),
        "status": "delisted" if ended else "listed",
        "delisted_on": month if ended else None,
        "reason": _ENDED if ended else None,
        "evidence": _EVIDENCE,
    }
