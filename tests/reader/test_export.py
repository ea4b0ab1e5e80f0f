"""Exports: each layout read back by other programs; only changes are written; names that are valid everywhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.file_names import file_name, partition_value, text_of
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, SYMBOL_HISTORY, TABLES, UNIVERSE_MEMBERS
from quantx.errors import ConfigError
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable, open_tables
from quantx.reader import Lake, open_lake
from quantx.reader.export import run
from quantx.reader.export.encodings import encoder
from quantx.reader.export.layouts import LAYOUTS, exchange_and_ticker, symbol_of

T1, T2 = datetime(2024, 1, 10, 22, tzinfo=UTC), datetime(2024, 1, 11, 22, tzinfo=UTC)
DAYS = (date(2023, 12, 28), date(2023, 12, 29), date(2024, 1, 2), date(2024, 1, 3))
SYMBOLS = ("0700.HK", "7203.T", "AAA", "ASML.AS", "BRK.B", "CON", "NUL", "^GSPC")


def _bars(symbol: str, closes: Mapping[date, float], source: str = "yahoo", known_from: datetime = T1) -> pl.DataFrame:
    rows = [
        (source, day.year, symbol, day, close, close + 1, close - 1, close, 1000, "USD", "raw1", known_from)
        for day, close in closes.items()
    ]
    return pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row")


def _minutes(symbol: str, day: date) -> pl.DataFrame:
    begin = datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC)
    rows = [
        ("alpaca", 202312, symbol, day, begin + timedelta(minutes=i), 10.0, 11.0, 9.0, 10.0, 100, i < 2, "USD", "r", T1)
        for i in range(3)
    ]
    frame = pl.DataFrame(rows, schema=dict(BARS_1M.schema), orient="row")
    return frame.with_columns(pl.lit(day.year * 100 + day.month, pl.Int32).alias("month"))


def _types(rows: duckdb.DuckDBPyRelation) -> list[str]:
    return [str(row[0]) for row in rows.query("r", "select column_type from (describe r)").fetchall()]


class Market:
    """A lake that tests change, and its exports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: dict[str, LakeTable] = open_tables(open_location(str(folder / "lake")), TABLES)
        self._round = 0

    @property
    def lake(self) -> Lake:
        return open_lake(str(self.folder / "lake"))

    def commit(self, table: str, new: pl.DataFrame, **rest: pl.DataFrame) -> None:
        self._round += 1
        self.tables[table].commit(CommitContext(self._round), new, **rest)

    def export(self, layout: str, name: str = "out", **how: Any) -> run.ExportResult:
        return self.lake.export(self.folder / name, layout, **how)

    def files(self, name: str = "out") -> dict[str, bytes]:
        root = self.folder / name
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and ".quantx-export" not in path.parts
        }


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """AAA splits 2:1 on 2024-01-03, pays 5 on 2024-01-02, and is also at alpaca; OLD is NEW since 2024."""
    market = Market(tmp_path)
    aaa = dict(zip(DAYS, (100.0, 101.0, 102.0, 51.5), strict=True))
    rows = [_bars("AAA", aaa), _bars("AAA", {DAYS[2]: 102.5}, "alpaca")]
    rows += [_bars(symbol, {DAYS[1]: 9.5, DAYS[2]: 10.5}) for symbol in SYMBOLS if symbol != "AAA"]
    market.commit("bars_1d", pl.concat(rows))
    market.commit("bars_1m", pl.concat([_minutes("AAA", day) for day in (DAYS[1], DAYS[2])]))
    events = [("AAA", DAYS[3], "split", 2.0, None), ("AAA", DAYS[2], "dividend", 5.0, 101.0)]
    market.commit(
        "actions",
        pl.DataFrame(
            [("yahoo", *event, "USD", "raw1", T1) for event in events], schema=dict(ACTIONS.schema), orient="row"
        ),
    )
    return market


# ------------------------------------------------------------------------------------------------- paths and columns

