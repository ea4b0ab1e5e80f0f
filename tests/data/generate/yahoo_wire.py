"""Yahoo's chart replies: envelopes of request and response, bare bodies, and what it sends instead of a chart."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from .series import NEW_YORK, Bar, seconds, sessions, single, walk

_HOST = "https://query2.finance.yahoo.com/v8/finance/chart/"
_RANGES = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]
_HEADERS = {"content-type": "application/json;charset=utf-8", "date": "Thu, 20 Feb 2025 11:47:41 GMT", "server": "ATS"}
Document = dict[str, Any]


def _period(day: date, zone: ZoneInfo, start: str, end: str) -> Document:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
    offset = int((at.utcoffset() or timedelta()).total_seconds())
    return {
        "timezone": at.tzname(), "start": seconds(day, start, zone), "end": seconds(day, end, zone), "gmtoffset": offset
    }  # fmt: skip


def _periods(day: date, zone: ZoneInfo) -> Document:
    hours = {"pre": ("04:00", "09:30"), "regular": ("09:30", "16:00"), "post": ("16:00", "20:00")}
    return {name: _period(day, zone, start, end) for name, (start, end) in hours.items()}


def _meta(symbol: str, zone: str = "America/New_York", **changes: Any) -> Document:
    regular = _periods(date(2025, 2, 20), ZoneInfo(zone))["regular"]
    meta = {
        "currency": "USD",
        "symbol": symbol,
        "exchangeName": "NMS",
        "fullExchangeName": "NasdaqGS",
        "instrumentType": "EQUITY",
        "firstTradeDate": 1136298600,
        "regularMarketTime": 1739998801,
        "hasPrePostMarketData": True,
        "gmtoffset": regular["gmtoffset"],
        "timezone": regular["timezone"],
        "exchangeTimezoneName": zone,
        "regularMarketPrice": 20.0,
        "fiftyTwoWeekHigh": 25.0,
        "fiftyTwoWeekLow": 15.0,
        "regularMarketDayHigh": 21.0,
        "regularMarketDayLow": 19.0,
        "regularMarketVolume": 1_000_000,
        "longName": f"{symbol} Invented Company",
        "shortName": f"{symbol} Invented",
        "chartPreviousClose": 20.0,
        "priceHint": 2,
        "currentTradingPeriod": _periods(date(2025, 2, 20), ZoneInfo(zone)),
        "dataGranularity": "1d",
        "range": "",
        "validRanges": _RANGES,
    }
    return {**meta, **changes}


def _quote(bars: list[Bar]) -> Document:
    prices = {name: [single(getattr(bar, name)) for bar in bars] for name in ("open", "high", "low", "close")}
    return {**prices, "volume": [bar.volume for bar in bars]}


def _chart(meta: Document, times: list[int], bars: list[Bar], events: Document | None = None) -> Document:
    """Return the document of a chart; without times it has no `timestamp`, as Yahoo's has none."""
    daily = meta["dataGranularity"] in ("1d", "1mo")
    quote = _quote(bars) if times else {}
    adjusted = {"adjclose": quote["close"]} if times else {}
    result: Document = {"meta": meta}
    if times:
        result["timestamp"] = times
    if events:
        result["events"] = events
    result["indicators"] = {"quote": [quote]} | ({"adjclose": [adjusted]} if daily else {})
    return {"chart": {"result": [result], "error": None}}


def _paid(times: list[int], amounts: list[float]) -> Document:
    return {str(at): {"amount": amount, "date": at} for at, amount in zip(times, amounts, strict=True)}


