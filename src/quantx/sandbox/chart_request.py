"""A chart request of Yahoo's wire, and its window of time."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from quantx.sandbox.chart_meta import VALID_RANGES
from quantx.sandbox.hours import hours_of
from quantx.sandbox.market import PriceHistory

_INTERVALS = ("1m", "2m", "5m", "15m", "30m", "60m", "90m", "1h", "4h", "1d", "5d", "1wk", "1mo", "3mo")
_SESSIONS = {"1d": 1, "5d": 5}
_MONTHS = {"1mo": 1, "3mo": 3, "6mo": 6, "1y": 12, "2y": 24, "5y": 60, "10y": 120}
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,12}")


@dataclass(frozen=True)
class ChartWindow:
    """Unix seconds, start inclusive, end exclusive."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class ChartRequest:
    """The checked query string of `/v8/finance/chart/{symbol}`; None for absent parameters."""

    period1: int | None
    period2: int | None
    range: str | None
    interval: str
    events: frozenset[str]

    def wants(self, kind: str) -> bool:
        """Return whether events of a kind ("div", "split") are requested."""
        return any(event.startswith(kind) for event in self.events)

    @property
    def spans_sessions(self) -> bool:
        """Whether the request is for the newest sessions, however old these are."""
        return self.period1 is None and self.period2 is None and (self.range or "1d") in _SESSIONS

    def window(self, past: PriceHistory, seen: int, now: datetime) -> ChartWindow | str:
        """Return the requested window (`seen` rows have begun at `now`), or the text of Yahoo's refusal."""
        clock = int(now.timestamp()) + 1
        if self.period1 is None and self.period2 is None:
            return ChartWindow(self._start_of_range(past, seen, now), clock)
        start = 0 if self.period1 is None else self.period1
        end = clock if self.period2 is None else self.period2
        if start >= end:
            return f"Invalid input - start date cannot be after end date. startDate = {start}, endDate = {end}"
        return ChartWindow(start, end)

    def _start_of_range(self, past: PriceHistory, seen: int, now: datetime) -> int:
        name = self.range or "1d"
        if name == "max":
            return int(past.opens[0])
        if name in _SESSIONS:
            opened = sorted({int(t) for t in past.opens[max(0, seen - 2 * _SESSIONS[name]) : seen]})
            return opened[max(0, len(opened) - _SESSIONS[name])]
        local = now.astimezone(hours_of(past.venue).zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if name == "ytd":
            return int(midnight.replace(month=1, day=1).timestamp())
        return int(_months_before(midnight, _MONTHS[name]).timestamp())


def parse_chart_request(params: Mapping[str, str]) -> ChartRequest | tuple[int, str, str]:
    """Return the request, or (status, code, description) of Yahoo's refusal."""
    interval, span = params.get("interval", "1d"), params.get("range")
    if interval not in _INTERVALS:
        text = f"Invalid input - interval={interval[:20]} is not supported. Valid intervals: [{', '.join(_INTERVALS)}]"
        return 400, "Bad Request", text
    if interval != "1d":
        return 422, "Unprocessable Entity", f"{interval} data not available: the sandbox has daily data only"
    if span is not None and span not in VALID_RANGES:
        return 400, "Bad Request", f"Invalid input - range={span[:20]} is not supported. Valid ranges: {VALID_RANGES}"
    periods: list[int | None] = []
    for name in ("period1", "period2"):
        text = params.get(name, "")
        if text and not _WHOLE_NUMBER.fullmatch(text):
            return 400, "Bad Request", f"Invalid input - {name}={text[:20]} is not a number of seconds"
        periods.append(int(text) if text else None)
    return ChartRequest(
        period1=periods[0],
        period2=periods[1],
        range=span,
        interval=interval,
        events=frozenset(re.split(r"[,|]", params.get("events", ""))),
    )


def _months_before(day: datetime, months: int) -> datetime:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return day.replace(year=year, month=month + 1, day=min(day.day, monthrange(year, month + 1)[1]))
