"""Yahoo's chart wire: a question, a history and a clock give the reply that the real service would send.

Pure: no I/O, no system clock. Forms and texts are those of the recordings (2021 to 2025); two deviations are deliberate,
so that as-traded values can be recovered exactly: volumes and dividends are not rounded after adjustment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from pydantic_core import to_json

from quantx.sandbox.asof import View, with_running
from quantx.sandbox.hours import Floats, day_number
from quantx.sandbox.market import FIELDS, Split
from quantx.sandbox.meta import VALID_RANGES, chart_meta, delisted_meta, previous_close
from quantx.sandbox.window import ChartQuestion, Window
from quantx.sandbox.wires import Reply

_DELISTED_AFTER_DAYS = 365


@dataclass(frozen=True, eq=False)
class Shown:
    """A view at an instant as Yahoo would send it whole; kept by the server while neither changes."""

    view: View
    now: datetime
    columns: dict[str, Floats]  # float32 promoted to double, a running session's last rows in part
    seen: int  # rows whose session has opened
    meta: dict[str, Any]


def chart_error(status: int, code: str, description: str) -> Reply:
    """Return Yahoo's error body with its status."""
    return Reply(status, to_json({"chart": {"result": None, "error": {"code": code, "description": description}}}))


def not_found() -> Reply:
    """Return what Yahoo says about a symbol that it does not know."""
    return chart_error(404, "Not Found", "No data found, symbol may be delisted")


def empty_chart(meta: Mapping[str, Any]) -> Reply:
    """Return Yahoo's most treacherous answer: status 200 without a `timestamp` key."""
    return _chart({"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}})


def show(view: View, now: datetime) -> Shown | None:
    """Return the view as it is sent at `now`, None where its first session has not opened."""
    clock = now.timestamp()
    seen = int(np.searchsorted(view.history.opens, clock, side="right"))
    if not seen:
        return None
    raw = with_running(view.history, {**view.columns, "adjclose": view.adjclose}, seen, clock)
    columns = {name: raw[name].astype(np.float32).astype(np.float64) for name in (*FIELDS[:4], "adjclose")}
    columns["volume"] = raw["volume"]
    return Shown(view, now, columns, seen, chart_meta(view, now, columns, seen))


def chart_reply(shown: Shown, question: ChartQuestion, last_day: int) -> Reply:
    """Return the answer to a question about daily bars; `last_day` is the newest day that the market has."""
    known = shown.view.history
    clock = int(shown.now.timestamp())
    gone = min(day_number(shown.now.date()), last_day) - int(known.days[-1]) > _DELISTED_AFTER_DAYS
    if gone and question.spans_sessions:
        return empty_chart(delisted_meta(shown.view, shown.now))
    window = question.window(known, shown.seen, shown.now)
    if not isinstance(window, Window):
        return chart_error(400, "Bad Request", window)
    first = int(np.searchsorted(known.opens[: shown.seen], window.start, side="left"))
    last = int(np.searchsorted(known.opens[: shown.seen], window.end, side="left"))
    if first >= last:
        if window.end <= known.opens[0]:
            text = f"Data doesn't exist for startDate = {window.start}, endDate = {window.end}"
            return chart_error(400, "Bad Request", text)
        if gone and first == len(known.days):
            return empty_chart(delisted_meta(shown.view, shown.now))
        return empty_chart({**shown.meta, "range": question.range or "", "validRanges": VALID_RANGES})
    result: dict[str, Any] = {
        "meta": {
            **shown.meta,
            "chartPreviousClose": previous_close(shown.columns["close"], first),
            "range": question.range or "",
            "validRanges": VALID_RANGES,
        },
        "timestamp": _timestamps(shown, first, last, clock),
    }
    events = _events(shown.view, question, window)
    if events:
        result["events"] = events
    rows = slice(first, last)
    quote: dict[str, Any] = {name: shown.columns[name][rows].tolist() for name in FIELDS[:4]}
    quote["volume"] = _volumes(shown.columns["volume"][rows])
    adjclose = [{"adjclose": shown.columns["adjclose"][rows].tolist()}]
    return _chart({**result, "indicators": {"quote": [quote], "adjclose": adjclose}})


def _chart(result: Mapping[str, Any]) -> Reply:
    return Reply(200, to_json({"chart": {"result": [result], "error": None}}, inf_nan_mode="null"))


def _timestamps(shown: Shown, first: int, last: int, clock: int) -> list[int]:
    """Opening instants; the running session's row bears the time of its last trade."""
    stamps: list[int] = shown.view.history.opens[first:last].tolist()
    for i in range(len(stamps) - 1, -1, -1):
        if shown.view.history.closes[first + i] <= clock:
            break
        stamps[i] = clock
    return stamps


def _volumes(values: Floats) -> list[float | int | None]:
    return [
        None if v != v else (round(v) if abs(v - round(v)) <= 1e-9 else v)  # noqa: PLR0124 - NaN is what differs from itself
        for v in values.tolist()
    ]


def _events(view: View, question: ChartQuestion, window: Window) -> dict[str, Any]:
    events: dict[str, Any] = {}
    if question.wants("div"):
        paid = [(t, amount) for t, amount in view.dividends if window.start <= t < window.end]
        if paid:
            events["dividends"] = {str(t): {"amount": amount, "date": t} for t, amount in paid}
    if question.wants("split"):
        splits = [(t, split) for t, split in view.splits if window.start <= t < window.end]
        if splits:
            events["splits"] = {str(t): _split_event(t, split) for t, split in splits}
    return events


def _split_event(t: int, split: Split) -> dict[str, Any]:
    new, old = (int(n) if n == int(n) else n for n in (split.numerator, split.denominator))
    return {"date": t, "numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}
