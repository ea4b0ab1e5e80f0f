"""What is said about sessions that series lack: one finding for each series, or one for a whole exchange."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

import polars as pl

from quantx.core.gap_schedule import Gap
from quantx.core.model import Finding, Series
from quantx.core.quality.gaps import MARKET_MISSING, MISSING, to_windows
from quantx.pipeline.inspecting.missing_sessions import Holes
from quantx.pipeline.runtime.platform import Platform

_MOST_NAMED = 3  # gaps, or reasons, that a text names


def note_gaps(platform: Platform, gaps: Sequence[Gap], holes: Sequence[Holes], symbols: Collection[str] | None) -> None:
    """Note which series lack sessions, and settle what is no more. `symbols`: those that were looked at, None: all.

    That a hole is not the market's any more is told by all of its series: a look at some settles what is about these.
    """
    by_series: dict[Series, list[Gap]] = defaultdict(list)
    for gap in gaps:
        by_series[gap.series].append(gap)
    found = [finding for each in holes for finding in _findings(each, by_series)]
    findings, keys = platform.state.findings, {finding.key for finding in found}
    findings.note(found)
    told = {(series.source, _dataset(series), series.symbol): some for series, some in by_series.items()}
    for rule in (MISSING, MARKET_MISSING) if symbols is None else (MISSING,):
        for row in findings.listed(1_000_000, status="open", rule=rule):
            in_scope = row["source"] in platform.providers and (symbols is None or row["subject"] in symbols)
            if in_scope and (rule, row["subject"], row["source"], row["dataset"], row["first_day"]) not in keys:
                why = _why_settled(told.get((row["source"], row["dataset"], row["subject"]), ()))
                findings.settle(row["id"], "resolved", "quantx", why)


def _findings(holes: Holes, by_series: Mapping[Series, Sequence[Gap]]) -> list[Finding]:
    """Return what is to be said about the open gaps of one table."""
    here = {s: some for s, some in by_series.items() if (s.source, s.timeframe) == (holes.source, holes.timeframe)}
    open_gaps = {s: [g for g in some if g.status == "open"] for s, some in here.items()}
    asked_for = [(s.symbol, g.session) for s, some in open_gaps.items() for g in some]
    alone = set(holes.sessions.filter(pl.col("missing").is_null()).select("symbol", "date").iter_rows())
    own = {s: [g for g in some if (s.symbol, g.session) in alone] for s, some in open_gaps.items()}
    return [*_market_findings(holes, asked_for), *(_finding(series, some) for series, some in own.items() if some)]


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
    return f"it is asked for it again on {due:%Y-%m-%d}" if due else "a task waits that asks for it (`quantx work`)"


def _market_findings(holes: Holes, asked_for: Sequence[tuple[str, date]]) -> list[Finding]:
    """Return one finding for each hole that most series of an exchange have, while somebody is asked for it."""
    shared = holes.sessions.filter(pl.col("missing").is_not_null())
    witnessed = pl.DataFrame(asked_for, schema={"symbol": pl.String, "date": pl.Date}, orient="row")
    shared = shared.join(witnessed, on=["symbol", "date"], how="semi").unique(["calendar", "date"], keep="first")
    found = []
    for row in to_windows(shared, ("calendar",)).iter_rows(named=True):
        most = shared.filter(pl.col("calendar") == row["calendar"], pl.col("date") == row["first"]).row(0, named=True)
        found.append(
            Finding(
                MARKET_MISSING,
                "warn",
                row["calendar"],
                f"{holes.source} lacks {_named(row['first'], row['last'])} for {most['missing']:,} of {most['expected']:,}"
                f" symbols of {row['calendar']}: it was out of order, or the exchange was closed and the calendar does not"
                " know; a few symbols are asked for again, and the others when these have the session",
                source=holes.source,
                dataset=f"bars_{holes.timeframe}",
                first_day=row["first"],
                last_day=row["last"],
                facts={"missing": most["missing"], "expected": most["expected"]},
            )
        )
    return found


def _why_settled(gaps: Sequence[Gap]) -> str:
    explained = sorted((g for g in gaps if g.status == "explained"), key=lambda g: g.explanation == "rejected")
    filled = sum(g.status == "filled" for g in gaps)
    said = [f"{filled:,} filled"] if filled else []
    said += list(dict.fromkeys(f"{g.explanation}: {g.reason}" for g in explained))[:_MOST_NAMED]
    return "; ".join(said) or "no session is missing any more"


def _windows(gaps: Sequence[Gap]) -> list[dict[str, date]]:
    rows = [(g.series.symbol, g.session) for g in gaps]
    frame = pl.DataFrame(rows, schema={"symbol": pl.String, "date": pl.Date}, orient="row")
    return to_windows(frame).select("first", "last", "sessions").to_dicts()


def _named(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"
