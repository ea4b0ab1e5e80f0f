"""Yahoo's chart endpoint through yfinance: daily bars with splits and dividends, split-adjusted as of the request.

A request always reaches the present: Yahoo divides every bar by all later splits, also by those after the end of the
requested window. Only a reply that reaches the present contains them all.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic_core import from_json

from quantx.core.asset_classes import class_of
from quantx.core.model import Clock, Payload, Window
from quantx.core.symbols import MARKETS, US, hyphenated_symbol, market_of, venue_of
from quantx.errors import MalformedPayload, ProviderError, RateLimited, TransientProviderError, UnknownSymbol
from quantx.providers.drift import FieldChange
from quantx.providers.http import HttpReply
from quantx.providers.page_frames import PageFrames, one_page
from quantx.providers.protocol import Capabilities, Page, Request, VendorFrames
from quantx.providers.reply_values import parsed_json
from quantx.providers.yahoo_frames import ERA, NO_CHART, ChartValues, chart_values, stack_charts
from quantx.providers.yahoo_listing import check_listing
from quantx.providers.yahoo_shapes import shape_of
from quantx.settings.vendors import YahooSettings

SOURCE = "yahoo"

# The factor of a window's first dividend needs the close before it; ten days span a suspension of a week.
_PADDING = timedelta(days=10)
_FIRST_DAY = date(1900, 1, 1)  # older than any exchange's daily bars at Yahoo (its oldest are of 1927)
# Cboe's indices (^VIX, ^TNX) are in Chicago's zone, and so are CME's futures; their sessions are New York's.
_ZONES_BESIDE_NEW_YORK = ("America/Chicago",)
_NO_DATA = "Data doesn't exist for startDate"
# As in `404 Not Found: Timestamp data missing.` (scheb/yahoo-finance-api#43, 2023; append jobs until 2024).
_TEXT_REFUSAL = re.compile(rb"\s*[45]\d\d ([A-Z][A-Za-z ]{2,40}): (.{3,200})", re.DOTALL)


class ChartSession(Protocol):
    """The connection to Yahoo; `yahoo_session.YahooSession` is the real one."""

    def prepare(self) -> None:
        """Load and connect what the first request needs; never raises."""
        ...

    def chart(self, wire_symbol: str, params: dict[str, Any]) -> HttpReply:
        """Return the reply of any status."""
        ...


class Yahoo:
    """The provider `yahoo`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=("1d",),
        markets=MARKETS,
        symbols_per_request=1,
        price_basis="split_adjusted",
        needs_key=False,
        quota=YahooSettings.default_quota,
    )

    def __init__(self, session: Callable[[], ChartSession], clock: Clock) -> None:
        self._open_session = session  # called by the first fetch, as the import of yfinance takes a second
        self._session: ChartSession | None = None
        self._opening = threading.Lock()
        self._clock = clock

    @classmethod
    def open(cls, settings: YahooSettings, clock: Clock) -> Self:
        """Return the provider; the first fetch imports yfinance."""

        def session() -> ChartSession:
            from quantx.providers.yahoo_session import YahooSession

            return YahooSession(settings.base_url)

        return cls(session, clock)

    def fetch(self, request: Request) -> Iterator[Page]:
        """Send one request: a chart has all of a symbol's bars and actions."""
        (symbol,) = request.symbols
        yield Page.whole(self.chart(symbol, request.window), [symbol])

    def chart(self, symbol: str, window: Window) -> Payload:
        """Fetch the bars from the window's start (and ten days before) to now, with splits and dividends."""
        wire, zone = quote(wire_symbol(symbol)), ZoneInfo(venue_of(symbol).timezone)
        session = self._opened()
        now = self._clock.now()
        since = int(datetime.combine(max(window.start, _FIRST_DAY) - _PADDING, time.min, zone).timestamp())
        params = {
            "period1": since,
            "period2": int((now + timedelta(days=1)).timestamp()),
            "interval": "1d",
            "includePrePost": "false",
            "events": "div,splits,capitalGains",
        }
        reply = session.chart(wire, params)
        payload = reply.as_payload(symbol, now)
        chart = _read_chart(payload, _parse(payload))
        if chart is not None:
            _check_zone(chart, payload)
            check_listing(chart, payload)
        if chart is not None and not chart.get("timestamp") and _has_traded_since(since, chart["meta"]):
            raise MalformedPayload(f"Yahoo sends no bars of {symbol}, but the time of a trade in the window", payload)
        return payload

    def prepare(self) -> None:
        """Import yfinance, and get Yahoo's cookie and crumb."""
        self._opened().prepare()

    def _opened(self) -> ChartSession:
        with self._opening:
            self._session = self._session or self._open_session()
            return self._session

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the bars and actions of a chart reply; empty frames where Yahoo has nothing."""
        return one_page(self.normalize_many([payload]))

    def normalize_many(self, payloads: Sequence[Payload]) -> PageFrames:
        """Return the same of many chart replies; a malformed one costs only itself."""
        return stack_charts([_values_or_error(payload) for payload in payloads], payloads)

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        """Return the fields of a chart reply that differ from its declared shape; every value is compared."""
        document = parsed_json(payload)
        return shape_of(document).changes(document, every_value=True)


def wire_symbol(symbol: str) -> str:
    """Return Yahoo's form of a canonical symbol.

    >>> wire_symbol("BRK.B"), wire_symbol("0700.HK"), wire_symbol("BAC.PRL"), wire_symbol("USDJPY=X")
    ('BRK-B', '0700.HK', 'BAC-PL', 'JPY=X')
    """
    return hyphenated_symbol(symbol)


def _read_chart(payload: Payload, document: Any) -> dict[str, Any] | None:
    """Return the chart of a reply, None where Yahoo has none in the window; raise the error of a refusal."""
    results, error = _open_reply(payload, document)
    if error:
        code, description = (str(error.get(key))[:200] for key in ("code", "description"))
        if description.startswith(_NO_DATA):
            return None
        if "Too Many Requests" in f"{code} {description}":
            raise RateLimited(f"Yahoo refuses {payload.symbol}: {description}")
        if payload.status == 404 or code == "Not Found":
            raise UnknownSymbol(f"Yahoo does not know {payload.symbol}: {description}")
        raise TransientProviderError(f"Yahoo refuses {payload.symbol}: {description}")
    match results:
        case [{"meta": {"symbol": str(named)} as meta}, *_] if payload.status == 200:
            result: dict[str, Any] = results[0]
        case _:
            raise MalformedPayload(f"Yahoo's reply for {payload.symbol} has no result and no error", payload)
    url = urlsplit(payload.request)
    wire = unquote(url.path.rpartition("/")[2])
    if named != wire and not _is_same_pair(named, wire):
        raise MalformedPayload(f"asked for {wire!a}, Yahoo answers about {named[:40]!a}", payload)
    # For a long window Yahoo may answer with months or quarters (seen with range=max).
    intervals, granted = parse_qs(url.query).get("interval", []), meta.get("dataGranularity")
    if intervals and granted is not None and granted not in intervals:
        raise MalformedPayload(f"asked for bars of {intervals[0]}, Yahoo answers with {str(granted)[:10]!a}", payload)
    return result


def _is_same_pair(named: str, wire: str) -> bool:
    """Return whether two names are one pair with the US dollar: `JPY=X` is `USDJPY=X`."""
    return named.endswith("=X") and wire.endswith("=X") and named.removeprefix("USD") == wire.removeprefix("USD")


def _values_or_error(payload: Payload) -> ChartValues | MalformedPayload:
    """Return the values of a chart reply, or why it can't be read."""
    try:
        document = _parse(payload)
        chart = _read_chart(payload, document)
        if chart is None:
            return NO_CHART
        _check_zone(chart, payload)
        check_listing(chart, payload)
        return chart_values(payload, document, chart)
    except MalformedPayload as malformed:
        return malformed
    except ProviderError as refusal:
        no_chart = MalformedPayload(f"not a chart but a refusal: {refusal}", payload)
        no_chart.__cause__ = refusal
        return no_chart


