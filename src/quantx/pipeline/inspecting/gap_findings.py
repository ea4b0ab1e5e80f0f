"""Findings about missing sessions: one for each series, or one for a whole exchange."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

import polars as pl

from quantx.core.gap_schedule import Gap
from quantx.core.model import Finding, Series
from quantx.core.quality.gaps import MARKET_MISSING, MISSING, to_windows
from quantx.pipeline.inspecting.missing_sessions import MissingSessions
from quantx.state.findings.port import Findings

_MOST_NAMED = 3  # gaps, or reasons, in a message


def note_gaps(
    findings: Findings,
    sources: Collection[str],
    gaps: Sequence[Gap],
    missing: Sequence[MissingSessions],
    symbols: Collection[str] | None,
) -> None:
    """Note the series with open gaps, and resolve the findings of these `sources` that no longer hold.

    `symbols`: those that were searched, None: all. Only a search of all series resolves a market-wide finding.
    """
    by_series: dict[Series, list[Gap]] = defaultdict(list)
    for gap in gaps:
        by_series[gap.series].append(gap)
    current = [finding for each in missing for finding in _findings(each, by_series)]
    keys = {finding.key for finding in current}
    findings.note(current)
    by_subject = {(series.source, _dataset(series), series.symbol): some for series, some in by_series.items()}
    for rule in (MISSING, MARKET_MISSING) if symbols is None else (MISSING,):
        for old in findings.open(rule, subjects=symbols):
            if old.source in sources and old.key not in keys:
                why = _why_resolved(by_subject.get((old.source, old.dataset, old.subject), ()))
                findings.close(old.id, "resolved", "quantx", why)


def _findings(missing: MissingSessions, by_series: Mapping[Series, Sequence[Gap]]) -> list[Finding]:
    """Return the findings about the open gaps of one table."""
    here = {s: some for s, some in by_series.items() if (s.source, s.timeframe) == (missing.source, missing.timeframe)}
    open_gaps = {s: [g for g in some if g.status == "open"] for s, some in here.items()}
    requested = [(s.symbol, g.session) for s, some in open_gaps.items() for g in some]
    alone = set(missing.sessions.filter(pl.col("missing").is_null()).select("symbol", "date").iter_rows())
    own = {s: [g for g in some if (s.symbol, g.session) in alone] for s, some in open_gaps.items()}
    return [*_market_findings(missing, requested), *(_finding(series, some) for series, some in own.items() if some)]


def _dataset(series: Series) -> str:
    return f"{series.dataset}_{series.timeframe}"


def _finding(series: Series, gaps: Sequence[Gap]) -> Finding:
    windows = _windows(gaps)
    named = ", ".join(_named(w["first"], w["last"]) for w in windows[:_MOST_NAMED])
    more = f" and {len(windows) - _MOST_NAMED:,} more gaps" if len(windows) > _MOST_NAMED else ""
    what = "minutes" if series.timeframe == "1m" else "bar"
    due = min((g.due_at for g in gaps if g.due_at is not None), default=None)
    return Finding(
        MISSING,
        "warn",
        series.symbol,
        f"{series.source} has no {what} of {series.symbol} for {named}{more}; {_next(due)}",
        source=series.source,
        dataset=_dataset(series),
        facts={"times": len(gaps), "sessions": len(gaps), "gaps": windows},
    )


def _next(due: datetime | None) -> str:
    return f"the next request is due on {due:%Y-%m-%d}" if due else "a task is waiting to fetch it (`quantx work`)"


def _market_findings(missing: MissingSessions, requested: Sequence[tuple[str, date]]) -> list[Finding]:
    """Return one finding for each market-wide gap that is being requested."""
    shared = missing.sessions.filter(pl.col("missing").is_not_null())
    probes = pl.DataFrame(requested, schema={"symbol": pl.String, "date": pl.Date}, orient="row")
    shared = shared.join(probes, on=["symbol", "date"], how="semi").unique(["calendar", "date"], keep="first")
    findings = []
    for row in to_windows(shared, ("calendar",)).iter_rows(named=True):
        most = shared.filter(pl.col("calendar") == row["calendar"], pl.col("date") == row["first"]).row(0, named=True)
        findings.append(
            Finding(
                MARKET_MISSING,
                "warn",
                row["calendar"],
                f"{missing.source} has no bars on {_named(row['first'], row['last'])} for {most['missing']:,} of"
                f" {most['expected']:,} symbols of {row['calendar']}: a vendor outage, or a closure that the calendar"
                " does not have; a few probe symbols are requested again, and the others once these have the session",
                source=missing.source,
                dataset=f"bars_{missing.timeframe}",
                first_day=row["first"],
                last_day=row["last"],
                facts={"missing": most["missing"], "expected": most["expected"]},
            )
        )
    return findings


def _why_resolved(gaps: Sequence[Gap]) -> str:
    explained = sorted((g for g in gaps if g.status == "explained"), key=lambda g: g.explanation == "rejected")
    filled = sum(g.status == "filled" for g in gaps)
    reasons = [f"{filled:,} filled"] if filled else []
    reasons += list(dict.fromkeys(f"{g.explanation}: {g.reason}" for g in explained))[:_MOST_NAMED]
    return "; ".join(reasons) or "no session is missing any more"


def _windows(gaps: Sequence[Gap]) -> list[dict[str, date]]:
    rows = [(g.series.symbol, g.session) for g in gaps]
    frame = pl.DataFrame(rows, schema={"symbol": pl.String, "date": pl.Date}, orient="row")
    return to_windows(frame).select("first", "last", "sessions").to_dicts()


def _named(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"
