"""Financial Modeling Prep in the sandbox: splits, dividends, bars divided by the splits, and statements, newest first.

Prices are not rounded after adjustment, unlike FMP's, so that as-traded values can be recovered exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any, ClassVar

from pydantic_core import to_json

from quantx.providers.fmp import BARS, DIVIDENDS, SPLITS, wire_symbol
from quantx.providers.fmp_statements import STATEMENTS
from quantx.sandbox.book import Book
from quantx.sandbox.fmp_statements import FmpStatements
from quantx.sandbox.messages import JSON, WireReply, WireRequest
from quantx.sandbox.vendor_days import VendorDay, by_wire_form, following, vendor_days
from quantx.sandbox.view import View

_FEW = 5  # statements without a limit
_HTML = "text/html"
_PAGE = b"<html><head><title>Financial Modeling Prep</title></head><body>%s</body></html>"


def _error(status: int, text: str) -> WireReply:
    return WireReply(status, to_json({"Error Message": text}))


# Short equivalents of texts that users quoted in 2026.
_NO_KEY = _error(401, "Invalid API KEY. Feel free to create a Free API Key or visit the FAQ for more information.")
_LIMIT = _error(429, "Limit Reach . Please upgrade your plan or visit our documentation for more details")


class FmpWire:
    """Six paths under `/stable/`; the key is required, as a parameter or a header, where one is set."""

    source: ClassVar[str] = "fmp"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book
        self._key = key
        self._canonical = by_wire_form(book.market.symbols, wire_symbol)
        self._statements = FmpStatements(book)

    def handles(self, path: str) -> bool:
        """Return whether it is one of the six paths."""
        return path in (SPLITS, DIVIDENDS, BARS, *STATEMENTS)

    def symbols(self, request: WireRequest) -> tuple[str, ...]:
        """Return the one symbol."""
        return (request.params.get("symbol", "").upper(),)

    def answer(self, request: WireRequest) -> WireReply:
        """Return the rows; none for an unknown symbol."""
        if self._key is not None and self._key not in (request.params.get("apikey"), request.headers.get("apikey")):
            return _NO_KEY
        (wire,) = self.symbols(request)
        if request.path in STATEMENTS:
            period, limit = request.params.get("period", "annual"), request.params.get("limit", "")
            rows = self._statements.rows(request.path, wire, period)
            return _rows(rows[: int(limit) if limit.isdigit() else _FEW])
        view = self._book.view(self._canonical.get(wire, ""))
        if view is None:
            return _rows([])
        events = {SPLITS: _splits, DIVIDENDS: _dividends}.get(request.path)
        rows = list(events(view)) if events else self._bars(view, request)
        return _rows([{"symbol": wire, **row} for row in reversed(rows)])

    def _bars(self, view: View, request: WireRequest) -> list[dict[str, Any]]:
        try:
            since, until = (_day(request.params.get(name)) for name in ("from", "to"))
        except ValueError:
            return []
        return [_bar(row) for row in vendor_days(self._book, view, "split_adjusted", since, until)]

    def empty(self, request: WireRequest) -> WireReply:
        """Return no rows."""
        return _rows([])

    def astray(self, request: WireRequest) -> WireReply:
        """Return the rows of the next symbol."""
        (wire,) = self.symbols(request)
        return self.answer(replace(request, params={**request.params, "symbol": following(wire, self._canonical)}))

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return FMP's reply for the fault, or a page."""
        if kind in ("429", "401"):
            return _LIMIT if kind == "429" else _NO_KEY
        if kind == "delisted":
            return _rows([])
        return WireReply(200 if kind == "html" else int(kind), _PAGE % kind.encode(), _HTML)


def _rows(rows: list[dict[str, Any]]) -> WireReply:
    return WireReply(200, to_json(rows, inf_nan_mode="null"), JSON)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _bar(row: VendorDay) -> dict[str, Any]:
    volume = int(row.volume) if row.volume == row.volume and row.volume == int(row.volume) else row.volume
    change = round(row.close - row.open, 4)
    prices = {"open": row.open, "high": row.high, "low": row.low, "close": row.close}
    vwap = round((row.high + row.low + row.close) / 3, 4)
    return {"date": row.date.isoformat(), **prices, "volume": volume, "change": change, "vwap": vwap}


def _splits(view: View) -> Iterator[dict[str, Any]]:
    for _, split in view.splits:
        new, old = (int(n) if n == int(n) else n for n in (split.numerator, split.denominator))
        yield {"date": split.date.isoformat(), "numerator": new, "denominator": old, "splitType": "stock-split"}


def _dividends(view: View) -> Iterator[dict[str, Any]]:
    for dividend, (_, adjusted) in zip(view.history.dividends, view.dividends, strict=False):
        day = dividend.date.isoformat()
        yield {"date": day, "recordDate": day, "adjDividend": adjusted, "dividend": dividend.amount}


WIRE = FmpWire
