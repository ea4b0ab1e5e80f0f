"""The SEC's EDGAR: the filings of a filer and every number that they tag, from data.sec.gov.

One request is several queries: the submissions with the newest thousand filings, each older page that they name, and
the facts of all filings (`companyfacts`). A filer without facts (a fund, a person) answers 404 to the last one.

Replies state no validity (no-store, no ETag), and all requests of an organisation count together: ten a second are the
limit, and 9.7 were blocked (sec-edgar#280). A block lasts ten minutes, and each request in that time
begins them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Self
from urllib.parse import urlsplit

from quantx.core.model import Clock, Payload
from quantx.core.symbols import is_filer
from quantx.errors import (
    ConfigError,
    MalformedPayload,
    NotEntitled,
    ProviderError,
    RateLimited,
    UnknownSymbol,
)
from quantx.providers.drift import FieldChange, Shape
from quantx.providers.http import HttpReply, HttpSession
from quantx.providers.protocol import Capabilities, FactFrames, Page, Request, VendorFrames
from quantx.providers.reply_values import FORM_ERRORS, form_problem, parsed_json, read_json
from quantx.providers.sec_facts import read_facts
from quantx.providers.sec_filings import older_pages, read_filer, read_filings
from quantx.providers.sec_shapes import FACTS, OLDER_FILINGS, SUBMISSIONS
from quantx.providers.sec_values import cik_of
from quantx.settings.vendors import SecSettings
from quantx.vendor_settings import VendorSettings

SOURCE = "sec"
NAME = "the SEC"
TIMEFRAME = "filing"  # of the series of a filer
DATA, SITE = "https://data.sec.gov", "https://www.sec.gov"
SUBMISSIONS_PATH, FACTS_PATH = "/submissions/", "/api/xbrl/companyfacts/"

BLOCK_SECONDS = 600.0
_NOT_FOUND, _FORBIDDEN = 404, 403
_SEARCHED = 4000  # bytes


class Sec:
    """The provider `sec`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=(),
        markets=("us",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=True,
        quota=SecSettings.default_quota,
        datasets=("fundamentals",),
    )

    def __init__(self, data: HttpSession | None, site: HttpSession | None, clock: Clock) -> None:
        self._data = data
        self._site = site
        self._clock = clock

    @classmethod
    def open(cls, settings: VendorSettings, clock: Clock) -> Self:
        """Return the provider; the first fetch connects, and needs a contact. Reading replies needs none."""
        return cls(_session(settings, DATA), _session(settings, SITE), clock)

    def prepare(self) -> None:
        """Load the HTTP client."""
        if self._data is not None:
            self._data.prepare()

    def close(self) -> None:
        """Close the connections."""
        for session in (self._data, self._site):
            if session is not None:
                session.close()

    def site_file(self, path: str) -> Payload | None:
        """Return a file of www.sec.gov, which is about no single filer; None where it does not exist.

        It is one request. Raises as `fetch` does.
        """
        payload = _checked(self._site, path).as_payload("", self._clock.now())
        if is_missing(payload.status, payload.body):
            return None
        if payload.status != 200:
            raise MalformedPayload(f"the SEC answers HTTP {payload.status} for {path}", payload)
        return payload

    def fetch(self, request: Request) -> Iterator[Page]:
        """Fetch the submissions of a filer, their older pages and its facts; one request with each `next`."""
        (symbol,) = request.symbols
        if request.dataset != "fundamentals" or not is_filer(symbol):
            raise UnknownSymbol(f"the SEC has filers, as in CIK0000320193, and not {symbol}", [symbol])
        first = self._get(symbol, f"{SUBMISSIONS_PATH}{symbol}.json")
        if first.status != 200:
            raise UnknownSymbol(f"the SEC has no filer {symbol}", [symbol])
        yield _page(first)
        for name in self._older_pages(first):
            older = self._get(symbol, f"{SUBMISSIONS_PATH}{name}")
            if older.status != 200:
                raise MalformedPayload(f"the SEC does not have {name}, which its submissions of {symbol} name", older)
            yield _page(older)
        yield _page(self._get(symbol, f"{FACTS_PATH}{symbol}.json"), complete=True)

    def _get(self, symbol: str, path: str) -> Payload:
        """Return a reply of the right form: a document, or an XML error that means that there is none."""
        payload = _checked(self._data, path).as_payload(symbol, self._clock.now())
        _open(payload)
        return payload

    @staticmethod
    def check(payload: Payload) -> None:
        """Raise the error of a reply that is no document about its filer."""
        _open(payload)

    @staticmethod
    def _older_pages(payload: Payload) -> list[str]:
        try:
            return older_pages(_open(payload))
        except FORM_ERRORS as error:
            raise _malformed(payload, error) from error

    def normalize(self, payload: Payload) -> VendorFrames:
        """Refuse: the SEC has no bars."""
        raise MalformedPayload(f"the SEC sends no bars of {payload.symbol}", payload)

    def normalize_facts(self, payload: Payload) -> FactFrames:
        """Return the facts, filings and filers of a stored reply."""
        try:
            document = _open(payload)
        except MalformedPayload:
            raise
        except ProviderError as refusal:
            raise MalformedPayload(f"no data but a refusal: {refusal}", payload) from refusal
        if not document:
            return FactFrames()
        shape = _shape(payload)
        try:
            drift = shape.changes(document)
            if shape is FACTS:
                return FactFrames(facts=read_facts(document), drift=drift)
            if shape is OLDER_FILINGS:
                cik = cik_of(payload.symbol.removeprefix("CIK"))
                return FactFrames(filings=read_filings(document, cik), drift=drift)
            filings = read_filings(document["filings"]["recent"], cik_of(document["cik"]))
            return FactFrames(filings=filings, filers=read_filer(document), drift=drift)
        except FORM_ERRORS as error:
            raise _malformed(payload, error) from error

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        """Return the fields of a reply that differ from its declared shape; every value is compared."""
        return _shape(payload).changes(parsed_json(payload), every_value=True)


