"""A vendor that does not send any more what it had sent: the rows stay, and a second vendor is heard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from quantx.core.calendars import Calendar, calendar
from quantx.core.model import Finding, Severity, Window
from quantx.core.quality.vendor_causes import DROPPED
from quantx.core.symbols import venue_of
from quantx.core.tables import BARS_1D, BARS_1D_ADJUSTED
from quantx.pipeline.curating.normalize import Landed, Rows
from quantx.pipeline.runtime.platform import Platform
from quantx.state.values import Row

_DAILY = (BARS_1D.name, BARS_1D_ADJUSTED.name)
_KEY = ["symbol", "date"]
# So many, or such a share of what it had there unless these are very few; of fewer than `_WHOLE` a share says nothing.
_MANY, _MANY_SHARE, _FEW, _WHOLE = 20, 0.05, 2, 20
_AGAIN = "the vendor has them again"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class _Drop:
    """The days of which a vendor has no bar any more, of so many sessions that it had sent."""

    symbol: str
    days: Sequence[date]
    had: int
    span: Window  # in which other vendors are heard
    joined: Sequence[Row] = ()  # the open findings about a part of it


def note_dropped(platform: Platform, parts: Sequence[tuple[Sequence[Landed], Rows]]) -> None:
    """Note where replies lack sessions of their window of which the lake has bars from the same vendor.

    Nothing is removed. A series that is asked for the first time costs no read.
    """
    for items, rows in parts:
        if rows.table in _DAILY:
            _note(platform, items, rows)


def _note(platform: Platform, items: Sequence[Landed], rows: Rows) -> None:
    source = items[0].source
    windows = _known_windows(platform, items, rows)
    if not windows:
        return
    had = _stored(platform, rows.table, pl.col("source") == source, windows)
    rejected = rows.quarantine.filter(pl.col("dataset") == rows.table, pl.col("date").is_not_null())
    answered = pl.concat([rows.tables[rows.table].select(_KEY), rejected.select(_KEY)])
    dropped = had.join(answered, on=_KEY, how="anti")
    found = [] if dropped.is_empty() else _tell(platform, source, rows.table, windows, had, dropped)
    days = {symbol: (window.start, window.end) for symbol, window in windows.items()}
    platform.state.findings.restate([DROPPED], source, rows.table, found, _AGAIN, days=days)


def _tell(
    platform: Platform,
    source: str,
    table: str,
    windows: Mapping[str, Window],
    had: pl.DataFrame,
    dropped: pl.DataFrame,
) -> list[Finding]:
    """Return a finding for each symbol; those of before about the same days become a part of it."""
    findings, told = platform.state.findings, defaultdict[str, list[Row]](list)
    for row in findings.listed(1_000_000, status="open", rule=DROPPED):
        if (row["source"], row["dataset"]) == (source, table):
            told[row["subject"]].append(row)
    counts = dict(had.group_by("symbol").len().iter_rows())
    groups = dropped.sort(_KEY).group_by("symbol", maintain_order=True).agg("date")
    drops = [
        _join(_Drop(symbol, days, counts[symbol], windows[symbol]), told[symbol]) for symbol, days in groups.rows()
    ]
    others = _others(platform, source, {drop.symbol: drop.span for drop in drops})
    for drop in drops:
        for row in drop.joined:
            if row["first_day"] != drop.days[0]:
                findings.settle(
                    row["id"], "resolved", "quantx", f"it is a part of what is missing from {drop.days[0]} on"
                )
    return [_finding(source, table, drop, others) for drop in drops]


def _join(drop: _Drop, told: Sequence[Row]) -> _Drop:
    """Return a drop with those of before that overlap with it, or end or begin at the session next to it.

    Of days in the replies' window the replies say what is missing.
    """
    sessions, window = calendar(venue_of(drop.symbol).calendar), drop.span
    first, last = drop.days[0], drop.days[-1]
    joined = [
        row
        for row in told
        if not sessions.sessions(min(last, row["last_day"]) + _DAY, max(first, row["first_day"]) - _DAY)
    ]
    before = {
        day
        for row in joined
        for start, end in (map(date.fromisoformat, stretch) for stretch in row["facts"]["stretches"])
        for day in (start, *sessions.sessions(start, end), end)
        if not window.start <= day <= window.end
    }
    days = sorted(before | set(drop.days))
    had = max([drop.had + len(before), *(row["facts"]["had"] for row in joined)])
    span = Window(min(window.start, days[0]), max(window.end, days[-1]))
    return _Drop(drop.symbol, days, had, span, joined)


def _stretches(days: Sequence[date], sessions: Calendar) -> list[list[str]]:
    """Return the first and the last day of each row of sessions that follow one another."""
    found = [[days[0], days[0]]]
    for day in days[1:]:
        if len(sessions.sessions(found[-1][1], day)) == 2 and sessions.is_session(day):
            found[-1][1] = day
        else:
            found.append([day, day])
    return [[str(first), str(last)] for first, last in found]


def _known_windows(platform: Platform, items: Sequence[Landed], rows: Rows) -> dict[str, Window]:
    """Return what the replies have answered, of the series that had bars there before."""
    first, symbols = items[0], sorted({item.symbol for item in items} & rows.coverage.keys())
    known = platform.state.series.progress(first.source, first.dataset, first.timeframe, symbols)
    found = {}
    for symbol in symbols:
        covered, progress = rows.coverage[symbol].covered, known.get(symbol)
        watermark = progress.watermark if progress else None
        if covered is not None and watermark is not None and watermark >= covered.start:
            found[symbol] = covered
    return found


def _stored(platform: Platform, table: str, whose: pl.Expr, windows: Mapping[str, Window]) -> pl.DataFrame:
    """Return source, symbol, date and volume of the stored bars in each symbol's window."""
    spans = pl.DataFrame(
        [(symbol, w.start, w.end) for symbol, w in windows.items()],
        schema={"symbol": pl.String, "from": pl.Date, "to": pl.Date},
        orient="row",
    )
    first, last = min(w.start for w in windows.values()), max(w.end for w in windows.values())
    wanted = whose & pl.col("symbol").is_in(list(windows)) & pl.col("date").is_between(first, last)
    wanted &= pl.col("year").is_between(pl.lit(first.year), pl.lit(last.year))
    stored = platform.tables[table]
    rows = stored.collect(stored.scan().filter(wanted).select("source", *_KEY, pl.col("volume").cast(pl.Float64)))
    inside = rows.join(spans, on="symbol").filter(pl.col("date").is_between("from", "to"))
    return inside.drop("from", "to")


