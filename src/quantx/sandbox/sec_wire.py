"""The SEC in the sandbox: submissions, facts, lists of tickers, daily indexes and the nightly archives.

A file that does not exist is an XML error, as from the store behind the SEC's site. More than ten requests in a second
are blocked for ten minutes, and each request in that time begins them again.
"""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date
from typing import ClassVar

from pydantic_core import to_json

from quantx.sandbox.book import Book
from quantx.sandbox.filers import NEW_YORK, Filer
from quantx.sandbox.messages import JSON, WireReply, WireRequest

_XML, _HTML = "application/xml", "text/html"
_PATHS = re.compile(
    r"/submissions/CIK(?P<submissions>\d+)\.json"
    r"|/submissions/(?P<page>CIK(?P<of_page>\d{10})-submissions-\d+\.json)"
    r"|/api/xbrl/companyfacts/CIK(?P<facts>\d+)\.json"
    r"|/files/(?P<tickers>company_tickers(_exchange)?)\.json"
    r"|/Archives/edgar/daily-index/(?P<index>\d{4}/QTR[1-4]/(form|master)\.\d{8}\.idx)"
    r"|/Archives/edgar/daily-index/(?P<archive>xbrl/companyfacts|bulkdata/submissions)\.zip"
)
_OWN = ("/submissions/", "/api/xbrl/", "/files/company_tickers", "/Archives/edgar/")
_NO_KEY = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.'
    "</Message><Key>{key}</Key><RequestId>SANDBOX</RequestId><HostId>sandbox</HostId></Error>"
)
_DENIED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message>'
    "<RequestId>SANDBOX</RequestId><HostId>sandbox</HostId></Error>"
)
# Short forms of the SEC's pages.
BLOCKED = (
    "<!DOCTYPE html><html><head><title>SEC.gov | Request Rate Threshold Exceeded</title></head><body><h1>Your request"
    " rate has exceeded the SEC's maximum allowable requests per second.</h1><p>Your access to SEC.gov will be limited"
    " for 10 minutes.</p></body></html>"
)
_UNDECLARED = (
    "<!DOCTYPE html><html><head><title>SEC.gov | Your Request Originates from an Undeclared Automated Tool</title>"
    "</head><body><h1>Your Request Originates from an Undeclared Automated Tool</h1></body></html>"
)


