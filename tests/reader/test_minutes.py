"""Minutes through the Python interface of the lake: recorded files read back exactly, adjusted, and as of a moment."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from quantx.core.quality.row_policy import RowPolicy
from quantx.core.table import INSTANT
from quantx.core.tables import ACTIONS, BARS_1M, TABLES
from quantx.errors import ConfigError, IncompleteData
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.pipeline.curating.normalize_minutes import normalize_minutes
from quantx.reader import Lake, open_lake

from ..market_data import either
from ..recorded_minutes import AAPL_MINUTES, alpha_vantage, facts_of, lean, vendor_frame

INSTANT_OF = datetime(2024, 10, 20, tzinfo=UTC)
AAPL_DAYS = list(AAPL_MINUTES)
NINE_THIRTY = "2024-10-{:02d}T09:30"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, market_data: Path) -> Lake:
    """A lake of all recorded trades of LEAN's files and Alpha Vantage's minutes, and the split of AAPL."""
    folder = tmp_path_factory.mktemp("recorded")
    tables = open_tables(open_location(str(folder)), TABLES)
    batches = []
    for path in sorted((market_data / "minute_us_lean").iterdir()):
        days = sorted(f"{f.name[:4]}-{f.name[4:6]}-{f.name[6:8]}" for f in path.glob("*_trade.zip"))
        batches.append(("lean", path.name.upper(), lean(market_data, path.name, days)))
    for path in sorted((market_data / "minute_us_alphavantage_2019-02").glob("*_1min.csv.gz")):
        symbol = path.name.split("_")[0]
        batches.append(("alphavantage", symbol, alpha_vantage(market_data, symbol)))
    for number, (source, symbol, bars) in enumerate(batches, 1):
        rows = normalize_minutes(source, vendor_frame(symbol, bars), facts_of(symbol), RowPolicy())
        assert (rows.bars.height, rows.rejected.height) == (len(bars), 0), symbol
        tables["bars_1m"].commit(CommitContext(number), rows.bars)
    for month in tables["bars_1m"].untidy_months(202501, 1):
        tables["bars_1m"].compact(CommitContext(), month, 202501, 1)
    split = ("lean", "AAPL", date(2014, 6, 9), "split", 7.0, None, "USD", "01S", INSTANT_OF)
    tables["actions"].commit(CommitContext(1), pl.DataFrame([split], schema=dict(ACTIONS.schema), orient="row"))
    return open_lake(str(folder))


@pytest.mark.parametrize(
    ("symbol", "days"),
    [
        ("AAPL", AAPL_DAYS),
        ("GOOG", ["2015-12-23", "2015-12-24", "2015-12-28"]),
        ("IBM", [f"2013-10-{d:02d}" for d in (4, 7, 8, 9, 10, 11)]),
    ],
)
def test_lean_minutes_are_read_back_exactly(recorded: Lake, market_data: Path, symbol: str, days: list[str]) -> None:
    bars = recorded.bars(symbol, days[0], days[-1], timeframe="1m", extended=True)
    columns = ["time", "open", "high", "low", "close", "volume"]
    assert bars.select(columns).rows() == [(*b[:5], round(b[5] or 0)) for b in lean(market_data, symbol, days)]
    assert [str(d) for d in bars["date"].unique(maintain_order=True)] == days


@pytest.mark.parametrize("symbol", ["AAPL", "SLV", "VIX", "MSFT"])
def test_alpha_vantage_minutes_are_read_back_exactly(recorded: Lake, market_data: Path, symbol: str) -> None:
    bars = recorded.bars(symbol, "2019-02-11", "2019-02-15", timeframe="1m")
    known = sorted(alpha_vantage(market_data, symbol))
    assert bars.select("time", "open", "high", "low", "close").rows() == [b[:5] for b in known]
    assert (bars["source"] == "alphavantage").all()


def test_a_split_between_two_sessions_is_no_jump(recorded: Lake) -> None:
    traded = recorded.bars("AAPL", "2014-06-06", "2014-06-09", timeframe="1m")
    adjusted = recorded.bars("AAPL", "2014-06-06", "2014-06-09", timeframe="1m", adjust="split")
    before = pl.col("date") == date(2014, 6, 6)
    assert traded.filter(before)["close"][-1] / traded.filter(~before)["open"][0] == pytest.approx(
        either(6.96, 7.03), abs=0.02
    )
    assert adjusted.filter(before)["close"][-1] / adjusted.filter(~before)["open"][0] == pytest.approx(1, abs=0.01)
    assert adjusted.filter(before)["close"].to_list() == pytest.approx((traded.filter(before)["close"] / 7).to_list())
    assert adjusted.filter(before)["volume"].to_list() == (traded.filter(before)["volume"] * 7).to_list()
    assert adjusted.filter(~before).equals(traded.filter(~before))
    assert traded["adj_close"].to_list() == pytest.approx(adjusted["close"].to_list())
    based = recorded.bars("AAPL", "2014-06-06", "2014-06-09", timeframe="1m", adjust="split", base="2014-06-06")
    assert based["close"].equals(traded["close"])


def test_minutes_outside_the_regular_session_come_when_they_are_asked_for(recorded: Lake) -> None:
    regular = recorded.bars("AAPL", AAPL_DAYS[0], AAPL_DAYS[-1], timeframe="1m")
    every = recorded.bars(
        "AAPL", AAPL_DAYS[0], AAPL_DAYS[-1], timeframe="1m", extended=True, columns=["time", "regular"]
    )
    assert (regular.height, every.height) == (3 * 390, sum(AAPL_MINUTES.values()))
    assert every.filter("regular")["time"].equals(regular["time"])


# --------------------------------------------------------------------------------------------------------- made-up rows


def made_up(symbol: str, day: int, closes: list[float], source: str = "yahoo", **facts: Any) -> pl.DataFrame:
    opening = at(NINE_THIRTY.format(day))
    rows = [
        {"source": source, "month": 202410, "symbol": symbol, "date": date(2024, 10, day), "currency": "USD"}
        | {
            "time": opening + timedelta(minutes=n),
            "volume": 10,
            "regular": True,
            "raw": "01R",
            "known_from": INSTANT_OF,
        }
        | dict.fromkeys(("open", "high", "low", "close"), close)
        | facts
        for n, close in enumerate(closes)
    ]
    return pl.DataFrame(rows, schema=dict(BARS_1M.schema))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """AAA on two days, of which a minute was 5.0 for a day; BBB at two sources, of which yahoo's lacks a minute."""
    folder = tmp_path_factory.mktemp("lake")
    tables = open_tables(open_location(str(folder)), TABLES)
    later = INSTANT_OF + timedelta(days=1)
    corrected = made_up("AAA", 1, [11.0, 12.0], known_from=later)[1:]
    current = [made_up("AAA", 1, [11.0]), corrected, made_up("AAA", 2, [13.0])]
    current += [made_up("BBB", 1, [1.0]), made_up("BBB", 1, [2.0, 2.5], "alpaca"), made_up("BBB", 2, [3.0], "alpaca")]
    tables["bars_1m"].commit(CommitContext(1), pl.concat(current))
    replaced = made_up("AAA", 1, [11.0, 5.0])[1:].with_columns(pl.lit(later).cast(INSTANT).alias("known_to"))
    tables["bars_1m_revisions"].commit(CommitContext(1), replaced)
    return open_lake(str(folder))


