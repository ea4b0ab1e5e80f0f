"""Folders of daily files and of recorded replies: recognised and skipped files, and the replies made of them."""

from __future__ import annotations

import gzip
import json
import lzma
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.errors import ConfigError
from quantx.sandbox import load_market

from ..market_data import either

QUANDL = """Date,Open,High,Low,Close,Volume,ExDividend,SplitRatio,AdjOpen,AdjHigh,AdjLow,AdjClose,AdjVolume
2014-06-09,50.0,52.0,49.0,51.0,2000.0,0.0,2.0,50.0,52.0,49.0,51.0,2000.0
2014-06-06,99.0,102.0,98.0,100.0,1000.0,0.4,1.0,49.5,51.0,49.0,50.0,2000.0
2014-06-05,97.0,100.0,96.0,98.0,1100.0,0.0,1.0,48.5,50.0,48.0,49.0,2200.0
"""
YAHOO = """Date,Open,High,Low,Close,Adj Close,Volume
2014-06-05,97.000000,100.000000,96.000000,98.000000,97.510000,1100
2014-06-06,null,null,null,null,null,null
2014-06-09,99.000000,102.000000,98.000000,100.000000,100.000000,1000
"""
YFINANCE = """Price,Close,High,Low,Open,Volume
Ticker,0005.HK,0005.HK,0005.HK,0005.HK,0005.HK
Date,,,,,
2011-12-23,27.5,28.0,27.0,27.25,100
2011-12-24,,,,,0
"""
TOKYO = """timestamp,open,high,low,close,volume
2025-04-28 09:00:00+09:00,100.0,110.0,90.0,105.0,700
2025-04-28 15:30:00+09:00,100.0,110.0,90.0,105.0,700
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "AAPL.csv.xz").write_bytes(lzma.compress(QUANDL.encode()))
    (tmp_path / "BRK-B.csv").write_text(YAHOO)
    (tmp_path / "deep" / "0005.HK.csv.gz").write_bytes(gzip.compress(YFINANCE.encode()))
    (tmp_path / "deep" / "er" / "285A.T_daily.csv").write_text(TOKYO)
    return tmp_path


def test_four_layouts_are_recognised_by_their_headers(folder):
    market = load_market(folder)
    assert market.kind == "files"
    assert market.symbols == ["0005.HK", "285A.T", "AAPL", "BRK.B"]


def test_a_file_named_by_the_five_digits_of_hong_kong_has_the_share(tmp_path):
    (tmp_path / "00005.HK.csv").write_text(YFINANCE.replace("0005.HK", "00005.HK"))
    assert load_market(tmp_path).symbols == ["0005.HK"]


def test_as_traded_files_bring_bars_oldest_first_and_events(folder):
    market = load_market(folder)
    bars = market.as_traded("AAPL")
    assert bars.columns == ["date", "open", "high", "low", "close", "volume"]
    assert bars["date"].to_list() == [date(2014, 6, 5), date(2014, 6, 6), date(2014, 6, 9)]
    assert bars["close"].to_list() == [98, 100, 51]
    assert market.actions("AAPL").rows() == [
        (date(2014, 6, 6), "dividend", 0.4, None, None),
        (date(2014, 6, 9), "split", 2.0, 2.0, 1.0),
    ]
    assert [s for s, _ in market.splits_between(date(2014, 6, 9), date(2014, 6, 9))] == ["AAPL"]
    assert market.splits_between(date(2014, 6, 10), date(2015, 1, 1)) == []


def test_null_rows_of_yahoo_stay_null(folder, rows):
    assert load_market(folder).as_traded("BRK.B").row(1)[1:] == (None,) * 5
    bar = rows(load_market(folder), "2014-06-20", "BRK-B")[date(2014, 6, 6)]
    assert [bar[name] for name in ("open", "high", "low", "close", "volume", "adjclose")] == [None] * 6


def test_dates_given_twice_are_served_twice_at_the_opening(folder, ask):
    _, chart = ask(load_market(folder), "2025-05-01", "285A.T", range="max")
    assert chart["result"][0]["timestamp"] == [1745798400, 1745798400]  # 09:00 in Tokyo
    assert chart["result"][0]["indicators"]["adjclose"] == [{"adjclose": [105, 105]}]


def test_a_saturday_row_is_stamped_with_the_usual_opening(folder, ask, at):
    _, chart = ask(load_market(folder), "2012-01-10", "0005.HK", range="max")
    assert chart["result"][0]["timestamp"] == [at("2011-12-23T01:30:00"), at("2011-12-24T01:30:00")]
    assert chart["result"][0]["indicators"]["quote"][0]["volume"] == [100, 0]


def yahoo_file(path: Path, close: np.ndarray, adjclose: np.ndarray, dates: list[date]) -> None:
    lines = [f"{d},{c:f},{c:f},{c:f},{c:f},{a:f},100" for d, c, a in zip(dates, close, adjclose, strict=True)]
    path.write_text("\n".join(["Date,Open,High,Low,Close,Adj Close,Volume", *lines]))


def test_dividends_are_implied_by_yahoos_rule(tmp_path):
    """A file made by the rule gives its dividends back, to the precision of six decimals."""
    dates = list(calendar("XNYS").sessions(date(2020, 1, 2), date(2021, 12, 31)))
    close = np.round(40 + 10 * np.sin(np.arange(len(dates)) / 20), 6)
    paid = {60: 0.31, 124: 0.31, 187: 0.05, 300: 2.5, 430: 0.32}
    factor = np.ones(len(dates))
    for row, amount in paid.items():
        factor[:row] *= 1 - amount / close[row - 1]
    yahoo_file(tmp_path / "ACME.csv", close, np.round(close * factor, 6), dates)
    actions = load_market(tmp_path).actions("ACME")
    assert actions["date"].to_list() == [dates[row] for row in paid]
    np.testing.assert_allclose(actions["value"].to_numpy(), list(paid.values()), atol=1e-5)


def test_a_factor_that_no_dividend_explains_keeps_the_files_adjclose(tmp_path, rows):
    dates = list(calendar("XNYS").sessions(date(2020, 1, 2), date(2020, 1, 31)))
    close = np.full(len(dates), 10.0)
    adjclose = np.concatenate([np.full(10, -0.5), close[10:]])
    yahoo_file(tmp_path / "VATE.csv", close, adjclose, dates)
    market = load_market(tmp_path)
    assert market.actions("VATE").height == 0
    assert rows(market, "2020-01-31", "VATE")[dates[0]]["adjclose"] == -0.5
    assert rows(market, "2020-01-30", "VATE")[dates[0]]["adjclose"] == 10  # not yet known then


def test_lines_that_are_no_rows_are_left_out(tmp_path):
    page = '{\n "finance": {\n  "error": null\n }\n}\n<html>\n<p>Will be right back...</p>\n</html>\n2014-06-10,1,2\n'
    (tmp_path / "TSLA.csv").write_text(page + YAHOO.split("\n", 1)[1] + page)
    assert load_market(tmp_path).as_traded("TSLA").height == 3


def test_a_file_that_cannot_be_read_does_not_stop_the_others(folder):
    (folder / "MSFT.csv.xz").write_bytes(b"no xz")
    (folder / "NVDA.csv.gz").write_bytes(gzip.compress(QUANDL.encode())[:40])
    (folder / "KO.csv").write_text("404 Not Found: No data found, symbol may be delisted")
    (folder / "not a symbol.csv").write_text(QUANDL)
    (folder / "broken.json").write_text("{")
    (folder / "readme.md").write_text("hello")
    assert load_market(folder).symbols == ["0005.HK", "285A.T", "AAPL", "BRK.B"]


@pytest.mark.parametrize("content", [None, {"a.txt": "x"}, {"AAPL.csv": "a,b\n1,2\n"}])
def test_a_folder_with_nothing_to_serve_is_refused(tmp_path, content):
    folder = tmp_path / "data"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    with pytest.raises(ConfigError, match="data"):
        load_market(folder)


def test_recordings_are_served_verbatim(tmp_path, ask):
    def record(name, url, status, body, when="Mon, 02 May 2022 08:35:35 GMT"):
        response = {"status": status, "headers": {"date": [when], "content-type": "text/x"}, **body}
        (tmp_path / name).write_text(json.dumps({"request": {"url": url}, "response": response}))

    base = "https://query2.finance.yahoo.com/v8/finance/chart/"
    record("a.json", f"{base}ACME?interval=1d&period1=1&period2=2", 200, {"bodyJson": {"chart": "first"}})
    record("b.json", f"{base}ACME?interval=1d&period1=3&period2=4", 404, {"body": '{"chart": "gone"}'})
    record("c.json", f"{base}%5EVIX?interval=1m&period1=3&period2=4", 200, {"bodyJson": {"chart": "minutes"}})
    record("d.json", "https://query2.finance.yahoo.com/v7/finance/quote?symbols=KO", 200, {"bodyJson": {}})
    body = '{"chart": {"result": [{"meta": {"symbol": "KO", "dataGranularity": "1d"}}], "error": null}}'
    (tmp_path / "bare.json").write_text(body)

    from quantx.sandbox.book import Book
    from quantx.sandbox.clock import SandboxClock
    from quantx.sandbox.yahoo_wire import YahooWire

    market = load_market(tmp_path)
    assert (market.kind, market.symbols) == ("recorded", ["ACME", "KO", "^VIX"])
    vendor = YahooWire(Book(market, SandboxClock("2024-01-01")), None)
    exact = vendor.chart("ACME", {"interval": "1d", "period1": "1", "period2": "2"})
    assert (exact.status, exact.body, exact.date) == (200, b'{"chart":"first"}', "Mon, 02 May 2022 08:35:35 GMT")
    other = vendor.chart("ACME", {"interval": "1d", "period1": "3", "period2": "4"})
    assert (other.status, other.body, other.content_type) == (404, b'{"chart": "gone"}', "text/x")
    assert vendor.chart("ACME", {"range": "max"}).status in (200, 404)
    assert vendor.chart("^VIX", {"interval": "1m"}).body == b'{"chart":"minutes"}'
    assert vendor.chart("KO", {}).body == body.encode()
    assert vendor.chart("PEP", {}).status == 404


# ------------------------------------------------------------------------------------------------- with the real files


def test_real_quandl_files_load_whole(quandl):
    assert len(quandl.symbols) == either(39, 6)
    assert sum(quandl.as_traded(symbol).height for symbol in quandl.symbols) == either(170_984, 6 * 377 - 1)
    ratios = {
        (s, str(split.date)): (split.numerator, split.denominator)
        for s, split in quandl.splits_between(date.min, date.max)
    }
    known = either(
        {
            ("AAPL", "2014-06-09"): (7, 1),
            ("C", "2000-08-28"): (4, 3),
            ("PCLN", "2003-06-16"): (1, 6),
            ("AIG", "2009-07-01"): (1, 20),
        },
        {("QZAA", "2017-03-06"): (7, 1), ("QZCC", "2017-06-12"): (4, 3), ("QZEE", "2017-01-17"): (1, 20)},
    )
    assert {key: ratios[key] for key in known} == known


@pytest.fixture(scope="module")
def yahoo_files(market_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A handful of Yahoo's files: the largest prices, the most dividends, the worst defects."""
    folder = tmp_path_factory.mktemp("yahoo")
    source = market_data / "daily_us_yahoo_csv"
    names = either(
        (("AAPL", "AIG", "C", "IBM", "KO"), ("VATE", "EAI")), (("QZAA", "QZBB", "QZCC", "QZFF"), ("QZNG", "QZEM"))
    )
    for name in (
        f"{kind}/{name}" for kind, some in zip(("sp500", "anomalous_small_caps"), names, strict=True) for name in some
    ):
        shutil.copy(source / f"{name}.csv.xz", folder)
    return folder