def _split(at: int, new: int, old: int) -> Document:
    return {str(at): {"date": at, "numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}}


def _envelope(symbol: str, query: str, document: Document, status: int = 200, **response: Any) -> bytes:
    """Return request and response in one file: `bodyJson`, unless the body is given as text."""
    body = {} if "body" in response else {"bodyJson": document}
    answer = {"ok": status == 200, "status": status, "headers": _HEADERS, **body, **response}
    request = {"url": f"{_HOST}{symbol}?{query}", "method": "GET"}
    return _json({"request": request, "response": answer})


def _json(document: Document) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _daily(symbol: str, first: str, last: str, **meta: Any) -> tuple[list[int], Document]:
    days = sessions(first, last)
    times = [seconds(day, "09:30") for day in days]
    return times, _chart(_meta(symbol, **meta), times, walk(symbol, days, meta.get("regularMarketPrice", 20.0)))


def _asked(first: str, last: str, interval: str = "1d", extended: bool = True) -> str:
    begin, end = (seconds(date.fromisoformat(day), "00:00", ZoneInfo("UTC")) for day in (first, last))
    return (
        f"useYfid=true&interval={interval}&includePrePost={str(extended).lower()}&events=div%7Csplit%7Cearn"
        f"&lang=en-US&period1={begin}&period2={end}"
    )


def _intraday(symbol: str, day: date, minutes: int, start: str, count: int, *, extended: bool) -> tuple[str, bytes]:
    """Return a file of bars within a day; without extended hours the closing auction at 16:00 comes as a bar."""
    interval = f"{minutes}m"
    times = [seconds(day, start) + 60 * minutes * n for n in range(count)]
    periods = {name: [[period]] for name, period in _periods(day, NEW_YORK).items()}
    meta = _meta(symbol, dataGranularity=interval, previousClose=20.0, scale=3)
    meta["tradingPeriods"] = periods if extended else periods["regular"]
    document = _chart(meta, times, walk(symbol, [day] * count, 20.0, step=0.001, digits=4))
    quote = document["chart"]["result"][0]["indicators"]["quote"][0]
    for values in quote.values():  # a minute without a trade has nulls
        values[count // 3] = None
    following = str(day + timedelta(days=1))
    name = f"chart-{symbol}-{day}-to-{following}-interval-{interval}.json"
    return name, _envelope(symbol, _asked(str(day), following, interval, extended), document)


def _charts() -> dict[str, bytes]:
    files = {}
    window = ("2020-08-31", "2020-11-07")
    times, document = _daily("QZSPL", *window, regularMarketPrice=30.0)
    document["chart"]["result"][0]["events"] = {
        "dividends": _paid(times[-1:], [0.15]),
        "splits": _split(times[0], 4, 1),
    }
    files["chart-QZSPL-2020-08-31-to-2020-11-07.json"] = _envelope("QZSPL", _asked(*window), document)

    short = ("2020-01-01", "2020-01-03")
    for symbol, changes in {
        "QZONE": {},
        "QZETF": {"instrumentType": "ETF"},
        "QZZ=F": {"instrumentType": "FUTURE", "exchangeName": "CMX"},
    }.items():
        _, document = _daily(symbol, "2020-01-02", "2020-01-02", **changes)
        files[f"chart-{symbol}-2020-01-01-to-2020-01-03.json"] = _envelope(symbol, _asked(*short), document)
    london = ZoneInfo("Europe/London")
    days = sessions(*short, "XLON")
    pence = _meta("QZPEN.L", "Europe/London", currency="GBp", exchangeName="LSE", fullExchangeName="LSE")
    document = _chart(pence, [seconds(day, "08:00", london) for day in days], walk("QZPEN.L", days, 1250.0, digits=1))
    files["chart-QZPEN.L-2020-01-01-to-2020-01-03.json"] = _envelope("QZPEN.L", _asked(*short), document)
    for symbol, changes in {
        "^QZIX": {"instrumentType": "INDEX"},
        "QZNO.AX": {"exchangeName": "ASX", "currency": "AUD"},
    }.items():
        empty = _chart(_meta(symbol, **changes), [], [])
        files[f"chart-{symbol}-2020-01-01-to-2020-01-03.json"] = _envelope(symbol, _asked(*short), empty)

    weekend = _chart(_meta("QZMIN", dataGranularity="1m"), [], [])
    weekend["chart"]["result"][0]["indicators"] = {"quote": [{}]}
    asked = _asked("2025-02-01", "2025-02-02", "1m", extended=False)
    files["chart-QZMIN-2025-02-01-to-2025-02-02-interval-1m.json"] = _envelope("QZMIN", asked, weekend)
    name, content = _intraday("QZMIN", date(2024, 10, 2), 1, "09:30", 391, extended=False)
    files[name] = content
    name, content = _intraday("QZHALF", date(2021, 11, 22), 30, "04:00", 32, extended=True)
    files[name] = content

    window = ("2021-02-01", "2023-12-29")
    times, document = _daily("QZPAY", *window)
    paid = times[12::63][:10]
    document["chart"]["result"][0]["events"] = {"dividends": _paid(paid, [0.25] * len(paid))}
    files["historical-via-chart-QZPAY-dividends.json.gz"] = _envelope(
        "QZPAY", _asked(*window), {}, body=json.dumps(document)
    )
    return files


def _bodies() -> dict[str, bytes]:
    """Replies without their requests."""
    months = [date(2019 + n // 12, n % 12 + 1, 1) for n in range(61)]
    times = [seconds(day, "00:00") for day in months]
    bars = walk("QZMON", months, 40.0)
    dividends = _paid([at + 9 * 86_400 + 34_200 for at in times[1::3]], [0.2] * 20)
    split = _split(times[20] + 30 * 86_400 + 34_200, 4, 1)
    berlin = ZoneInfo("Europe/Berlin")
    days = sessions("2023-01-02", "2023-06-26", "XETR")
    closes = _chart(
        _meta("QZB.DE", "Europe/Berlin", currency="EUR", exchangeName="GER"),
        [seconds(day, "09:00", berlin) for day in days],
        walk("QZB.DE", days, 300.0),
    )
    indicators = closes["chart"]["result"][0]["indicators"]
    indicators["quote"] = [{"close": indicators["quote"][0]["close"]}]
    indicators["quote"][0]["close"][77] = None
    indicators["adjclose"][0]["adjclose"][77] = None
    gone = _meta("QZGONE.ST", currency=None, exchangeName="YHD", fullExchangeName="YHD", instrumentType="MUTUALFUND")
    for name in list(gone):
        if name.startswith(("regularMarketPrice", "fiftyTwo", "regularMarketDay", "regularMarketV", "short", "chart")):
            del gone[name]
    gone |= {"firstTradeDate": None, "hasPrePostMarketData": False, "validRanges": _RANGES[2:5] + _RANGES[9:10]}
    gone["validRanges"] += [*_RANGES[5:9], "max"]
    monthly = {"dataGranularity": "1mo"}
    return {
        "dividends_monthly.json": _json(_chart(_meta("QZMON", **monthly), times, bars, {"dividends": dividends})),
        "splits_monthly.json": _json(_chart(_meta("QZMON", **monthly), times, bars, {"splits": split})),
        "closes_only.json": _json(closes),
        "noData.json": _json(_chart(gone, [], [])),
    }


_OUTAGE = b"""<!DOCTYPE html>
<html lang="en-us"><head><meta charset="utf-8"><title>Yahoo</title></head>
<body><h1>Will be right back...</h1><p>Invented for the tests.</p></body></html>
"""


def _errors() -> dict[str, bytes]:
    never = "Data doesn't exist for startDate = 1577836800, endDate = 1578009600"
    none: Document = {"chart": {"result": None, "error": {"code": "Bad Request", "description": never}}}
    unknown = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
    asked = _asked("2020-01-01", "2020-01-03")
    cookie = {"finance": {"error": {"code": "Unauthorized", "description": "Invalid cookie"}}}
    text = json.dumps({"chart": {"result": None, "error": unknown}})
    window = "2020-01-01-to-2020-01-03.json"
    another = _OUTAGE.replace(b"Will be right back...", b"Oops! Something went wrong")
    return {
        f"errors_400/chart-QZNEW-{window}": _envelope("QZNEW", asked, none, 400),
        "errors_401/v7_download_invalid_cookie.body.json": json.dumps(cookie, indent=4).encode(),
        "errors_404/v7_download_404.body.txt": b"404 Not Found: No data found, symbol may be delisted",
        f"errors_404/historical-via-chart-QZOLD-{window}": _envelope("QZOLD", asked, {}, 404, body=text),
        "errors_502/v7_download_502.body.html": another,
        "errors_502/outage_will_be_right_back.body.html": _OUTAGE,
    }


def files() -> dict[str, bytes]:
    """Return the content of each file by its path below `wire_yahoo`."""
    charts = {f"v8_chart/{name}": content for name, content in _charts().items()}
    bodies = {f"v8_chart_bodies/{name}": content for name, content in _bodies().items()}
    return {**charts, **bodies, **_errors()}
