"""Check sessions of minutes by the session rules, and bring their findings up to date."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

import polars as pl
import structlog

from quantx.core.model import Finding
from quantx.core.quality import RULES
from quantx.core.quality.minute_session_rules import SESSION_RULES
from quantx.core.quality.minute_shift import shifted_series
from quantx.core.quality.rule import FINDING_SEVERITY, Rule
from quantx.core.tables import BARS_1M
from quantx.lake.protocol import Tables
from quantx.pipeline.inspecting.minute_reader import MinuteReader
from quantx.pipeline.inspecting.minute_shifts import note_shifts, shift_finding
from quantx.pipeline.inspecting.series import SeriesSummary
from quantx.state.findings.port import Findings

log = structlog.get_logger()

RECENT = timedelta(days=7)  # what a check after a run covers, beside the sessions that came
_THIN = "minutes_complete"  # illiquid shares violate it each day: one finding per series
_OVER = "the session obeys the rule now"
_FETCH_AGAIN = (
    "`quantx backfill --timeframe 1m --again --symbols {symbol} --source {source} --start {date} --end {date}`"
    " fetches it again"
)

# The messages of findings, filled from the columns of `sessions_of`.
_MESSAGES = {
    "minutes_without_hole": (
        "{source} has no minute of {symbol} for {longest_gap} minutes in a row on {date}, and {usual:.0%} of them on"
        " other days; " + _FETCH_AGAIN
    ),
    "minutes_fewer_than_usual": (
        "{source} has {minutes} of {expected} minutes of {symbol} on {date}, and {usual:.0%} of them on other days; "
        + _FETCH_AGAIN
    ),
    "half_day_ends_early": (
        "{source} has {minutes_after} minutes of {symbol} after the early close of {date}, with {volume_after:,.0f}"
        " shares in the median one, {volume_usual:,.0f} in the session: that is not after-hours trading, so the vendor"
        " does not apply the half day, or the calendar is wrong; " + _FETCH_AGAIN
    ),
    "opening_near_close_before": (
        "{symbol} opens at {open:g} on {date}, after a close of {close_before:.6g} at {source} (adjusted for splits and"
        " dividends), and no bar of the day confirms the jump: check for a missing event, or a bad print"
    ),
    "opening_jump_confirmed": (
        "{symbol} opens at {open:g} on {date} after a close of {close_before:.6g}; the day's bar of {source} also opens"
        " at {daily_open:g}"
    ),
    "minutes_add_up_to_day": (
        "the minutes of {symbol} on {date} add up to {open:g}, {high:g}, {low:g}, {close:g} and {volume:,} shares, the"
        " day's bar of {source} has {daily_open:g}, {daily_high:g}, {daily_low:g}, {daily_close:g} and"
        " {daily_volume:,}; " + _FETCH_AGAIN
    ),
}


def check_minutes(
    tables: Tables,
    findings: Findings,
    since: date,
    symbols: Collection[str] | None = None,
    *,
    until: date | None = None,
    source: str | None = None,
) -> SeriesSummary:
    """Check the sessions of minutes from `since` to `until` (None: all later ones), and note the findings.

    `symbols` and `source` restrict the check. Only these sessions are read (with an `until` also those of two weeks
    around them, as a measure), a month of some symbols at a time, with the daily bars of the same days. A session that
    is hours off is checked for nothing else.
    """
    reader = MinuteReader(tables, since, until, source)
    sessions, shifts = reader.read(symbols)
    shifted = shifted_series(shifts)
    regular = sessions.join(shifts.filter(pl.col("hours") != 0), on=["source", "symbol", "date"], how="anti")
    regular = regular.filter(pl.col("date").is_between(since, until or date.max))
    rules = [rule for rule in SESSION_RULES if rule.id != _THIN]
    current = [finding for rule in rules for finding in _of_sessions(rule, regular.filter(rule.broken))]
    checked = set(sessions["symbol"]) | set(shifts["symbol"])
    within = dict.fromkeys(checked, (since, until or date.max))
    new, gone = findings.restate([r.id for r in rules], source, BARS_1M.name, current, _OVER, days=within)
    noted = [(new, gone), note_shifts(findings, shifted, within, source)]
    if until is None:
        thin = _thin(RULES[_THIN], regular, since)
        noted.append(findings.restate([_THIN], source, BARS_1M.name, thin, _OVER, checked))
        current += thin
    current += map(shift_finding, shifted.iter_rows(named=True))
    log.info("minutes.checked", sessions=sessions.height, findings=len(current), since=str(since), until=str(until))
    return SeriesSummary(
        bars=reader.bars,
        symbols=len(checked),
        findings=current,
        new=sum(n for n, _ in noted),
        resolved=sum(r for _, r in noted),
    )


def _of_sessions(rule: Rule, broken: pl.DataFrame) -> list[Finding]:
    """Return a finding per session."""
    return [
        Finding(
            rule.id,
            FINDING_SEVERITY[rule.severity],
            row["symbol"],
            _MESSAGES[rule.id].format(**row),
            source=row["source"],
            dataset=BARS_1M.name,
            first_day=row["date"],
            last_day=row["date"],
        )
        for row in broken.iter_rows(named=True)
    ]


def _thin(rule: Rule, sessions: pl.DataFrame, since: date) -> list[Finding]:
    """Return a finding per series with missing minutes."""
    counted = (
        sessions.filter(rule.broken)
        .group_by("source", "symbol", maintain_order=True)
        .agg(pl.len().alias("sessions"), pl.col("minutes").min().alias("fewest"), pl.col("minutes").max().alias("most"))
    )
    return [
        Finding(
            rule.id,
            FINDING_SEVERITY[rule.severity],
            symbol,
            f"since {since} {source} has {fewest} to {most} minutes of {symbol} in {sessions} sessions, fewer than the"
            " sessions have: the share is probably not traded every minute",
            source=source,
            dataset=BARS_1M.name,
            facts={"sessions": sessions, "fewest": fewest, "most": most},
        )
        for source, symbol, sessions, fewest, most in counted.iter_rows()
    ]
