"""Replies of Yahoo's chart wire: a function of a request, a history and a clock.

Pure: no I/O, no system clock. Forms and texts are those of the recordings (2021 to 2025). Volumes and dividends are not
rounded after adjustment, unlike Yahoo's, so that as-traded values can be recovered exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from pydantic_core import to_json

from quantx.sandbox.chart_meta import VALID_RANGES, chart_meta, delisted_meta, previous_close
from quantx.sandbox.chart_request import ChartRequest, ChartWindow
from quantx.sandbox.columns import FIELDS, Floats
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import Split
from quantx.sandbox.messages import WireReply
from quantx.sandbox.view import View, with_running

_DELISTED_AFTER_DAYS = 365


@dataclass(frozen=True, eq=False, kw_only=True)
class ChartData:
    """The whole of a view at an instant in Yahoo's form; cached while neither changes."""

    view: View
    now: datetime
    columns: dict[str, Floats]  # float32 promoted to double, partial in the row of a running session
    seen: int  # rows whose session has opened
    meta: dict[str, Any]


def chart_error(status: int, code: str, description: str) -> WireReply:
    """Return Yahoo's error body with its status."""
    return WireReply(status, to_json({"chart": {"result": None, "error": {"code": code, "description": description}}}))


def not_found() -> WireReply:
    """Return Yahoo's reply for an unknown symbol."""
    return chart_error(404, "Not Found", "No data found, symbol may be delisted")


def empty_chart(meta: Mapping[str, Any]) -> WireReply:
    """Return Yahoo's reply without bars: status 200 without a `timestamp` key."""
    return _chart({"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}})


def chart_data(view: View, now: datetime) -> ChartData | None:
    """Return the view in Yahoo's form at `now`, None where its first session has not opened."""
    clock = now.timestamp()
    seen = int(np.searchsorted(view.history.opens, clock, side="right"))
    if not seen:
        return None
    raw = with_running(view.history, {**view.columns, "adjclose": view.adjclose}, seen, clock)
    columns = {name: raw[name].astype(np.float32).astype(np.float64) for name in (*FIELDS[:4], "adjclose")}
    columns["volume"] = raw["volume"]
    return ChartData(view=view, now=now, columns=columns, seen=seen, meta=chart_meta(view, now, columns, seen))


def chart_reply(data: ChartData, request: ChartRequest, last_day: int) -> WireReply:
    """Return the reply to a request for daily bars; `last_day` is the newest day of the market."""
    past = data.view.history
    clock = int(data.now.timestamp())
    gone = min(day_number(data.now.date()), last_day) - int(past.days[-1]) > _DELISTED_AFTER_DAYS
    if gone and request.spans_sessions:
        return empty_chart(delisted_meta(data.view, data.now))
    window = request.window(past, data.seen, data.now)
    if not isinstance(window, ChartWindow):
        return chart_error(400, "Bad Request", window)
    first = int(np.searchsorted(past.opens[: data.seen], window.start, side="left"))
    last = int(np.searchsorted(past.opens[: data.seen], window.end, side="left"))
    if first >= last:
        if window.end <= past.opens[0]:
            text = f"Data doesn't exist for startDate = {window.start}, endDate = {window.end}"
            return chart_error(400, "Bad Request", text)
        if gone and first == len(past.days):
            return empty_chart(delisted_meta(data.view, data.now))
        return empty_chart({**data.meta, "range": request.range or "", "validRanges": VALID_RANGES})
    result: dict[str, Any] = {
        "meta": {
            **data.meta,
            "chartPreviousClose": previous_close(data.columns["close"], first),
            "range": request.range or "",
            "validRanges": VALID_RANGES,
        },
        "timestamp": _timestamps(data, first, last, clock),
    }
    events = _events(data.view, request, window)
    if events:
        result["events"] = events
    rows = slice(first, last)
    quote: dict[str, Any] = {name: data.columns[name][rows].tolist() for name in FIELDS[:4]}
    quote["volume"] = _volumes(data.columns["volume"][rows])
    adjclose = [{"adjclose": data.columns["adjclose"][rows].tolist()}]
    return _chart({**result, "indicators": {"quote": [quote], "adjclose": adjclose}})


def _chart(result: Mapping[str, Any]) -> WireReply:
    return WireReply(200, to_json({"chart": {"result": [result], "error": None}}, inf_nan_mode="null"))


def _timestamps(data: ChartData, first: int, last: int, clock: int) -> list[int]:
    """Return the opening instants, in the row of a running session the time of its last trade."""
    stamps: list[int] = data.view.history.opens[first:last].tolist()
    for i in range(len(stamps) - 1, -1, -1):
        if data.view.history.closes[first + i] <= clock:
            break
        stamps[i] = clock
    return stamps


def _volumes(values: Floats) -> list[float | int | None]:
    return [
        None if v != v else (round(v) if abs(v - round(v)) <= 1e-9 else v)  # noqa: PLR0124 — NaN
        for v in values.tolist()
    ]


def _events(view: View, request: ChartRequest, window: ChartWindow) -> dict[str, Any]:
    events: dict[str, Any] = {}
    if request.wants("div"):
        paid = [(t, amount) for t, amount in view.dividends if window.start <= t < window.end]
        if paid:
            events["dividends"] = {str(t): {"amount": amount, "date": t} for t, amount in paid}
    if request.wants("split"):
        splits = [(t, split) for t, split in view.splits if window.start <= t < window.end]
        if splits:
            events["splits"] = {str(t): _split_event(t, split) for t, split in splits}
    return events


def _split_event(t: int, split: Split) -> dict[str, Any]:
    new, old = (int(n) if n == int(n) else n for n in (split.numerator, split.denominator))
    return {"date": t, "numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}