PATHS = {
    "hive-ticker": {
        "exchange=us/ticker=AAA/year=2023/data.parquet",
        "exchange=us/ticker=BRK.B/year=2024/data.parquet",
        "exchange=us/ticker=CON/year=2024/data.parquet",
        "exchange=us/ticker=%5EGSPC/year=2024/data.parquet",
        "exchange=hk/ticker=0700/year=2024/data.parquet",
        "exchange=jp/ticker=7203/year=2024/data.parquet",
        "exchange=eu/ticker=ASML.AS/year=2024/data.parquet",
    },
    "hive-symbol-source": {
        "symbol=AAA/source=yahoo/year=2023/data.parquet",
        "symbol=AAA/source=alpaca/year=2024/data.parquet",
        "symbol=0700.HK/source=yahoo/year=2024/data.parquet",
    },
    "flat-json": {
        "ticks/daily/AAA/2023/ticks.json",
        "ticks/daily/%43ON/2024/ticks.json",
        "ticks/daily/%4EUL/2024/ticks.json",
        "ticks/daily/%5EGSPC/2024/ticks.json",
        "ticks/minute/AAA/2024/01/02/ticks.parquet",
        "corporate_actions/AAA/actions.json",
        "reference/ticker_metadata.parquet",
        "reference/ticker_history.parquet",
        "reference/index_constituents.parquet",
    },
    "hive-day": {
        "symbol=AAA/year=2024/month=1/day=2/data.parquet",
        "symbol=0700.HK/year=2023/month=12/day=29/data.parquet",
    },
    "csv": {"AAA.csv", "%43ON.csv", "%5EGSPC.csv", "BRK.B.csv", "0700.HK.csv"},
}


def test_every_layout_has_paths_here() -> None:
    assert PATHS.keys() == LAYOUTS.keys()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_paths_are_those_of_the_layout(layout: str, market: Market) -> None:
    result = market.export(layout)
    paths = market.files()
    assert PATHS[layout] <= paths.keys()
    assert result.symbols == len(SYMBOLS)
    assert result.written == len(paths)
    assert (result.unchanged, result.removed, result.gone, result.missing) == (0, 0, (), ())


def test_hive_ticker_has_the_columns_of_yfinance_and_reads_in_duckdb(market: Market) -> None:
    market.export("hive-ticker")
    rows = duckdb.sql(
        f"select * from read_parquet('{market.folder}/out/**/*.parquet', hive_partitioning=true)"
        " where Ticker = 'AAA' and year = 2024 order by Date"
    )
    names = ["Date", "Open", "High", "Low", "Close", "Adj Close", "Volume", "Ticker", "Exchange", "year"]
    assert rows.columns == names
    assert _types(rows) == ["TIMESTAMP", *["DOUBLE"] * 5, "BIGINT", "VARCHAR", "VARCHAR", "BIGINT"]
    bars = market.lake.bars("AAA", "2024-01-01")
    expected = bars.select(
        pl.col("date").cast(pl.Datetime), "open", "high", "low", "close", "adj_close", "volume"
    ).rows()
    assert rows.fetchall() == [(*row, "AAA", "us", 2024) for row in expected]


def test_a_ticker_of_hong_kong_keeps_its_zeros_and_an_index_its_caret(market: Market) -> None:
    market.export("hive-ticker")
    source = f"read_parquet('{market.folder}/out/**/*.parquet', hive_partitioning=true)"
    tickers = duckdb.sql(f"select distinct Exchange, Ticker from {source}").fetchall()
    assert sorted(symbol_of(*row) for row in tickers) == list(SYMBOLS)
    only_numbers = f"read_parquet('{market.folder}/out/exchange=hk/**/*.parquet', hive_partitioning=true)"
    assert duckdb.sql(f"select distinct Ticker from {only_numbers}").fetchall() == [("0700",)]


def test_pandas_reads_the_hive_layouts_as_folders(market: Market) -> None:
    for layout, column, adjusted in (
        ("hive-ticker", "Ticker", "Adj Close"),
        ("hive-symbol-source", "symbol", "adjusted_close"),
        ("hive-day", "symbol", "adj_close"),
    ):
        market.export(layout, layout)
        frame = pd.read_parquet(market.folder / layout)
        own = frame[frame[column] == "AAA"]
        if layout == "hive-symbol-source":
            assert sorted(own["source"].unique()) == ["alpaca", "yahoo"]
            own = own[own["source"] == "yahoo"]
        expected = market.lake.bars("AAA", source="yahoo" if layout == "hive-symbol-source" else None)
        assert sorted(own[adjusted]) == sorted(expected["adj_close"])
        assert str(own[adjusted].dtype) == "float64"
        if layout == "hive-ticker":
            assert str(frame["Date"].dtype) == "datetime64[us]"


