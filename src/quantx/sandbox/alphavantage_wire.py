"""Alpha Vantage in the sandbox: `/query`, as traded and newest first; refusals have HTTP 200.

A key that is set as `free:KEY` has the free plan: no `outputsize=full`, no minutes. Minutes are stamped with their
beginnings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic_core import to_json

from quantx.core.symbols import US
from quantx.providers.alphavantage import PATH, wire_symbol
from quantx.sandbox.book import Book
from quantx.sandbox.columns import FIELDS
from quantx.sandbox.hours import day_of
from quantx.sandbox.messages import WireReply, WireRequest
from quantx.sandbox.vendor_days import by_wire_form, following, vendor_days
from quantx.sandbox.view import View

_JSON, _HTML = "application/json", "text/html"
_PLANS = "You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/"
_COMPACT = 100
_MONTH = re.compile(r"\d{4}-\d{2}")


class AlphaVantageWire:
    """`/query`; the key is required where one is set."""

    source: ClassVar[str] = "alphavantage"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book
        self._is_free = (key or "").startswith("free:")
        self._key = (key or "").removeprefix("free:")
        self._canonical = by_wire_form(book.market.symbols, wire_symbol)

    def handles(self, path: str) -> bool:
        """Return whether it is the one path."""
        return path == PATH

    def symbols(self, request: WireRequest) -> tuple[str, ...]:
        """Return the one symbol."""
        return (request.params.get("symbol", "").upper(),)

    def answer(self, request: WireRequest) -> WireReply:
        """Return the series or the events, or the reason for a refusal."""
        if self._key and request.params.get("apikey") != self._key:
            return self.refusal("401", request)
        function, (wire,) = request.params.get("function", ""), self.symbols(request)
        view = self._book.view(self._canonical.get(wire, ""))
        if function in ("SPLITS", "DIVIDENDS"):
            events = _splits if function == "SPLITS" else _dividends
            return _document({"symbol": wire, "data": [] if view is None else list(events(view))[::-1]})
        if function not in ("TIME_SERIES_DAILY", "TIME_SERIES_INTRADAY"):
            return _document({"Error Message": f"This API function ({function[:40]}) does not exist."})
        if self._is_free and function == "TIME_SERIES_INTRADAY":
            return _document({"Information": f"This is a premium endpoint. {_PLANS}"})
        if self._is_free and request.params.get("outputsize") == "full":
            text = f"The outputsize=full parameter value is a premium feature for the {function} endpoint. {_PLANS}"
            return _document({"Information": text})
        if view is None:
            return self.refusal("delisted", request)
        return self._daily(view, request) if function == "TIME_SERIES_DAILY" else self._minutes(view, request)

    def empty(self, request: WireRequest) -> WireReply:
        """Return a series or a list without rows."""
        (wire,) = self.symbols(request)
        kind = {"TIME_SERIES_DAILY": "Daily", "TIME_SERIES_INTRADAY": "1min"}.get(request.params.get("function", ""))
        return _document({"symbol": wire, "data": []}) if kind is None else _series(wire, kind, "", {})

    def astray(self, request: WireRequest) -> WireReply:
        """Return the reply about the next symbol."""
        (wire,) = self.symbols(request)
        return self.answer(replace(request, params={**request.params, "symbol": following(wire, self._canonical)}))

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return Alpha Vantage's reply for the fault, which quotes the key; or a page."""
        if kind == "429":
            key = request.params.get("apikey", "")
            limit = "our standard API rate limit is 25 requests per day"
            return _document({"Information": f"We have detected your API key as {key} and {limit}. {_PLANS}"})
        if kind == "401":
            return _document({"Error Message": "the parameter apikey is invalid or missing."})
        if kind == "delisted":
            function = request.params.get("function", "")
            return _document(
                {"Error Message": f"Invalid API call. Please retry or visit the documentation for {function}."}
            )
        return WireReply(200 if kind == "html" else int(kind), b"<html><body>Alpha Vantage</body></html>", _HTML)

    def _daily(self, view: View, request: WireRequest) -> WireReply:
        days = vendor_days(self._book, view, "as_traded", None, None)
        kept = days if request.params.get("outputsize") == "full" else days[-_COMPACT:]
        rows = {
            day.date.isoformat(): _row((day.open, day.high, day.low, day.close, day.volume))
            for day in reversed(kept)
            if day.close == day.close
        }
        now = self._book.clock.now().astimezone(ZoneInfo(US.timezone))
        refreshed = f"{now:%Y-%m-%d %H:%M:%S}" if days and days[-1].running else next(iter(rows), "")
        return _series(self.symbols(request)[0], "Daily", refreshed, rows)

    def _minutes(self, view: View, request: WireRequest) -> WireReply:
        """Return a month's minutes, by default the newest month's."""
        past, month = view.history, request.params.get("month", "")
        if not _MONTH.fullmatch(month):
            month = f"{self._book.clock.now():%Y-%m}"
        regular = request.params.get("extended_hours") == "false"
        rows: dict[str, dict[str, str]] = {}
        for at in range(len(past.days)):
            if f"{day_of(int(past.days[at])):%Y-%m}" != month:
                continue
            minutes = self._book.minutes(view, at)
            values = zip(minutes.starts.tolist(), *(minutes.columns[name].tolist() for name in FIELDS), strict=True)
            for start, *row in values:
                if not regular or past.opens[at] <= start < past.closes[at]:
                    local = datetime.fromtimestamp(start, UTC).astimezone(ZoneInfo(US.timezone))
                    rows[f"{local:%Y-%m-%d %H:%M:%S}"] = _row(row)
        newest_first = dict(reversed(rows.items()))
        return _series(self.symbols(request)[0], "1min", next(iter(newest_first), ""), newest_first)


def _document(document: Mapping[str, Any]) -> WireReply:
    return WireReply(200, to_json(document), _JSON)


def _series(wire: str, kind: str, refreshed: str, rows: Mapping[str, Mapping[str, str]]) -> WireReply:
    middle = {"4. Interval": kind, "5. Output Size": "Full size"} if kind == "1min" else {"4. Output Size": "Full size"}
    zone = f"{len(middle) + 4}. Time Zone"
    meta = {"1. Information": kind, "2. Symbol": wire, "3. Last Refreshed": refreshed, **middle, zone: "US/Eastern"}
    return _document({"Meta Data": meta, f"Time Series ({kind})": rows})


def _row(values: Any) -> dict[str, str]:
    *prices, volume = values
    texts = [f"{price:.4f}" for price in prices] + [f"{volume:.0f}" if volume == volume else "0"]  # noqa: PLR0124
    return {f"{i}. {name}": text for i, (name, text) in enumerate(zip(FIELDS, texts, strict=True), start=1)}


def _splits(view: View) -> Iterator[dict[str, str]]:
    for _, split in view.splits:
        yield {"effective_date": split.date.isoformat(), "split_factor": f"{split.ratio:.6f}"}


def _dividends(view: View) -> Iterator[dict[str, str]]:
    for dividend, _ in zip(view.history.dividends, view.dividends, strict=False):
        other = dict.fromkeys(("declaration_date", "record_date", "payment_date"), "None")
        yield {"ex_dividend_date": dividend.date.isoformat(), **other, "amount": f"{dividend.amount:.6f}"}


WIRE = AlphaVantageWire
