"""A chain of 4,000 contracts at a minute beside a query of the file, and volatilities beside prices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import apart, stretch
from benchmarks.table import Line, Outcome
from quantx.core.option_tables import OPTIONS_QUOTES_1M
from quantx.core.options.black76 import black_price, implied_volatility
from quantx.core.options.symbols import contract_ids
from quantx.core.table import INSTANT
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable
from quantx.reader.lake import open_lake

_DAY = date(2025, 8, 7)
_TRIES = 15


def run(folder: Path, *, quick: bool) -> Outcome:
    """Write a session of minute quotes, read chains of it, and invert prices."""
    expirations, count = (5, 100_000) if quick else (20, 2_000_000)
    url = f"{folder}/lake"
    written = apart("benchmarks.chains:write", url=url, expirations=expirations)
    ours = apart("benchmarks.chains:chains", url=url)
    theirs = apart("benchmarks.chains:over_polars", url=url)
    inverted = apart("benchmarks.chains:inverted", count=count)
    contracts, rows = written["contracts"], written["rows"]
    return Outcome(
        f"chains of {contracts:,} contracts in a session of {rows:,} quotes, and implied volatilities",
        (
            Line("chain at a minute, warm, ms; Polars over the file", ours["warm"], theirs["milliseconds"], "≤ 30"),
            Line("the first chain of a process, ms", ours["first"], theirs["milliseconds"]),
            Line("chain with greeks, warm, ms", ours["greeks"], theirs["milliseconds"]),
            Line(
                "volatilities per CPU second, million; prices",
                inverted["volatilities"], inverted["prices"], "≥ 0.8", rate=True,
            ),
            Line("largest error of a volatility × 1e10", inverted["error"] * 1e10, aim="≤ 1", digits=6),
        ),
        {"contracts": contracts, "rows": rows},
    )  # fmt: skip


def write(url: str, expirations: int) -> dict[str, Any]:
    """Write a session of quotes at Black's prices, a minute apart, with a spread of two cents."""
    days = pl.DataFrame({"expiration": [_DAY + timedelta(days=1 + 7 * i) for i in range(expirations)]})
    strikes = pl.DataFrame({"strike": [400.0 + 2 * i for i in range(100)]})
    contracts = days.join(pl.DataFrame({"right": ["C", "P"]}), how="cross").join(strikes, how="cross")
    ends = contracts.select((pl.col("expiration") - pl.lit(_DAY)).dt.total_days() / 365).to_series().to_numpy()
    calls = np.where((contracts["right"] == "C").to_numpy(), 1.0, -1.0)
    one = np.ones(contracts.height)
    middle = black_price(calls, 500 * one, contracts["strike"].to_numpy(), ends, 0.2 * one, np.exp(-0.04 * ends))
    contracts = contracts.with_columns(pl.Series("__mid", middle), root=pl.lit("SPY")).with_columns(contract_ids())
    first = datetime(2025, 8, 7, 13, 31, tzinfo=UTC)
    minutes = pl.DataFrame({"time": [first + timedelta(minutes=i) for i in range(390)]}, {"time": INSTANT})
    rows = contracts.join(minutes, how="cross").with_columns(
        underlying=pl.lit("SPY"), month=pl.lit(202508), source=pl.lit("databento"), date=pl.lit(_DAY),
        raw=pl.lit("RAW"),
        bid=(pl.col("__mid") - 0.01).clip(0), ask=pl.col("__mid") + 0.01, bid_size=pl.lit(10), ask_size=pl.lit(10),
        known_from=pl.lit(datetime(2025, 8, 8, tzinfo=UTC)),
    )  # fmt: skip
    schema = dict(OPTIONS_QUOTES_1M.schema)
    rows = rows.with_columns(pl.lit(None).alias(name) for name in schema if name not in rows.columns)
    stored = rows.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    LakeTable(open_location(url), OPTIONS_QUOTES_1M).commit(CommitContext(1), stored)
    return {"contracts": contracts.height, "rows": rows.height}


def chains(url: str) -> dict[str, Any]:
    """Read chains at several minutes: the first one, later ones, and with greeks."""
    lake = open_lake(url)
    first = _milliseconds(lambda i: lake.chain("SPY", _minute(i)), 1)
    warm = _milliseconds(lambda i: lake.chain("SPY", _minute(i)), _TRIES)
    lake.chain("SPY", _minute(0), greeks=True)
    return {
        "first": first,
        "warm": warm,
        "greeks": _milliseconds(lambda i: lake.chain("SPY", _minute(i), greeks=True), _TRIES),
    }


def over_polars(url: str) -> dict[str, Any]:
    """Read the same chains from the Parquet file with Polars: the last row of each contract until the minute."""
    [path] = [str(each) for each in Path(url).glob("curated/options_quotes_1m/**/*.parquet")]

    def chain(i: int) -> pl.DataFrame:
        rows = pl.scan_parquet(path).filter(pl.col("time") <= _minute(i))
        return rows.group_by("contract", maintain_order=True).last().collect()

    chain(0)
    return {"milliseconds": _milliseconds(chain, 3)}


def inverted(count: int) -> dict[str, Any]:
    """Compute prices out of the money, and their volatilities again."""
    chance = np.random.default_rng(1)
    years, iv = chance.uniform(1 / 365, 2, count), chance.uniform(0.05, 1.5, count)
    forward, one = np.full(count, 100.0), np.ones(count)
    strike = forward * np.exp(chance.uniform(-3, 3, count) * iv * np.sqrt(years))
    call = np.where(strike > forward, 1.0, -1.0)
    with stretch() as pricing:
        price = black_price(call, forward, strike, years, iv, one)
    with stretch() as inverting:
        found = implied_volatility(call, forward, strike, years, price)
    return {
        "prices": count / pricing.cpu / 1e6,
        "volatilities": count / inverting.cpu / 1e6,
        "error": float(np.abs(found - iv).max()),
    }


def _minute(i: int) -> datetime:
    return datetime(2025, 8, 7, 15, i % 60, tzinfo=UTC)


def _milliseconds(step: Callable[[int], Any], times: int) -> float:
    taken = []
    for i in range(times):
        with stretch() as measured:
            step(i)
        taken.append(measured.seconds * 1000)
    return median(taken)
