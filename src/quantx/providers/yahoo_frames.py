"""The frames of Yahoo's charts, of many replies at once. Pure.

Each document is read by itself, so that a malformed one costs only itself. The columns of all are then stacked once.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import numpy.typing as npt
import polars as pl

from quantx.core.model import Payload
from quantx.core.table import INSTANT
from quantx.errors import MalformedPayload, ProviderError
from quantx.providers.drift import FieldChange
from quantx.providers.events import EventKind, SentEvent, number_of, part, ratio_of, read_parts
from quantx.providers.page_frames import PageFacts, PageFrames
from quantx.providers.protocol import VENDOR_BARS, Note
from quantx.providers.reply_values import FORM_ERRORS, WrongForm, form_problem
from quantx.providers.yahoo_listing import notes_of
from quantx.providers.yahoo_shapes import shape_of

ERA = range(-2_208_988_800, 4_102_444_800)  # seconds, 1900 to 2100; a reply in milliseconds is outside
# A bar at 22:00 or 23:00 belongs to the next day: its stamp has the day before's daylight saving (yfinance's
# fix_Yahoo_dst_issue).
_LATE_HOUR = 22
_WITHOUT_SUMMER_TIME = ("UTC",)  # crypto currencies trade at 22:00 and 23:00 as well
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_HUNDREDTHS = {"GBp": "GBX", "ZAc": "ZAC", "ILA": "ILA"}
_WHOLE = {"GBX": "GBP", "ZAC": "ZAR", "ILA": "ILS"}
# Yahoo writes adjusted closes that overflow as texts (yfinance's parse_quotes), as JSON has no such numbers.
_NUMBER_TEXTS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_QUOTES = ("open", "high", "low", "close", "volume")
_ADJUSTED = "vendor_adj_close"
_WIDE = 2.0**127  # larger whole numbers are no values of a column
_ZONE_PROBE = pl.Series([0]).cast(INSTANT)

Seconds = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ChartValues:
    """The values of one chart: its columns, and its events with the stamps of their days."""

    seconds: Seconds
    columns: Mapping[str, Numbers]  # not-a-number: no value
    zone: str | None  # of the stamps; None where there are none
    currency: str | None
    events: Sequence[SentEvent] = ()
    notes: tuple[Note, ...] = ()
    drift: tuple[FieldChange, ...] = ()
    last_trade: datetime | None = None


NO_CHART = ChartValues(seconds=np.empty(0, np.int64), columns={}, zone=None, currency=None)


def chart_values(payload: Payload, document: Any, chart: Mapping[str, Any]) -> ChartValues:
    """Return the values of a chart; MalformedPayload where one has another form."""
    try:
        currency = currency_of(chart["meta"].get("currency"))
        seconds, columns = _bars(chart)
        events = list(_events(chart, payload.symbol, currency))
        zone = _zone(chart) if len(seconds) or events else None
        return ChartValues(
            seconds=seconds,
            columns=columns,
            zone=zone,
            currency=currency,
            events=events,
            notes=tuple(notes_of(chart, payload.symbol)),
            drift=shape_of(document).changes(document),
            last_trade=_last_trade(chart["meta"], payload),
        )
    except FORM_ERRORS as error:
        why = form_problem(error)
        raise MalformedPayload(f"Yahoo's chart of {payload.symbol} can't be read: {why}", payload) from error


def stack_charts(read: Sequence[ChartValues | ProviderError], payloads: Sequence[Payload]) -> PageFrames:
    """Return the frames of the charts of payloads; each page has one part, with its own number."""
    charts = [(page, chart) for page, chart in enumerate(read) if isinstance(chart, ChartValues)]
    events = _dated_events(charts)
    rows = read_parts(events)
    acting = set(rows.actions["part"])
    return PageFrames(
        pages=[
            chart
            if isinstance(chart, ProviderError)
            else PageFacts(
                currency=chart.currency,
                notes=chart.notes,
                drift=chart.drift,
                last_trade=chart.last_trade,
                has_rows=len(chart.seconds) > 0 or page in acting,
            )
            for page, chart in enumerate(read)
        ],
        parts=[(page, payload.symbol) for page, payload in enumerate(payloads)],
        bars=_stacked_bars(charts),
        actions=rows.actions,
        rejected=rows.rejected,
    )


def currency_of(code: object) -> str | None:
    """Return a currency as we write it, None for none; WrongForm where the value is no currency."""
    if code is None:
        return None
    if not isinstance(code, str) or not _CURRENCY.fullmatch(code):
        raise WrongForm(f"{str(code)[:20]!a} is no currency")
    return _HUNDREDTHS.get(code, code)


def _last_trade(meta: Mapping[str, Any], payload: Payload) -> datetime | None:
    """Return the time of the last trade in the meta data of a chart whose request reached it."""
    ends, last = parse_qs(urlsplit(payload.request).query).get("period2", []), meta.get("regularMarketTime")
    if type(last) is not int or last not in ERA or not ends or not ends[0].isdecimal() or int(ends[0]) < last:
        return None
    return datetime.fromtimestamp(last, UTC)


# ------------------------------------------------------------------------------------------------------------- bars


def _bars(chart: Mapping[str, Any]) -> tuple[Seconds, dict[str, Numbers]]:
    """Return the stamps and the columns of a chart in Yahoo's order; none where the key `timestamp` is missing.

    Yahoo sends HTTP 200 without timestamps for a delisted symbol, or for a window without a trade.
    """
    if not chart.get("timestamp"):
        return NO_CHART.seconds, {}
    seconds = _seconds(chart["timestamp"])
    quotes = chart["indicators"]["quote"][0]
    values = {name: quotes[name] for name in _QUOTES}
    adjusted = chart["indicators"].get("adjclose") or [{}]  # minute bars have none
    values[_ADJUSTED] = adjusted[0].get("adjclose") or [None] * len(seconds)
    columns = {name: _numbers(name, each) for name, each in values.items()}
    if any(len(column) != len(seconds) for column in columns.values()):
        raise WrongForm("a number or a date has another form")
    _zone(chart)
    return seconds, columns


def _seconds(sent: Any) -> Seconds:
    try:
        seconds = np.frombuffer(array("q", sent if isinstance(sent, list) else [None]), np.int64)
    except (TypeError, OverflowError):
        seconds = NO_CHART.seconds
    if (
        not len(seconds)
        or _may_be_flags(seconds, sent)
        or int(seconds.min()) not in ERA
        or int(seconds.max()) not in ERA
    ):
        raise WrongForm("a time is no second between 1900 and 2100")
    return seconds


def _numbers(name: str, values: Any) -> Numbers:
    """Return a list of numbers, null as not-a-number; WrongForm where anything else is in it."""
    try:
        column = np.frombuffer(array("d", values if isinstance(values, list) else [None]), np.float64)
    except (TypeError, OverflowError):
        return _mixed_numbers(name, values)
    if _may_be_flags(column, values) or (np.abs(column) >= _WIDE).any():
        return _mixed_numbers(name, values)
    return column


def _may_be_flags(column: npt.NDArray[Any], values: list[Any]) -> bool:
    """Return whether flags are among values that became numbers: Python takes them for 0 and 1."""
    return bool(((column == 0) | (column == 1)).any()) and bool in set(map(type, values))


def _mixed_numbers(name: str, values: Any) -> Numbers:
    """Return a column with nulls, or with numbers that are written as texts."""
    kinds = set(map(type, values)) if isinstance(values, list) else {type(values)}
    if str in kinds and _NUMBER_TEXTS.keys() >= {v for v in values if isinstance(v, str)}:
        values, kinds = [_NUMBER_TEXTS.get(v, v) for v in values], kinds - {str}
    if not isinstance(values, list) or not kinds <= {int, float, type(None)}:
        raise WrongForm(f"{name} is no list of numbers")
    if int in kinds and any(type(v) is int and abs(v) >= _WIDE for v in values):
        raise OverflowError
    return np.array(values, np.float64)


def _zone(chart: Mapping[str, Any]) -> str:
    zone = chart["meta"]["exchangeTimezoneName"]
    if not zone or not isinstance(zone, str):
        raise WrongForm("the exchange's time zone is missing")
    if not _is_zone(zone):
        raise WrongForm("a number or a date has another form")
    return zone


@lru_cache(maxsize=64)
def _is_zone(name: str) -> bool:
    try:
        _ZONE_PROBE.dt.convert_time_zone(name)
    except pl.exceptions.PolarsError:
        return False
    return True


def _stacked_bars(charts: Sequence[tuple[int, ChartValues]]) -> pl.DataFrame:
    """Return VENDOR_BARS with the page in `part`."""
    charts = [(page, chart) for page, chart in charts if len(chart.seconds)]
    schema = {name: kind for name, kind in VENDOR_BARS.items() if name != "symbol"} | {"part": pl.Int64}
    if not charts:
        return pl.DataFrame(schema=schema)
    times = (pl.Series("time", np.concatenate([chart.seconds for _, chart in charts])) * 1_000_000).cast(INSTANT)
    zones = [chart.zone or "" for _, chart in charts]
    lengths = np.array([len(chart.seconds) for _, chart in charts], np.int64)
    columns = [
        pl.Series(name, np.concatenate([chart.columns[name] for _, chart in charts])).fill_nan(None)
        for name in (*_QUOTES, _ADJUSTED)
    ]
    parts = pl.Series("part", np.repeat(np.array([page for page, _ in charts], np.int64), lengths))
    return pl.DataFrame([times, _sessions(times, zones, lengths).alias("date"), *columns, parts]).select(list(schema))


def _sessions(times: pl.Series, zones: Sequence[str], lengths: npt.NDArray[np.int64]) -> pl.Series:
    """Return the session of each stamp; `zones` and `lengths` are those of the charts, one after the other."""
    if len(set(zones)) == 1:
        return _sessions_of(times, zones[0])
    numbers = pl.Series("zone", np.repeat([sorted(set(zones)).index(zone) for zone in zones], lengths))
    frame = pl.DataFrame([times.alias("time"), numbers]).with_row_index("place")
    parts = [
        part.select("place", date=_sessions_of(part["time"], sorted(set(zones))[int(number)]))
        for (number,), part in frame.group_by("zone")
    ]
    return pl.concat(parts).sort("place")["date"]


def _sessions_of(times: pl.Series, zone: str) -> pl.Series:
    """Return the sessions of stamps in a zone. Charts share most stamps: each different one is converted once."""
    stamps = times.alias("time").to_frame()
    dates = stamps.unique().with_columns(_session_date("time", zone).alias("date"))
    return stamps.join(dates, on="time", how="left", maintain_order="left")["date"]


def _session_date(column: str, zone: str) -> pl.Expr:
    local = pl.col(column).dt.convert_time_zone(zone)
    if zone in _WITHOUT_SUMMER_TIME:
        return local.dt.date()
    late = (local.dt.hour() >= _LATE_HOUR) & (local.dt.minute() == 0) & (local.dt.second() == 0)
    return pl.when(late).then(local.dt.offset_by("2h")).otherwise(local).dt.date()


# ----------------------------------------------------------------------------------------------------------- events


def _events(chart: Mapping[str, Any], symbol: str, currency: str | None) -> Iterator[SentEvent]:
    """Yield the splits, dividends and capital gains of a chart, without their days."""
    events = chart.get("events") or {}
    splits, dividends, gains = ((events.get(kind) or {}).items() for kind in ("splits", "dividends", "capitalGains"))
    for key, event in splits:
        yield _split(symbol, f"events.splits.{key}", event)
    for key, event in dividends:
        yield _cash_event(symbol, "dividend", f"events.dividends.{key}", event, currency)
    for key, event in gains:
        yield _cash_event(symbol, "capital_gain", f"events.capitalGains.{key}", event, currency)


def _split(symbol: str, place: str, event: object) -> SentEvent:
    ratio = ratio_of(number_of(part(event, "numerator")), number_of(part(event, "denominator")))
    return SentEvent(symbol=symbol, kind="split", place=place, sent=event, day=None, value=ratio)


def _cash_event(symbol: str, kind: EventKind, place: str, event: object, currency: str | None) -> SentEvent:
    amount, paid_in = number_of(part(event, "amount")), None
    if amount is not None:
        try:
            amount, paid_in = _cash(amount, currency_of(part(event, "currency") or None), currency)
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


def _dated_events(charts: Sequence[tuple[int, ChartValues]]) -> list[tuple[int, SentEvent]]:
    """Return the events of the charts with their pages and their days, in order."""
    stamped = [(page, chart.zone or "", event, _stamp(event)) for page, chart in charts for event in chart.events]
    by_zone = defaultdict[str, set[int]](set)
    for _, zone, _, stamp in stamped:
        by_zone[zone] |= set() if stamp is None else {stamp}
    days = {zone: dict(zip(stamps, _days_of(list(stamps), zone), strict=True)) for zone, stamps in by_zone.items()}
    return [
        (page, event if stamp is None else replace(event, day=days[zone][stamp]))
        for page, zone, event, stamp in stamped
    ]


def _stamp(event: SentEvent) -> int | None:
    """Return the stamp of an event, None where it is no second of the era."""
    stamp = part(event.sent, "date")
    return stamp if type(stamp) is int and stamp in ERA else None


def _days_of(stamps: list[int], zone: str) -> list[date]:
    """Return the session of each stamp."""
    times = (pl.Series(stamps, dtype=pl.Int64) * 1_000_000).cast(INSTANT)
    sessions: list[date] = _sessions_of(times, zone).to_list() if stamps else []
    return sessions
