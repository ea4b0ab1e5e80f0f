"""Stooq in the sandbox: `/q/d/l/`, a CSV of fully adjusted bars; refusals are texts with HTTP 200."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import ClassVar

from quantx.providers.stooq import PATH, wire_symbol
from quantx.sandbox.book import Book
from quantx.sandbox.messages import WireReply, WireRequest
from quantx.sandbox.vendor_days import VendorDay, by_wire_form, following, vendor_days

_TEXT, _HTML = "text/plain", "text/html; charset=UTF-8"
_ENGLISH = "Date,Open,High,Low,Close,Volume"
_POLISH = "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen"
_NOTHING = WireReply(200, b"No data", _TEXT)
_KEY_WANTED = WireReply(
    200, b"Get your apikey:\n\n1. Open https://stooq.com/q/d/?s=spy.us&get_apikey\n2. Enter the captcha code.\n", _TEXT
)
_BROWSER_WANTED = (
    b"<!doctype html><html><body><noscript>This site requires JavaScript. Enable JavaScript and reload.</noscript>"
    b'<script>(async()=>{await fetch("/__verify",{method:"POST"})})();</script></body></html>'
)
_ERROR = b"<html><body><h1>%s</h1></body></html>"


class StooqWire:
    """`/q/d/l/`; the key is required where one is set."""

    source: ClassVar[str] = "stooq"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book
        self._key = key
        self._canonical = by_wire_form(book.market.symbols, wire_symbol)

    def handles(self, path: str) -> bool:
        """Return whether it is the path of the CSV."""
        return path == PATH

    def symbols(self, request: WireRequest) -> tuple[str, ...]:
        """Return the one symbol."""
        return (request.params.get("s", "").upper(),)

    def answer(self, request: WireRequest) -> WireReply:
        """Return the CSV of the window, or the text of an empty result."""
        if self._key is not None and request.params.get("apikey") != self._key:
            return _KEY_WANTED
        wire = request.params.get("s", "").lower()
        view = self._book.view(self._canonical.get(wire, ""))
        try:
            since, until = (_day(request.params.get(name)) for name in ("d1", "d2"))
        except ValueError:
            return _NOTHING
        if view is None or request.params.get("i") != "d":
            return _NOTHING
        rows = [row for row in vendor_days(self._book, view, "fully_adjusted", since, until) if row.close == row.close]
        if not rows:
            return _NOTHING
        head = _POLISH if request.headers.get("accept-language", "").startswith("pl") else _ENGLISH
        lines = [head, *(_line(row) for row in rows), ""]
        name = f"attachment; filename={wire.replace('.', '_')}_d.csv"
        return WireReply(200, "\r\n".join(lines).encode(), "text/csv", headers=(("content-disposition", name),))

    def empty(self, request: WireRequest) -> WireReply:
        """Return the text of an empty result."""
        return _NOTHING

    def astray(self, request: WireRequest) -> WireReply:
        """Return the CSV of the next symbol."""
        other = following(request.params.get("s", "").lower(), self._canonical)
        return self.answer(replace(request, params={**request.params, "s": other}))

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return Stooq's reply for the fault; Stooq itself sends no status but 200."""
        if kind in ("500", "502"):
            return WireReply(int(kind), _ERROR % kind.encode(), _HTML)
        if kind == "429":
            return WireReply(200, b"Exceeded the daily hits limit", _TEXT)
        if kind == "html":
            return WireReply(200, _BROWSER_WANTED, _HTML)
        return _KEY_WANTED if kind == "401" else _NOTHING


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _line(row: VendorDay) -> str:
    prices = (f"{price:.7g}" if math.isfinite(price) else "" for price in (row.open, row.high, row.low, row.close))
    volume = [f"{row.volume:.14g}"] if math.isfinite(row.volume) else []  # a row without volume has no field for it
    return ",".join([row.date.isoformat(), *prices, *volume])


WIRE = StooqWire
