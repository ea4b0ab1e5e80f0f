"""The contracts of a provider and of its wire, with Acme's replies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from quantx_acme.provider import Acme

from quantx.core.model import Payload, Window
from quantx.providers.protocol import Provider
from quantx.testing import NoClock, ProviderContract, WireContract, payload, replying_with

URL = "https://api.acme.example/acme/v1/daily?symbol={}&from=2024-06-06&to=2024-06-11"


def reply(symbol: str, wire: str, close: float, **events: Any) -> Payload:
    """A recorded reply."""
    days = ("2024-06-06", "2024-06-07", "2024-06-10", "2024-06-11")
    bars = [
        {"date": day, "open": close, "high": close + 2.25, "low": close - 1.5, "close": close + n, "volume": 1000 + n}
        for n, day in enumerate(days)
    ]
    document = {"symbol": wire, "currency": "USD", "bars": bars, "splits": [], "dividends": [], **events}
    return payload(symbol, URL.format(wire), json.dumps(document).encode())


class TestAcme(ProviderContract):
    """Acme's adapter."""

    @pytest.fixture
    def provider(self) -> Provider:
        """An adapter without a connection."""
        return Acme(None, NoClock())  # type: ignore[arg-type]

    @pytest.fixture
    def recorded(self) -> list[Payload]:
        """Replies about two symbols, one with a dividend."""
        paid = [{"date": "2024-06-10", "value": 0.25}]
        return [reply("AAPL", "AAPL", 194.5, dividends=paid), reply("BRK.B", "BRK-B", 407.125)]

    @pytest.fixture
    def empty(self) -> list[Payload]:
        """A reply without bars."""
        return [reply("AAPL", "AAPL", 194.5, bars=[])]

    @pytest.fixture
    def replying(self) -> Iterator[Callable[[bytes], Provider]]:
        """A vendor that sends what the test wants."""
        with replying_with(Acme) as opened:
            yield opened

    @pytest.fixture
    def window(self) -> Window:
        """The days of the replies."""
        return Window(date(2024, 6, 6), date(2024, 6, 11))


class TestAcmeWire(WireContract):
    """Acme's wire in the sandbox, fetched from with the adapter; the package must be installed."""

    source = "acme"
