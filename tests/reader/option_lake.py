"""A lake with random minute quotes of two sessions, known at two times."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from quantx.core.option_tables import OPTIONS_CONTRACTS, OPTIONS_OPEN_INTEREST, OPTIONS_QUOTES_1D, OPTIONS_QUOTES_1M
from quantx.core.options.symbols import OptionContract
from quantx.core.table import Table
from quantx.core.tables import TABLES
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake, open_lake

EARLY, LATE = datetime(2025, 8, 9, tzinfo=UTC), datetime(2025, 9, 1, tzinfo=UTC)
DAYS = (date(2025, 8, 6), date(2025, 8, 7))
ROOTS = ("SPX", "SPXW", "SPX1")


@dataclass(frozen=True)
class OptionLake:
    """A lake of options, and the rows that were written: the current ones, and those before a correction."""

    lake: Lake
    folder: Path
    rows: list[dict[str, Any]]
    replaced: list[dict[str, Any]]


def contract_columns(contract: OptionContract) -> dict[str, Any]:
    """Return the columns of a contract."""
    return {
        "contract": contract.id,
        "root": contract.root,
        "expiration": contract.expiration,
        "right": contract.right,
        "strike": contract.strike,
    }


def frame(table: Table, rows: list[dict[str, Any]], **constants: Any) -> pl.DataFrame:
    """Return rows of a table; columns that a row lacks are null."""
    full = [dict.fromkeys(table.schema) | constants | row for row in rows]
    return pl.DataFrame(full, schema=dict(table.schema))


def _quote(place: Mapping[str, Any], day: date, minute: int, chance: random.Random) -> dict[str, Any]:
    bid = chance.choice([None, 0.0, round(chance.uniform(0.05, 50), 2)])
    time = datetime(day.year, day.month, day.day, 13, 31, tzinfo=UTC) + timedelta(minutes=minute)
    return {
        **place, "underlying": "SPX", "month": day.year * 100 + day.month, "date": day, "time": time,
        "bid": bid, "ask": None if bid is None else bid + 0.1, "bid_size": 1, "ask_size": minute, "raw": "RAW",
        "known_from": EARLY,
    }  # fmt: skip


def option_lake(folder: Path) -> OptionLake:
    """Write a lake with 40 contracts of SPX, at random minutes of two sessions from two sources."""
    chance = random.Random(7)
    rows, replaced = [], []
    listed = {(chance.choice(ROOTS), chance.choice("CP"), 6000.0 + 5 * chance.randrange(40)) for _ in range(40)}
    for root, right, strike in sorted(listed):
        contract = OptionContract(date(2025, 8, 15), root, right, strike)
        for source in ("databento", "lean"):
            for day in DAYS:
                for minute in sorted(chance.sample(range(390), chance.randrange(1, 40))):
                    row = _quote({**contract_columns(contract), "source": source}, day, minute, chance)
                    if chance.random() < 0.1:
                        replaced.append({**row, "bid": 99.0, "known_to": LATE})
                        row["known_from"] = LATE
                    rows.append(row)
    tables = open_tables(open_location(str(folder)), TABLES)
    tables["options_quotes_1m"].commit(CommitContext(1), frame(OPTIONS_QUOTES_1M, rows))
    tables["options_quotes_1m_revisions"].commit(CommitContext(1), frame(OPTIONS_QUOTES_1M.revisions, replaced))
    names = {row["contract"]: row for row in rows}
    terms = [
        {**{c: row[c] for c in ("contract", "root", "expiration", "right", "strike")}, "settlement": None,
         "multiplier": None if row["root"] == "SPX1" else 100.0, "first_date": DAYS[0], "last_date": DAYS[1]}
        for row in names.values()
    ]  # fmt: skip
    constants = {"underlying": "SPX", "source": "databento", "raw": "RAW", "known_from": EARLY}
    tables["options_contracts"].commit(CommitContext(1), frame(OPTIONS_CONTRACTS, terms, **constants))
    interest = [
        {**{c: row[c] for c in ("contract", "root", "expiration", "right", "strike")}, "date": DAYS[0], "year": 2025,
         "open_interest": 10, "public_at": datetime(2025, 8, 7, 11, 30, tzinfo=UTC)}
        for row in names.values()
    ]  # fmt: skip
    tables["options_open_interest"].commit(CommitContext(1), frame(OPTIONS_OPEN_INTEREST, interest, **constants))
    daily = [
        {**contract_columns(OptionContract(date(2015, 1, 17), "AAPL", "C", 100.0)), "date": date(2014, 6, 9),
         "year": 2014, "bid_close": 5.0, "ask_close": 5.2, "bid_size": 7, "ask_size": 8}
    ]  # fmt: skip
    of_lean = {**constants, "underlying": "AAPL", "source": "lean"}
    tables["options_quotes_1d"].commit(CommitContext(1), frame(OPTIONS_QUOTES_1D, daily, **of_lean))
    return OptionLake(open_lake(str(folder)), folder, rows, replaced)
