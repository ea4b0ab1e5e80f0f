"""Alpaca keeps the provider's contract; the replies are those that were recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quantx.core.model import Payload, Window
from quantx.providers.alpaca import Alpaca
from quantx.providers.http import HttpReply
from quantx.providers.protocol import Provider
from quantx.testing.provider_contract import ProviderContract

from ..market_data import either
from .alpaca_stub import StoppedClock, page, payload, recorded


class NoClock:
    def now(self) -> datetime:
        raise AssertionError("normalize must not ask for the time")


def no_session() -> Any:
    raise AssertionError("normalize must not connect")


PAGES = either(
    [
        ("go_17_bars_META", "META"),
        ("go_18_bars_META", "META"),
        ("py_historical_stock_data_00", "AAPL"),
        ("py_historical_stock_data_01", "TSLA"),
        ("py_historical_stock_data_02", "AAPL,TSLA"),
        ("go_51_corporate_actions_forward_splits_name_changes", "FBL,NVDL"),
        ("py_corporate_actions_00", "FCF,MNTS,SRE"),
        ("py_corporate_actions_01", "ZMTBY"),
    ],
    [
        ("bars_QZM_1", "QZM"),
        ("bars_QZM_2", "QZM"),
        ("bars_QZA", "QZA"),
        ("bars_QZN", "QZN"),
        ("bars_QZA_QZN", "QZA,QZN"),
        ("splits_and_names", "QZFIV,QZSIX"),
        ("actions_of_every_kind", "QZPAY,QZREV,QZSPL"),
        ("one_dividend", "QZADR"),
    ],
)


class TestAlpaca(ProviderContract):
    @pytest.fixture
    def provider(self) -> Provider:
        return Alpaca(no_session, NoClock())

    @pytest.fixture
    def recorded(self, market_data: Path) -> list[Payload]:
        return [recorded(market_data, name, symbols) for name, symbols in PAGES]

    @pytest.fixture
    def empty(self) -> list[Payload]:
        nothing = b'{"corporate_actions":{},"next_page_token":null}'
        return [payload(page({})), payload(page(None)), payload(page({"AAPL": []})), payload(nothing)]

    @pytest.fixture
    def replying(self) -> Callable[[bytes], Provider]:
        def provider(body: bytes) -> Provider:
            reply = HttpReply(
                url="https://data.alpaca.markets/v2/stocks/bars",
                status=200,
                content_type="text/html",
                body=body,
                vendor_time=None,
            )
            session = SimpleNamespace(bars=lambda *asked, **options: reply, prepare=lambda: None)
            return Alpaca(lambda: session, StoppedClock())

        return provider

    @pytest.fixture
    def window(self) -> Window:
        return Window(date(2024, 3, 4), date(2024, 3, 8))
