"""Charts as views: coordinates and texts, which the template `charts.html` draws as SVG without a script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

_WIDTH, _HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 28
_POINTS = 800  # a line needs no more points than pixels
_SIDE, _STEP, _NAMES, _DATES = 11, 13, 86, 44  # of the grid: a cell, a cell with its margin, the space for texts


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Lines on a logarithmic scale, with marked days."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    ticks: Sequence[tuple[str, str]]  # y, price
    years: Sequence[tuple[str, int]]  # x, year
    marks: Sequence[tuple[str, str]]  # x, label
    lines: Sequence[tuple[str, str, str]]  # name, CSS class, points


@dataclass(frozen=True, kw_only=True)
class GridChart:
    """A grid of symbols × sessions."""

    width: int
    height: int
    side: int
    names_end: int
    dates_y: int
    dates: Sequence[tuple[int, str]]  # x, text
    rows: Sequence[tuple[int, str, Sequence[tuple[int, date, str]]]]  # y, symbol, cells: x, day, CSS class


def line_chart(
    days: Sequence[date], lines: Sequence[tuple[str, str, Sequence[float]]], marks: Sequence[tuple[date, str]]
) -> LineChart:
    """Return a chart of lines (name, CSS class, values over `days`) on a logarithmic scale, with marked days."""
    values = [v for _, _, series in lines for v in series if v > 0]
    low, high = math.log(min(values)), math.log(max(values))
    high = high if high > low else low + 1
    first, span = days[0].toordinal(), max(1, days[-1].toordinal() - days[0].toordinal())

    def x(day: date) -> str:
        return f"{_LEFT + (day.toordinal() - first) / span * (_WIDTH - _LEFT - _RIGHT):.1f}"

    def y(value: float) -> str:
        return f"{_TOP + (high - math.log(value)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM):.1f}"

    def points(series: Sequence[float]) -> str:
        step = max(1, len(days) // _POINTS)
        positive = [(d, v) for d, v in zip(days, series, strict=True) if v > 0]
        return " ".join(f"{x(d)},{y(v)}" for d, v in positive[::step] + positive[-1:])

    return LineChart(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
        ticks=[(y(tick), f"{tick:g}") for tick in _price_ticks(math.exp(low), math.exp(high))],
        years=[(x(date(year, 1, 1)), year) for year in _year_ticks(days)],
        marks=[(x(day), label) for day, label in marks],
        lines=[(name, css, points(series)) for name, css, series in lines],
    )


def coverage_chart(symbols: Sequence[str], days: Sequence[date], levels: Mapping[tuple[str, date], str]) -> GridChart:
    """Return a grid of symbols × sessions; `levels` has the CSS classes of all cells but the missing ones."""
    places = [_NAMES + i * _STEP for i in range(len(days))]
    rows = [
        (
            _DATES + j * _STEP,
            symbol,
            [(x, day, levels.get((symbol, day), "missing")) for x, day in zip(places, days, strict=True)],
        )
        for j, symbol in enumerate(symbols)
    ]
    return GridChart(
        width=_NAMES + len(days) * _STEP,
        height=_DATES + len(symbols) * _STEP,
        side=_SIDE,
        names_end=_NAMES - 6,
        dates_y=_DATES - 8,
        dates=[(x, f"{day:%d %b}") for x, day in list(zip(places, days, strict=True))[::5]],
        rows=rows,
    )


def _price_ticks(low: float, high: float) -> list[float]:
    ticks = [
        m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)
    ]
    inside = [t for t in ticks if low <= t <= high]
    return inside if len(inside) <= 8 else inside[:: math.ceil(len(inside) / 8)]


def _year_ticks(days: Sequence[date]) -> list[int]:
    years = range(days[0].year + 1, days[-1].year + 1)
    return list(years[:: max(1, math.ceil(len(years) / 12))])