def test_hive_symbol_source_has_every_vendor_with_its_own_bars(market: Market) -> None:
    market.export("hive-symbol-source")
    table = pq.read_table(market.folder / "out" / "symbol=AAA")
    assert table.column_names == [
        "date",
        "open",
        "high",
        "low",
        "close",
        "adjusted_close",
        "volume",
        "source",
        "ingested_at",
        "year",
    ]
    frame = pl.DataFrame(table).sort("source", "date")
    assert frame.select("date", pl.col("source").cast(pl.String), "close").rows() == [
        (DAYS[2], "alpaca", 102.5),
        *((day, "yahoo", close) for day, close in zip(DAYS, (100.0, 101.0, 102.0, 51.5), strict=True)),
    ]
    assert frame["ingested_at"].unique().to_list() == [T1]
    assert frame.filter(pl.col("source") == "alpaca")["adjusted_close"].to_list() == [102.5]  # it sent no actions


def test_hive_day_prunes_by_day(market: Market) -> None:
    market.export("hive-day")
    source = f"read_parquet('{market.folder}/out/**/*.parquet', hive_partitioning=true)"
    rows = duckdb.sql(f"select symbol, close from {source} where year = 2024 and month = 1 and day = 3").fetchall()
    assert rows == [("AAA", 51.5)]


def test_flat_json_is_json_and_minutes_are_utc(market: Market) -> None:
    market.export("flat-json")
    root = market.folder / "out"
    ticks = json.loads((root / "ticks/daily/AAA/2024/ticks.json").read_text())
    assert ticks[0] == {
        "symbol": "AAA",
        "date": "2024-01-02",
        "open": 102.0,
        "high": 103.0,
        "low": 101.0,
        "close": 102.0,
        "adjusted_close": 51.0,
        "volume": 1000,
        "source": "yahoo",
        "ingested_at": "2024-01-10T22:00:00.000000Z",
    }
    assert duckdb.sql(f"select count(*) from read_json('{root}/ticks/daily/*/*/*.json')").fetchall() == [(18,)]
    minutes = pl.read_parquet(root / "ticks/minute/AAA/2024/01/02/ticks.parquet")
    assert minutes["timestamp"].to_list() == [datetime(2024, 1, 2, 14, 30 + i, tzinfo=UTC) for i in range(2)]
    assert json.loads((root / "corporate_actions/AAA/actions.json").read_text()) == [
        {
            "symbol": "AAA",
            "date": "2024-01-02",
            "action_type": "dividend",
            "value": 5.0,
            "adjustment_factor": 1 - 5 / 101,
        },
        {"symbol": "AAA", "date": "2024-01-03", "action_type": "split", "value": 2.0, "adjustment_factor": 0.5},
    ]


def test_reference_data_has_renames_delistings_and_members(market: Market) -> None:
    market.commit("bars_1d", _bars("OLD", {DAYS[0]: 7.0}))
    market.commit("bars_1d", _bars("NEW", {DAYS[2]: 8.0}))
    namings = [
        ("us.OLD.1", "OLD", None, date(2023, 12, 31), "file", T1),
        ("us.OLD.1", "NEW", date(2024, 1, 1), date(2024, 1, 2), "file", T1),
    ]
    market.commit("symbol_history", pl.DataFrame(namings, schema=dict(SYMBOL_HISTORY.schema), orient="row"))
    ended = ("us.OLD.1", "us", "Old Inc.", "delisted", None, date(2024, 1, 2), "merged", "file", T1)
    columns = [
        name for name in TABLES["instruments"].schema if name not in ("asset_class", "sic", "industry", "sector")
    ]
    instruments = pl.DataFrame([ended], schema={c: TABLES["instruments"].schema[c] for c in columns}, orient="row")
    market.commit("instruments", pl.concat([TABLES["instruments"].empty(), instruments], how="diagonal"))
    member = [("ours", "phase_1", s, "us", None, None, None, T1) for s in ("AAA", "ZZZ")]
    market.commit("universe_members", pl.DataFrame(member, schema=dict(UNIVERSE_MEMBERS.schema), orient="row"))
    assert "NEW" not in market.export("flat-json").missing
    root = market.folder / "out" / "reference"
    assert pl.read_parquet(root / "ticker_history.parquet").rows() == [("OLD", "NEW", date(2024, 1, 1), "us.OLD.1")]
    metadata = pl.read_parquet(root / "ticker_metadata.parquet").filter(pl.col("symbol").is_in(["NEW", "OLD"]))
    columns = ("symbol", "name", "status", "delisting_date", "delisting_reason")
    assert metadata.select(columns).rows() == [("NEW", "Old Inc.", "delisted", date(2024, 1, 2), "merged")]
    assert pl.read_parquet(root / "index_constituents.parquet").rows() == [("ours", "AAA", None, None, None)]
    daily = [json.loads(p.read_text()) for p in sorted((market.folder / "out/ticks/daily/NEW").rglob("*.json"))]
    assert [row["close"] for rows in daily for row in rows] == [7.0, 8.0]  # one security, once