def _has_traded_since(period1: int, meta: Mapping[str, Any]) -> bool:
    """Return whether the meta data of a chart that reaches the present have a trade after `period1`.

    A reply of status 200 without bars is either correct (not listed yet, delisted before) or a failure. Where it is
    correct, the meta data have no first trade, or a last trade before the window.
    """
    first, last = meta.get("firstTradeDate"), meta.get("regularMarketTime")
    return type(first) is int and type(last) is int and last >= period1


def _parse(payload: Payload) -> Any:
    """Return the document of a reply, None where it is no JSON; raise the error that a known page means.

    A refusal in the form of the closed v7 API is returned in that of a chart.
    """
    try:
        return from_json(payload.body)
    except ValueError:
        if b"Will be right back" in payload.body:
            raise TransientProviderError("Yahoo shows its outage page") from None
        if b"Too Many Requests" in payload.body[:1000]:
            raise RateLimited("Yahoo shows its rate-limit page") from None
    if refusal := _TEXT_REFUSAL.match(payload.body):
        code, description = (part.decode("utf-8", "replace") for part in refusal.groups())
        return {"chart": {"error": {"code": code, "description": description}}}
    return None


def _open_reply(payload: Payload, document: Any) -> tuple[Any, dict[str, Any] | None]:
    """Return the result and the error in a chart reply; raise the error that a document of any other form means."""
    match document:
        case {"chart": {"result": results, "error": None}}:
            return results, None
        case {"chart": {"error": {} as error}}:
            return None, error
        case {"finance": {"error": {"description": str(description)}}}:
            raise TransientProviderError(f"Yahoo refuses {payload.symbol}: {description[:200]}")
    raise MalformedPayload(
        f"Yahoo's reply for {payload.symbol} (HTTP {payload.status}, {len(payload.body)} bytes) is no chart", payload
    )


def _check_zone(chart: Mapping[str, Any], payload: Payload) -> None:
    """Raise MalformedPayload if the chart's time zone has another offset than the exchange's at one of the bars.

    A chart without bars is not compared: a delisted symbol has New York's zone (recorded for CAPIO.ST, October 2024).
    A symbol of no known market has no zone to compare.
    """
    if market_of(payload.symbol) is None:
        return
    ours, vendors = venue_of(payload.symbol).timezone, chart["meta"].get("exchangeTimezoneName")
    beside_new_york = ours == US.timezone and class_of(payload.symbol) in ("index", "rate", "future")
    if vendors == ours or (beside_new_york and vendors in _ZONES_BESIDE_NEW_YORK):
        return
    times = chart.get("timestamp")
    seconds = [t for t in times if type(t) is int and t in ERA] if isinstance(times, list) else []
    try:
        zones = (ZoneInfo(ours), ZoneInfo(vendors))
    except (TypeError, ValueError, OSError, ZoneInfoNotFoundError):
        return  # no zone: `normalize` refuses it
    for second in seconds:
        moment = datetime.fromtimestamp(second, UTC)
        if moment.astimezone(zones[0]).utcoffset() != moment.astimezone(zones[1]).utcoffset():
            raise MalformedPayload(
                f"Yahoo's chart of {payload.symbol} is in the time zone {vendors}, its exchange is in {ours}", payload
            )
