"""Yahoo's chart endpoint through yfinance: daily bars with splits and dividends, split-adjusted as of the request.

A request always reaches the present: Yahoo divides every bar by all later splits, also by those after the end of the
requested window. Only a reply that reaches the present contains them all.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl
from pydantic_core import from_json

from quantx.core.model import Clock, Payload, Window
from quantx.core.symbols import US, hyphenated_symbol, market_of, venue_of
from quantx.core.table import INSTANT
from quantx.errors import MalformedPayload, ProviderError, RateLimited, TransientProviderError, UnknownSymbol
from quantx.providers.drift import FieldChange
from quantx.providers.events import EventKind, ReadEvents, SentEvent, number_of, part, ratio_of, read_events
from quantx.providers.http import HttpReply
from quantx.providers.protocol import VENDOR_ACTIONS, VENDOR_BARS, Capabilities, Page, Request, VendorFrames
from quantx.providers.reply_values import FORM_ERRORS, WrongForm, form_problem, nothing, parsed_json
from quantx.providers.yahoo_listing import check_currency, notes_of
from quantx.providers.yahoo_shapes import shape_of
from quantx.settings.vendors import YahooSettings

SOURCE = "yahoo"

# The factor of a window's first dividend needs the close before it; ten days span a suspension of a week.
_PADDING = timedelta(days=10)
_FIRST_DAY = date(1900, 1, 1)  # older than any exchange's daily bars at Yahoo (its oldest are of 1927)
_ERA = range(-2_208_988_800, 4_102_444_800)  # seconds, 1900 to 2100; a reply in milliseconds is outside
# A bar at 22:00 or 23:00 belongs to the next day: its stamp has the day before's daylight saving (yfinance's
# fix_Yahoo_dst_issue).
_LATE_HOUR = 22
# Cboe's indices (^VIX) are in Chicago's zone; their sessions are those of New York.
_ZONES_OF_AMERICAN_INDICES = ("America/Chicago",)
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_HUNDREDTHS = {"GBp": "GBX", "ZAc": "ZAC", "ILA": "ILA"}
_WHOLE = {"GBX": "GBP", "ZAC": "ZAR", "ILA": "ILS"}
# Yahoo writes adjusted closes that overflow as texts (yfinance's parse_quotes), as JSON has no such numbers.
_NUMBER_TEXTS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
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
        markets=("us", "hk", "jp", "eu"),
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
            check_currency(chart, payload)
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
        try:
            document = _parse(payload)
            chart = _read_chart(payload, document)
        except MalformedPayload:
            raise
        except ProviderError as refusal:
            raise MalformedPayload(f"not a chart but a refusal: {refusal}", payload) from refusal
        if chart is None:
            return VendorFrames(nothing(VENDOR_BARS), nothing(VENDOR_ACTIONS), None)
        _check_zone(chart, payload)
        check_currency(chart, payload)
        try:
            currency = _currency(chart["meta"].get("currency"))
            symbol = pl.lit(payload.symbol).alias("symbol")
            bars = _bars(chart).select(symbol, *list(VENDOR_BARS)[1:])
            events = _events(chart, payload.symbol, currency)
            notes, drift = tuple(notes_of(chart, payload.symbol)), shape_of(document).changes(document)
            trade = _last_trade(chart["meta"], payload)
            return VendorFrames(bars, events.actions, currency, notes, events.rejected, drift, trade)
        except FORM_ERRORS as error:
            why = form_problem(error)
            raise MalformedPayload(f"Yahoo's chart of {payload.symbol} can't be read: {why}", payload) from error

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        """Return the fields of a chart reply that differ from its declared shape; every value is compared."""
        document = parsed_json(payload)
        return shape_of(document).changes(document, every_value=True)


def wire_symbol(symbol: str) -> str:
    """Return Yahoo's form of a canonical symbol.

    >>> wire_symbol("BRK.B"), wire_symbol("0700.HK"), wire_symbol("BAC.PRL")
    ('BRK-B', '0700.HK', 'BAC-PL')
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
    if named != wire:
        raise MalformedPayload(f"asked for {wire!a}, Yahoo answers about {named[:40]!a}", payload)
    # For a long window Yahoo may answer with months or quarters (seen with range=max).
    intervals, granted = parse_qs(url.query).get("interval", []), meta.get("dataGranularity")
    if intervals and granted is not None and granted not in intervals:
        raise MalformedPayload(f"asked for bars of {intervals[0]}, Yahoo answers with {str(granted)[:10]!a}", payload)
    return result


def _has_traded_since(period1: int, meta: Mapping[str, Any]) -> bool:
    """Return whether the meta data of a chart that reaches the present have a trade after `period1`.

    A reply of status 200 without bars is either correct (not listed yet, delisted before) or a failure. Where it is
    correct, the meta data have no first trade, or a last trade before the window.
    """
    first, last = meta.get("firstTradeDate"), meta.get("regularMarketTime")
    return type(first) is int and type(last) is int and last >= period1


def _last_trade(meta: Mapping[str, Any], payload: Payload) -> datetime | None:
    """Return the time of the last trade in the meta data of a chart whose request reached it."""
    ends, last = parse_qs(urlsplit(payload.request).query).get("period2", []), meta.get("regularMarketTime")
    if type(last) is not int or last not in _ERA or not ends or not ends[0].isdecimal() or int(ends[0]) < last:
        return None
    return datetime.fromtimestamp(last, UTC)


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


def _currency(code: object) -> str | None:
    if code is None:
        return None
    if not isinstance(code, str) or not _CURRENCY.fullmatch(code):
        raise WrongForm(f"{str(code)[:20]!a} is no currency")
    return _HUNDREDTHS.get(code, code)


