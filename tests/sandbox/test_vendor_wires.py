"""The wires of all vendors over plain HTTP, fetched from with the adapters that fetch from the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, time
from typing import Any

import httpx
import polars as pl
import pytest
from pydantic import SecretStr

from quantx.core.model import Window
from quantx.core.prices import adjust_bars, to_as_traded
from quantx.errors import (
    MalformedPayload,
    NotEntitled,
    ProviderError,
    RateLimited,
    TransientProviderError,
    UnknownSymbol,
)
from quantx.providers.http_provider import HttpProvider
from quantx.providers.protocol import Dataset, Page, PriceBasis, Provider, Request
from quantx.providers.registry import VENDORS, open_providers
from quantx.sandbox import Market, Sandbox, running
from quantx.sandbox.synthetic import SyntheticMarket
from quantx.settings import Settings

KEY = "CANARY0KEY"
PAGES_OF_BARS = {"stooq": 1, "alphavantage": 1, "fmp": 3}
SOURCES = tuple(  # of bars; tests/providers/test_rates.py fetches rates
    source
    for source, vendor in VENDORS.items()
    if "bars" in vendor.capabilities.datasets and issubclass(vendor.adapter, HttpProvider)  # type: ignore[arg-type]
)
ALL = Window(date(2000, 1, 3), date(2024, 12, 31))
PRICES = ("open", "high", "low", "close")
NOISE = 1e-9


class SandboxClock:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def now(self) -> datetime:
        return self._sandbox.clock.now()


@contextmanager
def vendors(market: Market, now: str, **options: Any) -> Iterator[tuple[Callable[[str], Provider], Sandbox, str]]:
    """The adapters, opened with settings that lead to a running sandbox."""
    sandbox = Sandbox(market, now=now, **options)
    with running(sandbox) as url:
        addresses: dict[str, Any] = {f"{source}_base_url": url for source in SOURCES}
        keys: dict[str, Any] = {f"{source}_api_key": SecretStr(KEY) for source in SOURCES}
        opened = open_providers(Settings(**addresses, **keys), SandboxClock(sandbox))
        yield lambda source: opened[source], sandbox, url


def answer(
    provider: Provider, symbol: str, window: Window = ALL, dataset: Dataset = "bars", timeframe: str = "1d"
) -> tuple[pl.DataFrame, pl.DataFrame, list[Page]]:
    pages = list(provider.fetch(Request(dataset, timeframe, (symbol,), window)))
    frames = [provider.normalize(page.payload) for page in pages]
    return pl.concat([f.bars for f in frames]), pl.concat([f.actions for f in frames]), pages


def assert_near(found: pl.DataFrame, wanted: pl.DataFrame, noise: float) -> None:
    assert found["date"].to_list() == wanted["date"].to_list()
    for name in (*PRICES, "volume"):
        error = (found[name] - wanted[name]).abs() / wanted[name].abs()
        assert found[name].null_count() == wanted[name].null_count(), name
        assert error.fill_nan(0).max() <= noise, name  # type: ignore[operator]


def markets(request: pytest.FixtureRequest) -> Iterator[tuple[Market, str, list[str]]]:
    yield request.getfixturevalue("small"), "2014-06-20", ["ACME.B"]
    yield request.getfixturevalue("synthetic"), "2024-12-31", ["QXAA", "QXAG", "QXAH", "QXAI", "QXAT.B"]


def as_traded(market: Market, symbol: str) -> pl.DataFrame:
    return market.as_traded(symbol).filter(pl.col("date") >= ALL.start, pl.col("close").is_not_null())


def of_basis(basis: PriceBasis) -> list[str]:
    return [source for source in SOURCES if VENDORS[source].capabilities.price_basis == basis]


@pytest.mark.parametrize("source", of_basis("split_adjusted"))
def test_split_adjusted_bars_are_turned_back_to_traded_prices(source: str, request: pytest.FixtureRequest) -> None:
    for market, now, symbols in markets(request):
        with vendors(market, now) as (opened, _, _url):
            for symbol in symbols:
                bars, actions, _ = answer(opened(source), symbol)
                series = pl.lit(0).alias("series")
                traded, paid = to_as_traded(bars.with_columns(series), actions.with_columns(series))
                traded = traded.filter(pl.col("close").is_not_null()).sort("date", maintain_order=True)
                assert_near(traded, as_traded(market, symbol), NOISE)
                known = market.actions(symbol).filter(pl.col("kind") == "dividend")
                found = paid.filter(pl.col("kind") == "dividend").sort("ex_date")
                assert found["ex_date"].to_list() == known["date"].to_list()
                assert ((found["value"] - known["value"]).abs() < NOISE).all()


@pytest.mark.parametrize("source", of_basis("fully_adjusted"))
def test_fully_adjusted_bars_are_the_markets(source: str, request: pytest.FixtureRequest) -> None:
    for market, now, symbols in markets(request):
        with vendors(market, now) as (opened, _, _url):
            for symbol in symbols:
                bars, actions, _ = answer(opened(source), symbol)
                assert actions.is_empty()
                traded = as_traded(market, symbol).unique("date", keep="last", maintain_order=True)
                events = market.actions(symbol).select(
                    pl.lit(symbol).alias("symbol"), pl.col("date").alias("ex_date"), "kind", "value"
                )
                closes = traded.select(pl.col("date").alias("ex_date"), pl.col("close").alias("reference_close"))
                events = events.join_asof(closes, on="ex_date", strategy="backward", allow_exact_matches=False)
                symbols_bars = traded.with_columns(pl.lit(symbol).alias("symbol"), pl.col("volume"))
                total = adjust_bars(symbols_bars, events, "total")
                bars = bars.unique("date", keep="last", maintain_order=True)
                assert bars["date"].to_list() == total["date"].to_list()
                for name in PRICES:
                    assert ((bars[name] / total[name] - 1).abs() < 1e-6).all(), (symbol, name)


@pytest.mark.parametrize("source", of_basis("as_traded"))
def test_bars_and_actions_are_as_traded(source: str, request: pytest.FixtureRequest) -> None:
    for market, now, symbols in markets(request):
        with vendors(market, now) as (opened, _, _url):
            for symbol in symbols:
                provider = opened(source)
                bars, actions, _ = answer(provider, symbol)
                traded = as_traded(market, symbol).unique("date", keep="last", maintain_order=True)
                assert_near(bars.sort("date"), traded.with_columns(pl.col("volume").round()), 1e-4)
                if "actions" in provider.capabilities.datasets:
                    assert actions.is_empty()
                    no_bars, actions, _ = answer(provider, symbol, dataset="actions")
                    assert no_bars.is_empty()
                known = market.actions(symbol)
                found = actions.sort("ex_date", "kind")
                assert found.select("ex_date", "kind").rows() == known.select("date", "kind").rows()
                assert ((found["value"] - known["value"]).abs() < 1e-5).all()


def test_the_compact_form_has_the_newest_hundred_sessions(synthetic: SyntheticMarket) -> None:
    with vendors(synthetic, "2024-12-31") as (opened, _, _url):
        bars, _, (page,) = answer(opened("alphavantage"), "QXAA", Window(date(2024, 12, 2), date(2024, 12, 31)))
        assert "outputsize=compact" in page.payload.request
        assert len(bars) == 100
        assert bars["date"][0] == synthetic.last_day


def test_minutes_are_those_of_the_session_and_stamped_with_their_beginnings(synthetic: SyntheticMarket) -> None:
    with vendors(synthetic, "2024-12-31") as (opened, _, _url):
        window = Window(date(2024, 11, 20), date(2024, 12, 5))
        bars, _, pages = answer(opened("alphavantage"), "QXAC", window, timeframe="1m")
        assert len(pages) == 2
        local = pl.col("time").dt.convert_time_zone("America/New_York").dt.time()
        counts = dict(bars.group_by("date").len().rows())
        assert counts[date(2024, 12, 5)] == 390
        assert counts[date(2024, 11, 29)] == 210  # a half day
        assert bars.select(local.is_between(time(9, 30), time(15, 59)).all()).item()
        day = bars.filter(pl.col("date") == date(2024, 12, 5)).sort("time")
        whole = synthetic.as_traded("QXAC").filter(pl.col("date") == date(2024, 12, 5))
        assert (day["open"][0], day["high"].max(), day["low"].min(), day["close"][-1]) == whole.select(PRICES).row(0)


def test_a_running_session_has_a_partial_bar(small: Market) -> None:
    """At noon Stooq and FMP send a partial bar (which the curator leaves out), Alpha Vantage marks it."""
    with vendors(small, "2014-06-18T16:00:00") as (opened, _, _url):
        newest = {source: answer(opened(source), "ACME.B")[0]["date"].max() for source in PAGES_OF_BARS}
    assert newest == {"stooq": date(2014, 6, 18), "fmp": date(2014, 6, 18), "alphavantage": date(2014, 6, 17)}


def test_a_split_changes_fmps_past_and_not_alpha_vantages(small: Market) -> None:
    first = {}
    for now in ("2014-06-06", "2014-06-09"):
        with vendors(small, now) as (opened, _, _url):
            for source in ("fmp", "alphavantage"):
                bars, _, _ = answer(opened(source), "ACME.B")
                first[source, now] = bars.sort("date")["close"][0]
    assert (
        first["fmp", "2014-06-06"] == first["alphavantage", "2014-06-06"] == first["alphavantage", "2014-06-09"] == 100
    )
    assert first["fmp", "2014-06-09"] == 50


def test_requests_are_counted_by_vendor_and_symbol(small: Market) -> None:
    with vendors(small, "2014-06-20") as (opened, sandbox, _):
        for source in PAGES_OF_BARS:
            answer(opened(source), "ACME.B")
        answer(opened("alphavantage"), "ACME.B", dataset="actions")
        counts = sandbox.stats()["by_vendor"]
    totals = {source: counts[source]["total"] for source in PAGES_OF_BARS}
    assert totals == {**PAGES_OF_BARS, "alphavantage": 3}
    assert counts["stooq"]["by_symbol"] == {"ACME-B.US": 1}
    assert counts["fmp"]["by_symbol"] == {"ACME-B": 3}


@pytest.mark.parametrize("source", SOURCES)
def test_an_unknown_symbol_has_no_rows_or_is_refused(source: str, small: Market) -> None:
    with vendors(small, "2014-06-20") as (opened, _, _url):
        if source == "alphavantage":
            with pytest.raises(UnknownSymbol):
                answer(opened(source), "NOBODY")
            return
        with suppress(UnknownSymbol):
            bars, actions, pages = answer(opened(source), "NOBODY")
            assert bars.is_empty()
            assert actions.is_empty()
            assert pages[-1].complete == {"NOBODY"}


FAULTS: dict[str, tuple[type[ProviderError], ...]] = {
    "429": (RateLimited,),
    "500": (TransientProviderError,),
    "502": (TransientProviderError,),
    "401": (NotEntitled,),
    "html": (MalformedPayload,),
    "truncated": (MalformedPayload,),
    "garbage": (MalformedPayload,),
    "reset": (TransientProviderError,),
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("source", SOURCES)
def test_every_fault_is_played_in_the_vendors_own_words(source: str, kind: str, small: Market) -> None:
    with vendors(small, "2014-06-20", faults=[f"{source}:{kind}=1"]) as (opened, _, _url):
        with pytest.raises(FAULTS[kind]) as caught:
            answer(opened(source), "ACME.B")
        assert KEY not in f"{caught.value!r}"
        for other in set(SOURCES) - {source}:
            answer(opened(other), "ACME.B")


@pytest.mark.parametrize("source", SOURCES)
def test_the_data_of_another_symbol_are_refused(source: str, synthetic: SyntheticMarket) -> None:
    fault = f"{source}:othersymbol=1"
    with (
        vendors(synthetic, "2024-12-31", faults=[fault]) as (opened, _, _url),
        pytest.raises(MalformedPayload, match="asked for"),
    ):
        answer(opened(source), "QXAA")


@pytest.mark.parametrize("source", SOURCES)
def test_lost_bars_are_an_empty_answer(source: str, small: Market) -> None:
    with vendors(small, "2014-06-20", faults=[f"{source}:empty=1"]) as (opened, _, _url):
        assert answer(opened(source), "ACME.B")[0].is_empty()


@pytest.mark.parametrize("source", SOURCES)
def test_a_request_beyond_the_quota_is_refused(source: str, small: Market) -> None:
    with vendors(small, "2014-06-20", quota=[f"{source}:3/h"]) as (opened, _, _url):
        asked = (answer(opened(source), "ACME.B") for _ in range(4))
        with pytest.raises(RateLimited):
            list(asked)


@pytest.mark.parametrize("source", SOURCES)
def test_only_requests_with_the_key_are_served(source: str, small: Market) -> None:
    with vendors(small, "2014-06-20", keys=[f"{source}={KEY}"]) as (opened, _, _url):
        assert len(answer(opened(source), "ACME.B")[0]) == 15
    with vendors(small, "2014-06-20", keys=[f"{source}=another"]) as (opened, _, _url), pytest.raises(NotEntitled):
        answer(opened(source), "ACME.B")


def test_a_free_key_of_alpha_vantage_has_no_history_and_no_minutes(synthetic: SyntheticMarket) -> None:
    with vendors(synthetic, "2024-12-31", keys=[f"alphavantage=free:{KEY}"]) as (opened, _, _url):
        recent = Window(date(2024, 12, 2), date(2024, 12, 31))
        assert len(answer(opened("alphavantage"), "QXAA", recent)[0]) == 100
        for window, timeframe in ((ALL, "1d"), (recent, "1m")):
            with pytest.raises(NotEntitled, match="premium"):
                answer(opened("alphavantage"), "QXAA", window, timeframe=timeframe)


def test_the_wires_look_like_the_recordings(small: Market) -> None:
    with vendors(small, "2014-06-20") as (_, _, url):

        def get(path: str) -> tuple[str, Any]:
            reply = httpx.get(url + path)
            return reply.text, reply.headers

        text, headers = get("/q/d/l/?s=acme-b.us&i=d&d1=20140602&d2=20140604")
        assert text.splitlines()[0] == "Date,Open,High,Low,Close,Volume"
        assert text.endswith("\r\n")
        assert len(text.split("\r\n")) == 5
        assert headers["Content-Disposition"] == "attachment; filename=acme-b_us_d.csv"
        assert get("/q/d/l/?s=acme-b.us&i=w")[0] == "No data"
        assert get("/q/d/l/?s=acme-b.us&i=d&d1=yesterday")[0] == "No data"
        daily = json.loads(get("/query?function=TIME_SERIES_DAILY&symbol=ACME-B")[0])
        assert list(daily) == ["Meta Data", "Time Series (Daily)"]
        assert daily["Meta Data"]["5. Time Zone"] == "US/Eastern"
        assert daily["Time Series (Daily)"]["2014-06-20"]["4. close"] == "57.0000"
        assert "does not exist" in get("/query?function=EARNINGS&symbol=ACME-B")[0]
        bars = json.loads(get("/stable/historical-price-eod/full?symbol=ACME-B&from=2014-06-05&to=2014-06-06")[0])
        assert [bar["date"] for bar in bars] == ["2014-06-06", "2014-06-05"]
        assert json.loads(get("/stable/splits?symbol=ACME-B")[0])[0] | {"symbol": ""} == {
            "symbol": "", "date": "2014-06-09", "numerator": 2, "denominator": 1, "splitType": "stock-split",
        }  # fmt: skip
        assert json.loads(get("/stable/dividends?symbol=ACME-B")[0])[1]["adjDividend"] == 0.3
        assert json.loads(get("/stable/historical-price-eod/full?symbol=ACME-B&from=tomorrow")[0]) == []