def test_csv_reads_in_duckdb_and_numbers_stay_numbers(market: Market) -> None:
    market.export("csv", symbols=["AAA", "^GSPC"])
    assert sorted(market.files()) == ["%5EGSPC.csv", "AAA.csv"]
    rows = duckdb.sql(f"select symbol, date, close, adj_close from read_csv('{market.folder}/out/AAA.csv')")
    assert _types(rows) == ["VARCHAR", "DATE", "DOUBLE", "DOUBLE"]
    assert rows.fetchall() == market.lake.bars("AAA", columns=["symbol", "date", "close", "adj_close"]).rows()
    market.export("csv", "minutes", timeframe="1m", extended=True)
    assert {path: body.count(b"\n") for path, body in market.files("minutes").items()} == {
        "AAA/2023.csv": 4,
        "AAA/2024.csv": 4,
    }


def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe() -> None:
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "plain", "a=b", None]
    frame = pl.DataFrame({"text": texts, "number": [-1.5] * len(texts)})
    lines = encoder(frame, "csv")(0, len(texts)).decode()
    assert [line for line in lines.split("\n") if line][1:] == [
        "'=1+1,-1.5",
        "'+1,-1.5",
        "'-1,-1.5",
        "'@x,-1.5",
        "'\tx,-1.5",
        '"\'\rx",-1.5',
        "plain,-1.5",
        "a=b,-1.5",
        ",-1.5",
    ]


def test_adjusted_exports_have_the_readers_prices(market: Market) -> None:
    for how in ("split", "total"):
        market.export("hive-ticker", how, symbols=["AAA"], adjust=how)
        frame = pl.read_parquet(market.folder / how / "**/*.parquet").sort("Date")
        bars = market.lake.bars("AAA", adjust=how)
        assert frame["Close"].to_list() == bars["close"].to_list()
        assert frame["Volume"].to_list() == bars["volume"].to_list()
        assert frame["Adj Close"].to_list() == bars["adj_close"].to_list()


# ------------------------------------------------------------------------------------------------------- file names


@given(st.text(min_size=1, max_size=12))
def test_any_text_is_a_safe_name_on_every_system_and_comes_back(text: str) -> None:
    name = file_name(text)
    assert text_of(name) == text_of(partition_value(text)) == text
    assert re.fullmatch(r"[A-Z0-9%._-]+", name)  # one case only: no two names differ just in case
    assert name[-1] not in ". "
    assert name[0] not in "._-"
    assert not re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)", name)


@pytest.mark.parametrize(
    "text", ["CON", "con", "NUL", "AUX.L", "COM1", "LPT9.T", "PRN", "CONIN$", "..", ".", "A.", "-A"]
)
def test_names_of_devices_and_dots_are_encoded(text: str) -> None:
    assert file_name(text) != text
    assert text_of(file_name(text)) == text


def test_exchange_and_ticker_give_the_symbol_back() -> None:
    for symbol in (*SYMBOLS, "^HSI", "^N225", "CON.L", "285A.T", "BAC.PRL"):
        assert symbol_of(*exchange_and_ticker(symbol)) == symbol


# ------------------------------------------------------------------------------------------------------ incremental


def test_a_repeated_export_writes_nothing(market: Market) -> None:
    first = market.export("hive-ticker")
    before = {path: path.stat().st_mtime_ns for path in (market.folder / "out").rglob("data.parquet")}
    again = market.export("hive-ticker")
    assert (again.written, again.changed, again.unchanged) == (0, 0, first.written)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    head = json.loads((market.folder / "out/.quantx-export/manifest").read_text().split("\n")[0])
    assert head["complete"]["table_versions"]["bars_1d"] >= 0
    assert head["complete"].keys() == {"table_versions", "snapshot", "exported_at", "program"}


