"""Yahoo's chart endpoint through yfinance: daily bars with splits and dividends, split-adjusted as of the request.

A request always runs to the present: Yahoo divides every bar by all later splits, also by those after the end of the
window that we want, and only a reply that reaches the present names them all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit
from zoneinfo import ZoneInfo

import polars as pl
from pydantic_core import from_json

from quantx.core.model import Clock, Payload, Window
from quantx.core.symbols import venue_of
from quantx.core.tables import INSTANT
from quantx.errors import MalformedPayload, TransientProviderError, UnknownSymbol
from quantx.providers.protocol import VENDOR_ACTIONS, VENDOR_BARS, Capabilities, VendorFrames

SOURCE = "yahoo"

# The close before the first dividend of a window is needed for its factor; suspensions of a week are bridged so.
_PADDING = timedelta(days=10)
# A bar at 22:00 or 23:00 is the next day's, stamped with yesterday's daylight saving (yfinance's fix_Yahoo_dst_issue).
_LATE_HOUR = 22
_HUNDREDTHS = {"GBp": "GBX", "ZAc": "ZAC", "ILA": "ILA"}
_NO_DATA = "Data doesn't exist for startDate"


class ChartSession(Protocol):
    """The way to Yahoo; `yahoo_session.YahooSession` is the real one."""

    def chart(self, wire_symbol: str, params: dict[str, Any]) -> Any:
        """Return a reply with url, status, content_type, body and vendor_time."""
        ...


class Yahoo:
    """The provider `yahoo`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=("1d",),
        markets=("us", "hk", "jp", "eu"),
        symbols_per_request=1,
        price_basis="split_adjusted",
        needs_key=False,
    )

    def __init__(self, session: Callable[[], ChartSession], clock: Clock) -> None:
        self._open_session = session  # importing yfinance takes a second: only those who fetch pay for it
        self._session: ChartSession | None = None
        self._clock = clock

    def fetch(self, symbol: str, window: Window) -> Payload:
        """Ask once for the bars from the window's start (and ten days before) to now, with splits and dividends."""
        if self._session is None:
            self._session = self._open_session()
        zone = ZoneInfo(venue_of(symbol).timezone)
        now = self._clock.now()
        params = {
            "period1": int(datetime.combine(window.start - _PADDING, time.min, zone).timestamp()),
            "period2": int((now + timedelta(days=1)).timestamp()),
            "interval": "1d",
            "includePrePost": "false",
            "events": "div,splits,capitalGains",
        }
        reply = self._session.chart(quote(wire_symbol(symbol)), params)
        payload = Payload(
            symbol, reply.url, reply.status, now, reply.content_type, reply.body, vendor_time=reply.vendor_time
        )
        _read_chart(payload)
        return payload

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the bars and actions of a chart reply; empty frames where Yahoo has nothing."""
        chart = _read_chart(payload)
        if chart is None or "timestamp" not in chart:
            # HTTP 200 without timestamps is how Yahoo answers for what was delisted, or a window without a trade.
            return VendorFrames(pl.DataFrame(schema=VENDOR_BARS), pl.DataFrame(schema=VENDOR_ACTIONS), None)
        try:
            zone = chart["meta"]["exchangeTimezoneName"]
            currency = chart["meta"].get("currency")
            bars = _bars(chart, zone)
            actions = _actions(chart.get("events") or {}, zone)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, pl.exceptions.PolarsError) as error:
            raise MalformedPayload(f"Yahoo's chart of {payload.symbol} can't be read: {error!r}", payload) from error
        return VendorFrames(bars, actions, _HUNDREDTHS.get(currency, currency))


def wire_symbol(symbol: str) -> str:
    """Return Yahoo's form of a canonical symbol.

    >>> wire_symbol("BRK.B"), wire_symbol("0700.HK"), wire_symbol("BAC.PRL")
    ('BRK-B', '0700.HK', 'BAC-PL')
    """
    if venue_of(symbol).market != "us" or "." not in symbol:
        return symbol
    root, _, series = symbol.partition(".")
    return f"{root}-{series.replace('PR', 'P', 1) if series.startswith('PR') else series}"


def _read_chart(payload: Payload) -> dict[str, Any] | None:
    """Return the chart of a reply, None where Yahoo says that it has none in the window; raise what else it says."""
    try:
        chart = from_json(payload.body)["chart"]
        error, results = chart["error"], chart["result"]
    except (ValueError, KeyError, TypeError) as wrong:
        if b"Will be right back" in payload.body:
            raise TransientProviderError("Yahoo shows its outage page") from wrong
        if b"Too Many Requests" in payload.body[:200]:
            raise TransientProviderError("Yahoo shows its rate-limit page") from wrong
        raise MalformedPayload(
            f"Yahoo's reply for {payload.symbol} (HTTP {payload.status}, {len(payload.body)} bytes) is no chart", payload
        ) from wrong
    if error:
        description = str(error.get("description"))
        if description.startswith(_NO_DATA):
            return None
        if payload.status == 404 or error.get("code") == "Not Found":
            raise UnknownSymbol(f"Yahoo does not know {payload.symbol}: {description}")
        raise TransientProviderError(f"Yahoo refuses {payload.symbol}: {description}")
    if payload.status != 200 or not results:
        raise MalformedPayload(f"Yahoo's reply for {payload.symbol} has no result and no error", payload)
    result: dict[str, Any] = results[0]
    asked, named = unquote(urlsplit(payload.request).path.rpartition("/")[2]), result.get("meta", {}).get("symbol")
    if named != asked:
        raise MalformedPayload(f"asked for {asked}, Yahoo answers about {named}", payload)
    return result


def _bars(chart: dict[str, Any], zone: str) -> pl.DataFrame:
    quotes = chart["indicators"]["quote"][0]
    adjusted = chart["indicators"].get("adjclose")
    columns = {name: quotes[name] for name in ("open", "high", "low", "close", "volume")}
    columns["vendor_adj_close"] = adjusted[0]["adjclose"] if adjusted else quotes["close"]
    frame = pl.DataFrame(
        {"time": chart["timestamp"], **columns}, schema={"time": pl.Int64, **dict.fromkeys(columns, pl.Float64)}
    )
    return frame.with_columns(_instant("time")).with_columns(_session_date("time", zone)).select(list(VENDOR_BARS))


def _actions(events: dict[str, Any], zone: str) -> pl.DataFrame:
    rows: list[tuple[int, str, float]] = []
    for split in (events.get("splits") or {}).values():
        rows.append((split["date"], "split", split["numerator"] / split["denominator"]))
    for dividend in (events.get("dividends") or {}).values():
        rows.append((dividend["date"], "dividend", float(dividend["amount"])))
    frame = pl.DataFrame(rows, schema={"ex_date": pl.Int64, "kind": pl.String, "value": pl.Float64}, orient="row")
    frame = frame.with_columns(_instant("ex_date")).with_columns(_session_date("ex_date", zone, "ex_date"))
    usable = pl.col("value").is_finite() & (pl.col("value") > 0) & ~((pl.col("kind") == "split") & (pl.col("value") == 1))
    return frame.filter(usable).select(list(VENDOR_ACTIONS)).sort("ex_date", "kind")


def _instant(column: str) -> pl.Expr:
    return (pl.col(column) * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(INSTANT).alias(column)


def _session_date(column: str, zone: str, name: str = "date") -> pl.Expr:
    local = pl.col(column).dt.convert_time_zone(zone)
    late = (local.dt.hour() >= _LATE_HOUR) & (local.dt.minute() == 0)
    return pl.when(late).then(local.dt.offset_by("2h")).otherwise(local).dt.date().alias(name)


