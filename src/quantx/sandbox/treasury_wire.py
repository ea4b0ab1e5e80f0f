"""The US Treasury in the sandbox: the CSV of par yields of a year, the newest day first."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import ClassVar

from quantx.core.rate_series import UST, tenor_months
from quantx.providers.treasury import ALWAYS, DATE, KIND, PATH, SINCE, tenor_of
from quantx.sandbox.book import Book
from quantx.sandbox.messages import WireReply, WireRequest
from quantx.sandbox.synthetic_rates import TENORS, yield_of

_CSV, _HTML = "text/csv; charset=utf-8", "text/html; charset=UTF-8"
_DOCUMENT = re.compile(re.escape(PATH) + r"/(\d{4})/all")
_PAGE = b"<!DOCTYPE html>\n<html><head><title>%s | U.S. Department of the Treasury</title></head><body></body></html>\n"
_COLUMNS = sorted({*ALWAYS, *SINCE}, key=lambda name: tenor_months(tenor_of(name) or ""))


class TreasuryWire:
    """The documents of all years since 1990; they need no key."""

    source: ClassVar[str] = "treasury"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book

    def handles(self, path: str) -> bool:
        """Return whether it is the path of a document."""
        return path.startswith(PATH)

    def symbols(self, request: WireRequest) -> tuple[str, ...]:
        """Return the series."""
        return (UST.symbol,)

    def answer(self, request: WireRequest) -> WireReply:
        """Return the document of a year with the days that are public at the clock's time."""
        match = _DOCUMENT.fullmatch(request.path)
        if match is None or request.params.get("type") != KIND or request.params.get("_format") != "csv":
            return _page(404, b"Page not found")
        return WireReply(200, self._document(int(match[1])).encode(), _CSV)

    def _document(self, year: int) -> str:
        now = self._book.clock.now()
        days = [day for day in UST.days(date(year, 1, 1), date(year, 12, 31)) if UST.public_at(day) <= now]
        columns = [name for name in _COLUMNS if _is_in(name, year)]
        lines = [",".join([DATE, *(f'"{name}"' for name in columns)])]
        for day in reversed(days):
            lines.append(",".join([f"{day:%m/%d/%Y}", *(self._cell(name, day) for name in columns)]))
        return "\n".join(lines) + "\n"

    def _cell(self, column: str, day: date) -> str:
        tenor = tenor_of(column) or ""
        value = self._book.revised_rates.get((UST.symbol, day, tenor), yield_of(tenor, day))
        return "" if value is None else f"{value:.2f}"

    def empty(self, request: WireRequest) -> WireReply:
        """Return the header alone."""
        return WireReply(200, b'Date,"1 Mo","2 Mo","3 Mo"\n', _CSV)

    def astray(self, request: WireRequest) -> WireReply:
        """Return the document of the year before."""
        year = _DOCUMENT.fullmatch(request.path)
        before = request.path if year is None else f"{PATH}/{int(year[1]) - 1}/all"
        return self.answer(replace(request, path=before))

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return the site's page for the fault."""
        if kind == "html":
            return _page(200, b"Scheduled maintenance")
        status = {"401": 403, "delisted": 404}.get(kind)
        return _page(int(kind) if status is None else status, kind.encode())


def _is_in(column: str, year: int) -> bool:
    """Return whether the document of a year has a column: from the year on in which the tenor begins."""
    first = TENORS[tenor_of(column) or ""][0]
    return first is None or first.year <= year


def _page(status: int, title: bytes) -> WireReply:
    return WireReply(status, _PAGE % title, _HTML)


WIRE = TreasuryWire