def test_a_new_session_writes_the_files_of_its_symbol_and_year(market: Market) -> None:
    market.export("hive-ticker")
    before = market.files()
    market.commit("bars_1d", _bars("BRK.B", {DAYS[3]: 11.0}, known_from=T2))
    result = market.export("hive-ticker")
    assert (result.changed, result.written) == (1, 1)
    after = market.files()
    assert [p for p in after if after[p] != before[p]] == ["exchange=us/ticker=BRK.B/year=2024/data.parquet"]


def test_a_correction_and_a_dividend_reach_the_files_that_they_change(market: Market) -> None:
    market.export("hive-ticker")
    before = market.files()
    market.commit("bars_1d", BARS_1D.empty(), changed=_bars("BRK.B", {DAYS[1]: 9.75}, known_from=T2))
    assert market.export("hive-ticker").written == 1
    after = market.files()
    assert [p for p in after if after[p] != before[p]] == ["exchange=us/ticker=BRK.B/year=2023/data.parquet"]
    paid = ("yahoo", "BRK.B", DAYS[2], "dividend", 1.0, 9.75, "USD", "raw1", T2)
    market.commit("actions", pl.DataFrame([paid], schema=dict(ACTIONS.schema), orient="row"))
    result = market.export("hive-ticker")  # the adjusted close before the ex-date changes
    assert (result.changed, result.written, result.unchanged) == (1, 1, len(before) - 1)


