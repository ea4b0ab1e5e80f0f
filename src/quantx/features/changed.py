"""What has changed since a build: the earliest changed day of each stored symbol."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from quantx.core.table import Table
from quantx.core.tables import ACTIONS, BARS_1D, SYMBOL_HISTORY

EVERYTHING = date.min  # from the first row on
BARS = ("source", "symbol", "date", "open", "high", "low", "close", "volume")
EVENTS = ("source", "symbol", "ex_date", "kind", "value", "reference_close")
NAMINGS = ("instrument", "symbol", "symbol_from", "symbol_to")
COLUMNS: Mapping[str, tuple[str, ...]] = {BARS_1D.name: BARS, ACTIONS.name: EVENTS, SYMBOL_HISTORY.name: NAMINGS}


def first_changes(table: Table, rows: pl.DataFrame, namings: pl.DataFrame) -> dict[str, date]:
    """Return the earliest day by stored symbol from which changed rows of an input matter.

    A bar matters from its session on, an action from its ex-date on. A change of the symbol history matters to all rows
    of its securities, under each symbol that these ever had; `namings` is the present history.
    """
    if table is SYMBOL_HISTORY:
        own = pl.concat([rows.select("instrument"), _other_carriers(rows, namings)]).unique()
        symbols = pl.concat([rows["symbol"], namings.join(own, on="instrument", how="semi")["symbol"]]).unique()
        return dict.fromkeys(symbols, EVERYTHING)
    day = table.day or "date"
    return dict(rows.group_by("symbol").agg(pl.col(day).min()).iter_rows())


def _other_carriers(rows: pl.DataFrame, namings: pl.DataFrame) -> pl.DataFrame:
    """Return the instruments that carry, or carried, a symbol of the changed namings."""
    return namings.join(rows.select("symbol").unique(), on="symbol", how="semi").select("instrument")


def earliest(found: Mapping[str, date], more: Mapping[str, date]) -> dict[str, date]:
    """Return the earlier day of each symbol."""
    return {symbol: min(found.get(symbol, date.max), more.get(symbol, date.max)) for symbol in {**found, **more}}
