"""The contract of a vendor's wire in the sandbox, fetched from with the adapter that fetches from the real vendor."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from functools import cache
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from quantx.core.model import Window
from quantx.core.prices import PRICES, to_as_traded
from quantx.errors import (
    MalformedPayload,
    NotEntitled,
    ProviderError,
    RateLimited,
    TransientProviderError,
    UnknownSymbol,
)
from quantx.providers.protocol import Provider, Request
from quantx.providers.registry import VENDORS
from quantx.sandbox import Market, Sandbox, load_market, running
from quantx.settings import Settings

FAULTS: dict[str, tuple[type[ProviderError], ...]] = {
    "429": (RateLimited,),
    "500": (TransientProviderError,),
    "502": (TransientProviderError,),
    "html": (MalformedPayload,),
    "truncated": (MalformedPayload,),
    "garbage": (MalformedPayload,),
    "reset": (TransientProviderError,),
}
_LAST_DAY = date(2024, 12, 31)
_KEY = "CANARY0KEY"


@cache
def _market() -> Market:
    with warnings.catch_warnings():  # exchange_calendars uses a deprecated part of pandas
        warnings.simplefilter("ignore")
        return load_market(None, today=_LAST_DAY)


class _SandboxTime:
    """The sandbox's clock."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def now(self) -> datetime:
        """Return the sandbox's time."""
        return self._sandbox.clock.now()


class WireContract:
    """The contract. A subclass sets `source`; its provider must be one of the registry, with a wire."""

    source: str
    symbols: tuple[str, ...] = ("QXAA", "QXAG", "QXAT.B")  # of the sandbox's synthetic market
    start = date(2015, 1, 2)
    noise = 1e-6  # relative, of the digits that the wire sends

    @pytest.fixture
    def market(self) -> Market:
        """The synthetic market as of the end of 2024."""
        return _market()

    def test_the_prices_are_those_of_the_market(self, market: Market) -> None:
        """Bars of the declared basis, turned back to as-traded prices with the events of the same replies."""
        with self._opened(market) as provider:
            if provider.capabilities.price_basis == "fully_adjusted":
                pytest.skip("fully adjusted prices can't be turned back to as-traded ones")
            for symbol in self.symbols:
                bars, actions = self._fetch(provider, symbol)
                traded = bars
                if provider.capabilities.price_basis == "split_adjusted":
                    number = pl.lit(0).alias("series")
                    traded, _ = to_as_traded(bars.with_columns(number), actions.with_columns(number))
                wanted = market.as_traded(symbol).filter(pl.col("date") >= self.start, pl.col("close").is_not_null())
                wanted = wanted.unique("date", keep="last", maintain_order=True).sort("date")
                found = traded.filter(pl.col("close").is_not_null(), pl.col("date") >= self.start)
                found = found.unique("date", keep="last", maintain_order=True).sort("date")
                assert found["date"].to_list() == wanted["date"].to_list()
                for name in (*PRICES, "volume"):
                    assert ((found[name] / wanted[name] - 1).abs().fill_nan(0) <= max(self.noise, 1e-4)).all(), name

    def test_an_unknown_symbol_has_no_rows_or_is_refused(self, market: Market) -> None:
        with self._opened(market) as provider, suppress(UnknownSymbol):
            bars, actions = self._fetch(provider, "NOBODY")
            assert bars.is_empty()
            assert actions.is_empty()

    @pytest.mark.parametrize("kind", FAULTS)
    def test_every_fault_raises_its_error(self, market: Market, kind: str) -> None:
        with self._opened(market, faults=[f"{self.source}:{kind}=1"]) as provider, pytest.raises(FAULTS[kind]):
            self._fetch(provider, self.symbols[0])

    def test_another_key_is_refused(self, market: Market) -> None:
        if not VENDORS[self.source].keys:
            pytest.skip("it needs no key")
        with self._opened(market, keys=[f"{self.source}=ANOTHER"]) as provider, pytest.raises(NotEntitled) as refused:
            self._fetch(provider, self.symbols[0])
        assert _KEY not in str(refused.value)

    def test_a_reply_about_another_symbol_is_malformed(self, market: Market) -> None:
        with self._opened(market, faults=[f"{self.source}:othersymbol=1"]) as provider, pytest.raises(MalformedPayload):
            self._fetch(provider, self.symbols[0])

    def _fetch(self, provider: Provider, symbol: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        request = Request("bars", "1d", (symbol,), Window(self.start, _LAST_DAY))
        frames = [provider.normalize(page.payload) for page in provider.fetch(request)]
        return pl.concat([each.bars for each in frames]), pl.concat([each.actions for each in frames])

    @contextmanager
    def _opened(self, market: Market, **options: Any) -> Iterator[Provider]:
        """Open the adapter with settings that lead to a running sandbox."""
        vendor = VENDORS[self.source]
        sandbox = Sandbox(market, now=str(_LAST_DAY), **options)
        with running(sandbox) as url:
            part = {"base_url": url, **dict.fromkeys(vendor.settings_type.keys, SecretStr(_KEY))}
            values: dict[str, Any] = {self.source: part}
            yield vendor.open(Settings(**values), _SandboxTime(sandbox))
