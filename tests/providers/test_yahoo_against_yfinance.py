"""Our reading of each recorded chart against yfinance's `Ticker.history(auto_adjust=False)` of the same bytes.

What yfinance changes on purpose is applied to our frame before the comparison (`as_yfinance_shows`), so that a
difference is either named here or a failure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
import yfinance
from curl_cffi import requests as curl
from yfinance.data import SingletonMeta, YfData
from yfinance.exceptions import YFPricesMissingError

from quantx.errors import MalformedPayload
from quantx.providers.yahoo import Yahoo

from ..market_data import either
from .conftest import StoppedClock, document, payload
from .recordings import Recording, read_recordings

# yfinance 1.7 uses names that pandas 3 deprecates; that is its business.
pytestmark = pytest.mark.filterwarnings("ignore")

PRICES = ["open", "high", "low", "close", "vendor_adj_close"]
COLUMNS = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Adj Close": "vendor_adj_close",
    "Volume": "volume",
}
# HTTP 200 without timestamps: yfinance reports "no price data found", we return no rows.
WITHOUT_DATA = either(
    {
        "chart-AAPL-2025-02-01-to-2025-02-02-includePrePost-false-interval-1m.json",
        "chart-APS.AX-2020-01-01-to-2020-01-03.json",
        "chart-^VXAPL-2020-01-01-to-2020-01-03.json",
        "scheb_noData.json",
    },
    {
        "chart-QZMIN-2025-02-01-to-2025-02-02-interval-1m.json",
        "chart-QZNO.AX-2020-01-01-to-2020-01-03.json",
        "chart-^QZIX-2020-01-01-to-2020-01-03.json",
        "noData.json",
    },
)
# The person who recorded it removed the other columns.
CLOSES_ONLY = {either("pp_response_yahoo_historical01.json", "closes_only.json")}
CHARTS = either(38, 15)
BARS, ACTIONS = either((4000, 30), (1300, 33))  # at least


class Replaying(curl.Session[Any]):
    """Answers every request with one body; no network."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body

    def request(self, method: str, url: str, **options: Any) -> Any:  # type: ignore[override]
        response = curl.Response()
        response.url, response.status_code, response.content = url, 200, self.body
        return response


History = Callable[[Recording], pd.DataFrame]


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[History]:
    """The frame that the real yfinance makes of a recording, in a window wider than the recording."""
    monkeypatch.setattr(SingletonMeta, "_instances", {})  # one session per process, unless it is made to forget
    yfinance.config.debug.hide_exceptions = False
    yfinance.set_tz_cache_location(str(tmp_path))

    def read(recording: Recording) -> pd.DataFrame:
        YfData.cache_get.cache_clear()  # it would remember the reply before
        times = recording.result.get("timestamp") or [1_577_836_800]
        ticker = yfinance.Ticker(recording.payload.symbol, session=Replaying(recording.payload.body))
        return ticker.history(
            start=pd.Timestamp(min(times), unit="s", tz="UTC") - timedelta(days=2),
            end=pd.Timestamp(max(times), unit="s", tz="UTC") + timedelta(days=40),
            interval=recording.interval,
            prepost=recording.with_extended_hours,
            auto_adjust=False,
            actions=True,
        )

    yield read
    yfinance.config.debug.hide_exceptions = True
    YfData.cache_get.cache_clear()


@pytest.fixture(scope="session")
def recordings(market_data: Path) -> list[Recording]:
    folder = market_data / "wire_yahoo"
    found = [*read_recordings(folder / "v8_chart"), *read_recordings(folder / "v8_chart_bodies")]
    # The bare bodies do not say their interval; that of the dividends and splits is a month.
    return [
        Recording(
            r.name, r.payload, r.result["meta"].get("dataGranularity", r.interval), r.with_extended_hours, r.document
        )
        for r in found
    ]


def as_yfinance_shows(recording: Recording) -> pl.DataFrame:
    """Our bars after the changes that yfinance makes on purpose."""
    bars = Yahoo(no_session, StoppedClock()).normalize(recording.payload).bars
    # Without an adjusted close (minute bars) it repeats the close; we return only values that the vendor sent.
    if "adjclose" not in recording.result["indicators"]:
        assert bars["vendor_adj_close"].null_count() == len(bars)
        bars = bars.with_columns(vendor_adj_close="close")
    bars = bars.sort("time").with_columns(pl.col("volume").fill_null(0))
    if recording.interval in ("1d", "1mo"):
        bars = _merge_live_row(bars, recording.interval).unique("date", keep="first", maintain_order=True)
    elif not recording.with_extended_hours:
        # It drops what Yahoo sends from outside the regular hours, such as the closing auction.
        periods = [p for day in recording.result["meta"]["tradingPeriods"] for p in day]
        seconds = pl.col("time").dt.epoch("s")
        bars = bars.filter(pl.any_horizontal([(seconds >= p["start"]) & (seconds < p["end"]) for p in periods]))
    # It drops rows without values.
    something = [pl.col(c).is_not_null() & (pl.col(c) != 0) for c in (*PRICES, "volume")]
    return bars.filter(pl.any_horizontal(something))


def _merge_live_row(bars: pl.DataFrame, interval: str) -> pl.DataFrame:
    """The running session comes as a second row of its day or month; it replaces the day's, and ends the month's."""
    if len(bars) < 2:
        return bars
    before, live = bars.row(-2, named=True), bars.row(-1, named=True)
    if interval == "1d":
        return pl.concat([bars[:-2], bars[-1:]]) if before["date"] == live["date"] else bars
    if (before["date"].year, before["date"].month) != (live["date"].year, live["date"].month):
        return bars
    merged = {
        **before,
        "high": max(before["high"], live["high"]),
        "low": min(before["low"], live["low"]),
        "close": live["close"],
        "vendor_adj_close": live["vendor_adj_close"],
        "volume": before["volume"] + live["volume"],
    }
    return pl.concat([bars[:-2], pl.DataFrame([merged], schema=bars.schema)])


