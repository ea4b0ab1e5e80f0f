"""What a lake has: its tables, vendors, universes and symbols, its tables as they are, and its representation."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import quantx
from quantx.errors import ConfigError
from quantx.lake.store import open_location
from quantx.reader import Lake, open_lake
from quantx.settings import load_settings
from quantx.settings.model import preferred_vendors

T1, T2, T3 = (datetime(2024, 1, day, 22, tzinfo=UTC) for day in (10, 11, 12))


def test_tables_have_rows_days_and_freshness(lake: Lake) -> None:
    assert lake.tables().drop("megabytes").rows() == [
        ("bars_1d", 12, date(2023, 12, 28), date(2024, 1, 4), T3, 1, 3),
        ("bars_1d_revisions", 1, date(2024, 1, 2), date(2024, 1, 2), T1, 1, 1),
        ("actions", 2, date(2024, 1, 2), date(2024, 1, 3), T2, 1, 1),
        ("universe_members", 3, None, None, T1, 1, 1),
    ]


def test_sources_universes_and_symbols(lake: Lake) -> None:
    assert lake.sources().rows() == [
        ("alpaca", "bars_1d", 3, date(2024, 1, 2), date(2024, 1, 4), T1),
        ("yahoo", "actions", 2, date(2024, 1, 2), date(2024, 1, 3), T2),
        ("yahoo", "bars_1d", 9, date(2023, 12, 28), date(2024, 1, 4), T3),
    ]
    assert lake.universes().rows() == [("us", "phase_1", 2, 3, date(2023, 12, 29), T1)]
    assert lake.symbols().rows() == [
        ("0700.HK", "hk", ["yahoo"], date(2024, 1, 2), date(2024, 1, 2), 1, T1),
        ("AAA", "us", ["yahoo"], date(2023, 12, 28), date(2024, 1, 4), 5, T2),
        ("BBB", "us", ["alpaca", "yahoo"], date(2024, 1, 2), date(2024, 1, 4), 5, T3),
        ("BRK.B", "us", ["yahoo"], date(2024, 1, 2), date(2024, 1, 2), 1, T1),
    ]
    assert lake.symbols(source="alpaca")["symbol"].to_list() == ["BBB"]
    assert lake.symbols("1m").is_empty()


def test_a_scan_reads_only_the_files_and_columns_that_follow(lake: Lake) -> None:
    bars = lake.scan("bars_1d")
    assert bars.collect_schema().names()[:4] == ["source", "year", "symbol", "date"]
    assert bars.filter(pl.col("close") > 300).select("symbol").collect()["symbol"].to_list() == ["BRK.B"]
    plan = lake.scan("bars_1d", symbols="AAA", start="2024-01-02").select("close").explain()
    assert "PROJECT 4/12 COLUMNS" in plan or "4/12" in plan
    assert lake.scan("bars_1d", symbols="AAA", start="2024-01-02", end="2024-01-03").collect().height == 2
    assert lake.scan("actions", source="yahoo", end="2024-01-02").collect()["kind"].to_list() == ["dividend"]
    for wrong in ({"symbols": "AAA"}, {"source": "yahoo"}, {"start": "2024-01-02"}):
        with pytest.raises(ConfigError, match="the table instruments has no column for"):
            lake.scan("instruments", **wrong)


def test_a_scan_knows_both_clocks(lake: Lake) -> None:
    then = lake.scan("bars_1d", symbols="AAA", as_of=T1).sort("date").select("date", "close").collect()
    assert then["close"].to_list() == [100.0, 101.0, 98.0, 51.5, 52.0]
    public = lake.scan("bars_1d", as_of=T1, public_by="2024-01-02").sort("symbol", "date").select("symbol", "close")
    assert public.collect().rows() == [
        ("0700.HK", 290.0),
        ("AAA", 100.0),
        ("AAA", 101.0),
        ("AAA", 98.0),
        ("BBB", 10.5),
        ("BRK.B", 360.0),
    ]
    members = lake.scan("universe_members", public_by="2023-12-28").sort("symbol").select("symbol", "member_to")
    assert members.collect().rows() == [("AAA", None), ("CCC", None)]


def test_the_representation_has_tables_rows_days_and_freshness(lake: Lake) -> None:
    lines = repr(lake).splitlines()
    assert lines[0] == f"Lake({lake.url!r})"
    assert lines[1] == "  bars_1d           12 rows  2023-12-28 to 2024-01-04  known until 2024-01-12 22:00 UTC"
    assert lines[3] == "  universe_members   3 rows                            known until 2024-01-10 22:00 UTC"
    html = lake._repr_html_()
    assert "<td style='text-align:left'>12 rows</td>" in html
    assert f"<code>{lake.url}</code>" in html


def test_public_names_complete(lake: Lake) -> None:
    assert dir(quantx) == sorted(quantx.__all__)
    assert {"bars", "panel", "membership", "lookback", "resample", "scan", "symbols"} <= set(dir(lake))


def test_a_lake_is_opened_again_by_the_process_that_unpickles_it(lake_folder: Path) -> None:
    settings = load_settings(lake_url=str(lake_folder), sources={"1d": {"any": ("alpaca", "yahoo")}})
    from quantx.reader.lake import lake_of

    lake = lake_of(settings)
    body = pickle.dumps(lake)
    script = "import pickle, sys; lake = pickle.load(sys.stdin.buffer); print(*lake.bars('BBB')['close'])"
    done = subprocess.run([sys.executable, "-c", script], input=body, capture_output=True, check=True, timeout=60)
    assert done.stdout.split() == [b"10.5", b"11.5", b"12.5"]  # by the preference of the sender
    assert pickle.loads(body).bars("AAA").equals(lake.bars("AAA"))  # noqa: S301 – our own bytes
    with pytest.raises(ConfigError, match="in memory"):
        pickle.dumps(Lake(open_location("memory://")))


@pytest.mark.parametrize(
    "day",
    [
        np.datetime64("2024-01-02"),
        np.datetime64("2024-01-02T15:30:00.000000000"),
        pd.Timestamp("2024-01-02"),
        pd.Timestamp("2024-01-02 15:30:00.000000001", tz="America/New_York"),
        pd.DatetimeIndex(["2024-01-02"])[0],
        pl.Series([date(2024, 1, 2)])[0],
    ],
    ids=repr,
)
def test_days_of_numpy_and_pandas_are_days(lake: Lake, day: object) -> None:
    assert lake.bars("AAA", day, day)["close"].to_list() == [102.0]  # type: ignore[arg-type]
    assert lake.bars("AAA", base=day, adjust="split")["close"].to_list()[0] == 100.0  # type: ignore[arg-type]


def test_instants_of_numpy_and_pandas_are_instants(lake: Lake) -> None:
    for moment in (np.datetime64("2024-01-10T22:00"), pd.Timestamp("2024-01-10 17:00", tz="America/New_York")):
        assert lake.bars("AAA", as_of=moment)["close"][2] == 98.0
    for nothing in (pd.NaT, np.datetime64("NaT")):
        with pytest.raises(ConfigError, match="NaT is not a date"):
            lake.bars("AAA", nothing)
        with pytest.raises(ConfigError, match="NaT is not a date"):
            lake.bars("AAA", as_of=nothing)


def test_paths_one_column_and_lists_of_other_libraries(lake: Lake, lake_folder: Path) -> None:
    assert open_lake(lake_folder).bars("AAA", columns="close").columns == ["close"]
    for symbols in (np.array(["AAA"]), pd.Index(["AAA"]), pl.Series(["AAA"]), ("AAA",)):
        assert lake.bars(symbols).height == 5  # type: ignore[arg-type]
        assert lake.panel(symbols=symbols).columns == ["date", "AAA"]  # type: ignore[arg-type]


def test_the_preference_of_vendors_is_that_of_the_settings() -> None:
    settings = load_settings(sources={"1d": {"us": ("fmp",), "any": ("yahoo",)}})
    assert preferred_vendors(settings.sources, "1d", "us") == settings.sources_of("1d", "us") == ("fmp",)


def test_versions_days_and_vendors_are_read_where_they_are_asked_for(lake: Lake) -> None:
    assert lake.versions(["actions", "bars_1d", "fundamentals"]) == {"actions": 1, "bars_1d": 1}
    assert set(lake.versions()) == {"actions", "bars_1d", "bars_1d_revisions", "universe_members"}
    assert lake.stored_days("bars_1d") == (date(2023, 12, 28), date(2024, 1, 4))
    assert lake.stored_days("bars_1m") is None
    found = lake.symbols(among="BBB")
    assert found.select("symbol", "sources", "bars").rows() == [("BBB", ["alpaca", "yahoo"], 5)]
    assert found.equals(lake.symbols().filter(pl.col("symbol") == "BBB"))
    with pytest.raises(ConfigError, match="there is no table 'bars'"):
        lake.versions(["bars"])


def test_findings_may_be_those_that_were_public(lake: Lake) -> None:
    assert lake.findings(public_by="2024-01-03").height == 0
