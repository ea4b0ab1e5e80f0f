"""The curated tables of options: contracts, quotes, trades, daily bars and open interest.

Prices are in the currency of the contract, per unit of the underlying, exact from the vendor's fixed point; an
undefined price is null. `date` is the session of the exchange, instants are UTC. A row carries the root, expiration,
right and strike of its contract, so that reading a chain needs no join.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quantx.core.table import INSTANT, Table

RAW_MEMBERS = "options"  # as the dataset of raw objects: members of archives, whatever their form

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

# The order of the contracts within a file: one expiration is one range of rows.
CONTRACT_ORDER = ("expiration", "root", "right", "strike")

CONTRACT_COLUMNS: Schema = {
    "contract": pl.String,  # permanent id: root, yymmdd, C or P, strike × 1000 with eight digits: SPY250807C00450000
    "root": pl.String,  # SPX and SPXW have one underlying; SPY1 has an adjusted deliverable
    "expiration": pl.Date,
    "right": pl.String,  # C or P
    "strike": pl.Float64,
}

_PLACE: Schema = {"source": pl.String, "underlying": pl.String}
_CLOCK: Schema = {"raw": pl.String, "known_from": INSTANT}

OPTIONS_CONTRACTS = Table(
    "options_contracts",
    {
        **_PLACE,
        **CONTRACT_COLUMNS,
        "multiplier": pl.Float64,  # units of the underlying per contract; null: unknown
        "deliverable": pl.String,  # null: unknown, as for an adjusted root
        "settlement": pl.String,  # AM or PM of the expiration's session; null: unknown
        "first_date": pl.Date,  # the first stored session with a row of it
        **_CLOCK,
    },
    partitions=("source",),
    key=("source", "contract"),
    sort=("underlying", *CONTRACT_ORDER),
    values=("multiplier", "deliverable", "settlement", "first_date"),
    null_is_unknown=False,
)

OPTIONS_QUOTES_1M = Table(
    "options_quotes_1m",
    {
        "underlying": pl.String,
        "month": pl.Int32,
        "source": pl.String,
        "date": pl.Date,
        **CONTRACT_COLUMNS,
        "time": INSTANT,  # the end of the minute: what stood then
        "bid": pl.Float64,
        "ask": pl.Float64,
        "bid_size": pl.Int64,
        "ask_size": pl.Int64,
        "last": pl.Float64,  # of the last trade in the minute; null without one
        "last_size": pl.Int64,
        "last_time": INSTANT,
        **_CLOCK,
    },
    partitions=("underlying", "month"),
    key=("source", "contract", "time"),
    sort=(*CONTRACT_ORDER, "time"),
    values=("bid", "ask", "bid_size", "ask_size", "last", "last_size", "last_time"),
    null_is_unknown=False,
)

OPTIONS_QUOTES_1D = Table(
    "options_quotes_1d",
    {
        "underlying": pl.String,
        "year": pl.Int32,
        "source": pl.String,
        "date": pl.Date,
        **CONTRACT_COLUMNS,
        **{f"{side}_{price}": pl.Float64 for side in ("bid", "ask") for price in ("open", "high", "low", "close")},
        "bid_size": pl.Int64,
        "ask_size": pl.Int64,
        **_CLOCK,
    },
    partitions=("underlying", "year"),
    key=("source", "contract", "date"),
    sort=("date", *CONTRACT_ORDER),
    values=(
        *(f"{side}_{price}" for side in ("bid", "ask") for price in ("open", "high", "low", "close")),
        "bid_size",
        "ask_size",
    ),
    null_is_unknown=False,
)

OPTIONS_TRADES = Table(
    "options_trades",
    {
        "underlying": pl.String,
        "month": pl.Int32,
        "source": pl.String,
        "date": pl.Date,
        **CONTRACT_COLUMNS,
        "time": INSTANT,
        "sequence": pl.Int64,
        "publisher": pl.Int32,  # the vendor's number of the exchange
        "price": pl.Float64,
        "size": pl.Int64,
        **_CLOCK,
    },
    partitions=("underlying", "month"),
    key=("source", "contract", "time", "publisher", "sequence"),
    sort=(*CONTRACT_ORDER, "time"),
    values=("price", "size"),
    null_is_unknown=False,
)

# The trades of a session, summed over the exchanges.
OPTIONS_OHLCV_1D = Table(
    "options_ohlcv_1d",
    {
        "underlying": pl.String,
        "year": pl.Int32,
        "source": pl.String,
        "date": pl.Date,
        **CONTRACT_COLUMNS,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Int64,  # contracts
        **_CLOCK,
    },
    partitions=("underlying", "year"),
    key=("source", "contract", "date"),
    sort=("date", *CONTRACT_ORDER),
    values=("open", "high", "low", "close", "volume"),
    null_is_unknown=False,
)

# Once per contract: `date` is the session at whose end the interest stood, `public_at` the morning after it.
OPTIONS_OPEN_INTEREST = Table(
    "options_open_interest",
    {
        "underlying": pl.String,
        "year": pl.Int32,
        "source": pl.String,
        "date": pl.Date,
        **CONTRACT_COLUMNS,
        "open_interest": pl.Int64,  # contracts
        "public_at": INSTANT,
        **_CLOCK,
    },
    partitions=("underlying", "year"),
    key=("source", "contract", "date"),
    sort=("date", *CONTRACT_ORDER),
    values=("open_interest", "public_at"),
    null_is_unknown=False,
)

OPTION_TABLES = (
    OPTIONS_CONTRACTS,
    OPTIONS_QUOTES_1M,
    OPTIONS_QUOTES_1D,
    OPTIONS_TRADES,
    OPTIONS_OHLCV_1D,
    OPTIONS_OPEN_INTEREST,
)


def is_of_options(dataset: str) -> bool:
    """Return whether a dataset is a table of options, or the revisions of one."""
    return any(dataset in (table.name, table.revisions.name) for table in OPTION_TABLES)