def test_symbols_are_read_in_batches_of_rows(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_ROWS", 6)  # two or three symbols: AAA has five rows, the others two
    monkeypatch.setattr(run, "_STEPS", 1)
    seen: list[tuple[int, int, str]] = []
    market.export("csv", on_progress=lambda done, total, symbol: seen.append((done, total, symbol)))
    assert seen == [(0, 8, ""), (2, 8, "7203.T"), (3, 8, "AAA"), (6, 8, "CON"), (8, 8, "^GSPC")]


def test_the_bytes_do_not_depend_on_the_way_there(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    for layout in LAYOUTS:
        market.export(layout, f"whole-{layout}")
    monkeypatch.setattr(run, "_ROWS", 1)  # a batch per symbol
    for layout in LAYOUTS:
        market.export(layout, f"small-{layout}")
        assert market.files(f"small-{layout}") == market.files(f"whole-{layout}")


def test_files_that_are_missing_or_cut_are_written_again(market: Market) -> None:
    market.export("csv")
    before = market.files()
    (market.folder / "out/AAA.csv").unlink()
    (market.folder / "out/BRK.B.csv").write_bytes(b"x")
    assert market.export("csv").written == 2
    assert market.files() == before


def test_files_of_a_symbol_that_has_gone_are_removed_and_reported(market: Market) -> None:
    market.export("hive-ticker")
    gone = market.tables["bars_1d"].read(pl.col("symbol") == "CON")
    market.commit("bars_1d", BARS_1D.empty(), gone=gone)
    result = market.export("hive-ticker")
    assert (result.gone, result.removed, result.written) == (("CON",), 2, 0)
    assert not (market.folder / "out/exchange=us/ticker=CON").exists()
    market.commit("bars_1d", BARS_1D.empty(), gone=_bars("NUL", {DAYS[1]: 9.5}))  # one of its years
    assert market.export("hive-ticker").removed == 1


def test_symbols_of_earlier_exports_stay_up_to_date(market: Market) -> None:
    market.export("csv", symbols=["AAA"])
    market.commit("bars_1d", _bars("AAA", {date(2024, 1, 4): 52.0}, known_from=T2))
    result = market.export("csv", symbols=["BRK.B", "ZZZ"])
    assert (result.symbols, result.written, result.missing) == (2, 2, ("ZZZ",))
    assert sorted(market.files()) == ["AAA.csv", "BRK.B.csv"]
    assert b"2024-01-04" in market.files()["AAA.csv"]


def test_a_universe_is_exported_with_former_members(market: Market) -> None:
    members = [
        ("ours", "phase_1", "AAA", "us", None, None, None, T1),
        ("ours", "phase_1", "BRK.B", "us", None, None, DAYS[1], T1),
        ("other", "phase_1", "CON", "us", None, None, None, T1),
    ]
    market.commit("universe_members", pl.DataFrame(members, schema=dict(UNIVERSE_MEMBERS.schema), orient="row"))
    market.export("csv", "universe", universe="ours")
    assert sorted(market.files("universe")) == ["AAA.csv", "BRK.B.csv"]
    market.export("csv", "since", universe="ours", start="2024-01-02")
    assert sorted(market.files("since")) == ["AAA.csv"]
    market.export("csv", "phase", phase="phase_1")
    assert sorted(market.files("phase")) == ["%43ON.csv", "AAA.csv", "BRK.B.csv"]
    with pytest.raises(ConfigError, match="no phase 'phase_2'; it has phase_1"):
        market.export("csv", "x", phase="phase_2")


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "other",
    [{"layout": "hive-ticker"}, {"adjust": "total"}, {"start": "2024-01-01"}, {"source": "yahoo"}, {"symbols": "AAA"}],
    ids=str,
)
def test_other_settings_never_mix(other: dict[str, Any], market: Market) -> None:
    market.export("csv")
    before = market.files()
    with pytest.raises(ConfigError, match=r"has an export with .* export to another folder, or delete this one"):
        market.export(**{"layout": "csv", **other})
    assert market.files() == before


def test_folders_that_are_no_export_are_refused(market: Market) -> None:
    (market.folder / "mine").mkdir()
    (market.folder / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="has files and is not an export"):
        market.export("csv", "mine")
    with pytest.raises(ConfigError, match="is a file"):
        market.export("csv", "mine/notes.txt")
    for name in (".", "lake/export"):
        with pytest.raises(ConfigError, match="contains the lake or lies in it"):
            market.export("csv", name)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"layout": "xls"}, "unknown layout 'xls'; use hive-ticker"),
        ({"layout": "csv", "timeframe": "5m"}, "unknown timeframe '5m'"),
        ({"layout": "csv", "source": "foo"}, "no such bars of the source 'foo'; it has some of alpaca, yahoo"),
        ({"layout": "hive-symbol-source", "source": "best"}, "a layout without a folder per source"),
        ({"layout": "csv", "symbols": "AAA", "universe": "x"}, "exclude each other"),
        ({"layout": "csv", "start": "2024-02-01", "end": "2024-01-01"}, "lies after the end"),
    ],
    ids=str,
)
def test_wrong_requests_are_named_and_leave_no_folder(how: dict[str, Any], message: str, market: Market) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        market.export(**how)
    assert not (market.folder / "out").exists()


def test_a_damaged_manifest_is_named_and_a_cut_line_is_repeated(market: Market) -> None:
    market.export("csv")
    manifest = market.folder / "out/.quantx-export/manifest"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-20])
    assert market.export("csv").written == 1
    manifest.write_bytes(b"{}\n")
    with pytest.raises(ConfigError, match="is damaged; delete"):
        market.export("csv")
    manifest.write_bytes(whole.replace(b'"files": {"', b'"files": {"../', 1))
    with pytest.raises(ConfigError, match="is damaged"):
        market.export("csv")


# ------------------------------------------------------------------------------------------------------ interruption

_SLOW = """
import sys, time
from quantx.reader import open_lake
from quantx.reader.export import run
run._ROWS = 1
def wait(done, total, symbol):
    print(done, flush=True)
    time.sleep(30 if done == 3 else 0)
open_lake(sys.argv[1]).export(sys.argv[2], "hive-ticker", on_progress=wait)
"""


@pytest.mark.slow
def test_a_killed_export_continues_and_ends_with_the_same_bytes(market: Market) -> None:
    market.export("hive-ticker", "whole")
    arguments = [str(market.folder / "lake"), str(market.folder / "out")]
    process = subprocess.Popen([sys.executable, "-c", _SLOW, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "3":
            break
    with pytest.raises(ConfigError, match="another process is exporting"):
        market.export("hive-ticker")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    partial = market.files()
    assert 0 < len(partial) < len(market.files("whole"))
    result = market.export("hive-ticker")
    assert result.changed == len(SYMBOLS) - 3  # three symbols were recorded
    assert market.files() == market.files("whole")