def _session(settings: VendorSettings, host: str) -> HttpSession | None:
    """Return a session with a host of the SEC; None without a contact."""
    contact = settings.contact if isinstance(settings, SecSettings) else None
    if not contact:
        return None
    agent = f"quantx-data-builder/{version('quantx-data-builder')} ({contact})"
    headers = {"User-Agent": agent, "Accept-Encoding": "gzip, deflate"}
    return HttpSession(NAME, settings.base_url or host, headers=headers, largest_body=64 * 2**20)


def _checked(session: HttpSession | None, path: str) -> HttpReply:
    """Return a reply; RateLimited for ten minutes where the SEC has blocked this organisation."""
    if session is None:
        raise ConfigError(f"the source {SOURCE} needs {SecSettings.needs}")
    try:
        reply = session.get(path, {})
    except RateLimited as refusal:
        seconds = max(refusal.retry_after or 0.0, BLOCK_SECONDS)
        raise RateLimited(f"{NAME} answers 429 Too Many Requests and blocks for ten minutes", seconds) from refusal
    text = reply.body[:_SEARCHED].lower()
    if b"request rate threshold exceeded" in text:
        raise RateLimited(
            "the SEC blocks requests for ten minutes: more than ten in a second came from this organisation; all of its"
            " programs share that limit",
            BLOCK_SECONDS,
        )
    if b"undeclared automated tool" in text:
        raise NotEntitled("the SEC refuses the request: set QUANTX_CONTACT to an e-mail address that it accepts")
    return reply


def is_missing(status: int, body: bytes) -> bool:
    """Return whether a reply is the XML error of a file that does not exist."""
    codes = {_NOT_FOUND: b"<Code>NoSuchKey</Code>", _FORBIDDEN: b"<Code>AccessDenied</Code>"}
    return status in codes and codes[status] in body[:_SEARCHED]


def _open(payload: Payload) -> Mapping[str, Any]:
    """Return the document of a reply about the right filer; empty for a file that does not exist."""
    if is_missing(payload.status, payload.body):
        return {}
    document = read_json(payload, NAME)
    if payload.status != 200 or not isinstance(document, dict) or not document:
        raise MalformedPayload(
            f"the SEC's reply for {payload.symbol} (HTTP {payload.status}, {len(payload.body)} bytes) is no document"
            " about a filer",
            payload,
        )
    if _shape(payload) is OLDER_FILINGS:
        return document  # it names no filer
    try:
        cik = cik_of(document["cik"])
    except FORM_ERRORS as error:
        raise _malformed(payload, error) from error
    if f"CIK{cik:010}" != payload.symbol:
        raise MalformedPayload(f"asked for {payload.symbol}, the SEC answers about CIK{cik:010}", payload)
    return document


def _shape(payload: Payload) -> Shape:
    path = urlsplit(payload.request).path
    if "companyfacts" in path:
        return FACTS
    return OLDER_FILINGS if "-submissions-" in path else SUBMISSIONS


def _page(payload: Payload, *, complete: bool = False) -> Page:
    symbols = frozenset([payload.symbol])
    return Page(payload, symbols, symbols if complete else frozenset())


def _malformed(payload: Payload, error: Exception) -> MalformedPayload:
    return MalformedPayload(f"the SEC's reply of {payload.symbol} can't be read: {form_problem(error)}", payload)
