"""Stooq's daily CSV: prices and volumes adjusted for splits and dividends, with no word about either.

What they were divided by can't be found out from Stooq, so its bars are never turned back to traded ones: they serve for
checks of returns, and are kept apart.

The reply does not name its symbol. Two things protect: the name of the file that comes with it (Content-Disposition:
aapl_us_d.csv, the name under which people's downloads lie around), which is compared where it is there; and the window,
outside of which no row may be.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date
from urllib.parse import parse_qs, urlsplit

import polars as pl

from quantx.core.model import Clock, Payload
from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import MalformedPayload, NotEntitled, ProviderError, RateLimited, UnknownSymbol
from quantx.providers.http import HttpSession
from quantx.providers.protocol import VENDOR_ACTIONS, VENDOR_BARS, Capabilities, Page, Request, VendorFrames
from quantx.providers.reading import FORM_ERRORS, daily_bars, days, nothing, quoted_in, spelt_numbers
from quantx.providers.refusals import Refusal, refusal_of

SOURCE = "stooq"
HOST = "https://stooq.com"
PATH = "/q/d/l/"

_COLUMNS = ("date", "open", "high", "low", "close", "volume")
# stooq.com writes the first, stooq.pl the second (files of 2023 and 2026); of what has no volume the last name is missing.
_HEADERS = ("Date,Open,High,Low,Close,Volume", "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen")
# How nothing is said: the first is quoted by many clients; the second is its Polish, which nobody has recorded.
_NO_DATA = ("No data", "Brak danych")

# First the words that say more. All arrive with HTTP 200.
REFUSALS = (
    Refusal("exceeded the daily hits limit", RateLimited, "says that the day's requests are used up", "quoted by more than ten clients, until 2026"),
    Refusal("przekroczony dzienny limit", RateLimited, "says (in Polish) that the day's requests are used up", "stooq.pl, quoted by clients, until 2026"),
    Refusal("apikey", NotEntitled, "asks for a key; get one at stooq.com/q/d/?s=spy.us&get_apikey and set QUANTX_STOOQ_API_KEY", "pydata/pandas-datareader#1012, 2026-04"),
)  # fmt: skip
# A page that has the browser compute a SHA-256 and post it to /__verify (Verdenroz/finance-query#263, 2026-07).
_PROOF_OF_WORK = ("/__verify", "requires javascript")

_SUFFIXES = {"HK": "hk", "T": "jp", "L": "uk", "DE": "de", "WA": ""}  # Warsaw is at home there and has none
_INDICES = {"^GSPC": "^spx", "^IXIC": "^ndq"}  # the others bear the same name


class Stooq:
    """The provider `stooq`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=("1d",),
        markets=("us", "hk", "jp", "eu"),
        symbols_per_request=1,
        price_basis="fully_adjusted",
        needs_key=True,
        quota="1/s",
    )

    def __init__(self, session: HttpSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def prepare(self) -> None:
        """Load the HTTP client."""
        self._session.prepare()

    def fetch(self, request: Request) -> Iterator[Page]:
        """Ask once for the bars of the window."""
        (symbol,) = request.symbols
        wire = wire_symbol(symbol)
        params = {"s": wire, "i": "d", "d1": f"{request.window.start:%Y%m%d}", "d2": f"{request.window.end:%Y%m%d}"}
        reply = self._session.get(PATH, params)
        payload = reply.as_payload(symbol, self._clock.now())
        _open_reply(payload)
        if reply.file_name is not None and _letters(reply.file_name) != _letters(f"{wire}_d.csv"):
            raise MalformedPayload(f"asked for {wire}, Stooq sends the file {reply.file_name[:40]!a}", payload)
        yield Page.whole(payload, [symbol])

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the bars of a CSV; empty frames where Stooq says that it has none."""
        try:
            text = _open_reply(payload)
        except MalformedPayload:
            raise
        except ProviderError as refusal:
            raise MalformedPayload(f"no bars but a refusal: {refusal}", payload) from refusal
        if text is None:
            return VendorFrames(nothing(VENDOR_BARS), nothing(VENDOR_ACTIONS), None)
        try:
            bars = daily_bars(payload.symbol, _columns(text))
            _check_window(bars, payload)
        except FORM_ERRORS as error:
            why = repr(error)[:200]
            raise MalformedPayload(f"Stooq's CSV of {payload.symbol} can't be read: {why}", payload) from error
        return VendorFrames(bars, nothing(VENDOR_ACTIONS), quoted_in(payload.symbol))


def wire_symbol(symbol: str) -> str:
    """Return Stooq's form of a canonical symbol; UnknownSymbol for exchanges that it does not have.

    >>> wire_symbol("BRK.B"), wire_symbol("BAC.PRL"), wire_symbol("0700.HK"), wire_symbol("7203.T")
    ('brk-b.us', 'bac_l.us', '700.hk', '7203.jp')
    """
    symbol = parse_symbol(symbol)
    if symbol.startswith("^"):
        return _INDICES.get(symbol, symbol.lower())
    root, _, suffix = symbol.partition(".")
    if venue_of(symbol).market == "us":
        series = f"_{suffix.removeprefix('PR')}" if suffix.startswith("PR") else f"-{suffix}" if suffix else ""
        return f"{root}{series}.us".lower()
    if suffix not in _SUFFIXES:
        raise UnknownSymbol(f"Stooq has no symbols of .{suffix} ({symbol}); ask another vendor", [symbol])
    root = root.lstrip("0") if suffix == "HK" else root
    return f"{root}.{_SUFFIXES[suffix]}".rstrip(".").lower()


def _open_reply(payload: Payload) -> str | None:
    """Return the CSV of a reply, None where Stooq has nothing; raise what else it says."""
    try:
        text = payload.body.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedPayload(f"Stooq's reply for {payload.symbol} is no text", payload) from None
    first = text.partition("\n")[0].strip()
    if payload.status == 200 and first in _NO_DATA and not text.strip().removeprefix(first):
        return None
    if payload.status == 200 and any(first in (header, header.rpartition(",")[0]) for header in _HEADERS):
        if not text.endswith("\n"):
            raise MalformedPayload(f"Stooq's CSV of {payload.symbol} breaks off in a row", payload)
        return text
    if any(sign in text.lower() for sign in _PROOF_OF_WORK):
        raise MalformedPayload(
            f"Stooq sends a page that only a browser passes (proof of work) for {payload.symbol}", payload
        )
    refusal = refusal_of(text, REFUSALS, "Stooq", payload.symbol)
    if refusal is not None:
        raise refusal
    raise MalformedPayload(
        f"Stooq's reply for {payload.symbol} (HTTP {payload.status}, {len(payload.body)} bytes) is no CSV", payload
    )


def _columns(text: str) -> list[pl.Series]:
    """Return the columns of a CSV, all rows of it; a row without the last field has no volume."""
    rows = text.partition("\n")[2]
    frame = pl.read_csv(
        io.StringIO(",".join(_COLUMNS) + "\n" + rows), schema=dict.fromkeys(_COLUMNS, pl.String), quote_char=None
    )
    if frame.is_empty():
        raise ValueError("it has no rows")
    return [days(frame["date"]), *(spelt_numbers(frame[name]) for name in _COLUMNS[1:])]


def _check_window(bars: pl.DataFrame, payload: Payload) -> None:
    """Raise ValueError where a row is outside of the window that was asked for."""
    asked = parse_qs(urlsplit(payload.request).query)
    start, end = (asked.get(name, [""])[0] for name in ("d1", "d2"))
    if not start or not end:
        return
    window = (date.fromisoformat(start), date.fromisoformat(end))
    strays = bars.filter(~pl.col("date").is_between(*window))
    if len(strays):
        raise ValueError(f"it has {len(strays)} rows outside of {window[0]} to {window[1]}, as {strays['date'][0]}")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