def test_real_adjclose_is_given_back_within_its_rounding(yahoo_files, rows):
    market = load_market(yahoo_files)
    for symbol in market.symbols:
        path = yahoo_files / f"{symbol}.csv.xz"
        table = pl.read_csv(lzma.decompress(path.read_bytes()), null_values="null", try_parse_dates=True)
        bars = rows(market, "2024-03-08", symbol)
        for day, close, file in table.select("Date", "Close", "Adj Close").iter_rows():
            if file is None:
                assert bars[day]["adjclose"] is None
            else:
                bound = 1.5e-6 * abs(file) + 1.5e-6 * (1 + abs(file) / close)
                assert abs(bars[day]["adjclose"] - file) <= bound, (symbol, day)


def test_real_dividends_are_those_that_another_vendor_knows(yahoo_files, quandl):
    market = load_market(yahoo_files)
    period = pl.col("date").is_between(date(2002, 1, 2), date(2017, 11, 1)) & (pl.col("kind") == "dividend")
    for symbol in either(("AAPL", "C", "KO"), ("QZAA", "QZCC")):
        ours, theirs = (m.actions(symbol).filter(period)["date"].to_list() for m in (market, quandl))
        assert ours == theirs, symbol


def test_a_real_append_jobs_files_load(market_data):
    market = load_market(market_data / "daily_us_yahoo_append_job_dirty")
    assert either("BRK.B", "QZ.B") not in market.symbols
    known = either({"TSLA": 550, "NVDA": 6111, "SIVB": 247, "FRC": 3200}, {"QZSP": 279, "QZPG": 279, "QZTK": 279})
    assert {symbol: market.as_traded(symbol).height for symbol in known} == known


def test_real_recordings_answer_as_they_were_recorded(market_data, ask):
    market = load_market(market_data / "wire_yahoo")
    window = {"interval": "1d", "period1": 1577836800, "period2": 1578009600}
    one, unknown, gone = either(("AAPL", "BEKE", "CAPIO.ST"), ("QZONE", "QZNEW", "QZGONE.ST"))
    status, chart = ask(market, "2025-06-01", one, events="div|split|earn", **window)
    assert status == 200
    (close,) = chart["result"][0]["indicators"]["quote"][0]["close"]
    assert close == either(75.0875015258789, 19.889999389648438)
    assert ask(market, "2025-06-01", unknown, **window)[0] == 400
    status, chart = ask(market, "2025-06-01", gone)
    assert (status, chart["result"][0]["meta"]["exchangeName"]) == (200, "YHD")
