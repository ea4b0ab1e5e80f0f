"""Alpha Vantage: daily bars as traded, splits and dividends apart, and minute bars of America.

A free key gets the newest 100 sessions (`outputsize=compact`); the whole history and all minutes are sold
(`outputsize=full` was free in March 2024 and is refused to free keys in 2026, as clients quote). A window within the newest
100 sessions is therefore asked for compactly, any other in full.

Limits, plans and mistakes are told with HTTP 200, as {"Note": …}, {"Information": …} or {"Error Message": …}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl

from quantx.core.model import Clock, Payload, Window
from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import MalformedPayload, NotEntitled, ProviderError, RateLimited, UnknownSymbol
from quantx.providers.alphavantage_minutes import minute_bars
from quantx.providers.http import HttpSession
from quantx.providers.protocol import VENDOR_ACTIONS, VENDOR_BARS, Capabilities, Page, Request, VendorFrames
from quantx.providers.reading import (
    FORM_ERRORS,
    action_rows,
    cash,
    daily_bars,
    days,
    nothing,
    positive,
    quoted_in,
    read_json,
    spelt_numbers,
    texts,
)
from quantx.providers.refusals import Refusal, refusal_of

SOURCE = "alphavantage"
HOST = "https://www.alphavantage.co"
PATH = "/query"

_DAILY, _MINUTES = "Time Series (Daily)", "Time Series (1min)"
_SERIES_OF = {"TIME_SERIES_DAILY": _DAILY, "TIME_SERIES_DAILY_ADJUSTED": _DAILY, "TIME_SERIES_INTRADAY": _MINUTES}
_ACTIONS_OF = {"SPLITS": "split", "DIVIDENDS": "dividend"}
_COMPACT = 100  # rows
_ZONE = "US/Eastern"
_CLOSE = "16:00"  # the latest close; of a half day the bar is left out some hours longer
_ORDINAL = re.compile(r"\d+\. ")  # the fields are named "1. open", "2. Symbol"

# First the words that say more: a limit is told with an offer of the premium plans. All arrive with HTTP 200.
REFUSALS = (
    Refusal("apikey is invalid or missing", NotEntitled, "does not know the key; check QUANTX_ALPHAVANTAGE_API_KEY", "as Error Message, quoted by clients until 2026"),
    Refusal("api key is for demo purposes", NotEntitled, "takes the key for its demo; set QUANTX_ALPHAVANTAGE_API_KEY", "as Information, quoted by clients until 2026"),
    Refusal("calls per minute", RateLimited, "wants fewer requests a minute", "as Note, finance-quote/finance-quote#104, 2018-11"),
    Refusal("higher api call", RateLimited, "wants fewer requests", "as Note, RomelTorres/alpha_vantage#80, 2018-08"),
    Refusal("more sparingly", RateLimited, "wants fewer requests a second, or has given all of a day", "as Information, beancount/beanprice#124 and finance-quote/finance-quote#546, 2025-12"),
    Refusal("per second", RateLimited, "wants fewer requests a second", "as Information, quoted by clients, 2026"),
    Refusal("requests per day", RateLimited, "says that the day's requests are used up", "as Information, quoted by clients until 2026"),
    Refusal("premium", NotEntitled, "sells this with its premium plans: a free key gets daily bars of the newest 100 sessions", "as Information: premium endpoint (Gbox4/tstock#26, 2024-10), premium feature (clients, 2026-08)"),
    Refusal("invalid api call", UnknownSymbol, "does not know the symbol", "as Error Message, quoted by clients until 2026", of_symbol=True),
)  # fmt: skip


class AlphaVantage:
    """The provider `alphavantage`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=("1d", "1m"),
        markets=("us",),  # others are there, too; that their prices are as traded is not documented
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=True,
        quota="25/day",
        datasets=("bars", "actions"),
    )

    def __init__(self, session: HttpSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def prepare(self) -> None:
        """Load the HTTP client."""
        self._session.prepare()

    def fetch(self, request: Request) -> Iterator[Page]:
        """Ask once for daily bars, once for each month of minute bars, twice for actions (splits, dividends)."""
        (symbol,) = request.symbols
        questions = self._questions(request)
        for at, question in enumerate(questions, start=1):
            reply = self._session.get(PATH, {**question, "symbol": wire_symbol(symbol)})
            payload = reply.as_payload(symbol, self._clock.now())
            _open_reply(payload)
            done = frozenset([symbol] if at == len(questions) else [])
            yield Page(payload, frozenset([symbol]), done)

    def _questions(self, request: Request) -> list[dict[str, str]]:
        if request.dataset == "actions":
            return [{"function": name} for name in _ACTIONS_OF]
        if request.timeframe == "1m":
            asked = {"function": "TIME_SERIES_INTRADAY", "interval": "1min", "outputsize": "full", "adjusted": "false"}
            # Without extended hours a session's first and last stamp tell what the stamps mean.
            return [{**asked, "extended_hours": "false", "month": month} for month in _months(request.window)]
        size = "compact" if self._is_recent(request.window.start) else "full"
        return [{"function": "TIME_SERIES_DAILY", "outputsize": size}]

    def _is_recent(self, start: date) -> bool:
        """Tell whether the newest 100 sessions certainly hold all since `start`: there are no more than weekdays."""
        today = self._clock.now().date() + timedelta(days=1)
        span = max(0, (today - start).days + 1)
        return span < 7 * _COMPACT and sum((start + timedelta(days=i)).weekday() < 5 for i in range(span)) <= _COMPACT

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the bars or actions of a reply, newest first as they are sent.

        The daily bar of a session that was running when the series was last refreshed is left out.
        """
        try:
            document = _open_reply(payload)
        except MalformedPayload:
            raise
        except ProviderError as refusal:
            raise MalformedPayload(f"no data but a refusal: {refusal}", payload) from refusal
        try:
            if "data" in document:
                actions = _listed_actions(document["data"], payload)
                return VendorFrames(nothing(VENDOR_BARS), actions, quoted_in(payload.symbol))
            meta = _plain(document["Meta Data"])
            if meta["Time Zone"] != _ZONE:
                raise ValueError(f"its times are in {str(meta['Time Zone'])[:20]!a}")
            if _MINUTES in document:
                bars = minute_bars(payload.symbol, document[_MINUTES])
                return VendorFrames(bars, nothing(VENDOR_ACTIONS), quoted_in(payload.symbol))
            return _daily(document[_DAILY], str(meta["Last Refreshed"]), payload)
        except FORM_ERRORS as error:
            why = repr(error)[:200]
            raise MalformedPayload(
                f"Alpha Vantage's reply of {payload.symbol} can't be read: {why}", payload
            ) from error


def wire_symbol(symbol: str) -> str:
    """Return Alpha Vantage's form of a canonical American symbol (as in its LISTING_STATUS); UnknownSymbol for others.

    >>> wire_symbol("BRK.B"), wire_symbol("BAC.PRL")
    ('BRK-B', 'BAC-P-L')
    """
    symbol = parse_symbol(symbol)
    if venue_of(symbol).market != "us" or symbol.startswith("^"):
        raise UnknownSymbol(f"Alpha Vantage is asked for American shares only, not for {symbol}", [symbol])
    root, _, series = symbol.partition(".")
    if series.startswith("PR"):
        return f"{root}-P-{series.removeprefix('PR')}"
    return f"{root}-{series}" if series else root


def _months(window: Window) -> list[str]:
    first, last = (day.year * 12 + day.month - 1 for day in (window.start, window.end))
    return [f"{month // 12}-{month % 12 + 1:02}" for month in range(first, last + 1)]


def _open_reply(payload: Payload) -> dict[str, Any]:
    """Return the document of a reply that is about the symbol and of the kind asked for; raise what it says instead."""
    document = read_json(payload, "Alpha Vantage")
    asked = _question(payload)
    function, wire = asked.get("function", ""), wire_symbol(payload.symbol)
    match document:
        case {"Error Message": str(said)} | {"Information": str(said)} | {"Note": str(said)}:
            refusal = refusal_of(said, REFUSALS, "Alpha Vantage", payload.symbol)
            if refusal is not None:
                raise refusal
            raise MalformedPayload(f"Alpha Vantage says of {payload.symbol}: {said[:200]!a}", payload)
        case {"symbol": str(named), "data": list()} if function in _ACTIONS_OF:
            pass
        case {"Meta Data": {"2. Symbol": str(named)}} if isinstance(document.get(_SERIES_OF.get(function, "")), dict):
            pass
        case _:
            raise MalformedPayload(
                f"Alpha Vantage's reply for {payload.symbol} (HTTP {payload.status}) is no answer to {function[:40]!a}",
                payload,
            )
    if named.upper() != wire or asked.get("symbol", wire) != wire:
        raise MalformedPayload(f"asked for {wire}, Alpha Vantage answers about {named[:40]!a}", payload)
    found: dict[str, Any] = document
    return found


def _question(payload: Payload) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(payload.request).query).items()}


def _plain(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without the ordinals in their names."""
    return {_ORDINAL.sub("", name, count=1): value for name, value in named.items()}


def _daily(series: Mapping[str, Mapping[str, Any]], refreshed: str, payload: Payload) -> VendorFrames:
    """Return the daily bars, and the actions where they come along (in the form that is adjusted, too)."""
    running = refreshed[:10] if re.fullmatch(r"[\d-]{10} [\d:]{8}", refreshed) and refreshed[11:] < _CLOSE else None
    rows = {day: _plain(row) for day, row in series.items()}
    final = {day: row for day, row in rows.items() if day != running}
    columns = [
        days(texts("date", list(final))),
        *(_column(final, name, name) for name in ("open", "high", "low", "close", "volume")),
    ]
    paid = [(day, row["dividend amount"]) for day, row in rows.items() if "dividend amount" in row]
    split = [(day, row["split coefficient"]) for day, row in rows.items() if "split coefficient" in row]
    if paid:
        columns.append(_column(final, "adjusted close", "vendor_adj_close"))
    actions = [
        action_rows(payload, "dividend", [(day, cash(amount)) for day, amount in paid]),
        action_rows(payload, "split", [(day, positive(ratio)) for day, ratio in split]),
    ]
    return VendorFrames(daily_bars(payload.symbol, columns), pl.concat(actions), quoted_in(payload.symbol))


def _column(rows: Mapping[str, Mapping[str, Any]], name: str, called: str) -> pl.Series:
    return spelt_numbers(texts(called, [row[name] for row in rows.values()]))


def _listed_actions(listed: list[Mapping[str, Any]], payload: Payload) -> pl.DataFrame:
    """Return the rows of SPLITS or DIVIDENDS; amounts are as paid (IBM 1999-02-08: 0.22, before a split)."""
    if _question(payload)["function"] == "SPLITS":
        return action_rows(payload, "split", [(row["effective_date"], positive(row["split_factor"])) for row in listed])
    return action_rows(payload, "dividend", [(row["ex_dividend_date"], cash(row["amount"])) for row in listed])
