"""Acme in the sandbox: its path, its form of replies and its texts of refusals, served from the sandbox's market."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from typing import Any, ClassVar

from quantx.core.symbols import hyphenated_symbol
from quantx.sandbox.book import Book
from quantx.sandbox.messages import JSON, WireReply, WireRequest
from quantx.sandbox.vendor_days import VendorDay, by_wire_form, following, vendor_days
from quantx_acme.provider import PATH

_HTML = b"<html><body>Acme is having a day off</body></html>"


class AcmeWire:
    """`/acme/v1/daily`."""

    source: ClassVar[str] = "acme"

    def __init__(self, book: Book, key: str | None) -> None:
        """Serve the book; `key` is required where it is given."""
        self._book, self._key = book, key
        self._canonical = by_wire_form(book.market.symbols, hyphenated_symbol)

    def handles(self, path: str) -> bool:
        """Return whether it is Acme's path."""
        return path == PATH

    def symbols(self, request: WireRequest) -> tuple[str, ...]:
        """Return the one symbol."""
        return (request.params.get("symbol", "").upper(),)

    def answer(self, request: WireRequest) -> WireReply:
        """Return the bars and events of the window as traded."""
        if self._key is not None and request.params.get("token") != self._key:
            return _refusal(401, "bad token")
        wire = request.params.get("symbol", "")
        view = self._book.view(self._canonical.get(wire, ""))
        if view is None:
            return _refusal(404, "no such symbol")
        since, until = (date.fromisoformat(request.params[name]) for name in ("from", "to"))
        bars = [_bar(row) for row in vendor_days(self._book, view, "as_traded", since, until)]
        events = self._events(self._canonical[wire], since, until)
        return _json(200, {"symbol": wire, "currency": "USD", "bars": bars, **events})

    def _events(self, symbol: str, since: date, until: date) -> dict[str, list[dict[str, Any]]]:
        today = self._book.clock.now().date()
        rows = self._book.market.actions(symbol).select("date", "kind", "value").rows()
        inside = [(day, kind, value) for day, kind, value in rows if since <= day <= min(until, today)]
        return {
            f"{kind}s": [{"date": str(day), "value": value} for day, of, value in inside if of == kind]
            for kind in ("split", "dividend")
        }

    def empty(self, request: WireRequest) -> WireReply:
        """Return a reply without bars."""
        wire = request.params.get("symbol", "")
        return _json(200, {"symbol": wire, "currency": "USD", "bars": [], "splits": [], "dividends": []})

    def astray(self, request: WireRequest) -> WireReply:
        """Return the reply about another symbol."""
        other = following(request.params.get("symbol", ""), self._canonical)
        return self.answer(replace(request, params={**request.params, "symbol": other}))

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return Acme's reply for a fault."""
        if kind == "html":
            return WireReply(200, _HTML, "text/html")
        texts = {"401": "bad token", "429": "slow down", "404": "no such symbol"}
        return _refusal(int(kind), texts.get(kind, "internal error")) if kind.isdigit() else self.empty(request)


def _bar(row: VendorDay) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in ("open", "high", "low", "close", "volume")}
    return {"date": str(row.date), **{name: value if math.isfinite(value) else None for name, value in values.items()}}


def _refusal(status: int, text: str) -> WireReply:
    return _json(status, {"error": text})


def _json(status: int, value: object) -> WireReply:
    return WireReply(status, json.dumps(value).encode(), JSON)
