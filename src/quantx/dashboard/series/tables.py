"""The tables of the Series page: bars, events, findings, fundamentals; and the provenance of a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from quantx.dashboard.series.chart import SeriesBars, point_of
from quantx.dashboard.series.request import PERIODS, SeriesRequest
from quantx.errors import ConfigError, QuantxError
from quantx.pages.views import HtmlTable, table_of, text_of
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

    heads: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]  # address, day or minute, the other values
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
    columns = ["open", "high", "low", "close", "volume", "adj_close", "source", "known_from"]
    total, page = bars.rows.height, max(1, int(bars.request.page))
    skipped = min((page - 1) * _BARS, max(0, total - 1) // _BARS * _BARS)
    page = skipped // _BARS + 1
    time = "time" if bars.request.minutes else "date"
    shown = bars.rows.reverse().slice(skipped, _BARS)
    rows = []
    for moment, *values in shown.select(time, *columns).iter_rows():
        point = point_of(bars, moment)
        rows.append((f"{bars.request.address(point=point)}#point", point.replace("T", " "), [*map(text_of, values)]))
    more = skipped + shown.height < total
    return BarTable(
        heads=[time, *(name.replace("_", " ") for name in columns)],
        rows=rows,
        first=min(skipped + 1, total),
        last=skipped + shown.height,
        total=total,
        newer=f"{bars.request.address(page=str(page - 1))}#bars" if page > 1 else None,
        older=f"{bars.request.address(page=str(page + 1))}#bars" if more else None,
    )


def event_table(actions: pl.DataFrame) -> HtmlTable:
    """Return the events, the newest first."""
    heads = {"ex_date": "ex-date", "kind": "event", "value": "value", "currency": "currency", "source": "source"}
    rows = actions.reverse().head(_EVENTS).with_columns(pl.col("kind").str.replace_all("_", " "))
    more = "" if actions.height <= _EVENTS else f": the newest {_EVENTS} of {actions.height:,}"
    return table_of([*_dicts(rows)], f"Splits and dividends{more}", {**heads, "known_from": "known since"})


def finding_table(findings: pl.DataFrame) -> HtmlTable:
    """Return the findings, the worst first."""
    heads = {"severity": "severity", "rule": "rule", "first_day": "from", "status": "status", "message": "finding"}
    return table_of(_dicts(findings.head(_EVENTS)), "Open and acknowledged findings", heads)


def fundamental_table(lake: Lake, request: SeriesRequest) -> HtmlTable | str:
    """Return the newest periods of the main concepts, a column per end of a period; a text where there are none."""
    try:
        with collected_warnings() as warned:
            rows = lake.fundamentals(
                request.symbol, period=PERIODS[request.period], as_of=request.as_of or None, on=request.on or None
            )
    except QuantxError as error:
        return str(error)
    rows = rows.filter(pl.col("concept").is_in(CONCEPTS))
    if rows.is_empty():
        return "; ".join(map(str, warned)) or "The lake has no fundamentals of this symbol."
    ends = sorted(rows["end"].unique(), reverse=True)[:_PERIODS]
    values = {(concept, end): value for concept, end, value in rows.select("concept", "end", "value").iter_rows()}
    units = dict(rows.select("concept", "unit").iter_rows())
    shown = [name for name in CONCEPTS if name in units]
    table = [
        [name.replace("_", " "), units[name] or "–", *(_amount(values.get((name, end))) for end in ends)]
        for name in shown
    ]
    caption = f"Fundamentals by {request.period}, as last filed"
    return HtmlTable(caption, ["concept", "unit", *map(str, ends)], table, frozenset(range(2, 2 + len(ends))))


def provenance_of(lake: Lake, request: SeriesRequest) -> PointProvenance | None:
    """Return the explanation of the request's point; None if it has none."""
    if not request.point:
        return None
    day, _, minute = request.point.partition("T")
    try:
        explained = lake.explain(
            _symbol_of_day(lake, request, day),
            day,
            field=request.field,
            time=minute or None,
            source=request.source or None,
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


def _dicts(rows: pl.DataFrame) -> list[dict[str, object]]:
    return rows.to_dicts()


def _amount(value: float | None) -> str:
    """Return an amount with its unit of a thousand, a million or a billion where it is that large."""
    if value is None:
        return "–"
    for size, unit in ((1e9, " bn"), (1e6, " m")):
        if abs(value) >= size:
            return f"{value / size:,.2f}{unit}"
    return text_of(float(value))
