"""Withdrawn bars: sessions that a vendor had sent and sends no more. The rows stay; other vendors are compared."""

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
from quantx.lake.protocol import Tables
from quantx.pipeline.curating.normalize import Rows
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.state.findings.port import Findings, OpenFinding
from quantx.state.series.port import SeriesBook

_DAILY = (BARS_1D.name, BARS_1D_ADJUSTED.name)
_KEY = ["symbol", "date"]
# Many sessions: a number, or a share of the sessions that the vendor had sent unless these are very few. Of fewer than
# `_WHOLE` sessions a share means nothing.
_MANY, _MANY_SHARE, _FEW, _WHOLE = 20, 0.05, 2, 20
_AGAIN = "the vendor has them again"
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class _Drop:
    """The days whose bars a vendor has withdrawn."""

    symbol: str
    days: Sequence[date]
    had: int  # sessions that it had sent
    span: Window  # over which other vendors are compared
    joined: Sequence[OpenFinding] = ()  # the open findings about a part of the days


@dataclass(frozen=True, kw_only=True)
class WithdrawnBars:
    """Finds sessions in the window of new replies of which the lake has bars and the vendor sends none any more."""

    tables: Tables
    series: SeriesBook
    findings: Findings

    def note(self, parts: Sequence[tuple[Sequence[ReadReply], Rows]]) -> None:
        """Record the findings of replies and their rows; no bar is removed. A new series costs no read."""
        for items, rows in parts:
            if rows.table in _DAILY:
                self._note(items, rows)

    def _note(self, items: Sequence[ReadReply], rows: Rows) -> None:
        source = items[0].stored.series.source
        windows = self._windows(items, rows)
        if not windows:
            return
        had = self._stored(rows.table, pl.col("source") == source, windows)
        rejected = rows.quarantine.filter(pl.col("dataset") == rows.table, pl.col("date").is_not_null())
        answered = pl.concat([rows.tables[rows.table].select(_KEY), rejected.select(_KEY)])
        dropped = had.join(answered, on=_KEY, how="anti")
        new = [] if dropped.is_empty() else self._compare(source, rows.table, windows, had, dropped)
        days = {symbol: (window.start, window.end) for symbol, window in windows.items()}
        self.findings.restate([DROPPED], source, rows.table, new, _AGAIN, days=days)

    def _windows(self, items: Sequence[ReadReply], rows: Rows) -> dict[str, Window]:
        """Return the windows that the replies cover, of the series that had bars there before."""
        first, symbols = items[0].stored.series, sorted({item.symbol for item in items} & rows.coverage.keys())
        progress = self.series.progress(first.source, first.dataset, first.timeframe, symbols)
        windows = {}
        for symbol in symbols:
            covered, before = rows.coverage[symbol].covered, progress.get(symbol)
            watermark = before.watermark if before else None
            if covered is not None and watermark is not None and watermark >= covered.start:
                windows[symbol] = covered
        return windows

    def _compare(
        self, source: str, table: str, windows: Mapping[str, Window], had: pl.DataFrame, dropped: pl.DataFrame
    ) -> list[Finding]:
        """Return a finding for each symbol. Earlier findings about the same days become a part of it."""
        earlier = defaultdict[str, list[OpenFinding]](list)
        for finding in self.findings.open(DROPPED, source, table):
            earlier[finding.subject].append(finding)
        counts = dict(had.group_by("symbol").len().iter_rows())
        groups = dropped.sort(_KEY).group_by("symbol", maintain_order=True).agg("date")
        drops = [
            _join(_Drop(symbol=symbol, days=days, had=counts[symbol], span=windows[symbol]), earlier[symbol])
            for symbol, days in groups.rows()
        ]
        others = self._others(source, {drop.symbol: drop.span for drop in drops})
        for drop in drops:
            for finding in drop.joined:
                if finding.first_day != drop.days[0]:
                    reason = f"it is a part of what is missing from {drop.days[0]} on"
                    self.findings.close(finding.id, "resolved", "quantx", reason)
        return [_finding(source, table, drop, others) for drop in drops]

    def _others(self, source: str, windows: Mapping[str, Window]) -> pl.DataFrame:
        other = pl.col("source") != source
        return pl.concat([self._stored(table, other, windows) for table in _DAILY])

    def _stored(self, table: str, of_source: pl.Expr, windows: Mapping[str, Window]) -> pl.DataFrame:
        """Return source, symbol, date and volume of the stored bars in each symbol's window."""
        spans = pl.DataFrame(
            [(symbol, w.start, w.end) for symbol, w in windows.items()],
            schema={"symbol": pl.String, "from": pl.Date, "to": pl.Date},
            orient="row",
        )
        first, last = min(w.start for w in windows.values()), max(w.end for w in windows.values())
        where = of_source & pl.col("symbol").is_in(list(windows)) & pl.col("date").is_between(first, last)
        where &= pl.col("year").is_between(pl.lit(first.year), pl.lit(last.year))
        stored = self.tables[table]
        rows = stored.collect(stored.scan().filter(where).select("source", *_KEY, pl.col("volume").cast(pl.Float64)))
        inside = rows.join(spans, on="symbol").filter(pl.col("date").is_between("from", "to"))
        return inside.drop("from", "to")


