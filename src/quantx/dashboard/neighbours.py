"""The sessions around a day: the closes of a vendor as a chart and a table, with the row in question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from quantx.core.prices import PRICES
from quantx.errors import ConfigError, NotInLake
from quantx.pages.charts import LineChart, line_chart
from quantx.pages.views import HtmlTable, table_of
from quantx.reader.known_names import collected_warnings
from quantx.reader.lake import Lake

_AROUND = timedelta(days=21)
_WIDEST = timedelta(days=180)  # a finding about a longer time has the chart of its last days
_COLUMNS = ("date", *PRICES, "volume")


@dataclass(frozen=True)
class Neighbours:
    """Sessions around a day: a chart of closes (None: fewer than two), and the table beside it."""

    chart: LineChart | None
    label: str  # what the chart shows, as text
    table: HtmlTable


def stored_bars(lake: Lake, symbol: str, source: str | None, first: date, last: date) -> pl.DataFrame | None:
    """Return the daily bars of a symbol around some days, as traded; None where the lake has none of them."""
    first = max(first, last - _WIDEST)
    try:
        with collected_warnings():  # the table shows which sessions there are
            return lake.bars(symbol, first - _AROUND, last + _AROUND, source=source or None)
    except (NotInLake, ConfigError):  # a market or a universe, or a vendor without bars of it
        return None


def neighbours(
    bars: pl.DataFrame,
    name: str,
    days: tuple[date, date],
    rejected: Mapping[str, Any] | None = None,
    state: str = "rejected",
) -> Neighbours:
    """Return the chart and the table of some bars, with a `rejected` row (date, prices, volume) by its `state`.

    The days in question are marked.
    """
    rows = bars.select(_COLUMNS).to_dicts()
    if rejected is not None:
        rows = [row for row in rows if row["date"] != rejected["date"]] + [{c: rejected.get(c) for c in _COLUMNS}]
    rows.sort(key=lambda row: row["date"])
    dates = [row["date"] for row in rows]
    odd = None if rejected is None else rejected["date"]
    kept = [_positive(row["close"]) if row["date"] != odd else 0.0 for row in rows]
    point = [_positive(row["close"]) if row["date"] == odd else 0.0 for row in rows]
    label = f"closes of {name}, {dates[0]} to {dates[-1]}" if dates else f"closes of {name}"
    if odd is not None:
        label += f"; the point is the {state} row of {odd}"
    drawn = sum(value > 0 for value in kept) > 1
    lines: list[tuple[str, str, Sequence[float]]] = [("close", "close", kept), ("rejected", "rejected", point)]
    marks = [(day, f"{day}") for day in sorted(set(days)) if dates and dates[0] <= day <= dates[-1]]
    chart = line_chart(dates, lines if any(point) else lines[:1], marks) if drawn else None
    shown = [row | {"row": state if row["date"] == odd else "in the lake"} for row in rows]
    return Neighbours(chart, label, table_of(shown, f"{label}; as traded", _HEADS))


_HEADS = {name: name for name in ("row", *_COLUMNS)}


def _positive(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0
