"""Schema drift: the changes between a declared form and a reply, and the recorded replies, which have none."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from quantx.core.model import Payload
from quantx.errors import MalformedPayload
from quantx.providers.drift import Shape, sample
from quantx.providers.registry import vendor_to_read
from quantx.sandbox import Sandbox, load_market
from quantx.sandbox.drift import Drifts
from quantx.sandbox.messages import WireRequest
from quantx.settings import Settings

from ..market_data import either
from .recordings import read_recordings

AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
FORM = {
    "name": "text",
    "notes?": "any",
    "rows": ("null", [{"close": "number|null", "at": "whole"}]),
    "by_day": {"*": {"1. open": "text"}},
}
GOOD: dict[str, Any] = {"name": "x", "rows": [{"close": 1.5, "at": 3}], "by_day": {"2024-01-02": {"1. open": "5"}}}


def changes(document: object, *, every_value: bool = False) -> list[tuple[str, str, str, str]]:
    found = Shape("bars", FORM).changes(document, every_value=every_value)
    return [(c.path, c.kind, c.declared, c.sent) for c in found]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (GOOD, []),
        ({**GOOD, "notes": {"what": ["ever"]}}, []),
        ({**GOOD, "rows": None}, []),
        ({**GOOD, "rows": []}, []),
        ({**GOOD, "rows": [{"close": "Infinity", "at": 1}]}, []),  # JSON has no such number
        ({**GOOD, "new": 1}, [("new", "added", "", "number")]),
        ({**GOOD, "rows": [{"close": 1, "at": 1, "x": {}}]}, [("rows[].x", "added", "", "object")]),
        ({**GOOD, "rows": [{"close": 1}]}, [("rows[].at", "missing", "whole number", "")]),
        (
            {"name": "x", "rows": []},
            [("by_day", "missing", "object", "")],
        ),
        ({**GOOD, "rows": [{"close": "12.3", "at": 1}]}, [("rows[].close", "retyped", "number or null", "text")]),
        ({**GOOD, "rows": [{"close": True, "at": 1}]}, [("rows[].close", "retyped", "number or null", "flag")]),
        ({**GOOD, "rows": [{"close": 1, "at": 1.5}]}, [("rows[].at", "retyped", "whole number", "number")]),
        ({**GOOD, "rows": {}}, [("rows", "retyped", "null or list", "object")]),
        (
            {**GOOD, "by_day": {"2024-01-02": {"1. open": 5.0}}},
            [("by_day.*.1. open", "retyped", "text", "number")],
        ),
        ({"error": "no data"}, []),  # a reply of another kind
        ([], []),
        (None, []),
    ],
)
def test_a_reply_is_compared_with_the_declared_form(document: object, expected: list[Any]) -> None:
    assert changes(document) == expected
    assert changes(document, every_value=True) == expected


def test_of_a_long_list_a_fixed_sample_is_compared_or_every_value() -> None:
    assert sample(list(range(100))) == [0, 6, 13, 19, 26, 33, 39, 46, 52, 59, 66, 72, 79, 85, 92, 99]
    rows = [{"close": "1" if n == 50 else 1, "at": 1} for n in range(100)]
    assert changes({**GOOD, "rows": rows}) == []
    assert changes({**GOOD, "rows": rows}, every_value=True) == [("rows[].close", "retyped", "number or null", "text")]


def test_a_reply_of_another_form_altogether_has_few_changes() -> None:
    assert len(changes({**GOOD, **{f"x{n}": 1 for n in range(1000)}})) == 30


def body_of(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def payload(source: str, symbol: str, request: str, body: bytes) -> tuple[str, Payload]:
    return source, Payload(symbol, request, 200, AT, content_type="application/json", body=body)


def recorded(folder: Path) -> Iterator[tuple[str, Payload]]:
    """Yield the recorded replies of all vendors that the adapters fetch, by source."""
    for name in ("v8_chart", "v8_chart_bodies"):
        for recording in read_recordings(folder / "wire_yahoo" / name):
            if "pp_response" not in recording.name:  # requested with `indicators=close`: the one column
                yield "yahoo", recording.payload
    for path in sorted((folder / "wire_fmp").glob("fmp_*")):
        kind = next((k for k in ("historical-price-eod/full", "dividends") if k.replace("/", "-") in path.name), None)
        if kind is not None:
            yield payload("fmp", "AAPL", f"https://fmp/stable/{kind}?symbol=AAPL", body_of(path))
        elif "historical-price-full" in path.name:
            yield payload("fmp", "AAPL", "https://fmp/api/v3/historical-price-full/AAPL", body_of(path))
    for path in sorted((folder / "wire_alphavantage").glob("*.json")):
        functions = {
            "Time Series (Daily)": "TIME_SERIES_DAILY_ADJUSTED" if "adjusted" in path.name else "TIME_SERIES_DAILY",
            "Time Series (1min)": "TIME_SERIES_INTRADAY",
        }
        function = next((f for key, f in functions.items() if key in json.loads(body_of(path))), None)
        if function is not None:
            yield payload("alphavantage", "IBM", f"https://av/query?function={function}&symbol=IBM", body_of(path))
    for path in sorted((folder / "wire_alpaca" / "marketdata").glob("*.json")):
        match json.loads(body_of(path)):
            case {"bars": {}, "next_page_token": _} as page if all(isinstance(r, list) for r in page["bars"].values()):
                yield payload("alpaca", "META", "https://alpaca/v2/stocks/bars", body_of(path))
            case {"corporate_actions": _}:
                yield payload("alpaca", "AAPL", "https://alpaca/v1/corporate-actions", body_of(path))
    for path in sorted(folder.glob("daily_us_stooq_download_csv/*")):
        yield payload("stooq", "AAPL", "https://stooq/q/d/l/?s=aapl.us", body_of(path))


def test_no_recorded_reply_differs_from_its_declared_shape(market_data: Path) -> None:
    counts = dict.fromkeys(("yahoo", "fmp", "alphavantage", "alpaca", "stooq"), 0)
    for source, reply in recorded(market_data):
        drift = vendor_to_read(source, Settings(), None).drift(reply)  # type: ignore[arg-type]
        assert drift == (), f"{source} {reply.request}"
        counts[source] += 1
    assert counts == either({"yahoo": 37, "fmp": 3, "alphavantage": 3, "alpaca": 10, "stooq": 4}, counts)


# Each vendor's reply of the sandbox's synthetic market with one changed field: the change is named, and a value that is
# needed is never read from another form.
CHANGED = [
    ("yahoo", "add", "chart.result[].meta.mood", "chart.result[].meta.mood", "added", True),
    ("yahoo", "add", "chart.mood", "chart.mood", "added", True),
    ("yahoo", "drop", "chart.result[].meta.exchangeName", "chart.result[].meta.exchangeName", "missing", True),
    ("yahoo", "drop", "chart.result[].meta.symbol", "chart.result[].meta.symbol", "missing", False),
    ("yahoo", "retype", "chart.result[].meta.gmtoffset", "chart.result[].meta.gmtoffset", "retyped", True),
    ("yahoo", "retype", "chart.result[].timestamp[]", "chart.result[].timestamp[]", "retyped", False),
    (
        "yahoo",
        "retype",
        "chart.result[].indicators.quote[].close[]",
        "chart.result[].indicators.quote[].close[]",
        "retyped",
        False,
    ),
    (
        "yahoo",
        "drop",
        "chart.result[].indicators.quote[].volume",
        "chart.result[].indicators.quote[].volume",
        "missing",
        False,
    ),
    ("alpaca", "add", "bars.*[].mood", "bars.*[].mood", "added", True),
    ("alpaca", "add", "mood", "mood", "added", True),
    ("alpaca", "drop", "next_page_token", "next_page_token", "missing", False),
    ("alpaca", "drop", "bars.*[].o", "bars.*[].o", "missing", False),
    ("alpaca", "retype", "bars.*[].c", "bars.*[].c", "retyped", False),
    ("alpaca", "retype", "bars.*[].n", "bars.*[].n", "retyped", True),
    ("alphavantage", "add", "Meta Data.6. Mood", "Meta Data.6. Mood", "added", True),
    ("alphavantage", "retype", "Time Series (Daily).*.4. close", "Time Series (Daily).*.4. close", "retyped", False),
    ("alphavantage", "drop", "Time Series (Daily).*.1. open", "Time Series (Daily).*.1. open", "missing", False),
    ("fmp", "add", "[].mood", "[].mood", "added", True),
    ("fmp", "drop", "[].date", "[].date", "missing", False),
    ("fmp", "retype", "[].close", "[].close", "retyped", False),
    ("stooq", "add", "OpenInt", "[].OpenInt", "added", True),
    ("stooq", "drop", "Close", "[].Close", "missing", False),
    ("stooq", "retype", "High", "[].High", "retyped", False),
]
REQUESTS = {
    "yahoo": ("/v8/finance/chart/QXAA", {"interval": "1d", "range": "1y"}),
    "alpaca": ("/v2/stocks/bars", {"symbols": "QXAA,QXAB", "timeframe": "1Day", "start": "2024-11-01", "feed": "iex"}),
    "alphavantage": ("/query", {"function": "TIME_SERIES_DAILY", "symbol": "QXAA", "outputsize": "compact"}),
    "fmp": ("/stable/historical-price-eod/full", {"symbol": "QXAA", "from": "2024-11-01", "to": "2024-12-31"}),
    "stooq": ("/q/d/l/", {"s": "qxaa.us", "i": "d", "d1": "20241101", "d2": "20241231"}),
}


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(load_market(None, seed=7, today=date(2024, 12, 31)), now="2024-12-31")


@pytest.mark.parametrize(
    ("source", "change", "path", "field", "kind", "readable"), CHANGED, ids=[f"{c[0]}-{c[1]}-{c[2]}" for c in CHANGED]
)
def test_a_changed_reply_of_each_vendor_names_the_field(
    sandbox: Sandbox, source: str, change: str, path: str, field: str, kind: str, readable: bool
) -> None:
    wire, drifts = next(w for w in sandbox.wires if w.source == source), Drifts([f"{source}:{change}:{path}"], [source])
    target, params = REQUESTS[source]
    sent = wire.answer(WireRequest(target, params, {}))
    provider = vendor_to_read(source, Settings(), None)  # type: ignore[arg-type]

    def reply(body: bytes) -> Payload:
        symbol = "QXAA,QXAB" if source == "alpaca" else "QXAA"
        return Payload(symbol, f"https://vendor{target}?{urlencode(params)}", 200, AT, content_type="", body=body)

    good = provider.normalize(reply(sent.body))
    assert good.bars.height > 20
    assert good.drift == provider.drift(reply(sent.body)) == ()
    changed = reply(drifts.apply(source, sent).body)
    assert (field, kind) in {(c.path, c.kind) for c in provider.drift(changed)}
    if readable:
        frames = provider.normalize(changed)
        assert frames.bars.equals(good.bars)
        assert [(c.path, c.kind) for c in frames.drift] == [(field, kind)]
    else:
        with pytest.raises(MalformedPayload):
            provider.normalize(changed)
