"""The chart of a series as columns: bars, lines of other vendors, and markers of events and findings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from quantx.core.symbols import venue_of
from quantx.core.tables import ACTIONS
from quantx.dashboard.api.bounds import check_request
from quantx.dashboard.api.resources import RESOURCES
from quantx.dashboard.series.request import SeriesRequest
from quantx.errors import NotInLake
from quantx.reader.actions import ACTION_COLUMNS
from quantx.reader.arguments import to_date
from quantx.reader.known_names import collected_warnings
from quantx.reader.lake import Lake

MOST_VALUES = 200_000  # of 20,000 bars: 76 years, or ten weeks of minutes
_MARKERS = 500
_DIGITS = 7  # of a price on the chart; the table and the data over HTTP have all
_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, kw_only=True)
class Marker:
    """A mark at a day of a chart."""

    day: date
    kind: str  # split, dividend, capital_gain, error, warn or info
    text: str


@dataclass(frozen=True, kw_only=True)
class SeriesBars:
    """The bars of a request, with the vendors that have some and what is missing."""

    request: SeriesRequest  # with the days that were read
    rows: pl.DataFrame
    vendors: Sequence[str]
    warnings: Sequence[str] = field(default_factory=tuple)

    @property
    def zone(self) -> str:
        """Return the exchange's time zone."""
        return venue_of(self.request.symbol).timezone


def read_bars(lake: Lake, request: SeriesRequest) -> SeriesBars:
    """Return the bars of a request: all days, or of minutes the last session that has some.

    Raises NotInLake for an unknown symbol, and ConfigError for a wrong argument or too many bars.
    """
    vendors, last = _stored(lake, request)
    if request.minutes and not (request.start or request.end) and last is not None:
        request = request.with_(start=last.isoformat(), end=last.isoformat())
    check_request(lake, RESOURCES["bars"], {"symbols": [request.symbol], **request.bars}, MOST_VALUES)
    with collected_warnings() as warned:
        rows = lake.bars(request.symbol, **request.bars)
    return SeriesBars(request=request, rows=rows, vendors=vendors, warnings=[str(each) for each in warned])


def chart_of(lake: Lake, bars: SeriesBars, markers: Sequence[Marker]) -> dict[str, Any]:
    """Return the columns of a chart for the script of the page.

    Times are days, or of minutes seconds since 1970 in the exchange's wall-clock time, which the chart shows as it is.
    """
    rows = bars.rows.filter(pl.all_horizontal(pl.col("open", "high", "low", "close").is_not_null()))
    shown = rows.with_columns(pl.col("open", "high", "low", "close").round_sig_figs(_DIGITS))
    columns: dict[str, Any] = {name: shown[name].to_list() for name in _COLUMNS}
    columns["time"] = _times(bars, rows)
    columns["point"] = _points(bars, rows)
    columns["lines"] = list(_lines(lake, bars))
    columns["markers"] = [] if bars.request.minutes else list(_placed(rows["date"], markers))
    columns["zone"] = bars.zone if bars.request.minutes else ""
    return columns


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The time for which a security carried the symbol; both days are inclusive."""

    instrument: str
    first: date | None  # None: since before the record began
    last: date | None  # None: still

    @property
    def day(self) -> str:
        """Return a day of that time, for the parameter `on`."""
        return str(self.last or self.first or "")

    def includes(self, day: date) -> bool:
        """Return whether the security carried the symbol on a day."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


def carriers_of(lake: Lake, symbol: str) -> list[Carried]:
    """Return the securities that carried a symbol, the latest last."""
    history = lake.symbol_history().filter(pl.col("symbol") == symbol).sort("symbol_from", nulls_last=False)
    rows = history.select("instrument", "symbol_from", "symbol_to").iter_rows()
    return [Carried(instrument=instrument, first=first, last=last) for instrument, first, last in rows]


def security_of(lake: Lake, request: SeriesRequest) -> Carried | None:
    """Return the security that the request means: the one of its day, or the latest; None without a history."""
    carriers, day = carriers_of(lake, request.symbol), to_date(request.on or None)
    latest = carriers[-1] if carriers else None
    return latest if day is None else next((each for each in carriers if each.includes(day)), latest)


def with_security(lake: Lake, request: SeriesRequest) -> SeriesRequest:
    """Return the request with the day of the latest security, where several carried the symbol and none is chosen."""
    carriers = carriers_of(lake, request.symbol)
    if request.on or len({each.instrument for each in carriers}) < 2:
        return request
    return request.with_(on=carriers[-1].day)


