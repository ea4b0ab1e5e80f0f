"""What the meta data of a Yahoo chart say about the listing: its currency, its exchange, its last trade. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from quantx.core.asset_classes import ASSET_CLASSES, class_of, quoted_currency
from quantx.core.model import Payload
from quantx.core.symbols import market_of
from quantx.errors import MalformedPayload
from quantx.providers.protocol import Note

DELISTED_EXCHANGE = "YHD"  # Yahoo's own name of no exchange (CAPIO.ST, recorded in October 2024)
# The last trade of a fund may be reported a week late; 0P0000XTS7 had bars 55 days after it (recorded in 2024).
_LONG = 7 * 86_400  # seconds


_TYPES = frozenset().union(*(each.wire_types for each in ASSET_CLASSES.values()))


def check_listing(chart: Mapping[str, Any], payload: Payload) -> None:
    """Raise MalformedPayload if a chart with bars is of another kind of instrument, or in another currency or none."""
    if not chart.get("timestamp"):
        return
    _check_type(chart["meta"], payload)
    check_currency(chart, payload)


def _check_type(meta: Mapping[str, Any], payload: Payload) -> None:
    """Raise MalformedPayload if the chart's type is that of another asset class than the symbol's."""
    sent = meta.get("instrumentType")
    if market_of(payload.symbol) is None or sent not in _TYPES:
        return
    own = ASSET_CLASSES[class_of(payload.symbol)]
    if sent not in own.wire_types:
        raise MalformedPayload(
            f"{payload.symbol} is {_article(own.name)}, and Yahoo's chart is of the type {sent}: another instrument has"
            " this symbol there",
            payload,
        )


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aei' else 'a'} {name.replace('_', ' ')}"


def check_currency(chart: Mapping[str, Any], payload: Payload) -> None:
    """Raise MalformedPayload if a chart with bars names no currency: its prices are no money.

    The points of an index may have no currency. That of a pair is its second one.
    """
    sent = chart["meta"].get("currency")
    if payload.symbol.startswith("^") or not chart.get("timestamp"):
        return
    quoted = quoted_currency(payload.symbol)
    if sent and quoted is not None and sent != quoted:
        raise MalformedPayload(
            f"Yahoo's bars of {payload.symbol} are in {str(sent)[:10]}, not in {quoted}: the pair may be inverted",
            payload,
        )
    if sent:
        return
    raise MalformedPayload(
        f"Yahoo names no currency for its bars of {payload.symbol} (exchange"
        f" {str(chart['meta'].get('exchangeName'))[:20]}): they can't be read as prices; fetch it from another vendor",
        payload,
    )


def notes_of(chart: Mapping[str, Any], symbol: str) -> Iterator[Note]:
    """Yield a note for each statement of the meta data that contradicts the chart's bars."""
    times = chart.get("timestamp")
    if not times:
        return
    meta, last = chart["meta"], max(times)
    if meta.get("exchangeName") == DELISTED_EXCHANGE:
        yield Note(
            rule="bars_of_delisted",
            severity="warn",
            subject=symbol,
            message=f"Yahoo lists {symbol} on its exchange of delisted names ({DELISTED_EXCHANGE}) and sends bars up to"
            f" {_day(last)}: compare them with another vendor's, and check whether the symbol has another owner",
        )
    traded = meta.get("regularMarketTime")
    if type(traded) is int and traded > 0 and last - traded > _LONG:
        yield Note(
            rule="bars_after_last_trade",
            severity="warn",
            subject=symbol,
            message=f"Yahoo's last trade of {symbol} is of {_day(traded)}, and its last"
            f" bar of {_day(last)}: compare the bars in between with another vendor's",
        )


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
