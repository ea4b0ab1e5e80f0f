"""The kinds of rows of option archives, and the tables that take them."""

from __future__ import annotations

from functools import cache

import polars as pl

from quantx.core.option_tables import (
    CONTRACT_COLUMNS,
    OPTIONS_CONTRACTS,
    OPTIONS_OHLCV_1D,
    OPTIONS_OPEN_INTEREST,
    OPTIONS_QUOTES_1D,
    OPTIONS_QUOTES_1M,
    OPTIONS_TRADES,
)
from quantx.core.table import Table
from quantx.providers.options.protocol import OptionKind

TABLES_BY_KIND: dict[OptionKind, Table] = {
    "contracts": OPTIONS_CONTRACTS,
    "quotes_1m": OPTIONS_QUOTES_1M,
    "quotes_1d": OPTIONS_QUOTES_1D,
    "trades": OPTIONS_TRADES,
    "ohlcv_1d": OPTIONS_OHLCV_1D,
    "open_interest": OPTIONS_OPEN_INTEREST,
}
ROWS_PER_BATCH = 262_144
# Of the contract, of the session, or of the import.
_NOT_IN_BATCHES = {"source", "underlying", "date", "raw", "known_from", *CONTRACT_COLUMNS}


@cache
def empty_rows(kind: OptionKind) -> pl.DataFrame:
    """Return a batch's columns of a kind, without a row: `contract_index`, and the values of the table."""
    table = TABLES_BY_KIND[kind]
    left_out = _NOT_IN_BATCHES | set(table.partitions)
    values = {name: each for name, each in table.schema.items() if name not in left_out}
    return pl.DataFrame(schema={"contract_index": pl.UInt32, **values})


def quotient(values: pl.Series, divisor: float) -> pl.Series:
    """Return exact quotients; Polars would multiply by the reciprocal of a constant."""
    return pl.Series(values.name, values.to_numpy() / divisor, nan_to_null=True)