def _others(platform: Platform, source: str, windows: Mapping[str, Window]) -> pl.DataFrame:
    other = pl.col("source") != source
    return pl.concat([_stored(platform, table, other, windows) for table in _DAILY])


def _finding(source: str, table: str, drop: _Drop, others: pl.DataFrame) -> Finding:
    """Say what is missing, and what a second vendor and the calendar say of it.

    The drop is plausible where nobody else has the bars: the exchange was closed, or another vendor has bars around these
    days and none of them.
    """
    symbol, days, had = drop.symbol, drop.days, drop.had
    sessions, here = calendar(venue_of(symbol).calendar), others.filter(pl.col("symbol") == symbol)
    open_ = [day for day in days if sessions.is_session(day)]
    spans = here.group_by("source").agg(pl.col("date").min().alias("from"), pl.col("date").max().alias("to"))
    around = pl.DataFrame({"date": open_}, schema={"date": pl.Date}).join(spans, how="cross")
    around = around.filter(pl.col("date").is_between("from", "to"))
    confirmed = here.filter(pl.col("date").is_in(open_), pl.col("volume").fill_null(1) > 0)
    doubted = around.join(confirmed, on="date", how="anti")["date"].n_unique() + len(days) - len(open_)
    plausible = doubted == len(days)
    many = len(days) > _MANY or (had >= _WHOLE and len(days) > max(_FEW, had * _MANY_SHARE))
    witnesses = sorted(set(confirmed["source"]))
    if plausible:
        said = "no other vendor has them either, so that the drop is plausible"
    elif witnesses:
        said = f"{' and '.join(witnesses)} has {confirmed['date'].n_unique()} of them"
    else:
        said = "the lake has no second vendor's bars of these days: a backfill with --source brings them"
    severity: Severity = ("warn" if many else "info") if plausible else ("error" if many else "warn")
    return Finding(
        DROPPED,
        severity,
        symbol,
        f"{source} has no bar any more of {len(days)} of the {had} sessions that it had sent, {days[0]} to {days[-1]};"
        f" {said}. The rows stay; acknowledge this when you know why",
        source=source,
        dataset=table,
        first_day=days[0],
        last_day=days[-1],
        facts={
            "dropped": len(days),
            "had": had,
            "confirmed": confirmed["date"].n_unique(),
            "witnesses": witnesses,
            "verdict": "plausible" if plausible else "trusted",
            "stretches": _stretches(days, sessions),
        },
    )
