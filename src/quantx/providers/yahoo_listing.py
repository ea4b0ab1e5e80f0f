"""What the meta data of a Yahoo chart say about the listing: its currency, its exchange, its last trade. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from quantx.core.model import Payload
from quantx.errors import MalformedPayload
from quantx.providers.protocol import Note

DELISTED_EXCHANGE = "YHD"  # Yahoo's own name of no exchange (CAPIO.ST, recorded in October 2024)
# The last trade of a fund may be reported a week late; 0P0000XTS7 had bars 55 days after it (recorded in 2024).
_LONG = 7 * 86_400  # seconds


def check_currency(chart: Mapping[str, Any], payload: Payload) -> None:
    """Raise MalformedPayload if a chart with bars names no currency: its prices are no money.

    The points of an index may have no currency.
    """
    if payload.symbol.startswith("^") or not chart.get("timestamp") or chart["meta"].get("currency"):
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
