"""A large invented market, and a session of Yahoo's provider that reads it without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

import numpy as np

from quantx.core.calendars import calendar
from quantx.core.model import Clock
from quantx.providers.http import HttpReply
from quantx.providers.protocol import Provider
from quantx.providers.yahoo import Yahoo
from quantx.sandbox import Dividend, Market, Split
from quantx.sandbox.book import Book
from quantx.sandbox.clock import SandboxClock
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import history
from quantx.sandbox.yahoo_wire import YahooWire
from quantx.settings import Settings

LAST = date(2025, 12, 31)
NOW = datetime(2026, 1, 5, 23, tzinfo=UTC)


def symbols(count: int) -> list[str]:
    """Return `count` tickers that no company has."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [f"Q{letters[i // 676]}{letters[i // 26 % 26]}{letters[i % 26]}" for i in range(count)]


def invented_market(count: int, first: date) -> Market:
    """Return `count` American symbols from `first` to `LAST`: every tenth splits twice, every second pays quarterly."""
    sessions = calendar("XNYS").sessions(first, LAST)
    days = np.array([day_number(day) for day in sessions], dtype=np.int64)
    histories = {}
    for number, symbol in enumerate(symbols(count)):
        random = np.random.default_rng([1, number])
        close = 50 * np.exp(np.cumsum(random.normal(0.0002, 0.015, days.size)))
        opened = close * np.exp(random.normal(0, 0.005, days.size))
        columns = {
            "open": opened,
            "high": np.maximum(opened, close) * (1 + random.uniform(0, 0.01, days.size)),
            "low": np.minimum(opened, close) * (1 - random.uniform(0, 0.01, days.size)),
            "close": close,
            "volume": np.floor(random.lognormal(14, 0.5, days.size)),
        }
        # Not within the last sessions, so that a daily update changes no history.
        splits = (
            [Split(sessions[days.size // 3], 2, 1), Split(sessions[days.size // 2], 3, 2)] if number % 10 == 0 else []
        )
        dividends = [Dividend(day, 0.25) for day in sessions[40:-40:63]] if number % 2 == 0 else []
        histories[symbol] = history(symbol, days, columns, splits=splits, dividends=dividends)
    return Market("synthetic", histories)


class InProcess:
    """The sandbox's wire as a session of the provider: the same bytes, without a server."""

    def __init__(self, market: Market) -> None:
        self._vendor = YahooWire(Book(market, SandboxClock(NOW)), None)

    def prepare(self) -> None:
        """Do nothing."""

    def chart(self, wire_symbol: str, params: Mapping[str, Any]) -> Any:
        texts = {name: str(value) for name, value in params.items()}
        reply = self._vendor.chart(wire_symbol, texts)
        return HttpReply(
            url=f"https://sandbox/v8/finance/chart/{wire_symbol}?{urlencode(texts)}",
            status=reply.status,
            content_type=reply.content_type,
            body=reply.body,
            vendor_time=NOW,
        )


def providers_of(market: Market) -> Any:
    """Return the argument `providers` of `open_platform`: Yahoo over the market."""

    def providers(_: Settings, clock: Clock) -> Mapping[str, Provider]:
        return {"yahoo": Yahoo(lambda: InProcess(market), clock)}

    return providers