def _join(drop: _Drop, earlier: Sequence[OpenFinding]) -> _Drop:
    """Return a drop with the earlier findings that overlap with it, or end or begin at the session next to it.

    Which days of the replies' window are missing depends on the replies alone.
    """
    sessions, window = calendar(venue_of(drop.symbol).calendar), drop.span
    first, last = drop.days[0], drop.days[-1]
    joined = [
        finding
        for finding in earlier
        if finding.first_day
        and finding.last_day
        and not sessions.sessions(min(last, finding.last_day) + _DAY, max(first, finding.first_day) - _DAY)
    ]
    before = {
        day
        for each in joined
        for start, end in (map(date.fromisoformat, stretch) for stretch in each.facts["stretches"])
        for day in (start, *sessions.sessions(start, end), end)
        if not window.start <= day <= window.end
    }
    days = sorted(before | set(drop.days))
    had = max([drop.had + len(before), *(each.facts["had"] for each in joined)])
    span = Window(min(window.start, days[0]), max(window.end, days[-1]))
    return _Drop(symbol=drop.symbol, days=days, had=had, span=span, joined=joined)


def _stretches(days: Sequence[date], sessions: Calendar) -> list[list[str]]:
    """Return the first and the last day of each row of sessions that follow one another."""
    stretches = [[days[0], days[0]]]
    for day in days[1:]:
        if len(sessions.sessions(stretches[-1][1], day)) == 2 and sessions.is_session(day):
            stretches[-1][1] = day
        else:
            stretches.append([day, day])
    return [[str(first), str(last)] for first, last in stretches]


def _finding(source: str, table: str, drop: _Drop, others: pl.DataFrame) -> Finding:
    """Return a finding: the missing days, compared with other vendors and the calendar.

    The drop is plausible where no other vendor has the bars: the exchange was closed, or another vendor has bars around
    these days and none of them.
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
        comparison = "no other vendor has them either, so that the drop is plausible"
    elif witnesses:
        comparison = f"{' and '.join(witnesses)} has {confirmed['date'].n_unique()} of them"
    else:
        comparison = "the lake has no second vendor's bars of these days: a backfill with --source brings them"
    severity: Severity = ("warn" if many else "info") if plausible else ("error" if many else "warn")
    return Finding(
        DROPPED,
        severity,
        symbol,
        f"{source} has no bar any more of {len(days)} of the {had} sessions that it had sent, {days[0]} to {days[-1]};"
        f" {comparison}. The rows stay; acknowledge this when you know why",
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
