"""Stooq's daily CSV: prices and volumes adjusted for splits and dividends, which the reply does not contain.

The divisors can't be derived from Stooq's data, so its bars are never converted to as-traded prices: they serve for
checks of returns, and are stored apart.

The reply does not name its symbol. Two checks protect against a wrong one: the name of the file that comes with the
reply (Content-Disposition: aapl_us_d.csv) must be the symbol's, where it is sent; and no row may lie outside of the
window.
"""

from __future__ import annotations

import io
import re
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl

from quantx.core.model import Payload
from quantx.core.symbols import stored_symbol, venue_of
from quantx.errors import MalformedPayload, NotEntitled, RateLimited, UnknownSymbol
from quantx.providers.drift import Shape, sample
from quantx.providers.events import spelt_number_of
from quantx.providers.http import HttpReply
from quantx.providers.http_provider import HttpProvider, HttpQuery
from quantx.providers.protocol import VENDOR_ACTIONS, VENDOR_BARS, Capabilities, Request, VendorFrames
from quantx.providers.refusals import Refusal
from quantx.providers.reply_values import WrongForm, currency_notes, daily_bars, days, nothing, quoted_in, spelt_numbers
from quantx.settings.vendors import StooqSettings

SOURCE = "stooq"
PATH = "/q/d/l/"

_COLUMNS = ("date", "open", "high", "low", "close", "volume")
# stooq.com writes the first, stooq.pl the second (files of 2023 and 2026); without volumes the last name is missing.
_HEADERS = (
    ("Date", "Open", "High", "Low", "Close", "Volume"),
    ("Data", "Otwarcie", "Najwyzszy", "Najnizszy", "Zamkniecie", "Wolumen"),
)
_SHAPES = {
    names[0]: Shape(
        "bars",
        [
            {
                names[0]: "text",
                **dict.fromkeys(names[1:5], "number|null"),
                f"{names[5]}?": "number|null",  # also missing in single rows
            }
        ],
    )
    for names in _HEADERS
}
# The texts of an empty result: clients quote the first; the second is its Polish form, which is not recorded yet.
_NO_DATA = ("No data", "Brak danych")

# More specific words first. All are sent with HTTP 200.
REFUSALS = (
    Refusal(
        "exceeded the daily hits limit",
        RateLimited,
        "reports that the day's requests are used up",
        "quoted by more than ten clients, until 2026",
    ),
    Refusal(
        "przekroczony dzienny limit",
        RateLimited,
        "reports (in Polish) that the day's requests are used up",
        "stooq.pl, quoted by clients, until 2026",
    ),
    Refusal(
        "apikey",
        NotEntitled,
        "wants a key; get one at stooq.com/q/d/?s=spy.us&get_apikey and set QUANTX_STOOQ_API_KEY",
        "pydata/pandas-datareader#1012, 2026-04",
    ),
)
# A page that has the browser compute a SHA-256 and post it to /__verify (Verdenroz/finance-query#263, 2026-07).
_PROOF_OF_WORK = ("/__verify", "requires javascript")

_SUFFIXES = {"HK": "hk", "T": "jp", "L": "uk", "DE": "de", "WA": ""}  # Stooq's home market is Warsaw, without a suffix
# The others have the same name (https://stooq.com/t/?i=510).
INDICES = {
    "^GSPC": "^spx",
    "^IXIC": "^ndq",
    "^N225": "^nkx",
    "^FTSE": "^ukx",
    "^GDAXI": "^dax",
    "^MDAXI": "^mdax",
    "^FCHI": "^cac",
    "^SSMI": "^smi",
    "^BFX": "^bel20",
    "^OMX": "^omxs",
    "^OMXS30": "^omxs",
}


