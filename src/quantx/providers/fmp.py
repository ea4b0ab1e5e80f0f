"""Financial Modeling Prep: daily bars adjusted for splits, the splits and dividends to convert them, and statements.

The bars of `historical-price-eod/full` and their volumes are divided by every split up to now (seen on FFAI and AAPL,
2026-08, beside the undivided `non-split-adjusted`). One request is therefore three queries: the splits, the dividends,
and the bars from the window's start to now. The third completes a symbol; only all three together can be converted to
as-traded prices.

Statements (dataset `fundamentals`) are six queries: income, balance sheet, cash flow, each by quarter and year. Their
fields become facts of the taxonomy `fmp`; fields of value zero do not: FMP sends zero also where it has no value.

The older `api/v3` is closed to keys made after 2025-08-31. Stored replies of its form can be read; none is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl
from pydantic_core import from_json

from quantx.core.model import Payload, Window
from quantx.core.symbols import hyphenated_symbol
from quantx.errors import MalformedPayload, NotEntitled, RateLimited
from quantx.providers.drift import Shape
from quantx.providers.events import SentEvent, check_fields, day_of, ratio_of, spelt_number_of
from quantx.providers.fmp_shapes import EARLIER_BARS, SHAPES
from quantx.providers.fmp_statements import MOST_ROWS, PERIODS, STATEMENTS, statement_facts
from quantx.providers.http_provider import HttpProvider, HttpQuery
from quantx.providers.protocol import (
    VENDOR_ACTIONS,
    VENDOR_BARS,
    Capabilities,
    FactFrames,
    Request,
    VendorFrames,
)
from quantx.providers.refusals import Refusal
from quantx.providers.reply_values import (
    WrongForm,
    currency_notes,
    daily_bars,
    days,
    listed_events,
    nothing,
    numbers,
    quoted_in,
    read_json,
    texts,
)
from quantx.settings.vendors import FmpSettings

SOURCE = "fmp"
SPLITS, DIVIDENDS, BARS = "/stable/splits", "/stable/dividends", "/stable/historical-price-eod/full"

# The factor of a window's first dividend needs the close before it; ten days span a suspension of a week.
_PADDING = timedelta(days=10)
_PRICES = ("open", "high", "low", "close", "volume")

# More specific words first. They are sent as {"Error Message": …} or as plain text, with any status.
REFUSALS = (
    Refusal(
        "invalid api key",
        NotEntitled,
        "rejects the key; check QUANTX_FMP_API_KEY",
        "HTTP 401, quoted by clients, 2026-08",
    ),
    Refusal(
        "limit reach",
        RateLimited,
        "reports that the plan's requests are used up",
        "HTTP 429 and 200, a public note of 2026-05-05; no Retry-After",
    ),
    Refusal(
        "for 'symbol'",
        NotEntitled,
        "does not sell this symbol with the plan of the key",
        "HTTP 402, plain text, quoted by clients, 2026-08: the reply to a free key for most symbols",
        of_symbol=True,
    ),
    Refusal(
        "legacy endpoint",
        NotEntitled,
        "serves this endpoint to keys made before 2025-08-31 only",
        "HTTP 403, quoted by clients, 2026",
    ),
    Refusal(
        "premium query parameter",
        NotEntitled,
        "does not sell this with the plan of the key",
        "HTTP 402, quoted by clients, 2026",
    ),
    Refusal(
        "special endpoint",
        NotEntitled,
        "does not sell this with the plan of the key",
        "HTTP 402 and 403, quoted by clients, 2025",
    ),
    Refusal(
        "exclusive endpoint",
        NotEntitled,
        "does not sell this with the plan of the key",
        "HTTP 403, quoted by clients, 2025",
    ),
)


FmpRows = Sequence[Mapping[str, Any]]


class Fmp(HttpProvider[tuple[str, FmpRows]]):
    """The provider `fmp`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=("1d",),
        markets=("us", "hk", "jp", "eu"),
        symbols_per_request=1,
        price_basis="split_adjusted",
        datasets=("bars", "fundamentals"),
        lists_all_events=True,
        needs_key=True,
        quota=FmpSettings.default_quota,
    )
    name = "FMP"
    host = "https://financialmodelingprep.com"
    refusals = REFUSALS

    def queries(self, request: Request, symbol: str) -> list[HttpQuery]:
        """Return three queries: the splits, the dividends, and the bars from ten days before the window.

        Of `fundamentals`: three statements, by quarter and by year.
        """
        about = {"symbol": wire_symbol(symbol)}
        if request.dataset == "fundamentals":
            return [
                HttpQuery(path, {**about, "period": period, "limit": MOST_ROWS})
                for path in STATEMENTS
                for period in PERIODS
            ]
        bars = HttpQuery(BARS, {**about, **self._since(request.window)})
        return [HttpQuery(SPLITS, about), HttpQuery(DIVIDENDS, about), bars]

    def _since(self, window: Window) -> dict[str, str]:
        today = self._clock.now().date() + timedelta(days=1)  # the date east of UTC may be a day later
        start = window.start - _PADDING
        return {"from": start.isoformat(), "to": max(today, window.start).isoformat()}

    def open_reply(self, payload: Payload) -> tuple[str, FmpRows]:
        """Return the kind of a reply and its rows, all of them about the symbol."""
        self._refuse(payload)
        document = read_json(payload, self.name)
        kind, wire = _kind(payload), wire_symbol(payload.symbol)
        match document:
            case [*rows] if payload.status == 200 and all(isinstance(row, dict) for row in rows):
                symbols = {str(row.get("symbol")) for row in rows}
            case {"symbol": str(symbol), "historical": [*rows]} if all(isinstance(row, dict) for row in rows):
                symbols = {symbol}
            case _:
                raise MalformedPayload(
                    f"FMP's reply for {payload.symbol} (HTTP {payload.status}, {len(payload.body)} bytes) has no rows",
                    payload,
                )
        if kind is None:
            raise MalformedPayload(f"asked for {payload.symbol} with a request that is none of FMP's", payload)
        if symbols - {wire} or _requested_symbol(payload) not in (wire, None):
            names = ", ".join(sorted(symbols))
            raise MalformedPayload(f"asked for {wire}, FMP answers about {names[:40]!a}", payload)
        return kind, rows

    def _refuse(self, payload: Payload) -> None:
        """Raise the error of a reply that has a refusal in place of rows."""
        try:
            document = from_json(payload.body)
        except ValueError:
            document = None
        match document:
            case {"Error Message": str(text)}:
                pass
            case None if payload.status != 200:
                text = payload.body.decode("utf-8", "replace")
            case _:
                return
        self.raise_refusal(text, payload)
        if payload.status in (401, 402, 403):
            raise NotEntitled(
                f"FMP answers {payload.status} for {payload.symbol}; check QUANTX_FMP_API_KEY and its plan"
            )
        raise MalformedPayload(f"FMP refuses {payload.symbol}: {text[:200]!a}", payload)

    def shape(self, payload: Payload) -> Shape | None:
        """Return the shape of the rows."""
        return EARLIER_BARS if "/historical-price-full/" in payload.request else SHAPES.get(_kind(payload) or "")

    def fields(self, content: tuple[str, FmpRows]) -> FmpRows:
        """Return the rows."""
        return content[1]

    def parsed(self, payload: Payload) -> Any:
        """Return the rows of a reply that may be malformed."""
        document = super().parsed(payload)
        return document.get("historical") if isinstance(document, dict) else document

    def normalize_facts(self, payload: Payload) -> FactFrames:
        """Return the facts of the statements of a reply."""
        return self._frames(payload, self._facts)

    def _facts(self, content: tuple[str, FmpRows], payload: Payload) -> FactFrames:
        statement, rows = content
        if statement not in STATEMENTS.values():
            raise WrongForm("a reply about bars or events, not statements")
        return FactFrames(facts=statement_facts(statement, rows))

    def read(self, content: tuple[str, FmpRows], payload: Payload) -> VendorFrames:
        """Return the bars (newest first, as sent), the splits or the dividends."""
        kind, rows = content
        if kind in STATEMENTS.values():
            raise WrongForm("statements, not bars")
        if kind == "splits":
            check_fields(rows, "date", "numerator", "denominator")
            return listed_events(payload, [_split(payload, n, row) for n, row in enumerate(rows)])
        if kind == "dividends":
            check_fields(rows, "date", "adjDividend")
            return listed_events(payload, [_dividend(payload, n, row) for n, row in enumerate(rows)])
        bars = daily_bars(payload.symbol, _columns(rows)) if rows else nothing(VENDOR_BARS)
        notes = currency_notes(self.name, payload.symbol, bars)
        return VendorFrames(bars, nothing(VENDOR_ACTIONS), quoted_in(payload.symbol), notes)


