"""SQL over a lake: the views give the rows of the reader's queries, of one version, within limits."""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, SYMBOL_HISTORY, TABLES
from quantx.errors import ConfigError, IncompleteData, LakeError
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake, open_lake
from quantx.reader.sql.catalog import VIEWS, columns_of
from quantx.settings import load_settings, preferred_vendors

SHOWN = ["symbol", "date", "open", "high", "low", "close", "volume", "adj_close", "source", "known_from"]
KNOWN = datetime(2024, 1, 12, 22, tzinfo=UTC)


def _bars(symbol: str, source: str, days: list[date], first: float, known: datetime = KNOWN) -> pl.DataFrame:
    closes = [first * (1 + 0.013 * n) + 1 / 3 for n in range(len(days))]
    rows = [
        (source, d.year, symbol, d, c, c * 1.01, c / 1.01, c, 1001 + n, "USD", "r", known)
        for n, (d, c) in enumerate(zip(days, closes, strict=True))
    ]
    return pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row")


def _days(first: date, count: int) -> list[date]:
    return [first + timedelta(days=7 * n) for n in range(count)]


@pytest.fixture(scope="module")
def renamed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two years of weekly bars: PLAIN with actions at two vendors, NEW that was OLD, and two securities named USED."""
    folder = tmp_path_factory.mktemp("sql") / "lake's"
    tables = open_tables(open_location(str(folder)), TABLES)
    days = _days(date(2022, 1, 3), 104)
    early = datetime(2022, 6, 30, tzinfo=UTC)
    tables["bars_1d"].commit(
        CommitContext(1),
        pl.concat(
            [
                _bars("PLAIN", "yahoo", days[::2], 100.0),
                _bars("PLAIN", "alpaca", days, 50.0),
                _bars("OLD", "yahoo", days[:40], 10.0, early),
                _bars("NEW", "yahoo", days[30:], 20.0),
                _bars("USED", "yahoo", days[:20], 7.0, early),
                _bars("USED", "yahoo", days[60:], 9.0),
                _bars("0700.HK", "yahoo", days, 290.0),
                _bars("0700.HK", "alpaca", days, 291.0),
            ]
        ),
    )
    events = [
        ("yahoo", "PLAIN", days[20], "split", 3.0, None),
        ("yahoo", "PLAIN", days[20], "dividend", 1.7, 120.0),
        ("yahoo", "PLAIN", days[60], "dividend", 0.9, 150.0),
        ("alpaca", "PLAIN", days[61], "dividend", 0.9, 150.0),
        ("yahoo", "PLAIN", days[90], "capital_gain", 2.0, 160.0),
        ("yahoo", "NEW", days[50], "split", 1.5, None),
        ("yahoo", "USED", days[70], "split", 2.0, None),
    ]
    full = [(*event, "USD", "r", KNOWN) for event in events]
    tables["actions"].commit(CommitContext(1), pl.DataFrame(full, schema=dict(ACTIONS.schema), orient="row"))
    namings = [
        ("us.NEW", "OLD", None, date(2022, 9, 30)),
        ("us.NEW", "NEW", date(2022, 10, 1), None),
        ("us.USED.1", "USED", None, date(2022, 7, 1)),
        ("us.USED.2", "USED", date(2023, 1, 1), None),
    ]
    history = [(*naming, "test", KNOWN) for naming in namings]
    tables["symbol_history"].commit(
        CommitContext(1), pl.DataFrame(history, schema=dict(SYMBOL_HISTORY.schema), orient="row")
    )
    minutes = [
        (source, 202401, "PLAIN", day, datetime(2024, 1, day.day, 15, n, tzinfo=UTC), 1.0, 2.0, 0.5, 1.5, n, n < 8)
        for source, day, count in (("alpaca", date(2024, 1, 2), 10), ("fmp", date(2024, 1, 2), 12))
        for n in range(count)
    ]
    tables["bars_1m"].commit(
        CommitContext(1),
        pl.DataFrame([(*m, "USD", "r", KNOWN) for m in minutes], schema=dict(BARS_1M.schema), orient="row"),
    )
    return folder


def _preferring(folder: Path, first: str) -> Lake:
    other = {"1d": {"any": (first,), "us": (first, "yahoo")}, "1m": {"any": ("fmp",)}}
    settings = load_settings(lake_url=str(folder), sources=other)
    return Lake(
        open_location(str(folder), settings, create=False), lambda t, m: preferred_vendors(settings.sources, t, m)
    )


@pytest.mark.parametrize("first", ["yahoo", "alpaca"])
def test_views_of_bars_have_the_rows_of_the_reader(renamed_folder: Path, first: str) -> None:
    lake = _preferring(renamed_folder, first)
    plain = ["PLAIN", "0700.HK"]
    ours = lake.sql("select * from bars where symbol in ('PLAIN', '0700.HK') order by symbol, date")
    columns = [c for c in SHOWN if c != "adj_close"]
    assert_frame_equal(ours.select(columns), lake.bars(plain).select(columns))
    assert set(ours["source"]) == ({"yahoo", "alpaca"} if first == "yahoo" else {"alpaca"})
    for view, adjust in (("bars_adjusted", "total"), ("bars_split_adjusted", "split")):
        every = lake.sql(f"select * from {view} order by symbol, date, known_from")
        assert set(every["symbol"]) == {"PLAIN", "0700.HK", "NEW", "USED"}
        for symbol in (*plain, "NEW"):
            expected = lake.bars(symbol, adjust=adjust)  # type: ignore[arg-type]
            assert_frame_equal(every.filter(pl.col("symbol") == symbol), expected, rel_tol=1e-14)
        used = [lake.bars("USED", adjust=adjust, on=day) for day in ("2022-03-01", "2023-06-01")]  # type: ignore[arg-type]
        assert_frame_equal(every.filter(pl.col("symbol") == "USED"), pl.concat(used), rel_tol=1e-14)


def test_minutes_are_those_of_one_vendor_in_the_regular_session(renamed_folder: Path) -> None:
    lake = _preferring(renamed_folder, "yahoo")
    ours = lake.sql("select * exclude currency from minutes order by symbol, time")
    expected = lake.bars("PLAIN", timeframe="1m").drop("adj_close")
    assert set(expected["source"]) == {"fmp"}
    assert_frame_equal(ours, expected, check_column_order=False)


@pytest.mark.parametrize(
    "moment", ["2024-01-09", "2024-01-10", "2024-01-11T21:59:59", "2024-01-11T22:00:00+00:00", "2024-02-01"]
)
def test_bars_are_read_as_known_at_a_moment(lake: Lake, moment: str) -> None:
    columns = [c for c in SHOWN if c != "adj_close"]
    ours = lake.sql("select * from bars_asof($moment) order by symbol, date", {"moment": moment}).select(columns)
    symbols = ours["symbol"].unique().to_list()
    expected = lake.bars(symbols, as_of=moment).select(columns) if symbols else ours.clear()
    assert_frame_equal(ours, expected)
    if moment < "2024-01-10":
        assert ours.is_empty()
    if moment == "2024-01-10":
        assert ours.filter(symbol="AAA", date=date(2024, 1, 2))["close"].to_list() == [98.0]


def test_each_stored_table_has_all_its_rows_and_columns(lake: Lake) -> None:
    for table, columns in columns_of().items():
        if table in TABLES:
            ours = lake.sql(f"select * from {table}")
            assert ours.columns == columns
            stored = lake._stored[table].read()
            assert ours.height == stored.height
            if ours.height:
                assert dict(ours.schema) == dict(stored.schema)
                assert_frame_equal(ours, stored, check_row_order=False)


def test_declared_columns_are_those_of_the_views(lake: Lake) -> None:
    for view in VIEWS.values():
        given = {"moment": "'2024-01-31'", "universe_name": "'us'", "day": "'2024-01-03'"}
        call = view.name + (f"({', '.join(given[p] for p in view.parameters)})" if view.parameters else "")
        assert lake.sql(f"select * from {call} limit 0").columns == columns_of()[view.name]


def test_members_of_a_day(lake: Lake) -> None:
    for day in ("2023-12-29", "2024-01-02", "2024-01-03"):
        ours = lake.sql("select * from universe_on('us', ?) order by symbol", [day])
        assert_frame_equal(ours, lake.universe("us", on=day))


def test_sums_dates_and_intervals_are_plain_types(lake: Lake) -> None:
    row = lake.sql("select sum(volume) s, max(date) d, interval 3 days i, 1::uhugeint u, max(known_from) k from bars")
    assert dict(row.schema) == {
        "s": pl.Int64,
        "d": pl.Date,
        "i": pl.String,
        "u": pl.String,
        "k": pl.Datetime("us", "UTC"),
    }


def test_a_cut_result_is_a_warning_and_the_limit_keeps_the_order(lake: Lake) -> None:
    with pytest.warns(IncompleteData, match="cut to its first 2 rows"):
        rows = lake.sql("select close from bars where symbol = 'AAA' order by date desc", max_rows=2)
    assert rows["close"].to_list() == [52.0, 51.5]
    assert lake.sql("select * from bars where symbol = 'AAA'", max_rows=5).height == 5
    with pytest.raises(ConfigError, match="max_rows=0"):
        lake.sql("select 1", max_rows=0)


def test_queries_see_new_versions_and_each_query_one(lake_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    shutil.copytree(lake_folder, folder)
    lake, tables = open_lake(str(folder)), open_tables(open_location(str(folder)), TABLES)
    days = _days(date(2020, 1, 6), 50)
    assert lake.sql("select count(*) n from bars where symbol = 'MORE'").item() == 0
    wrong: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            rows = lake.sql("select a.n - b.n from (select count(*) n from bars_1d) a, (select count(*) n from bars) b")
            wrong.append(int(rows.item()))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(6):
        tables["bars_1d"].commit(CommitContext(2 + number), _bars(f"MORE{number}", "yahoo", days, 10.0))
    done.set()
    for thread in threads:
        thread.join()
    assert lake.sql("select count(*) n from bars where symbol like 'MORE%'").item() == 300
    assert set(wrong) == {2}  # the two sessions of BBB at two vendors


def test_a_missing_file_is_an_error_of_the_lake(lake_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    shutil.copytree(lake_folder, folder)
    lake = open_lake(str(folder))
    assert lake.sql("select count(*) from actions").item() == 2
    for file in (folder / "curated/actions").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(LakeError, match="missing or damaged; `quantx verify`"):
        lake.sql("select sum(value) from actions")


def test_files_without_a_later_column_are_null_there(lake_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    shutil.copytree(lake_folder, folder)
    for file in (folder / "curated/universe_members").glob("*.parquet"):
        pl.read_parquet(file).drop("name").write_parquet(file)
    assert open_lake(str(folder)).sql("select distinct name from universe_members").rows() == [(None,)]
