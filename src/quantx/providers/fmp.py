"""Financial Modeling Prep: daily bars adjusted for splits, with the splits and dividends that turn them back.

The bars of `historical-price-eod/full` and their volumes are divided by every split up to now (seen on FFAI and AAPL,
2026-08, beside the undivided `non-split-adjusted`). One answer is therefore three requests: the splits, the dividends, and
the bars from the window's start to now; a symbol is complete with the third, and only the three together can be turned
back to traded prices.

The older `api/v3` is closed to keys made after 2025-08-31; replies of its form are read, and never asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl
from pydantic_core import from_json

from quantx.core.model import Clock, Payload, Window
from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import MalformedPayload, NotEntitled, ProviderError, RateLimited
from quantx.providers.http import HttpSession
from quantx.providers.protocol import VENDOR_ACTIONS, VENDOR_BARS, Capabilities, Page, Request, VendorFrames
from quantx.providers.reading import (
    FORM_ERRORS,
    action_rows,
    cash,
    daily_bars,
    days,
    nothing,
    numbers,
    positive,
    quoted_in,
    read_json,
    texts,
)
from quantx.providers.refusals import Refusal, refusal_of

SOURCE = "fmp"
HOST = "https://financialmodelingprep.com"
SPLITS, DIVIDENDS, BARS = "/stable/splits", "/stable/dividends", "/stable/historical-price-eod/full"

# The close before the first dividend of a window is needed for its factor; suspensions of a week are bridged so.
_PADDING = timedelta(days=10)
_PRICES = ("open", "high", "low", "close", "volume")

# First the words that say more. They come as {"Error Message": …} or as plain text, with any status.
REFUSALS = (
    Refusal("invalid api key", NotEntitled, "does not know the key; check QUANTX_FMP_API_KEY", "HTTP 401, quoted by clients, 2026-08"),
    Refusal("limit reach", RateLimited, "says that the requests of the plan are used up", "HTTP 429 and 200, a public note of 2026-05-05; no Retry-After"),
    Refusal("for 'symbol'", NotEntitled, "does not sell this symbol with the plan of the key", "HTTP 402, plain text, quoted by clients, 2026-08: what a free key gets for most symbols", of_symbol=True),
    Refusal("legacy endpoint", NotEntitled, "serves this endpoint to keys made before 2025-08-31 only", "HTTP 403, quoted by clients, 2026"),
    Refusal("premium query parameter", NotEntitled, "does not sell this with the plan of the key", "HTTP 402, quoted by clients, 2026"),
    Refusal("special endpoint", NotEntitled, "does not sell this with the plan of the key", "HTTP 402 and 403, quoted by clients, 2025"),
    Refusal("exclusive endpoint", NotEntitled, "does not sell this with the plan of the key", "HTTP 403, quoted by clients, 2025"),
)  # fmt: skip


class Fmp:
    """The provider `fmp`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=("1d",),
        markets=("us", "hk", "jp", "eu"),
        symbols_per_request=1,
        price_basis="split_adjusted",
        needs_key=True,
        quota="250/day",
    )

    def __init__(self, session: HttpSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def prepare(self) -> None:
        """Load the HTTP client."""
        self._session.prepare()

    def fetch(self, request: Request) -> Iterator[Page]:
        """Ask three times: for the splits, the dividends, and the bars from the window's start (and ten days before)."""
        (symbol,) = request.symbols
        about = {"symbol": wire_symbol(symbol)}
        questions = ((SPLITS, about), (DIVIDENDS, about), (BARS, {**about, **self._since(request.window)}))
        for path, params in questions:
            payload = self._session.get(path, params).as_payload(symbol, self._clock.now())
            _open_reply(payload)
            yield Page(payload, frozenset([symbol]), frozenset([symbol] if path == BARS else []))

    def _since(self, window: Window) -> dict[str, str]:
        today = self._clock.now().date() + timedelta(days=1)  # somewhere it is tomorrow already
        start = window.start - _PADDING
        return {"from": start.isoformat(), "to": max(today, window.start).isoformat()}

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the bars (newest first, as sent), the splits or the dividends of a reply."""
        try:
            kind, rows = _open_reply(payload)
        except MalformedPayload:
            raise
        except ProviderError as refusal:
            raise MalformedPayload(f"no data but a refusal: {refusal}", payload) from refusal
        bars, actions = nothing(VENDOR_BARS), nothing(VENDOR_ACTIONS)
        try:
            if kind == "splits":
                ratios = [(r["date"], positive(r["numerator"]) / positive(r["denominator"])) for r in rows]
                actions = action_rows(payload, "split", ratios)
            elif kind == "dividends":
                paid = [(row["date"], cash(row["adjDividend"])) for row in rows]  # in the shares of today, as the bars
                actions = action_rows(payload, "dividend", paid)
            elif rows:
                bars = daily_bars(payload.symbol, _columns(rows))
        except FORM_ERRORS as error:
            why = repr(error)[:200]
            raise MalformedPayload(f"FMP's {kind} of {payload.symbol} can't be read: {why}", payload) from error
        return VendorFrames(bars, actions, quoted_in(payload.symbol))


def wire_symbol(symbol: str) -> str:
    """Return FMP's form of a canonical symbol: Yahoo's.

    >>> wire_symbol("BRK.B"), wire_symbol("BAC.PRL"), wire_symbol("0700.HK")
    ('BRK-B', 'BAC-PL', '0700.HK')
    """
    symbol = parse_symbol(symbol)
    if venue_of(symbol).market != "us" or "." not in symbol:
        return symbol
    root, _, series = symbol.partition(".")
    return f"{root}-{series.replace('PR', 'P', 1) if series.startswith('PR') else series}"


def _open_reply(payload: Payload) -> tuple[str, Sequence[Mapping[str, Any]]]:
    """Return what was asked for and its rows, all of them about the symbol; raise what the reply says instead."""
    _refuse(payload)
    document = read_json(payload, "FMP")
    kind, wire = _kind(payload), wire_symbol(payload.symbol)
    match document:
        case [*rows] if payload.status == 200 and all(isinstance(row, dict) for row in rows):
            named = {str(row.get("symbol")) for row in rows}
        case {"symbol": str(name), "historical": [*rows]} if all(isinstance(row, dict) for row in rows):
            named = {name}
        case _:
            raise MalformedPayload(
                f"FMP's reply for {payload.symbol} (HTTP {payload.status}, {len(payload.body)} bytes) has no rows",
                payload,
            )
    if kind is None:
        raise MalformedPayload(f"asked for {payload.symbol} with a question that is none of FMP's", payload)
    if named - {wire} or _asked_symbol(payload) not in (wire, None):
        raise MalformedPayload(f"asked for {wire}, FMP answers about {', '.join(sorted(named))[:40]!a}", payload)
    return kind, rows


def _refuse(payload: Payload) -> None:
    """Raise what a reply says in place of rows."""
    try:
        document = from_json(payload.body)
    except ValueError:
        document = None
    match document:
        case {"Error Message": str(said)}:
            pass
        case None if payload.status != 200:
            said = payload.body.decode("utf-8", "replace")
        case _:
            return
    refusal = refusal_of(said, REFUSALS, "FMP", payload.symbol)
    if refusal is not None:
        raise refusal
    if payload.status in (401, 402, 403):
        raise NotEntitled(f"FMP answers {payload.status} for {payload.symbol}; check QUANTX_FMP_API_KEY and its plan")
    raise MalformedPayload(f"FMP says of {payload.symbol}: {said[:200]!a}", payload)


def _kind(payload: Payload) -> str | None:
    path = urlsplit(payload.request).path
    for kind in ("splits", "dividends"):
        if path.endswith(f"/{kind}"):
            return kind
    return "bars" if "/historical-price-eod/full" in path or "/historical-price-full/" in path else None


def _asked_symbol(payload: Payload) -> str | None:
    url = urlsplit(payload.request)
    if "/historical-price-full/" in url.path:
        return unquote(url.path.rpartition("/")[2])
    return parse_qs(url.query).get("symbol", [None])[0]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[pl.Series]:
    """Return the columns of the bars; a field that is missing in some rows is null there, one missing in all an error."""
    missing = [name for name in _PRICES if not any(name in row for row in rows)]
    if missing:
        raise KeyError(f"no {', '.join(missing)} in any row")
    columns = [numbers(name, [row.get(name) for row in rows]) for name in _PRICES]
    adjusted = numbers("vendor_adj_close", [row.get("adjClose") for row in rows])  # in the older form only
    return [days(texts("date", [row["date"] for row in rows])), *columns, adjusted]
