"""Check recent sessions of minutes by the session rules, and bring their findings up to date."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

import polars as pl
import structlog

from quantx.core.model import Finding
from quantx.core.quality import RULES
from quantx.core.quality.minute_session_rules import SESSION_RULES, sessions_of
from quantx.core.quality.rule import FINDING_SEVERITY, Rule
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M
from quantx.lake.protocol import Tables
from quantx.state.findings.port import Findings

log = structlog.get_logger()

RECENT = timedelta(days=7)  # what a check after a run covers
_AT_ONCE = 500  # symbols: a million minutes in a week
_BEFORE = timedelta(days=14)  # the previous session is at most so far back
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


def check_minutes(tables: Tables, findings: Findings, since: date, symbols: Collection[str] | None = None) -> int:
    """Check the sessions of minutes (of `symbols`, or all) from `since` on, note the findings and return their number.

    Only these sessions are read, with the daily bars of the same days.
    """
    sessions = _read_sessions(tables, symbols, since)
    if sessions.is_empty():
        return 0
    rules = [rule for rule in SESSION_RULES if rule.id != _THIN]
    current = [finding for rule in rules for finding in _of_sessions(rule, sessions.filter(rule.broken))]
    thin, checked = _thin(RULES[_THIN], sessions, since), set(sessions["symbol"])
    recent = dict.fromkeys(checked, (since, date.max))
    findings.restate([rule.id for rule in rules], None, BARS_1M.name, current, _OVER, days=recent)
    findings.restate([_THIN], None, BARS_1M.name, thin, _OVER, checked)
    log.info("minutes.checked", sessions=sessions.height, findings=len(current) + len(thin), since=str(since))
    return len(current) + len(thin)


def _read_sessions(tables: Tables, symbols: Collection[str] | None, since: date) -> pl.DataFrame:
    """Return the recent sessions of minutes; the minutes of some symbols at a time are in memory."""
    table = tables[BARS_1M.name]
    recent = table.scan().filter(pl.col("month") >= since.year * 100 + since.month, pl.col("date") >= since)
    stored = table.collect(recent.select("symbol").unique())["symbol"].sort()
    names = stored.to_list() if symbols is None else sorted(set(stored) & set(symbols))
    first, sessions = since - _BEFORE, []
    for start in range(0, len(names), _AT_ONCE):
        wanted = pl.col("symbol").is_in(names[start : start + _AT_ONCE])
        columns = ("source", "symbol", "date", "time", "open", "high", "low", "close", "volume", "regular")
        minutes = table.collect(recent.filter(wanted).select(columns))
        daily = tables[BARS_1D.name].read(wanted & (pl.col("year") >= first.year) & (pl.col("date") >= first))
        actions = tables[ACTIONS.name].read(wanted & (pl.col("ex_date") >= since))
        sessions.append(sessions_of(minutes, daily, actions))
    return pl.concat(sessions) if sessions else pl.DataFrame()


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
