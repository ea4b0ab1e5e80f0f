from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantx.core.calendars import calendar
from quantx.sandbox import Dividend, Market, Split, load_market
from quantx.sandbox.book import Book
from quantx.sandbox.clock import SandboxClock
from quantx.sandbox.columns import FIELDS
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import history
from quantx.sandbox.synthetic import SyntheticMarket
from quantx.sandbox.yahoo_wire import YahooWire

Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="session", autouse=True)
def calendars() -> None:
    """Load the calendars first: exchange_calendars 4.13 uses a deprecated part of pandas 3.1; warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for code in ("XNYS", "XHKG", "XTKS"):
            calendar(code)


@pytest.fixture(scope="session")
def small() -> Market:
    """One company over June 2014: 2-for-1 on the 9th, a dividend of 0.60 before (the 5th) and of 0.25 after (the 12th).

    As traded the closes run 100, 101 … and halve at the split; volumes run 1000, 1010 … and double.
    """
    days = calendar("XNYS").sessions(date(2014, 6, 2), date(2014, 6, 20))
    split = days.index(date(2014, 6, 9))
    step = np.arange(len(days), dtype=np.float64)
    shares = np.where(step >= split, 2.0, 1.0)
    close = (100 + step) / shares
    columns = {
        "open": close - 0.5,
        "high": close + 1,
        "low": close - 1,
        "close": close,
        "volume": (1000 + 10 * step) * shares,
    }
    known = history(
        "ACME.B",
        np.array([day_number(day) for day in days], dtype=np.int64),
        columns,
        name="Acme Class B",
        splits=(Split(date(2014, 6, 9), 2, 1),),
        dividends=(Dividend(date(2014, 6, 5), 0.60), Dividend(date(2014, 6, 12), 0.25)),
    )
    return Market("files", {known.symbol: known})


@pytest.fixture(scope="session")
def synthetic() -> SyntheticMarket:
    """The invented market as of the end of 2024."""
    market = load_market(None, today=date(2024, 12, 31))
    assert isinstance(market, SyntheticMarket)
    return market


@pytest.fixture(scope="session")
def quandl(market_data: Path) -> Market:
    return load_market(market_data / "daily_us_unadjusted_with_events_quandl_wiki")


@pytest.fixture
def ask() -> Ask:
    """Ask a market, at a time, for a symbol's chart; returns the status and the document."""

    def chart(market: Market, now: str, symbol: str, **params: Any) -> tuple[int, dict[str, Any]]:
        texts = {name: str(value) for name, value in {"events": "div,splits", **params}.items()}
        reply = YahooWire(Book(market, SandboxClock(now)), None).chart(symbol, texts)
        return reply.status, json.loads(reply.body)["chart"]

    return chart


@pytest.fixture
def rows(ask: Ask) -> Callable[..., dict[date, dict[str, Any]]]:
    """The bars of a chart by New York's date, each with adjclose."""

    def by_day(market: Market, now: str, symbol: str, **params: Any) -> dict[date, dict[str, Any]]:
        status, chart = ask(market, now, symbol, **{"range": "max", **params})
        assert status == 200, chart
        result = chart["result"][0]
        quote = {**result["indicators"]["quote"][0], **result["indicators"]["adjclose"][0]}
        offset = 0 if result["meta"]["exchangeTimezoneName"] == "America/New_York" else 9 * 3600
        days = [datetime.fromtimestamp(t + offset, UTC).date() for t in result["timestamp"]]
        return {
            day: {name: quote[name][i] for name in (*FIELDS, "adjclose")} | {"time": result["timestamp"][i]}
            for i, day in enumerate(days)
        }

    return by_day


@pytest.fixture
def at() -> Callable[[str], int]:
    """Unix seconds of an instant written in UTC."""
    return lambda text: int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
