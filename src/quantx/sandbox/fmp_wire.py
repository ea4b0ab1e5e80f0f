"""Financial Modeling Prep as the sandbox plays it: splits, dividends, and bars divided by the splits, newest first.

One deviation is deliberate, so that as-traded values can be recovered exactly: prices are not rounded after adjustment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any, ClassVar

from pydantic_core import to_json

from quantx.providers.fmp import BARS, DIVIDENDS, SPLITS, wire_symbol
from quantx.sandbox.asof import View
from quantx.sandbox.book import Book
from quantx.sandbox.shown import ShownDay, by_wire_form, following, shown_days
from quantx.sandbox.wires import JSON, Asked, Reply

_HTML = "text/html"
_PAGE = b"<html><head><title>Financial Modeling Prep</title></head><body>%s</body></html>"


def _error(status: int, said: str) -> Reply:
    return Reply(status, to_json({"Error Message": said}))


# Short equivalents of what users quoted in 2026.
_NO_KEY = _error(401, "Invalid API KEY. Feel free to create a Free API Key or visit the FAQ for more information.")
_LIMIT = _error(429, "Limit Reach . Please upgrade your plan or visit our documentation for more details")


class FmpWire:
    """Three paths under `/stable/`; with a key only for those who bring it, as a parameter or a header."""

    source: ClassVar[str] = "fmp"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book
        self._key = key
        self._known = by_wire_form(book.market.symbols, wire_symbol)

    def handles(self, path: str) -> bool:
        """Tell whether it is one of the three paths."""
        return path in (SPLITS, DIVIDENDS, BARS)

    def symbols(self, asked: Asked) -> tuple[str, ...]:
        """Return the one symbol."""
        return (asked.params.get("symbol", "").upper(),)

    def answer(self, asked: Asked) -> Reply:
        """Return the rows, none for who is not known."""
        if self._key is not None and self._key not in (asked.params.get("apikey"), asked.headers.get("apikey")):
            return _NO_KEY
        (wire,) = self.symbols(asked)
        view = self._book.view(self._known.get(wire, ""))
        if view is None:
            return _rows([])
        rows = {SPLITS: _splits, DIVIDENDS: _dividends}.get(asked.path)
        found = list(rows(view)) if rows else self._bars(view, asked)
        return _rows([{"symbol": wire, **row} for row in reversed(found)])

    def _bars(self, view: View, asked: Asked) -> list[dict[str, Any]]:
        try:
            since, until = (_day(asked.params.get(name)) for name in ("from", "to"))
        except ValueError:
            return []
        return [_bar(row) for row in shown_days(self._book, view, "split_adjusted", since, until)]

    def empty(self, asked: Asked) -> Reply:
        """Return no rows."""
        return _rows([])

    def astray(self, asked: Asked) -> Reply:
        """Return the rows of the symbol that follows."""
        (wire,) = self.symbols(asked)
        return self.answer(replace(asked, params={**asked.params, "symbol": following(wire, self._known)}))

    def refusal(self, kind: str, asked: Asked) -> Reply:
        """Return FMP's words, or a page."""
        if kind in ("429", "401"):
            return _LIMIT if kind == "429" else _NO_KEY
        if kind == "delisted":
            return _rows([])
        return Reply(200 if kind == "html" else int(kind), _PAGE % kind.encode(), _HTML)


def _rows(rows: list[dict[str, Any]]) -> Reply:
    return Reply(200, to_json(rows, inf_nan_mode="null"), JSON)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _bar(row: ShownDay) -> dict[str, Any]:
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
