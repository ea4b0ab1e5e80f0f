"""Charts as SVG text: small, printable, without a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from html import escape

_WIDTH, _HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 28
_POINTS = 800  # a line needs no more points than pixels


def line_chart(
    days: Sequence[date], lines: Sequence[tuple[str, str, Sequence[float]]], marks: Sequence[tuple[date, str]]
) -> str:
    """Return a chart of lines (name, CSS class, values over `days`) on a logarithmic scale, with marked days."""
    values = [v for _, _, series in lines for v in series if v > 0]
    low, high = math.log(min(values)), math.log(max(values))
    high = high if high > low else low + 1
    first, span = days[0].toordinal(), max(1, days[-1].toordinal() - days[0].toordinal())

    def x(day: date) -> float:
        return _LEFT + (day.toordinal() - first) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - math.log(value)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="chart">']
    for tick in _price_ticks(math.exp(low), math.exp(high)):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" class="end">{tick:g}</text>')
    for year in _year_ticks(days):
        parts.append(f'<text x="{x(date(year, 1, 1)):.1f}" y="{_HEIGHT - 8}" class="mid">{year}</text>')
    for day, label in marks:
        parts.append(f'<line class="mark" x1="{x(day):.1f}" x2="{x(day):.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        parts.append(f"<title>{escape(label)}</title>")
    step = max(1, len(days) // _POINTS)
    for name, css, series in lines:
        points = [(d, v) for d, v in zip(days, series, strict=True) if v > 0]
        shown = points[::step] + points[-1:]
        path = " ".join(f"{x(d):.1f},{y(v):.1f}" for d, v in shown)
        parts.append(f'<polyline class="{css}" points="{path}"><title>{escape(name)}</title></polyline>')
    return "".join(parts) + "</svg>"


def coverage_chart(rows: Sequence[str], columns: Sequence[date], cells: dict[tuple[str, date], str]) -> str:
    """Return a grid of symbols × sessions; `cells` gives the CSS class of those that are not simply missing."""
    side, gap, left, top = 11, 2, 86, 44
    width, height = left + len(columns) * (side + gap), top + len(rows) * (side + gap)
    parts = [f'<svg viewBox="0 0 {width} {height}" style="min-width:{width}px" role="img" class="grid-chart">']
    for i, day in enumerate(columns):
        if i % 5 == 0:
            parts.append(f'<text x="{left + i * (side + gap)}" y="{top - 8}">{day:%d %b}</text>')
    for j, symbol in enumerate(rows):
        y = top + j * (side + gap)
        parts.append(f'<text x="{left - 6}" y="{y + side - 2}" class="end">{escape(symbol)}</text>')
        for i, day in enumerate(columns):
            css = cells.get((symbol, day), "missing")
            parts.append(
                f'<rect x="{left + i * (side + gap)}" y="{y}" width="{side}" height="{side}" class="{css}">'
                f"<title>{escape(symbol)} {day}: {css}</title></rect>"
            )
    return "".join(parts) + "</svg>"


def _price_ticks(low: float, high: float) -> list[float]:
    ticks = [
        m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)
    ]
    inside = [t for t in ticks if low <= t <= high]
    return inside if len(inside) <= 8 else inside[:: math.ceil(len(inside) / 8)]


def _year_ticks(days: Sequence[date]) -> list[int]:
    years = range(days[0].year + 1, days[-1].year + 1)
    return list(years[:: max(1, math.ceil(len(years) / 12))])
