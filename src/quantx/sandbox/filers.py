"""The filers of the SEC in the sandbox: their submissions, older pages and facts, as they are known at a moment."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from pydantic_core import from_json

log = structlog.get_logger()

NEW_YORK = ZoneInfo("America/New_York")
FILER_FILE = re.compile(r"CIK(?P<cik>\d{10})(?P<page>-submissions-\d+)?(?P<rest>.*)\.json(\.gz)?")
TICKERS_FILE = re.compile(r"company_tickers(?!_exchange|_mf).*\.json(\.gz)?")
_TICKER = re.compile(r"_([A-Z][A-Z.-]{0,6})(?=_|$)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LONG_AGO = date(1970, 1, 1)

Document = dict[str, Any]


@dataclass(frozen=True)
class Download:
    """A recorded document of a filer, and the day of its download (1970 where its file names none)."""

    on: date
    document: Document


@dataclass
class Filer:
    """The documents of one filer, each in one or several downloads."""

    cik: int
    submissions: list[Download] = field(default_factory=list)
    facts: list[Download] = field(default_factory=list)
    pages: dict[str, list[Download]] = field(default_factory=dict)  # by name, as in CIK0000320193-submissions-001.json
    accepted: Mapping[str, datetime] = field(default_factory=dict)  # the true instants of invented filings
    ticker: str | None = None  # in the name of a recording

    def submissions_at(self, now: datetime) -> Document | None:
        """Return the submissions as they were at an instant; None where the filer had filed nothing yet."""
        document = _at(self.submissions, now) or self._of_facts(now)
        if document is None:
            return None
        recent = self._visible(document["filings"]["recent"], now)
        files = [file for file in document["filings"]["files"] if file["name"] in self.pages]
        pages = [self.page_at(file["name"], now) for file in files]
        files = [file for file, page in zip(files, pages, strict=True) if page and page["accessionNumber"]]
        if document["filings"]["recent"]["accessionNumber"] and not recent["accessionNumber"] and not files:
            return None
        return {**document, "filings": {**document["filings"], "recent": recent, "files": files}}

    def _of_facts(self, now: datetime) -> Document | None:
        """Return submissions with the filings that recorded facts name, where there is no recording of their own."""
        about = _at(self.facts, now)
        if about is None:
            return None
        rows = {
            row["accn"]: (row["filed"], row["form"])
            for tags in about["facts"].values()
            for tag in tags.values()
            for some in tag["units"].values()
            for row in some
        }
        listed = sorted(rows.items(), key=lambda each: (each[1][0], each[0]), reverse=True)
        columns = {
            "accessionNumber": [accession for accession, _ in listed],
            "filingDate": [filed for _, (filed, _) in listed],
            "form": [form for _, (_, form) in listed],
        }
        empty = ("reportDate", "acceptanceDateTime", "items", "primaryDocument", "primaryDocDescription")
        recent = {**columns, **{name: ["" for _ in listed] for name in empty}}
        tickers = [self.ticker] if self.ticker else []
        filings = {"recent": recent, "files": []}
        return {"cik": f"{self.cik:010}", "name": about["entityName"], "tickers": tickers, "filings": filings}

    def page_at(self, name: str, now: datetime) -> Document | None:
        """Return an older page as it was at an instant."""
        page = _at(self.pages.get(name, ()), now)
        return None if page is None else self._visible(page, now)

    def facts_at(self, now: datetime) -> Document | None:
        """Return the facts of all filings that were accepted by an instant; None where there were none."""
        document = _at(self.facts, now)
        if document is None:
            return None
        public_at = self._public_times()
        hidden: set[str] = set()
        facts: dict[str, Any] = {}
        for taxonomy, tags in document["facts"].items():
            for tag, about in tags.items():
                for unit, rows in about["units"].items():
                    visible = [row for row in rows if (public_at.get(row["accn"]) or _end_of(row["filed"])) <= now]
                    hidden |= {row["accn"] for row in rows} - {row["accn"] for row in visible}
                    if visible:
                        kept = facts.setdefault(taxonomy, {}).setdefault(tag, {**about, "units": {}})
                        kept["units"][unit] = visible
        if not hidden:
            return document
        return {**document, "facts": _framed(facts)} if facts else None

    def filed_between(self, first: date, last: date, now: datetime) -> list[tuple[str, date, str]]:
        """Return form, day and accession of the filings of some days that were accepted by an instant."""
        document, found = self.submissions_at(now), []
        for page in [] if document is None else [document["filings"]["recent"], *self._pages_at(now)]:
            for form, filed, accession in zip(page["form"], page["filingDate"], page["accessionNumber"], strict=True):
                if first <= date.fromisoformat(filed) <= last:
                    found.append((form, date.fromisoformat(filed), accession))
        return found

    def _pages_at(self, now: datetime) -> list[Document]:
        return [page for name in self.pages if (page := self.page_at(name, now)) is not None]

    def _visible(self, page: Document, now: datetime) -> Document:
        """Return the rows of a page that were accepted by an instant."""
        shown = [self._public_at(page, row) <= now for row in range(len(page["accessionNumber"]))]
        if all(shown):
            return page
        return {
            name: [v for v, is_shown in zip(values, shown, strict=True) if is_shown] for name, values in page.items()
        }

    def _public_at(self, page: Document, row: int) -> datetime:
        known, sent = self.accepted.get(page["accessionNumber"][row]), page["acceptanceDateTime"][row]
        return known or (accepted_at(sent) if sent else _end_of(page["filingDate"][row]))

    def _public_times(self) -> dict[str, datetime]:
        """Return the times by accession."""
        pages = [each.document["filings"]["recent"] for each in self.submissions]
        pages += [each.document for downloads in self.pages.values() for each in downloads]
        return {
            accession: self._public_at(page, row)
            for page in pages
            for row, accession in enumerate(page["accessionNumber"])
        }


class Filers:
    """All filers, and the list of their tickers. Invented ones are made by `make` when they are first needed."""

    def __init__(self, make: Callable[[], dict[int, Filer]] = dict) -> None:
        self._make = make
        self.listed: list[Mapping[str, Any]] | None = None  # cik_str, ticker, title; None: those of the submissions

    @cached_property
    def by_cik(self) -> dict[int, Filer]:
        """The filers by CIK."""
        return self._make()

    def of(self, cik: int) -> Filer:
        """Return a filer, which is added where it is new."""
        return self.by_cik.setdefault(cik, Filer(cik))

    def tickers_at(self, now: datetime) -> list[Mapping[str, Any]]:
        """Return the rows of the list of tickers."""
        if self.listed is not None:
            return self.listed
        rows: list[Mapping[str, Any]] = []
        for cik, filer in sorted(self.by_cik.items()):
            document = filer.submissions_at(now)
            if document is not None:
                rows += [{"cik_str": cik, "ticker": t, "title": document["name"]} for t in document["tickers"]]
        return rows


def read_filer_file(path: Path, filers: Filers) -> bool:
    """Add a recorded document of the SEC to the filers; return whether the file is one, by its name and its content."""
    match, lists = FILER_FILE.fullmatch(path.name), TICKERS_FILE.fullmatch(path.name)
    if match is None and lists is None:
        return False
    try:
        raw = path.read_bytes()
        document = from_json(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        log.warning("sandbox.file_skipped", path=str(path), reason=str(error)[:200])
        return True
    if not isinstance(document, dict):
        return False
    if match is None:
        filers.listed = [row for row in document.values() if isinstance(row, dict) and "ticker" in row]
        return True
    day = _DAY.search(match["rest"])
    download = Download(date.fromisoformat(day[0]) if day else _LONG_AGO, document)
    filer = filers.of(int(match["cik"]))
    named = _TICKER.match(match["rest"])
    filer.ticker = filer.ticker or (named[1] if named else None)
    if "facts" in document:
        filer.facts.append(download)
    elif "filings" in document:
        filer.submissions.append(download)
    elif "accessionNumber" in document:
        filer.pages.setdefault(f"CIK{match['cik']}{match['page']}.json", []).append(download)
    return True


def accepted_at(sent: str) -> datetime:
    """Return the instant of an acceptance time; read as New York's, it is the later one of the two clocks."""
    local = datetime.fromisoformat(sent.removesuffix("Z"))
    return local.replace(tzinfo=NEW_YORK).astimezone(UTC)


def _at(downloads: Sequence[Download], now: datetime) -> Document | None:
    """Return the newest download up to a day, or else the first one; their rows are filtered by time anyway."""
    known = sorted(downloads, key=lambda each: each.on)
    earlier = [each for each in known if each.on <= now.date()] or known[:1]
    return earlier[-1].document if earlier else None


def _end_of(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), NEW_YORK)


def _framed(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts in which `frame` marks the latest filing of each period, as at the SEC."""
    for tags in facts.values():
        for about in tags.values():
            for unit, rows in about["units"].items():
                about["units"][unit] = _latest_framed(rows)
    return facts


def _latest_framed(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    by_period: dict[tuple[Any, Any], list[int]] = defaultdict(list)
    listed = list(rows)
    for place, row in enumerate(listed):
        by_period[row.get("start"), row["end"]].append(place)
    latest = {max(places, key=lambda at: listed[at]["filed"]) for places in by_period.values()}
    return [
        row if place in latest else {name: value for name, value in row.items() if name != "frame"}
        for place, row in enumerate(listed)
    ]
