"""Charts as views: coordinates and texts, which the template `charts.html` draws as SVG without a script."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

_WIDTH, _HEIGHT, _BAR_HEIGHT = 720, 280, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 28
_FEWEST_TICKS = 3
_POINTS = 800  # a line needs no more points than pixels
_SIDE, _STEP, _NAMES, _DATES = 11, 13, 86, 44  # of the grid: a cell, a cell with its margin, the space for texts


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Lines over time, with marked days."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    ticks: Sequence[tuple[str, str]]  # y, text
    years: Sequence[tuple[str, int]]  # x, year
    marks: Sequence[tuple[str, str]]  # x, label
    lines: Sequence[tuple[str, str, str]]  # name, CSS class, points


@dataclass(frozen=True, kw_only=True)
class BarChart:
    """Bars from a line at zero, each with its name below and its value."""

    width: int
    height: int
    left: int
    right: int
    zero: str  # y
    ticks: Sequence[tuple[str, str]]  # y, text
    bars: Sequence[tuple[str, str, str, str, str, str, str]]  # x, y, width, height, CSS class, middle, name: value
    names: Sequence[tuple[str, str]]  # x, name


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
    days: Sequence[date],
    lines: Sequence[tuple[str, str, Sequence[float]]],
    marks: Sequence[tuple[date, str]] = (),
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


def bar_chart(bars: Sequence[tuple[str, float | None]], text: Callable[[float], str]) -> BarChart:
    """Return a chart of bars (name, value; None: no bar) on a linear scale that has zero."""
    known = [value for _, value in bars if value is not None]
    ticks = linear_ticks(min([0.0, *known]), max([0.0, *known]))
    low, high = ticks[0], ticks[-1]
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(bars))

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_BAR_HEIGHT - _TOP - _BOTTOM)

    drawn, names = [], []
    for number, (name, value) in enumerate(bars):
        middle = _LEFT + (number + 0.5) * step
        names.append((f"{middle:.1f}", name))
        if value is not None:
            top, bottom = sorted((y(value), y(0)))
            place = f"{middle - step * 0.35:.1f}", f"{top:.1f}", f"{step * 0.7:.1f}", f"{bottom - top:.1f}"
            drawn.append((*place, "up" if value >= 0 else "down", f"{middle:.1f}", f"{name}: {text(value)}"))
    return BarChart(
        width=_WIDTH,
        height=_BAR_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        zero=f"{y(0):.1f}",
        ticks=[(f"{y(tick):.1f}", text(tick)) for tick in ticks],
        bars=drawn,
        names=names,
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


def linear_ticks(low: float, high: float) -> list[float]:
    """Return about five round values in equal steps, the first at or below `low`, the last at or above `high`.

    >>> linear_ticks(-0.013, 0.04)
    [-0.02, 0.0, 0.02, 0.04]
    """
    span = high - low if high > low else 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= span / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, max(last, first + 1) + 1)]


def _price_ticks(low: float, high: float) -> list[float]:
    ticks = [
        m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)
    ]
    inside = [t for t in ticks if low <= t <= high]
    if len(inside) < _FEWEST_TICKS:
        inside = [t for t in linear_ticks(low, high) if low <= t <= high]
    return inside if len(inside) <= 8 else inside[:: math.ceil(len(inside) / 8)]


def _year_ticks(days: Sequence[date]) -> list[int]:
    years = range(days[0].year + 1, days[-1].year + 1)
    return list(years[:: max(1, math.ceil(len(years) / 12))])