class SecWire:
    """The paths of data.sec.gov and www.sec.gov; a User-Agent with a contact is required."""

    source: ClassVar[str] = "sec"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book
        self._contact = key

    def handles(self, path: str) -> bool:
        """Return whether it is one of the SEC's paths."""
        return path.startswith(_OWN)

    def symbols(self, request: WireRequest) -> tuple[str, ...]:
        """Return the filer, as in CIK0000320193; none for lists."""
        match = re.search(r"CIK\d{10}", request.path)
        return (match[0],) if match else ()

    def answer(self, request: WireRequest) -> WireReply:
        """Return the document at the clock's time, or an XML error."""
        agent = request.headers.get("user-agent", "")
        if ("@" not in agent and "://" not in agent) or (self._contact is not None and self._contact not in agent):
            return WireReply(403, _UNDECLARED.encode(), _HTML)
        match = _PATHS.fullmatch(request.path)
        if match is None:
            return _missing(request)
        parts = match.groupdict()
        if parts["tickers"]:
            return self._tickers(with_exchange=parts["tickers"].endswith("exchange"))
        if parts["index"]:
            return self._index(parts["index"])
        if parts["archive"]:
            return self._archive(parts["archive"])
        return self._document(request, parts)

    def _document(self, request: WireRequest, parts: dict[str, str | None]) -> WireReply:
        now = self._book.clock.now()
        cik = parts["submissions"] or parts["of_page"] or parts["facts"] or ""
        filer = self._book.market.filers.by_cik.get(int(cik)) if len(cik) == 10 else None
        if filer is None:
            return _missing(request)
        if parts["page"]:
            document = filer.page_at(parts["page"], now)
        else:
            document = filer.facts_at(now) if parts["facts"] else filer.submissions_at(now)
        return _missing(request) if document is None else WireReply(200, to_json(document), JSON)

    def _tickers(self, *, with_exchange: bool) -> WireReply:
        rows = self._book.market.filers.tickers_at(self._book.clock.now())
        if not with_exchange:
            return WireReply(200, to_json({str(n): row for n, row in enumerate(rows)}), JSON)
        data = [[row["cik_str"], row["title"], row["ticker"], None] for row in rows]
        return WireReply(200, to_json({"fields": ["cik", "name", "ticker", "exchange"], "data": data}), JSON)

    def _index(self, name: str) -> WireReply:
        """Return the index of a day; there is none before the day has ended, nor of a day without filings."""
        now = self._book.clock.now()
        digits = name[-12:-4]
        try:
            day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        except ValueError:
            return _denied()
        quarter = f"{day.year}/QTR{(day.month + 2) // 3}"
        if not name.startswith(quarter) or day >= now.astimezone(NEW_YORK).date():
            return _denied()
        rows = []
        for cik, filer in sorted(self._book.market.filers.by_cik.items()):
            document = filer.submissions_at(now) or {"name": ""}
            for form, filed, accession in filer.filed_between(day, day, now):
                rows.append((form, document["name"], cik, f"{filed:%Y%m%d}", f"edgar/data/{cik}/{accession}.txt"))
        if not rows:
            return _denied()
        write = _form_index if "/form." in name else _master_index
        return WireReply(200, write(day, sorted(rows)).encode("latin-1", "replace"), "application/octet-stream")

    def _archive(self, name: str) -> WireReply:
        now, buffer = self._book.clock.now(), io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for cik, filer in sorted(self._book.market.filers.by_cik.items()):
                for member, document in self._members(name, cik, filer):
                    stamp = now.timetuple()[:6]
                    archive.writestr(zipfile.ZipInfo(member, stamp), to_json(document), zipfile.ZIP_DEFLATED)
        return WireReply(200, buffer.getvalue(), "application/zip")

    def _members(self, name: str, cik: int, filer: Filer) -> list[tuple[str, dict[str, object]]]:
        now = self._book.clock.now()
        if name.endswith("companyfacts"):
            documents = [(f"CIK{cik:010}.json", filer.facts_at(now))]
        else:
            documents = [(f"CIK{cik:010}.json", filer.submissions_at(now))]
            documents += [(page, filer.page_at(page, now)) for page in filer.pages]
        return [(member, document) for member, document in documents if document is not None]

    def empty(self, request: WireRequest) -> WireReply:
        """Return the error of a missing file: the SEC has no reply without rows."""
        return _missing(request)

    def astray(self, request: WireRequest) -> WireReply:
        """Return the document of the next filer."""
        ciks = sorted(self._book.market.filers.by_cik)
        match = re.search(r"CIK(\d{10})", request.path)
        if match is None or len(ciks) < 2:
            return self.answer(request)
        other = next((cik for cik in ciks if cik > int(match[1])), ciks[0])
        path = request.path.replace(match[0], f"CIK{other:010}")
        return self.answer(WireRequest(path, request.params, request.headers))

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return the page of a block, or the reply of a fault."""
        if kind == "429":
            return WireReply(403, BLOCKED.encode(), _HTML)
        if kind == "401":
            return WireReply(403, _UNDECLARED.encode(), _HTML)
        if kind == "delisted":
            return _missing(request)
        page = f"<html><head><title>SEC.gov</title></head><body>{kind}</body></html>"
        return WireReply(200 if kind == "html" else int(kind), page.encode(), _HTML)


def _missing(request: WireRequest) -> WireReply:
    return WireReply(404, _NO_KEY.format(key=request.path.removeprefix("/")).encode(), _XML)


def _denied() -> WireReply:
    return WireReply(403, _DENIED.encode(), _XML)


_IndexRow = tuple[str, str, int, str, str]


def _form_index(day: date, rows: list[_IndexRow]) -> str:
    """Return an index of columns at fixed places, sorted by form."""
    head = (
        "Description:           Daily Index of EDGAR Dissemination Feed by Form Type\n"
        f"Last Data Received:    {day:%B %d, %Y}\nComments:              webmaster@sec.gov\n"
        "Anonymous FTP:         ftp://ftp.sec.gov/edgar/\n \n \n \n"
        "Form Type   Company Name                                                  CIK         Date Filed  File Name\n"
        + "-"
        * 141
    )
    lines = (f"{form:<12}{name[:60]:<62}{cik:<12}{filed:<12}{file}" for form, name, cik, filed, file in rows)
    return "\n".join([head, *lines, ""])


def _master_index(day: date, rows: list[_IndexRow]) -> str:
    """Return an index with bars between the columns, sorted by CIK."""
    head = (
        "Description:           Daily Index of EDGAR Dissemination Feed\n"
        f"Last Data Received:    {day:%B %d, %Y}\nComments:              webmaster@sec.gov\n"
        "Anonymous FTP:         ftp://ftp.sec.gov/edgar/\n \n"
        "CIK|Company Name|Form Type|Date Filed|File Name\n" + "-" * 80
    )
    lines = (f"{cik}|{name}|{form}|{filed}|{file}" for form, name, cik, filed, file in sorted(rows, key=lambda r: r[2]))
    return "\n".join([head, *lines, ""])


WIRE = SecWire