def _bars(chart: Mapping[str, Any]) -> pl.DataFrame:
    """Return the bars in Yahoo's order; none where the key `timestamp` is missing.

    Yahoo sends HTTP 200 without timestamps for a delisted symbol, or for a window without a trade.
    """
    if not chart.get("timestamp"):
        return nothing(VENDOR_BARS)
    times = _times(chart["timestamp"])
    quotes = chart["indicators"]["quote"][0]
    columns = {name: quotes[name] for name in ("open", "high", "low", "close", "volume")}
    adjusted = chart["indicators"].get("adjclose") or [{}]  # minute bars have none
    columns["vendor_adj_close"] = adjusted[0].get("adjclose") or [None] * len(times)
    frame = pl.DataFrame([times.alias("time"), *(_numbers(name, values) for name, values in columns.items())])
    date = _session_date("time", _zone(chart)).alias("date")
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None), date)


def _events(chart: Mapping[str, Any], symbol: str, currency: str | None) -> ReadEvents:
    """Return the splits, dividends and capital gains of a chart."""
    events = chart.get("events") or {}
    splits, dividends, gains = ((events.get(kind) or {}).items() for kind in ("splits", "dividends", "capitalGains"))
    sent = [
        *(_split(symbol, f"events.splits.{key}", event) for key, event in splits),
        *(_cash_event(symbol, "dividend", f"events.dividends.{key}", event, currency) for key, event in dividends),
        *(_cash_event(symbol, "capital_gain", f"events.capitalGains.{key}", event, currency) for key, event in gains),
    ]
    days = _days_of([part(event.sent, "date") for event in sent], _zone(chart)) if sent else []
    return read_events(replace(event, day=day) for event, day in zip(sent, days, strict=True))


def _split(symbol: str, place: str, event: object) -> SentEvent:
    ratio = ratio_of(number_of(part(event, "numerator")), number_of(part(event, "denominator")))
    return SentEvent(symbol=symbol, kind="split", place=place, sent=event, day=None, value=ratio)


def _cash_event(symbol: str, kind: EventKind, place: str, event: object, currency: str | None) -> SentEvent:
    amount, paid_in = number_of(part(event, "amount")), None
    if amount is not None:
        try:
            amount, paid_in = _cash(amount, _currency(part(event, "currency") or None), currency)
        except ValueError:
            amount = None
    return SentEvent(symbol=symbol, kind=kind, place=place, sent=event, day=None, value=amount, paid_in=paid_in)


def _cash(amount: float, paid_in: str | None, currency: str | None) -> tuple[float, str | None]:
    """Return the amount per share in the currency of the prices, or in another currency, which is returned with it.

    Hundredths are converted to whole units and back. No other currency is converted, as the reply has no rate.
    """
    if paid_in in (None, currency):
        return amount, None
    if _WHOLE.get(str(currency)) == paid_in:
        return amount * 100, None
    if _WHOLE.get(str(paid_in)) == currency:
        return amount / 100, None
    return amount, paid_in


def _days_of(stamps: list[Any], zone: str) -> list[date | None]:
    """Return the session of each stamp, None where it is no second of the era."""
    seconds = [stamp if type(stamp) is int and stamp in _ERA else None for stamp in stamps]
    times = (pl.Series("time", seconds, dtype=pl.Int64) * 1_000_000).cast(INSTANT)
    sessions: list[date | None] = times.to_frame().select(_session_date("time", zone)).to_series().to_list()
    return sessions


def _numbers(name: str, values: Any) -> pl.Series:
    kinds = set(map(type, values)) if isinstance(values, list) else {type(values)}
    if str in kinds and _NUMBER_TEXTS.keys() >= {v for v in values if isinstance(v, str)}:
        values, kinds = [_NUMBER_TEXTS.get(v, v) for v in values], kinds - {str}
    if not isinstance(values, list) or not kinds <= {int, float, type(None)}:
        raise WrongForm(f"{name} is no list of numbers")
    return pl.Series(name, values, dtype=pl.Float64)


def _times(seconds: Any) -> pl.Series:
    if (
        not isinstance(seconds, list)
        or set(map(type, seconds)) != {int}
        or min(seconds) not in _ERA
        or max(seconds) not in _ERA
    ):
        raise WrongForm("a time is no second between 1900 and 2100")
    return (pl.Series(seconds, dtype=pl.Int64) * 1_000_000).cast(INSTANT)


def _zone(chart: Mapping[str, Any]) -> str:
    zone = chart["meta"]["exchangeTimezoneName"]
    if not zone or not isinstance(zone, str):
        raise WrongForm("the exchange's time zone is missing")
    return zone


def _check_zone(chart: Mapping[str, Any], payload: Payload) -> None:
    """Raise MalformedPayload if the chart's time zone has another offset than the exchange's at one of the bars.

    A chart without bars is not compared: a delisted symbol has New York's zone (recorded for CAPIO.ST, October 2024).
    A symbol of another market, such as a currency pair, has no zone to compare.
    """
    if market_of(payload.symbol) is None:
        return
    ours, vendors = venue_of(payload.symbol).timezone, chart["meta"].get("exchangeTimezoneName")
    is_american_index = payload.symbol.startswith("^") and ours == US.timezone
    if vendors == ours or (is_american_index and vendors in _ZONES_OF_AMERICAN_INDICES):
        return
    times = chart.get("timestamp")
    seconds = [t for t in times if type(t) is int and t in _ERA] if isinstance(times, list) else []
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


def _session_date(column: str, zone: str) -> pl.Expr:
    local = pl.col(column).dt.convert_time_zone(zone)
    late = (local.dt.hour() >= _LATE_HOUR) & (local.dt.minute() == 0)
    return pl.when(late).then(local.dt.offset_by("2h")).otherwise(local).dt.date()
