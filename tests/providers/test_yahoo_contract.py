"""Yahoo keeps the provider's contract; the replies are those that were recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantx.core.model import Payload, Window
from quantx.errors import MalformedPayload
from quantx.providers.http import HttpReply
from quantx.providers.protocol import Provider
from quantx.providers.yahoo import Yahoo
from quantx.testing.provider_contract import ProviderContract, check_schema

from ..market_data import either
from .conftest import StoppedClock, document, payload
from .recordings import read_recordings


class NoClock:
    def now(self) -> datetime:
        raise AssertionError("normalize must not ask for the time")


def no_session() -> Any:
    raise AssertionError("normalize must not connect")


OFFLINE = Yahoo(no_session, NoClock())


class TestYahoo(ProviderContract):
    @pytest.fixture
    def provider(self) -> Provider:
        return OFFLINE

    @pytest.fixture
    def recorded(self, market_data: Path) -> list[Payload]:
        found = read_recordings(market_data / "wire_yahoo" / "v8_chart")
        wanted = either(
            ("chart-AAPL-2020-08-31", "chart-OCDO.L", "chart-^VXAPL", "chart-SIX", "chart-GC=F", "chart-TSLA"),
            ("chart-QZSPL", "chart-QZPEN.L", "chart-^QZIX", "chart-QZONE", "chart-QZZ=F", "chart-QZHALF"),
        )
        with_bars = [r for r in found if r.name.startswith(wanted) and "timestamp" in r.result]
        assert len(with_bars) == 5
        return [r.payload for r in with_bars]

    @pytest.fixture
    def empty(self, market_data: Path) -> list[Payload]:
        errors = read_recordings(market_data / "wire_yahoo" / "errors_400", "chart-*")
        assert errors
        found = [r for f in ("v8_chart", "v8_chart_bodies") for r in read_recordings(market_data / "wire_yahoo" / f)]
        without = [r for r in found if "timestamp" not in r.result]
        assert len(without) == 4
        return [r.payload for r in without] + [r.payload for r in errors]

    @pytest.fixture
    def replying(self) -> Callable[[bytes], Provider]:
        def provider(body: bytes) -> Provider:
            url = "https://query2.finance.yahoo.com/v8/finance/chart/{}?interval=1d"
            session = SimpleNamespace(
                chart=lambda wire, params: HttpReply(
                    url=url.format(wire), status=200, content_type="text/html", body=body, vendor_time=None
                )
            )
            return Yahoo(lambda: session, StoppedClock())

        return provider

    @pytest.fixture
    def window(self) -> Window:
        return Window(date(2020, 1, 2), date(2020, 1, 3))


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1d", "NaN", -1, 1e308]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    keys = range(len(node)) if isinstance(node, list) else list(node) if isinstance(node, dict) else []
    return [place for key in keys for place in ((node, key), *places(node[key]))]


@settings(max_examples=300)
@given(st.data())
def test_whatever_stands_in_one_place_a_chart_is_read_or_malformed(data: st.DataObject) -> None:
    changed = document()
    changed["chart"]["result"][0]["events"] = {
        "splits": {"1": {"date": 1709562600, "numerator": 4, "denominator": 1}},
        "dividends": {"1": {"date": 1709562600, "amount": 0.2, "currency": "USD"}},
    }
    container, key = data.draw(st.sampled_from(places(changed)))
    container[key] = data.draw(ANYTHING)
    try:
        check_schema(OFFLINE.normalize(payload(json.dumps(changed).encode())))
    except MalformedPayload:
        return
