"""Alpha Vantage: daily bars as traded, splits and dividends apart, and minute bars of America.

A free key gets the newest 100 sessions (`outputsize=compact`); the whole history and all minutes are sold
(`outputsize=full` was free in March 2024 and is refused to free keys in 2026, as clients quote). A window within the
newest 100 sessions is therefore fetched in the compact form, any other in the full one.

Limits, plans and mistakes come with HTTP 200, as {"Note": …}, {"Information": …} or {"Error Message": …}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl

from quantx.core.model import Payload, Window
from quantx.core.symbols import stored_symbol, venue_of
from quantx.errors import MalformedPayload, NotEntitled, RateLimited, UnknownSymbol
from quantx.providers.alphavantage_minutes import minute_bars, note_of
from quantx.providers.alphavantage_shapes import SHAPES
from quantx.providers.drift import Shape
from quantx.providers.events import EventKind, SentEvent, check_fields, day_of, part, spelt_number_of
from quantx.providers.http_provider import HttpProvider, HttpQuery
from quantx.providers.protocol import VENDOR_ACTIONS, Capabilities, Request, VendorFrames
from quantx.providers.refusals import Refusal
from quantx.providers.reply_values import (
    WrongForm,
    daily_bars,
    days,
    listed_events,
    nothing,
    quoted_in,
    read_json,
    spelt_numbers,
    texts,
)
from quantx.settings.vendors import AlphaVantageSettings

SOURCE = "alphavantage"
PATH = "/query"

_DAILY, _MINUTES = "Time Series (Daily)", "Time Series (1min)"
_SERIES_OF = {"TIME_SERIES_DAILY": _DAILY, "TIME_SERIES_DAILY_ADJUSTED": _DAILY, "TIME_SERIES_INTRADAY": _MINUTES}
_ACTIONS_OF = {"SPLITS": "split", "DIVIDENDS": "dividend"}
_COMPACT = 100  # rows
_ZONE = "US/Eastern"
_CLOSE = "16:00"  # the latest close; after a half day the bar is left out for some hours more
_ORDINAL = re.compile(r"\d+\. ")  # the fields are named "1. open", "2. Symbol"

# More specific words first: the text of a limit also offers the premium plans. All are sent with HTTP 200.
REFUSALS = (
    Refusal(
        "apikey is invalid or missing",
        NotEntitled,
        "rejects the key; check QUANTX_ALPHAVANTAGE_API_KEY",
        "as Error Message, quoted by clients until 2026",
    ),
    Refusal(
        "api key is for demo purposes",
        NotEntitled,
        "takes the key for the demo's; set QUANTX_ALPHAVANTAGE_API_KEY",
        "as Information, quoted by clients until 2026",
    ),
    Refusal(
        "calls per minute",
        RateLimited,
        "wants fewer requests a minute",
        "as Note, finance-quote/finance-quote#104, 2018-11",
    ),
    Refusal(
        "higher api call",
        RateLimited,
        "wants fewer requests",
        "as Note, RomelTorres/alpha_vantage#80, 2018-08",
    ),
    Refusal(
        "more sparingly",
        RateLimited,
        "wants fewer requests a second, or the day's are used up",
        "as Information, beancount/beanprice#124 and finance-quote/finance-quote#546, 2025-12",
    ),
    Refusal(
        "per second",
        RateLimited,
        "wants fewer requests a second",
        "as Information, quoted by clients, 2026",
    ),
    Refusal(
        "requests per day",
        RateLimited,
        "reports that the day's requests are used up",
        "as Information, quoted by clients until 2026",
    ),
    Refusal(
        "premium",
        NotEntitled,
        "sells this with its premium plans: a free key gets daily bars of the newest 100 sessions",
        "as Information: premium endpoint (Gbox4/tstock#26, 2024-10), premium feature (clients, 2026-08)",
    ),
    Refusal(
        "invalid api call",
        UnknownSymbol,
        "does not know the symbol",
        "as Error Message, quoted by clients until 2026",
        of_symbol=True,
    ),
)


class AlphaVantage(HttpProvider[dict[str, Any]]):
    """The provider `alphavantage`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=("1d", "1m"),
        markets=("us",),  # it has others, too; no document states that their prices are as traded
        symbols_per_request=1,
        price_basis="as_traded",
        lists_all_events=True,
        needs_key=True,
        quota=AlphaVantageSettings.default_quota,
        datasets=("bars", "actions"),
    )
    name = "Alpha Vantage"
    host = "https://www.alphavantage.co"
    refusals = REFUSALS

    def queries(self, request: Request, symbol: str) -> list[HttpQuery]:
        """Return one query for daily bars, one for each month of minute bars, two for actions (splits, dividends)."""
        wire = wire_symbol(symbol)
        return [HttpQuery(PATH, {**params, "symbol": wire}) for params in self._params(request)]

    def _params(self, request: Request) -> list[dict[str, str]]:
        if request.dataset == "actions":
            return [{"function": name} for name in _ACTIONS_OF]
        if request.timeframe == "1m":
            params = {"function": "TIME_SERIES_INTRADAY", "interval": "1min", "outputsize": "full", "adjusted": "false"}
            # Without extended hours a session's first and last stamp show what the stamps mean.
            return [{**params, "extended_hours": "false", "month": month} for month in _months(request.window)]
        size = "compact" if self._is_recent(request.window.start) else "full"
        return [{"function": "TIME_SERIES_DAILY", "outputsize": size}]

    def _is_recent(self, start: date) -> bool:
        """Return whether the newest 100 sessions reach back to `start`: there are no more sessions than weekdays."""
        today = self._clock.now().date() + timedelta(days=1)
        span = max(0, (today - start).days + 1)
        return span < 7 * _COMPACT and sum((start + timedelta(days=i)).weekday() < 5 for i in range(span)) <= _COMPACT

    def open_reply(self, payload: Payload) -> dict[str, Any]:
        """Return the document of a reply that is about the symbol and of the requested kind."""
        document = read_json(payload, self.name)
        query = _query(payload)
        function, wire = query.get("function", ""), wire_symbol(payload.symbol)
        match document:
            case {"Error Message": str(text)} | {"Information": str(text)} | {"Note": str(text)}:
                self.raise_refusal(text, payload)
                raise MalformedPayload(f"Alpha Vantage refuses {payload.symbol}: {text[:200]!a}", payload)
            case {"symbol": str(symbol), "data": list()} if function in _ACTIONS_OF:
                pass
            case {"Meta Data": {"2. Symbol": str(symbol)}} if isinstance(
                document.get(_SERIES_OF.get(function, "")), dict
            ):
                pass
            case _:
                raise MalformedPayload(
                    f"Alpha Vantage's reply for {payload.symbol} (HTTP {payload.status})"
                    f" is no answer to {function[:40]!a}",
                    payload,
                )
        if symbol.upper() != wire or query.get("symbol", wire) != wire:
            raise MalformedPayload(f"asked for {wire}, Alpha Vantage answers about {symbol[:40]!a}", payload)
        content: dict[str, Any] = document
        return content

    def shape(self, payload: Payload) -> Shape | None:
        """Return the shape of the requested function's reply."""
        return SHAPES.get(_query(payload).get("function", ""))

    def read(self, content: dict[str, Any], payload: Payload) -> VendorFrames:
        """Return the bars or actions of a reply, newest first as they are sent.

        The daily bar of a session that was running when the series was last refreshed is left out.
        """
        if "data" in content:
            return listed_events(payload, _listed_actions(content["data"], payload))
        meta = _plain(content["Meta Data"])
        if meta["Time Zone"] != _ZONE:
            raise WrongForm(f"its times are in {str(meta['Time Zone'])[:20]!a}")
        if _MINUTES in content:
            bars, note = minute_bars(payload.symbol, content[_MINUTES]), note_of(content[_MINUTES])
            notes = () if note is None else (note,)
            return VendorFrames(bars, nothing(VENDOR_ACTIONS), quoted_in(payload.symbol), notes)
        return _daily(content[_DAILY], str(meta["Last Refreshed"]), payload)


