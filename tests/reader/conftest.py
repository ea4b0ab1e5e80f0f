from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.tables import ACTIONS, BARS_1D, TABLES, UNIVERSE_MEMBERS
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake, open_lake

T1, T2, T3 = (datetime(2024, 1, day, 22, tzinfo=UTC) for day in (10, 11, 12))


def _bars(symbol: str, closes: dict[str, float], source: str, known_from: datetime) -> pl.DataFrame:
    rows = [
        (source, day[:4], symbol, day, close, close + 1, close - 1, close, 1000, "USD", "raw1", known_from)
        for day, close in closes.items()
    ]
    frame = pl.DataFrame(rows, schema=list(BARS_1D.schema), orient="row")
    return frame.with_columns(pl.col("date").str.to_date(), pl.col("year").cast(pl.Int32)).cast(dict(BARS_1D.schema))


def _actions(rows: list[tuple[str, str, str, float, float | None]], known_from: datetime) -> pl.DataFrame:
    full = [("yahoo", s, date.fromisoformat(d), k, v, r, "USD", "raw1", known_from) for s, d, k, v, r in rows]
    return pl.DataFrame(full, schema=dict(ACTIONS.schema), orient="row")


@pytest.fixture(scope="session")
def lake_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake without any state.

    AAA: 100 … 104 over 2023-12-28 … 2024-01-04 and a 2:1 split on 2024-01-03, known at T1; the close of 2024-01-02 was
    98 until T2. A dividend of 5 ex 2024-01-02 became known at T2. BBB is at two sources. DDD is Hong Kong's.
    """
    folder = tmp_path_factory.mktemp("reader") / "lake"
    tables = open_tables(open_location(str(folder)), TABLES)
    days = ("2023-12-28", "2023-12-29", "2024-01-02", "2024-01-03", "2024-01-04")
    aaa = dict(zip(days, (100.0, 101.0, 102.0, 51.5, 52.0), strict=True))
    was = _bars("AAA", {"2024-01-02": 98.0}, "yahoo", T1)
    bars = pl.concat(
        [
            _bars("AAA", {d: c for d, c in aaa.items() if d != "2024-01-02"}, "yahoo", T1),
            _bars("AAA", {"2024-01-02": 102.0}, "yahoo", T2),
            _bars("BBB", {"2024-01-02": 10.0, "2024-01-03": 11.0}, "yahoo", T3),
            _bars("BBB", {"2024-01-02": 10.5, "2024-01-03": 11.5, "2024-01-04": 12.5}, "alpaca", T1),
            _bars("BRK.B", {"2024-01-02": 360.0}, "yahoo", T1),
            _bars("0700.HK", {"2024-01-02": 290.0}, "yahoo", T1).with_columns(pl.lit("HKD").alias("currency")),
        ]
    )
    tables["bars_1d"].commit(CommitContext(1), bars)
    tables["bars_1d_revisions"].commit(
        CommitContext(1), was.with_columns(pl.lit(T2).cast(pl.Datetime("us", "UTC")).alias("known_to"))
    )
    split = _actions([("AAA", "2024-01-03", "split", 2.0, None)], T1)
    dividend = _actions([("AAA", "2024-01-02", "dividend", 5.0, 101.0)], T2)
    tables["actions"].commit(CommitContext(1), pl.concat([split, dividend]))
    members = [
        ("us", "phase_1", "AAA", "us", None, None, None, T1),
        ("us", "phase_1", "BBB", "us", "Bee", date(2024, 1, 3), None, T1),
        ("us", "phase_1", "CCC", "us", None, None, date(2023, 12, 29), T1),
    ]
    tables["universe_members"].commit(
        CommitContext(1), pl.DataFrame(members, schema=dict(UNIVERSE_MEMBERS.schema), orient="row")
    )
    calendar("XNYS")
    return folder


@pytest.fixture(scope="session")
def lake(lake_folder: Path) -> Lake:
    return open_lake(str(lake_folder))


@pytest.fixture(scope="session")
def closes(lake: Lake) -> Callable[..., list[float]]:
    """The closes of AAA, asked in some way."""
    return lambda *args, **named: [round(c, 9) for c in lake.bars("AAA", *args, **named)["close"]]