def test_columns_and_types_of_minutes_are_a_promise(lake: Lake) -> None:
    assert dict(lake.bars("AAA", timeframe="1m").schema) == {
        "symbol": pl.String,
        "time": INSTANT,
        "date": pl.Date,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Int64,
        "adj_close": pl.Float64,
        "source": pl.String,
        "known_from": INSTANT,
    }
    with pytest.warns(IncompleteData):
        other = lake.bars("AAA", timeframe="1m", adjust="total", as_of="1999-01-01")
    assert other.schema == lake.bars("AAA", timeframe="1m").schema
    assert lake.bars("AAA", timeframe="1m", columns=["regular", "raw"]).columns == ["regular", "raw"]


def test_start_and_end_are_sessions(lake: Lake) -> None:
    for start, end, closes in (
        ("2024-10-01", "2024-10-01", [11.0, 12.0]),
        ("2024-10-02", None, [13.0]),
        (None, "2024-10-01", [11.0, 12.0]),
        ("2024-11-01", None, []),
        (None, "2024-09-30", []),
    ):
        with nullcontext() if closes else pytest.warns(IncompleteData, match="of other days"):
            assert lake.bars("AAA", start, end, timeframe="1m")["close"].to_list() == closes


def test_what_was_believed_then_is_what_is_read(lake: Lake) -> None:
    assert lake.bars("AAA", timeframe="1m", as_of=INSTANT_OF)["close"].to_list() == [11.0, 5.0, 13.0]
    with pytest.warns(IncompleteData, match="as_of is before the first ingestion"):
        assert lake.bars("AAA", timeframe="1m", as_of="2024-10-19").is_empty()
    (replaced,) = lake.revisions("AAA", timeframe="1m").to_dicts()
    assert (replaced["close"], replaced["time"]) == (5.0, at("2024-10-01T09:31"))
    assert "month" not in replaced
    assert lake.revisions("AAA").is_empty()