def wire_symbol(symbol: str) -> str:
    """Return Alpha Vantage's form of a canonical American symbol (as in its LISTING_STATUS); UnknownSymbol for others.

    >>> wire_symbol("BRK.B"), wire_symbol("BAC.PRL")
    ('BRK-B', 'BAC-P-L')
    """
    symbol = stored_symbol(symbol)
    if venue_of(symbol).market != "us" or symbol.startswith("^"):
        raise UnknownSymbol(f"Alpha Vantage serves American shares only, not {symbol}", [symbol])
    root, _, series = symbol.partition(".")
    if series.startswith("PR"):
        return f"{root}-P-{series.removeprefix('PR')}"
    return f"{root}-{series}" if series else root


def _months(window: Window) -> list[str]:
    first, last = (day.year * 12 + day.month - 1 for day in (window.start, window.end))
    return [f"{month // 12}-{month % 12 + 1:02}" for month in range(first, last + 1)]


def _query(payload: Payload) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(payload.request).query).items()}


def _plain(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without the ordinals in their names."""
    return {_ORDINAL.sub("", name, count=1): value for name, value in named.items()}


def _daily(series: Mapping[str, Mapping[str, Any]], refreshed: str, payload: Payload) -> VendorFrames:
    """Return the daily bars, and the actions where the reply has them (the form that is adjusted, too)."""
    running = refreshed[:10] if re.fullmatch(r"[\d-]{10} [\d:]{8}", refreshed) and refreshed[11:] < _CLOSE else None
    rows = {day: _plain(row) for day, row in series.items()}
    final = {day: row for day, row in rows.items() if day != running}
    columns = [
        days(texts("date", list(final))),
        *(_column(final, name, name) for name in ("open", "high", "low", "close", "volume")),
    ]
    if any("dividend amount" in row for row in rows.values()):
        columns.append(_column(final, "adjusted close", "vendor_adj_close"))
    events = listed_events(payload, _events_of_days(rows, payload))
    return replace(events, bars=daily_bars(payload.symbol, columns))


def _events_of_days(rows: Mapping[str, Mapping[str, Any]], payload: Payload) -> Iterator[SentEvent]:
    """Yield the events that the adjusted form has in each day's row."""
    for day, row in rows.items():
        if "dividend amount" in row:
            yield _event(payload, "dividend", f"{_DAILY}.{day}", row, day=day, value=row["dividend amount"])
        if "split coefficient" in row:
            yield _event(payload, "split", f"{_DAILY}.{day}", row, day=day, value=row["split coefficient"])


def _column(rows: Mapping[str, Mapping[str, Any]], name: str, column: str) -> pl.Series:
    return spelt_numbers(texts(column, [row[name] for row in rows.values()]))


def _listed_actions(listed: list[Any], payload: Payload) -> Iterator[SentEvent]:
    """Yield the events of SPLITS or DIVIDENDS; amounts are as paid (IBM 1999-02-08: 0.22, before a split)."""
    splits = _query(payload)["function"] == "SPLITS"
    kind: EventKind = "split" if splits else "dividend"
    day, value = ("effective_date", "split_factor") if splits else ("ex_dividend_date", "amount")
    check_fields(listed, day, value)
    for position, row in enumerate(listed):
        yield _event(payload, kind, f"data[{position}]", row, day=part(row, day), value=part(row, value))


def _event(payload: Payload, kind: EventKind, place: str, sent: object, *, day: Any, value: Any) -> SentEvent:
    return SentEvent(
        symbol=payload.symbol, kind=kind, place=place, sent=sent, day=day_of(day), value=spelt_number_of(value)
    )