def compare(recording: Recording, theirs: pd.DataFrame) -> None:
    ours = as_yfinance_shows(recording)
    if recording.interval in ("1d", "1mo"):
        assert [stamp.date() for stamp in theirs.index] == ours["date"].to_list()
    else:
        assert list(theirs.index.tz_convert("UTC")) == [pd.Timestamp(t) for t in ours["time"]]
    for their_name, name in COLUMNS.items():
        expected = ours[name].fill_null(float("nan")).to_numpy()
        pd.testing.assert_series_equal(
            pd.Series(theirs[their_name].to_numpy(dtype=float)), pd.Series(expected), rtol=0, atol=0, obj=their_name
        )


def compare_actions(recording: Recording, theirs: pd.DataFrame) -> int:
    """Same dividends and splits on the same dates (in the same months for monthly bars); returns how many."""
    monthly = recording.interval == "1mo"
    actions = Yahoo(no_session, StoppedClock()).normalize(recording.payload).actions

    def bucket(day: date) -> date:
        return day.replace(day=1) if monthly else day

    for kind, column in (("dividend", "Dividends"), ("split", "Stock Splits")):
        shown = theirs[column][theirs[column] != 0]
        expected: dict[date, float] = {}
        for row in actions.filter(pl.col("kind") == kind).iter_rows(named=True):
            day, value = bucket(row["ex_date"]), row["value"]
            known = expected.get(day)
            expected[day] = value if known is None else known + value if kind == "dividend" else known * value
        assert {bucket(stamp.date()): value for stamp, value in shown.items()} == expected
    return len(actions)


def test_every_recorded_chart_reads_as_yfinance_reads_it(recordings: list[Recording], history: History) -> None:
    assert len(recordings) == CHARTS
    compared, bars, actions = [], 0, 0
    for recording in recordings:
        if recording.name in WITHOUT_DATA | CLOSES_ONLY:
            continue
        theirs = history(recording)
        compare(recording, theirs)
        actions += compare_actions(recording, theirs)
        bars += len(theirs)
        compared.append(recording.name)
    assert len(compared) == CHARTS - len(WITHOUT_DATA) - len(CLOSES_ONLY)
    assert bars > BARS
    assert actions >= ACTIONS


def test_charts_without_data_are_empty_where_yfinance_raises(recordings: list[Recording], history: History) -> None:
    without = [r for r in recordings if r.name in WITHOUT_DATA]
    assert len(without) == len(WITHOUT_DATA)
    for recording in without:
        read = Yahoo(no_session, StoppedClock()).normalize(recording.payload)
        assert read.bars.is_empty()
        assert read.actions.is_empty()
        with pytest.raises(YFPricesMissingError):
            history(recording)


def test_a_chart_of_closes_only_is_refused_by_both_and_read_alike_when_filled_up(
    recordings: list[Recording], history: History
) -> None:
    found = [r for r in recordings if r.name in CLOSES_ONLY]
    assert len(found) == len(CLOSES_ONLY)
    for recording in found:
        with pytest.raises(MalformedPayload, match="open"):
            Yahoo(no_session, StoppedClock()).normalize(recording.payload)
        with pytest.raises(KeyError, match="volume"):
            history(recording)
        quote = recording.result["indicators"]["quote"][0]
        assert None in quote["close"]
        quote |= dict.fromkeys(("open", "high", "low"), quote["close"])
        quote["volume"] = [i or None for i in range(len(quote["close"]))]
        whole = replace(recording, payload=replace(recording.payload, body=json.dumps(recording.document).encode()))
        theirs = history(whole)
        compare(whole, theirs)
        assert len(theirs) > 100


def made(**changes: Any) -> Recording:
    """A chart of five days from Monday 2024-03-04 with some parts changed."""
    chart = document(instrumentType="EQUITY")
    result = chart["chart"]["result"][0]
    result["timestamp"] = changes.pop("timestamp", result["timestamp"])
    result["events"] = changes.pop("events", {})
    result["indicators"]["quote"][0].update(changes)
    return Recording("made", payload(json.dumps(chart).encode()), "1d", False, chart)


MONDAY, FRIDAY = 1709562600, 1709908200
CASES = {
    "the running session as a second row of its day": made(
        timestamp=[*(MONDAY + 86400 * i for i in range(4)), MONDAY + 86400 * 3 + 9000]
    ),
    "rows in any order": made(timestamp=[MONDAY + 86400 * i for i in (2, 0, 1, 4, 3)]),
    "stamps an hour before midnight": made(timestamp=[MONDAY - 37800 + 86400 * i for i in range(5)]),
    "a split and two dividends of one day": made(
        events={
            "splits": {"1": {"date": FRIDAY, "numerator": 3, "denominator": 2}},
            "dividends": {"1": {"date": FRIDAY, "amount": 0.2}, "2": {"date": FRIDAY + 1, "amount": 0.3}},
        }
    ),
    "prices without volume": made(volume=[1, None, 3, 4, 5]),
}


@pytest.mark.parametrize("case", CASES)
def test_oddities_that_no_recording_shows(case: str, history: History) -> None:
    recording = CASES[case]
    theirs = history(recording)
    compare(recording, theirs)
    compare_actions(recording, theirs)


def no_session() -> Any:
    raise AssertionError("normalize must not connect")