def test_a_minute_is_public_at_its_end(lake: Lake) -> None:
    end = at("2024-10-01T09:32")
    assert lake.bars("AAA", timeframe="1m", public_by=end)["close"].to_list() == [11.0, 12.0]
    assert lake.bars("AAA", timeframe="1m", public_by=end - timedelta(microseconds=1))["close"].to_list() == [11.0]
    assert lake.bars("AAA", timeframe="1m", public_by=end, as_of=INSTANT_OF)["close"].to_list() == [11.0, 5.0]


def test_a_session_is_of_one_source(lake: Lake) -> None:
    yahoo_first = Lake(open_location(lake.url), lambda timeframe, market: ("yahoo", "alpaca"))
    bars = yahoo_first.bars("BBB", timeframe="1m")
    assert bars.select("source", "close").rows() == [("yahoo", 1.0), ("alpaca", 3.0)]
    assert lake.bars("BBB", timeframe="1m", source="alpaca")["close"].to_list() == [2.0, 2.5, 3.0]


def test_minutes_have_an_order_of_vendors_of_their_own(lake: Lake) -> None:
    """By default daily bars are Yahoo's, and minutes Alpaca's."""
    assert lake.bars("BBB", timeframe="1m")["close"].to_list() == [2.0, 2.5, 3.0]


@pytest.mark.parametrize("source", [None, "alpaca"])
def test_minutes_are_adjusted_with_the_events_of_daily_bars(tmp_path: Path, source: str | None) -> None:
    """Whoever has daily bars of one vendor and minutes of another has the splits of the first."""
    tables = open_tables(open_location(str(tmp_path)), TABLES)
    minutes = pl.concat([made_up("BBB", 1, [20.0], "alpaca"), made_up("BBB", 2, [10.0], "alpaca")])
    tables["bars_1m"].commit(CommitContext(1), minutes)
    split = ("yahoo", "BBB", date(2024, 10, 2), "split", 2.0, None, "USD", "01S", INSTANT_OF)
    tables["actions"].commit(CommitContext(1), pl.DataFrame([split], schema=dict(ACTIONS.schema), orient="row"))
    bars = open_lake(str(tmp_path)).bars("BBB", timeframe="1m", source=source, adjust="split")
    assert bars.select("close", "volume").rows() == [(10.0, 20), (10.0, 10)]


def test_of_two_vendors_events_those_of_the_minutes_vendor_count(tmp_path: Path) -> None:
    tables = open_tables(open_location(str(tmp_path)), TABLES)
    tables["bars_1m"].commit(CommitContext(1), made_up("BBB", 1, [20.0], "alpaca"))
    splits = [
        (source, "BBB", date(2024, 10, 2), "split", ratio, None, "USD", "01S", INSTANT_OF)
        for source, ratio in (("yahoo", 4.0), ("alpaca", 2.0))
    ]
    tables["actions"].commit(CommitContext(1), pl.DataFrame(splits, schema=dict(ACTIONS.schema), orient="row"))
    lake = open_lake(str(tmp_path))
    assert lake.bars("BBB", timeframe="1m", source="alpaca", adjust="split")["close"].to_list() == [10.0]
    assert lake.actions("BBB")["source"].to_list() == ["yahoo"]


def test_a_panel_of_minutes_has_a_row_per_minute(lake: Lake) -> None:
    panel = lake.panel(symbols=["AAA", "BBB"], timeframe="1m")
    assert panel.rows() == [
        (at("2024-10-01T09:30"), 11.0, 2.0),
        (at("2024-10-01T09:31"), 12.0, 2.5),
        (at("2024-10-02T09:30"), 13.0, 3.0),
    ]


def test_other_timeframes_are_refused_by_name(lake: Lake) -> None:
    for ask in (lambda: lake.bars("AAA", timeframe="5m"), lambda: lake.revisions("AAA", timeframe="5m")):
        with pytest.raises(ConfigError, match="unknown timeframe '5m'; use 1d or 1m"):
            ask()
    with pytest.raises(ConfigError, match="unknown column 'regular'"):
        lake.bars("AAA", columns=["regular"])


def test_a_month_that_is_not_asked_for_is_not_opened(tmp_path: Path) -> None:
    tables = open_tables(open_location(str(tmp_path)), TABLES)
    november = made_up("AAA", 1, [20.0]).with_columns(
        pl.lit(202411, pl.Int32).alias("month"), pl.col("date").dt.offset_by("1mo"), pl.col("time").dt.offset_by("1mo")
    )
    tables["bars_1m"].commit(CommitContext(1), pl.concat([made_up("AAA", 1, [11.0]), november]))
    for path in (tmp_path / "curated/bars_1m/source=yahoo/month=202411").iterdir():
        path.unlink()
    assert open_lake(str(tmp_path)).bars("AAA", end="2024-10-31", timeframe="1m")["close"].to_list() == [11.0]
