"""The tables of the Series page: bars, events, findings, fundamentals; and the provenance of a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from quantx.dashboard.series.chart import SeriesBars, point_of
from quantx.dashboard.series.request import FIELDS, PERIODS, SeriesRequest
from quantx.dashboard.tables import ShownColumn, ShownTable, days_of_row, shown_table
from quantx.errors import ConfigError, QuantxError
from quantx.pages.views import text_of
from quantx.reader.explain.screen import ScreenSection
from quantx.reader.known_names import collected_warnings
from quantx.reader.lake import Lake

_BARS = 50  # on a page of the table
_EVENTS = 40
_PERIODS = 8
CONCEPTS = (
    *("revenue", "gross_profit", "operating_income", "net_income", "eps_diluted", "operating_cash_flow"),
    *("capital_expenditure", "cash", "assets", "liabilities", "equity", "shares_outstanding"),
)


@dataclass(frozen=True, kw_only=True)
class BarTable:
    """One page of bars, the newest first; each row begins with a link to its provenance."""

    table: ShownTable
    first: int
    last: int
    total: int
    newer: str | None  # addresses
    older: str | None


@dataclass(frozen=True, kw_only=True)
class PointProvenance:
    """The explanation of a point, or why there is none."""

    title: str
    sections: Sequence[ScreenSection]


@dataclass(frozen=True, kw_only=True)
class AsOfRange:
    """The days between which the slider moves: as numbers of days since 1970."""

    first: int
    last: int
    value: int


def bar_table(bars: SeriesBars) -> BarTable:
    """Return the page of bars that the request names."""
    total, request = bars.rows.height, bars.request
    skipped = min((max(1, int(request.page)) - 1) * _BARS, max(0, total - 1) // _BARS * _BARS)
    page, time = skipped // _BARS + 1, "time" if request.minutes else "date"
    shown = bars.rows.reverse().slice(skipped, _BARS)

    def point(row: Mapping[str, Any]) -> str:
        return point_of(bars, row[time])

    columns = [
        ShownColumn(
            time,
            value=lambda row: point(row).replace("T", " "),
            link=lambda row: f"{request.address(point=point(row))}#point",
        ),
        *map(ShownColumn, ("open", "high", "low", "close", "volume", "adj_close", "source")),
        ShownColumn("known_from", "known since"),
    ]
    return BarTable(
        table=shown_table(shown.iter_rows(named=True), f"Bars of {request.symbol}", columns),
        first=min(skipped + 1, total),
        last=skipped + shown.height,
        total=total,
        newer=f"{request.address(page=str(page - 1))}#bars" if page > 1 else None,
        older=f"{request.address(page=str(page + 1))}#bars" if skipped + shown.height < total else None,
    )


def event_table(actions: pl.DataFrame) -> ShownTable:
    """Return the events, the newest first."""
    more = "" if actions.height <= _EVENTS else f": the newest {_EVENTS} of {actions.height:,}"
    columns = [
        ShownColumn("ex_date", "ex-date"),
        ShownColumn("kind", "event", value=lambda row: row["kind"].replace("_", " ")),
        *map(ShownColumn, ("value", "currency", "source")),
        ShownColumn("known_from", "known since"),
    ]
    return shown_table(actions.reverse().head(_EVENTS).to_dicts(), f"Splits and dividends{more}", columns)


def finding_table(findings: pl.DataFrame) -> ShownTable:
    """Return the findings, the worst first."""
    columns = [
        ShownColumn("severity", level=True),
        ShownColumn("rule"),
        ShownColumn("days", value=days_of_row),
        ShownColumn("status", level=True),
        ShownColumn("message", "finding", text=True),
    ]
    return shown_table(findings.head(_EVENTS).to_dicts(), "Open and acknowledged findings", columns)


def fundamental_table(lake: Lake, request: SeriesRequest) -> ShownTable | str:
    """Return the newest periods of the main concepts, a column per end of a period; a text where there are none.

    Each value is a link to its provenance.
    """
    period, as_of, on = PERIODS[request.period], request.as_of or None, request.on or None
    try:
        with collected_warnings() as warned:
            rows = lake.fundamentals(request.symbol, CONCEPTS, period=period, as_of=as_of, on=on)
    except QuantxError as error:
        return str(error)
    if rows.is_empty():
        return "; ".join(map(str, warned)) or "The lake has no fundamentals of this symbol."
    ends = sorted(rows["end"].unique(), reverse=True)[:_PERIODS]
    concepts: dict[str, dict[str, Any]] = {}
    for concept, unit, end, value in rows.select("concept", "unit", "end", "value").iter_rows():
        concepts.setdefault(concept, {"concept": concept})[end.isoformat()] = _amount(value)
        concepts[concept]["unit"] = unit or concepts[concept].get("unit")

    def of_end(end: str) -> ShownColumn:
        def link(row: Mapping[str, Any]) -> str:
            field = f"{row['concept']}_{period}"
            return f"{request.address(point=end, field=field)}#point" if row.get(end) else ""

        return ShownColumn(end, value=lambda row: row.get(end), link=link)

    columns = [
        ShownColumn("concept", value=lambda row: row["concept"].replace("_", " ")),
        ShownColumn("unit"),
        *(of_end(end.isoformat()) for end in ends),
    ]
    shown = [concepts[name] for name in CONCEPTS if name in concepts]
    table = shown_table(shown, f"Fundamentals by {period}, as last filed", columns)
    return replace(table, numeric=frozenset(range(2, len(columns))))


def provenance_of(lake: Lake, request: SeriesRequest) -> PointProvenance | None:
    """Return the explanation of the request's point; None if it has none."""
    if not request.point:
        return None
    day, _, minute = request.point.partition("T")
    of_bar = request.field in FIELDS
    try:
        explained = lake.explain(
            _symbol_of_day(lake, request, day) if of_bar else request.symbol,
            day,
            field=request.field,
            time=minute or None,
            source=(request.source or None) if of_bar else None,
            as_of=request.as_of or None,
        )
    except QuantxError as error:
        return PointProvenance(
            title=f"{request.symbol} {request.point}", sections=[ScreenSection("Error", [str(error)])]
        )
    return PointProvenance(title=explained.headline(), sections=explained.sections())


def _symbol_of_day(lake: Lake, request: SeriesRequest, day: str) -> str:
    """Return the symbol that the shown security had on a day: `explain` means the security that carried it then."""
    arguments = {**request.bars, "start": day, "end": day, "symbols_as": "of_day", "columns": ["symbol"]}
    with collected_warnings():
        symbols = lake.bars(request.symbol, **arguments)["symbol"]
    return str(symbols[0]) if symbols.len() else request.symbol


def as_of_range(bars: SeriesBars, known: str) -> AsOfRange | None:
    """Return the range of the slider: from the first day on which a shown row was known until today."""
    if bars.rows.is_empty() and not known:
        return None
    today = datetime.now(UTC).date()
    first: date = bars.rows["known_from"].min().date() if bars.rows.height else today  # type: ignore[union-attr]
    chosen = _day_of(known) or today
    first = min(first, chosen)
    return AsOfRange(first=_number(first), last=_number(today), value=_number(min(chosen, today)))


def _day_of(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        raise ConfigError(f"{text[:60]!r} is not a time, use YYYY-MM-DD or ISO 8601") from None


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _amount(value: float | None) -> str | None:
    """Return an amount in millions or billions where it is that large."""
    if value is None:
        return None
    for size, unit in ((1e9, " bn"), (1e6, " m")):
        if abs(value) >= size:
            return f"{value / size:,.2f}{unit}"
    return text_of(float(value))
