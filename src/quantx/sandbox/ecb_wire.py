"""The ECB in the sandbox: the three XML documents of reference rates, the newest day first."""

from __future__ import annotations

from datetime import date, timedelta
from typing import ClassVar

from quantx.core.rate_series import EURO
from quantx.providers.ecb import DAILY, HISTORY, PATH, RECENT
from quantx.sandbox.book import Book
from quantx.sandbox.messages import WireReply, WireRequest
from quantx.sandbox.synthetic_rates import CURRENCIES, exchange_rate_of

_XML, _HTML = "text/xml", "text/html; charset=UTF-8"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"'
    ' xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">\n\t<gesmes:subject>Reference rates</gesmes:subject>\n'
    "\t<gesmes:Sender>\n\t\t<gesmes:name>European Central Bank</gesmes:name>\n\t</gesmes:Sender>\n\t<Cube>"
)
_TAIL = "</Cube>\n</gesmes:Envelope>\n"
_RECENT = timedelta(days=90)
_PAGE = b"<!DOCTYPE html>\n<html><head><title>%s</title></head><body></body></html>\n"


class EcbWire:
    """The documents with all days, the last ninety, and the newest one; they need no key."""

    source: ClassVar[str] = "ecb"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book

    def handles(self, path: str) -> bool:
        """Return whether it is the path of a document."""
        return path.startswith(PATH)

    def symbols(self, request: WireRequest) -> tuple[str, ...]:
        """Return the series."""
        return (EURO.symbol,)

    def answer(self, request: WireRequest) -> WireReply:
        """Return a document with the days that are public at the clock's time."""
        now, name = self._book.clock.now(), request.path.removeprefix(PATH)
        if name not in (HISTORY, RECENT, DAILY):
            return _page(404, b"Page not found")
        newest = EURO.newest(now)
        first = {HISTORY: EURO.first, RECENT: now.date() - _RECENT, DAILY: newest}[name]
        days = "".join(self._day(day) for day in reversed(EURO.days(first, newest)))
        return WireReply(200, (_HEAD + days + _TAIL).encode(), _XML)

    def _day(self, day: date) -> str:
        rates = (
            f'<Cube currency="{currency}" rate="{rate:.{CURRENCIES[currency][1]}f}"/>'
            for currency in CURRENCIES
            if (rate := self._rate(currency, day)) is not None
        )
        return f'<Cube time="{day}">{"".join(rates)}</Cube>'

    def _rate(self, currency: str, day: date) -> float | None:
        return self._book.revised_rates.get((EURO.symbol, day, currency), exchange_rate_of(currency, day))

    def empty(self, request: WireRequest) -> WireReply:
        """Return a document without a day."""
        return WireReply(200, (_HEAD + _TAIL).encode(), _XML)

    def astray(self, request: WireRequest) -> WireReply:
        """Return a document of another vocabulary."""
        return WireReply(200, b'<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel/></rss>\n', _XML)

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return the site's page for the fault."""
        if kind == "html":
            return _page(200, b"Scheduled maintenance")
        status = {"401": 403, "delisted": 404}.get(kind)
        return _page(int(kind) if status is None else status, kind.encode())


def _page(status: int, title: bytes) -> WireReply:
    return WireReply(status, _PAGE % title, _HTML)


WIRE = EcbWire