class Stooq(HttpProvider[str | None]):
    """The provider `stooq`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=("1d",),
        markets=("us", "hk", "jp", "eu"),
        symbols_per_request=1,
        price_basis="fully_adjusted",
        needs_key=True,
        quota=StooqSettings.default_quota,
    )
    name = "Stooq"
    host = "https://stooq.com"
    refusals = REFUSALS

    def queries(self, request: Request, symbol: str) -> list[HttpQuery]:
        """Return one query for the bars of the window."""
        window = request.window
        dates = {"d1": f"{window.start:%Y%m%d}", "d2": f"{window.end:%Y%m%d}"}
        return [HttpQuery(PATH, {"s": wire_symbol(symbol), "i": "d", **dates})]

    def open_reply(self, payload: Payload) -> str | None:
        """Return the CSV of a reply, None where Stooq has no rows."""
        try:
            text = payload.body.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedPayload(f"Stooq's reply for {payload.symbol} is no text", payload) from None
        first = text.partition("\n")[0].strip()
        if payload.status == 200 and first in _NO_DATA and not text.strip().removeprefix(first):
            return None
        if payload.status == 200 and _is_header(first):
            if not text.endswith("\n"):
                raise MalformedPayload(f"Stooq's CSV of {payload.symbol} ends within a row", payload)
            return text
        if any(sign in text.lower() for sign in _PROOF_OF_WORK):
            raise MalformedPayload(
                f"Stooq sends a page that only a browser passes (proof of work) for {payload.symbol}", payload
            )
        self.raise_refusal(text, payload)
        raise MalformedPayload(
            f"Stooq's reply for {payload.symbol} (HTTP {payload.status}, {len(payload.body)} bytes) is no CSV", payload
        )

    def check_reply(self, reply: HttpReply, payload: Payload) -> None:
        """Compare the name of the file that comes with the reply."""
        wire = wire_symbol(payload.symbol)
        if reply.file_name is not None and _letters(reply.file_name) != _letters(f"{wire}_d.csv"):
            raise MalformedPayload(f"asked for {wire}, Stooq sends the file {reply.file_name[:40]!a}", payload)

    def shape(self, payload: Payload) -> Shape | None:
        """Return the shape of a CSV in the language of its header."""
        return _SHAPES.get(payload.body[:40].decode("utf-8", "replace").partition(",")[0])

    def fields(self, content: str | None) -> list[dict[str, Any]]:
        """Return a sample of the rows as objects."""
        return [] if content is None else _objects(content)

    def parsed(self, payload: Payload) -> list[dict[str, Any]]:
        """Return a sample of the rows of a reply that may be malformed."""
        text = payload.body.decode("utf-8", "replace")
        return _objects(text) if _is_header(text.partition("\n")[0].strip()) else []

    def read(self, content: str | None, payload: Payload) -> VendorFrames:
        """Return the bars of a CSV; empty frames without one."""
        if content is None:
            return VendorFrames(nothing(VENDOR_BARS), nothing(VENDOR_ACTIONS), None)
        bars = daily_bars(payload.symbol, _columns(content))
        _check_window(bars, payload)
        notes = currency_notes(self.name, payload.symbol, bars)
        return VendorFrames(bars, nothing(VENDOR_ACTIONS), quoted_in(payload.symbol), notes)


def wire_symbol(symbol: str) -> str:
    """Return Stooq's form of a canonical symbol; UnknownSymbol for exchanges that Stooq does not have.

    >>> wire_symbol("BRK.B"), wire_symbol("BAC.PRL"), wire_symbol("0700.HK"), wire_symbol("7203.T")
    ('brk-b.us', 'bac_l.us', '700.hk', '7203.jp')
    """
    symbol = stored_symbol(symbol)
    if symbol.startswith("^"):
        return INDICES.get(symbol, symbol.lower())
    root, _, suffix = symbol.partition(".")
    if venue_of(symbol).market == "us":
        series = f"_{suffix.removeprefix('PR')}" if suffix.startswith("PR") else f"-{suffix}" if suffix else ""
        return f"{root}{series}.us".lower()
    if suffix not in _SUFFIXES:
        raise UnknownSymbol(f"Stooq has no symbols of .{suffix} ({symbol}); fetch it from another vendor", [symbol])
    root = root.lstrip("0") if suffix == "HK" else root
    return f"{root}.{_SUFFIXES[suffix]}".rstrip(".").lower()


def _is_header(line: str) -> bool:
    """Return whether a line begins as the header of a CSV of bars, with whatever columns."""
    return any(line.startswith(f"{names[0]},") for names in _HEADERS)


def _columns(text: str) -> list[pl.Series]:
    """Return the columns of a CSV by their names; other columns are not read, and a short row has no volume."""
    header, _, rows = text.partition("\n")
    sent = header.strip().split(",")
    names = next(names for names in _HEADERS if names[0] == sent[0])
    if missing := [name for name in names[1:5] if name not in sent]:
        raise WrongForm(f"it has no column {', '.join(missing)}")
    if len(set(sent)) < len(sent):
        raise WrongForm("a column is there twice")
    ours = dict(zip(names, _COLUMNS, strict=True))
    schema = dict.fromkeys([ours.get(name, f"other {n}") for n, name in enumerate(sent)], pl.String)
    frame = pl.read_csv(io.StringIO(",".join(schema) + "\n" + rows), schema=schema, quote_char=None)
    if frame.is_empty():
        raise WrongForm("it has no rows")
    if "volume" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias("volume"))
    return [days(frame["date"]), *(spelt_numbers(frame[name]) for name in _COLUMNS[1:])]


def _objects(text: str) -> list[dict[str, Any]]:
    """Return a sample of a CSV's rows as objects: numbers where they are spelt as such, None where they are empty."""
    header, _, rest = text.strip().partition("\n")
    names = header.strip().split(",")
    rows = ([part or None for part in line.strip().split(",")] for line in sample(rest.splitlines()))
    return [
        {
            name: number if (number := spelt_number_of(part)) is not None else part
            for name, part in zip(names, row, strict=False)
        }
        for row in rows
    ]


def _check_window(bars: pl.DataFrame, payload: Payload) -> None:
    """Raise ValueError where a row is outside of the requested window."""
    query = parse_qs(urlsplit(payload.request).query)
    start, end = (query.get(name, [""])[0] for name in ("d1", "d2"))
    if not start or not end:
        return
    window = (date.fromisoformat(start), date.fromisoformat(end))
    strays = bars.filter(~pl.col("date").is_between(*window))
    if len(strays):
        raise WrongForm(f"it has {len(strays)} rows outside of {window[0]} to {window[1]}, as {strays['date'][0]}")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
