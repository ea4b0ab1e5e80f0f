"""Explanations of minutes, and arguments; tests/pipeline/reprocessing/test_explained.py has daily bars."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.core.model import Payload
from quantx.core.tables import ACTIONS, BARS_1M, TABLES
from quantx.errors import ConfigError
from quantx.lake.protocol import CommitContext
from quantx.lake.raw import RawPage, write_batch
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake, open_lake

ULID = "01M8PV3893SAC0TPQRPZEKWXNG"
DAY, KNOWN = date(2024, 1, 2), datetime(2024, 1, 2, 23, tzinfo=UTC)
BODY = b"""{"bars": {"AAA": [{"t": "2024-01-02T15:30:00Z", "o": 10.0, "h": 12.0, "l": 9.0, "c": 11.0, "v": 70},
                      {"t": "2024-01-02T15:31:00Z", "o": 20.0, "h": 22.0, "l": 19.0, "c": 21.0, "v": 50}],
              "BBB": [{"t": "2024-01-02T15:31:00Z", "o": 20.0, "h": 22.0, "l": 19.0, "c": 21.0, "v": 50}]}}"""


@pytest.fixture(scope="module")
def minutes(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two minutes of two symbols from one reply about both, and a split on the day after."""
    folder = tmp_path_factory.mktemp("minutes") / "lake"
    location = open_location(str(folder))
    payload = Payload("AAA,BBB", "GET bars", 200, KNOWN, content_type="application/json", body=BODY)
    other = Payload("CCC", "GET bars", 200, KNOWN, content_type="application/json", body=b"{}")
    path = f"raw/source=alpaca/dataset=bars/ingest_date=2026-11-30/{ULID}.parquet"
    write_batch(location, path, [RawPage(1, other), RawPage(2, payload)])
    tables = open_tables(location, TABLES)
    rows = [
        ("alpaca", 202401, symbol, DAY, datetime(2024, 1, 2, 15, minute, tzinfo=UTC), *values, True, "USD", ULID, KNOWN)
        for symbol, minute, values in (
            ("AAA", 30, (10.0, 12.0, 9.0, 11.0, 70)),
            ("AAA", 31, (20.0, 22.0, 19.0, 21.0, 50)),
            ("BBB", 31, (20.0, 22.0, 19.0, 21.0, 50)),
        )
    ]
    tables["bars_1m"].commit(CommitContext(), pl.DataFrame(rows, schema=dict(BARS_1M.schema), orient="row"))
    split = [("yahoo", "AAA", date(2024, 1, 3), "split", 2.0, None, "USD", ULID, KNOWN)]
    tables["actions"].commit(CommitContext(), pl.DataFrame(split, schema=dict(ACTIONS.schema), orient="row"))
    return open_lake(folder)


@pytest.mark.parametrize("time", ["10:31", "2024-01-02T15:31:00+00:00", datetime(2024, 1, 2, 15, 31, tzinfo=UTC)])
def test_a_minute_by_the_time_of_its_exchange_or_an_instant(minutes: Lake, time: str | datetime) -> None:
    found = minutes.explain("AAA", DAY, time=time)
    assert (found.value, found.table, found.subject) == (21.0, "bars_1m", "AAA 2024-01-02 15:31 UTC")
    assert found.reply is not None
    assert (found.reply.row, found.reply.place) == (1, "/bars/AAA/1")  # and not that of BBB, with the same values
    assert (found.reply.sha256, found.reply.body) == (hashlib.sha256(BODY).hexdigest(), BODY)
    assert found.reply.sent == {"open": 20.0, "high": 22.0, "low": 19.0, "close": 21.0, "volume": 50.0}
    assert found.adjustment is not None
    assert (found.adjustment.split["close"], found.adjustment.split["volume"]) == (10.5, 100)
    assert found.rules is not None
    assert {rule.id for rule in found.rules.results if rule.state == "checked"} >= {"within_hours", "on_the_minute"}


def test_a_minute_without_a_bar(minutes: Lake) -> None:
    found = minutes.explain("AAA", DAY, time="10:32")
    assert found.row is None
    assert (
        "alpaca has 2 minutes of the session, from 15:30 to 15:31 UTC: one without a trade has no bar" in found.absence
    )


def test_wrong_arguments_are_named(minutes: Lake) -> None:
    with pytest.raises(ConfigError, match="field='vwap' must be one of open, high, low, close, volume; a concept"):
        minutes.explain("AAA", DAY, field="vwap")
    with pytest.raises(ConfigError, match="'25:99' is not a time of the day; use HH:MM in America/New_York"):
        minutes.explain("AAA", DAY, time="25:99")
    with pytest.raises(ConfigError, match="is not a date"):
        minutes.explain("AAA", "yesterday")


def test_a_bar_without_a_volume(lake_folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "lake"
    shutil.copytree(lake_folder, copied)
    tables = open_tables(open_location(str(copied)), TABLES)
    row = tables["bars_1d"].read((pl.col("symbol") == "AAA") & (pl.col("date") == date(2024, 1, 4)))
    unknown = row.with_columns(pl.lit(date(2024, 1, 5)).alias("date"), pl.lit(None, pl.Int64).alias("volume"))
    tables["bars_1d"].commit(CommitContext(2), unknown)
    lake = open_lake(copied)
    assert "close 52 USD" in str(lake.explain("AAA", "2024-01-05"))
    assert "volume \N{EN DASH}, as traded" in str(lake.explain("AAA", "2024-01-05", field="volume"))
