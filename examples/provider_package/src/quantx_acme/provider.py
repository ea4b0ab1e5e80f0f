"""Acme: daily bars as traded, with the splits and dividends of the window in the same reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import polars as pl

from quantx.core.model import Clock, Payload
from quantx.core.symbols import hyphenated_symbol
from quantx.errors import MalformedPayload, NotEntitled, RateLimited, UnknownSymbol
from quantx.providers.drift import Shape
from quantx.providers.events import SentEvent, day_of, read_events, spelt_number_of
from quantx.providers.http_provider import HttpProvider, HttpQuery
from quantx.providers.protocol import Capabilities, Request, VendorFrames
from quantx.providers.refusals import Refusal
from quantx.providers.reply_values import daily_bars, days, numbers, read_json, texts
from quantx.vendor_settings import VendorSettings
from quantx_acme.settings import AcmeSettings

PATH = "/acme/v1/daily"
_COLUMNS = ("open", "high", "low", "close", "volume")

# The texts that take the place of data, each with what it means and where it was seen.
REFUSALS = (
    Refusal("bad token", NotEntitled, "rejects the key; check QUANTX_ACME_API_KEY", "Acme's documentation, 2026"),
    Refusal("slow down", RateLimited, "reports too many requests", "Acme's documentation, 2026"),
    Refusal("no such symbol", UnknownSymbol, "does not know the symbol", "Acme's documentation, 2026", of_symbol=True),
)


class Acme(HttpProvider[Mapping[str, Any]]):
    """The provider `acme`."""

    capabilities = Capabilities(
        source="acme",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=True,
        quota=AcmeSettings.default_quota,
    )
    name = "Acme"
    host = "https://api.acme.example"
    key_param = "token"
    refusals = REFUSALS
    feed = "consolidated"

    @classmethod
    def open(cls, settings: VendorSettings, clock: Clock) -> Self:
        """Return the provider with the feed of the settings."""
        provider = super().open(settings, clock)
        provider.feed = getattr(settings, "feed", cls.feed)
        return provider

    def queries(self, request: Request, symbol: str) -> list[HttpQuery]:
        """Return one query for the window."""
        window = {"from": str(request.window.start), "to": str(request.window.end)}
        return [HttpQuery(PATH, {"symbol": hyphenated_symbol(symbol), "feed": self.feed, **window})]

    def open_reply(self, payload: Payload) -> Mapping[str, Any]:
        """Return the document of a reply about the right symbol."""
        self.raise_refusal(payload.body[:500].decode("utf-8", "replace"), payload)
        match read_json(payload, self.name):
            case {"symbol": str(named), "bars": list(), "splits": list(), "dividends": list()} as document:
                if named != hyphenated_symbol(payload.symbol):
                    raise MalformedPayload(f"asked for {payload.symbol}, Acme answers about {named[:40]!a}", payload)
                return document  # type: ignore[no-any-return]
        raise MalformedPayload(f"Acme's reply for {payload.symbol} has another form", payload)

    def read(self, content: Mapping[str, Any], payload: Payload) -> VendorFrames:
        """Return the bars and events of a reply."""
        symbol, rows = payload.symbol, content["bars"]
        stamps = days(texts("date", [row["date"] for row in rows]))
        columns: Sequence[pl.Series] = [stamps, *(numbers(name, [row[name] for row in rows]) for name in _COLUMNS)]
        events = [
            SentEvent(
                symbol=symbol,
                kind=kind,  # type: ignore[arg-type]
                place=f"{kind}s.{number}",
                sent=each,
                day=day_of(each.get("date")),
                value=spelt_number_of(each.get("value")),
            )
            for kind in ("split", "dividend")
            for number, each in enumerate(content[f"{kind}s"])
        ]
        read = read_events(events)
        return VendorFrames(daily_bars(symbol, columns), read.actions, content["currency"], rejected=read.rejected)

    def shape(self, payload: Payload) -> Shape:
        """Return the fields of a reply, with types in place of values."""
        bar = {"date": "text", **dict.fromkeys(_COLUMNS, "number|null")}
        event = {"date": "text", "value": "number"}
        return Shape(
            "daily", {"symbol": "text", "currency": "text", "bars": [bar], "splits": [event], "dividends": [event]}
        )