def _split(payload: Payload, position: int, row: Mapping[str, Any]) -> SentEvent:
    return SentEvent(
        symbol=payload.symbol,
        kind="split",
        place=f"[{position}]",
        sent=row,
        day=day_of(row.get("date")),
        value=ratio_of(spelt_number_of(row.get("numerator")), spelt_number_of(row.get("denominator"))),
    )


def _dividend(payload: Payload, position: int, row: Mapping[str, Any]) -> SentEvent:
    """Return a dividend in today's shares, as the bars are."""
    return SentEvent(
        symbol=payload.symbol,
        kind="dividend",
        place=f"[{position}]",
        sent=row,
        day=day_of(row.get("date")),
        value=spelt_number_of(row.get("adjDividend")),
    )


def wire_symbol(symbol: str) -> str:
    """Return FMP's form of a canonical symbol: Yahoo's.

    >>> wire_symbol("BRK.B"), wire_symbol("BAC.PRL"), wire_symbol("0700.HK")
    ('BRK-B', 'BAC-PL', '0700.HK')
    """
    return hyphenated_symbol(symbol)


def _kind(payload: Payload) -> str | None:
    path = urlsplit(payload.request).path
    for kind in ("splits", "dividends"):
        if path.endswith(f"/{kind}"):
            return kind
    for statement, name in STATEMENTS.items():
        if path.endswith(statement):
            return name
    return "bars" if "/historical-price-eod/full" in path or "/historical-price-full/" in path else None


def _requested_symbol(payload: Payload) -> str | None:
    url = urlsplit(payload.request)
    if "/historical-price-full/" in url.path:
        return unquote(url.path.rpartition("/")[2])
    return parse_qs(url.query).get("symbol", [None])[0]


def _columns(rows: FmpRows) -> list[pl.Series]:
    """Return the columns of the bars: null where a row has no such field, KeyError where no row has it."""
    missing = [name for name in _PRICES if not any(name in row for row in rows)]
    if missing:
        raise WrongForm(f"no {', '.join(missing)} in any row")
    columns = [numbers(name, [row.get(name) for row in rows]) for name in _PRICES]
    adjusted = numbers("vendor_adj_close", [row.get("adjClose") for row in rows])  # in the older form only
    return [days(texts("date", [row["date"] for row in rows])), *columns, adjusted]
