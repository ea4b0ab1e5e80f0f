"""Yahoo in the sandbox: chart requests answered from the book, and Yahoo's texts of refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from quantx.providers.yahoo import wire_symbol
from quantx.sandbox.book import Book
from quantx.sandbox.chart_request import ChartRequest, parse_chart_request
from quantx.sandbox.hours import day_number
from quantx.sandbox.messages import JSON, WireReply, WireRequest
from quantx.sandbox.recordings import CHART_PATH
from quantx.sandbox.yahoo_chart import ChartData, chart_data, chart_error, chart_reply, empty_chart, not_found

_HTML = "text/html;charset=UTF-8"
_OUTAGE = (
    b'<html lang="en-us"><head><meta charset="utf-8"><title>Yahoo</title></head><body><table><tr><td>'
    b'<h1 style="margin-top:20px;">Will be right back...</h1><p>Thank you for your patience.</p>'
    b"<p>Our engineers are working quickly to resolve the issue.</p></td></tr></table></body></html>\n"
)
_PAGE = b'<!doctype html>\n<html lang="en-us"><head><title>Yahoo Finance</title></head><body>Loading...</body></html>\n'
_COOKIE = b'{"finance":{"error":{"code":"Unauthorized","description":"Invalid cookie"}}}'

# Short equivalents of replies that real jobs received from 2022 to 2024. The 429 has no time to wait.
_REFUSALS = {
    "429": WireReply(429, b"Edge: Too Many Requests", "text/plain;charset=utf-8"),
    "500": chart_error(500, "Internal Server Error", "Internal Server Error"),
    "502": WireReply(502, _OUTAGE, _HTML),
    "401": WireReply(401, _COOKIE, JSON),
    "html": WireReply(200, _PAGE, _HTML),
    "delisted": not_found(),  # sent in place of a 429: yfinance issues 2125 and 2480
}


class YahooWire:
    """`/v8/finance/chart/{symbol}`; Yahoo has no keys."""

    source: ClassVar[str] = "yahoo"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book
        self._canonical = book.market.by_wire_symbol or {wire_symbol(symbol): symbol for symbol in book.market.symbols}
        self._charts: dict[str, tuple[int, ChartData | None]] = {}
        last = book.market.last_day
        self._last_day = day_number(last) if last else 0

    def handles(self, path: str) -> bool:
        """Return whether it is the path of a chart."""
        return path.startswith(CHART_PATH)

    def symbols(self, request: WireRequest) -> tuple[str, ...]:
        """Return the one symbol of a chart."""
        return (request.path.removeprefix(CHART_PATH).upper(),)

    def answer(self, request: WireRequest) -> WireReply:
        """Return the chart."""
        return self.chart(self.symbols(request)[0], request.params)

    def empty(self, request: WireRequest) -> WireReply:
        """Return the reply of status 200 without timestamps."""
        (wire,) = self.symbols(request)
        data = self._chart_data(wire)
        return empty_chart(data.meta if data else {"currency": None, "symbol": wire, "exchangeName": "YHD"})

    def astray(self, request: WireRequest) -> WireReply:
        """Return the chart of the next symbol, of the same one where there is no other."""
        (wire,) = self.symbols(request)
        names = sorted(self._canonical)
        other = next((name for name in names if name > wire), names[0] if names else wire)
        return self.answer(replace(request, path=CHART_PATH + other))

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return Yahoo's reply for the fault."""
        return _REFUSALS[kind]

    def chart(self, wire: str, params: Mapping[str, str]) -> WireReply:
        """Return the reply to `/v8/finance/chart/{wire}?params`; a recording comes before the market's bars."""
        recordings = self._book.market.recordings
        recorded = recordings.best(wire, params) if recordings is not None else None
        if recorded is not None:
            return recorded
        request = parse_chart_request(params)
        if not isinstance(request, ChartRequest):
            return chart_error(*request)
        data = self._chart_data(wire)
        return not_found() if data is None else chart_reply(data, request, self._last_day)

    def _chart_data(self, wire: str) -> ChartData | None:
        view = self._book.view(self._canonical.get(wire, ""))
        if view is None:
            return None
        now = self._book.clock.now()
        clock = int(now.timestamp())
        kept = self._charts.get(wire)
        if kept is None or kept[0] != clock or (kept[1] is not None and kept[1].view is not view):
            kept = self._charts[wire] = (clock, chart_data(view, now))
        return kept[1]


WIRE = YahooWire
