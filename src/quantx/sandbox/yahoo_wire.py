"""Yahoo as the sandbox plays it: chart questions about the book, and the words of Yahoo's front door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from quantx.providers.yahoo import wire_symbol
from quantx.sandbox.book import Book
from quantx.sandbox.hours import day_number
from quantx.sandbox.recorded import CHART_PATH
from quantx.sandbox.window import ChartQuestion, parse_question
from quantx.sandbox.wires import JSON, Asked, Reply
from quantx.sandbox.yahoo_wire import Shown, chart_error, chart_reply, empty_chart, not_found, show

_HTML = "text/html;charset=UTF-8"
_OUTAGE = (
    b'<html lang="en-us"><head><meta charset="utf-8"><title>Yahoo</title></head><body><table><tr><td>'
    b'<h1 style="margin-top:20px;">Will be right back...</h1><p>Thank you for your patience.</p>'
    b"<p>Our engineers are working quickly to resolve the issue.</p></td></tr></table></body></html>\n"
)
_PAGE = b'<!doctype html>\n<html lang="en-us"><head><title>Yahoo Finance</title></head><body>Loading...</body></html>\n'
_COOKIE = b'{"finance":{"error":{"code":"Unauthorized","description":"Invalid cookie"}}}'

# Short equivalents of what real jobs received from 2022 to 2024. The 429 names no time to wait.
_REFUSALS = {
    "429": Reply(429, b"Edge: Too Many Requests", "text/plain;charset=utf-8"),
    "500": chart_error(500, "Internal Server Error", "Internal Server Error"),
    "502": Reply(502, _OUTAGE, _HTML),
    "401": Reply(401, _COOKIE, JSON),
    "html": Reply(200, _PAGE, _HTML),
    "delisted": not_found(),  # a 429 in disguise: facts of yfinance issues 2125 and 2480
}


class YahooWire:
    """`/v8/finance/chart/{symbol}`; Yahoo asks for no key."""

    source: ClassVar[str] = "yahoo"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book
        self._known = book.market.by_wire_symbol or {wire_symbol(symbol): symbol for symbol in book.market.symbols}
        self._shown: dict[str, tuple[int, Shown | None]] = {}
        last = book.market.last_day
        self._last_day = day_number(last) if last else 0

    def handles(self, path: str) -> bool:
        """Tell whether it is a chart."""
        return path.startswith(CHART_PATH)

    def symbols(self, asked: Asked) -> tuple[str, ...]:
        """Return the one symbol of a chart."""
        return (asked.path.removeprefix(CHART_PATH).upper(),)

    def answer(self, asked: Asked) -> Reply:
        """Return the chart."""
        return self.chart(self.symbols(asked)[0], asked.params)

    def empty(self, asked: Asked) -> Reply:
        """Return the reply of status 200 without timestamps."""
        (wire,) = self.symbols(asked)
        shown = self._show(wire)
        return empty_chart(shown.meta if shown else {"currency": None, "symbol": wire, "exchangeName": "YHD"})

    def astray(self, asked: Asked) -> Reply:
        """Return the chart of the symbol that follows, of itself where it is the only one."""
        (wire,) = self.symbols(asked)
        names = sorted(self._known)
        other = next((name for name in names if name > wire), names[0] if names else wire)
        return self.answer(replace(asked, path=CHART_PATH + other))

    def refusal(self, kind: str, asked: Asked) -> Reply:
        """Return Yahoo's words."""
        return _REFUSALS[kind]

    def chart(self, wire: str, params: Mapping[str, str]) -> Reply:
        """Return the reply to `/v8/finance/chart/{wire}?params`; a recording is preferred to the market's bars."""
        recordings = self._book.market.recordings
        recorded = recordings.best(wire, params) if recordings is not None else None
        if recorded is not None:
            return recorded
        question = parse_question(params)
        if not isinstance(question, ChartQuestion):
            return chart_error(*question)
        shown = self._show(wire)
        return not_found() if shown is None else chart_reply(shown, question, self._last_day)

    def _show(self, wire: str) -> Shown | None:
        view = self._book.view(self._known.get(wire, ""))
        if view is None:
            return None
        now = self._book.clock.now()
        clock = int(now.timestamp())
        kept = self._shown.get(wire)
        if kept is None or kept[0] != clock or (kept[1] is not None and kept[1].view is not view):
            kept = self._shown[wire] = (clock, show(view, now))
        return kept[1]