def actions_of(lake: Lake, request: SeriesRequest) -> pl.DataFrame:
    """Return the events of a symbol as known at the request's moment; none for a vendor that sends none."""
    given = {name: getattr(request, name) or None for name in ("as_of", "source", "on")}
    with collected_warnings():
        try:
            return lake.actions(request.symbol, **given)
        except NotInLake:
            return ACTIONS.empty().select(ACTION_COLUMNS)


def findings_of(lake: Lake, request: SeriesRequest) -> pl.DataFrame:
    """Return the findings about a symbol, under all symbols that its security has had."""
    history, chosen = lake.symbol_history(), security_of(lake, request)
    names = history.filter(pl.col("instrument") == chosen.instrument)["symbol"].to_list() if chosen else []
    about = dict.fromkeys([request.symbol, *names])
    return pl.concat([lake.findings(name, as_of=request.as_of or None) for name in about])


def markers_of(actions: pl.DataFrame, findings: pl.DataFrame) -> list[Marker]:
    """Return the markers of events and findings, by day."""
    found = [*map(_of_action, actions.iter_rows(named=True))]
    for row in findings.iter_rows(named=True):
        found += [Marker(day=day, kind=row["severity"], text=row["rule"]) for day in _days_of(row)]
    return sorted(found, key=lambda each: each.day)


def _of_action(row: dict[str, Any]) -> Marker:
    value = f"{row['value']:g}"
    text = (
        f"{value}:1 split" if row["kind"] == "split" else f"{row['kind'].replace('_', ' ')} {value} {row['currency']}"
    )
    return Marker(day=row["ex_date"], kind=row["kind"], text=text)


def _days_of(finding: dict[str, Any]) -> Iterator[date]:
    """Yield the first day of a finding, or of each gap in its facts."""
    if finding["first_day"] is not None:
        yield finding["first_day"]
        return
    gaps = (json.loads(finding["facts"]) if finding["facts"] else {}).get("gaps")
    for gap in gaps if isinstance(gaps, list) else ():
        yield date.fromisoformat(gap["first"])


def _stored(lake: Lake, request: SeriesRequest) -> tuple[list[str], date | None]:
    """Return the vendors with bars under the symbol, and the last day with one."""
    found = lake.symbols(request.timeframe, among=request.symbol)
    return (found["sources"][0].to_list(), found["last"][0]) if found.height else ([], None)


def _times(bars: SeriesBars, rows: pl.DataFrame) -> list[Any]:
    if not bars.request.minutes:
        return rows["date"].cast(pl.String).to_list()
    wall = rows["time"].dt.convert_time_zone(bars.zone).dt.replace_time_zone(None)
    return wall.dt.epoch("s").to_list()


def _points(bars: SeriesBars, rows: pl.DataFrame) -> list[str]:
    """Return what the parameter `point` has for each bar of minutes; days are their own points."""
    return [point_of(bars, at) for at in rows["time"].to_list()] if bars.request.minutes else []


def point_of(bars: SeriesBars, moment: date | datetime) -> str:
    """Return the text of a bar in the parameter `point`: 2024-06-10, or 2024-06-10T09:30 on the exchange's clock."""
    if isinstance(moment, datetime):
        return moment.astimezone(ZoneInfo(bars.zone)).strftime("%Y-%m-%dT%H:%M")
    return moment.isoformat()


def _lines(lake: Lake, bars: SeriesBars) -> Iterator[dict[str, Any]]:
    """Yield the closes of the vendors that the bars are not of."""
    if not bars.request.vendors:
        return
    shown = set(bars.rows["source"].unique()) if bars.request.source else set(bars.rows["source"].tail(1))
    for vendor in bars.vendors:
        if vendor in shown:
            continue
        try:
            with collected_warnings():
                rows = lake.bars(bars.request.symbol, **{**bars.request.bars, "source": vendor}).drop_nulls("close")
        except NotInLake:
            continue
        yield {"name": vendor, "time": _times(bars, rows), "close": rows["close"].round_sig_figs(_DIGITS).to_list()}


def _placed(days: pl.Series, markers: Sequence[Marker]) -> Iterator[dict[str, str]]:
    """Yield the markers at the first bar on or after their day: a chart has no other places."""
    for each in markers[-_MARKERS:]:
        at = int(days.search_sorted(each.day))
        if days.len() and each.day >= days[0]:
            place = days[min(at, days.len() - 1)]
            yield {"time": place.isoformat(), "kind": each.kind, "text": each.text}
