"""Recent sessions of minutes are checked as wholes; what breaks a rule becomes a finding, and is settled when it holds."""

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
from quantx.pipeline.runtime.platform import Platform

log = structlog.get_logger()

_RECENT = timedelta(days=7)
_AT_ONCE = 500  # symbols: a million minutes in a week
_BEFORE = timedelta(days=14)  # the session before the first one lies no further back
_THIN = "minutes_complete"  # of thin shares that is so each day: one finding for a series
_OVER = "the session obeys the rule now"
_ASK_AGAIN = "`quantx backfill --timeframe 1m --again --symbols {symbol} --source {source} --start {date} --end {date}` asks again"

# What a finding says: the columns of `sessions_of` are its words.
_MESSAGES = {
    "minutes_without_hole": "{source} has no minute of {symbol} for {hole} minutes in a row on {date}, and {usual:.0%} of"
    " them on other days; " + _ASK_AGAIN,
    "half_day_ends_early": "{source} has {minutes_after} minutes of {symbol} after the early close of {date}, with"
    " {volume_after:,.0f} shares in the middle one as against {volume_usual:,.0f} in the session: that is no trading after"
    " hours, so it does not know of the half day, or the calendar is wrong; " + _ASK_AGAIN,
    "opening_near_close_before": "{symbol} opens at {open:g} on {date}, {source} had closed it at {close_before:.6g} (less splits"
    " and dividends), and no bar of the day confirms the jump: look for an event that is missing, or a bad print",
    "opening_jump_confirmed": "{symbol} opens at {open:g} on {date} after a close of {close_before:.6g}; the day's bar of {source}"
    " opens at {daily_open:g}, too",
    "minutes_add_up_to_day": "the minutes of {symbol} on {date} make {open:g}, {high:g}, {low:g}, {close:g} and {volume:,}"
    " shares, the day's bar of {source} says {daily_open:g}, {daily_high:g}, {daily_low:g}, {daily_close:g} and"
    " {daily_volume:,}; " + _ASK_AGAIN,
}


def check_minutes(platform: Platform, symbols: Collection[str] | None = None, since: date | None = None) -> int:
    """Check the sessions of minutes (of `symbols`, or all) on `since` or later, and note what is wrong; how many findings.

    Without `since`, those of the last seven days: only they are read, with the days' bars beside them.
    """
    since = since or platform.clock.now().date() - _RECENT
    sessions = _read_sessions(platform, symbols, since)
    if sessions.is_empty():
        return 0
    rules = [rule for rule in SESSION_RULES if rule.id != _THIN]
    found = [finding for rule in rules for finding in _of_sessions(rule, sessions.filter(rule.broken))]
    thin, seen, findings = _thin(RULES[_THIN], sessions, since), set(sessions["symbol"]), platform.state.findings
    recent = dict.fromkeys(seen, (since, date.max))
    findings.restate([rule.id for rule in rules], None, BARS_1M.name, found, _OVER, days=recent)
    findings.restate([_THIN], None, BARS_1M.name, thin, _OVER, seen)
    log.info("minutes.checked", sessions=sessions.height, findings=len(found) + len(thin), since=str(since))
    return len(found) + len(thin)


def _read_sessions(platform: Platform, symbols: Collection[str] | None, since: date) -> pl.DataFrame:
    """Return the recent sessions of minutes; the minutes of some symbols at a time are in memory."""
    table = platform.tables[BARS_1M.name]
    recent = table.scan().filter(pl.col("month") >= since.year * 100 + since.month, pl.col("date") >= since)
    there = table.collect(recent.select("symbol").unique())["symbol"].sort()
    names = there.to_list() if symbols is None else sorted(set(there) & set(symbols))
    first, found = since - _BEFORE, []
    for start in range(0, len(names), _AT_ONCE):
        wanted = pl.col("symbol").is_in(names[start : start + _AT_ONCE])
        columns = ("source", "symbol", "date", "time", "open", "high", "low", "close", "volume", "regular")
        minutes = table.collect(recent.filter(wanted).select(columns))
        daily = platform.tables[BARS_1D.name].read(wanted & (pl.col("year") >= first.year) & (pl.col("date") >= first))
        actions = platform.tables[ACTIONS.name].read(wanted & (pl.col("ex_date") >= since))
        found.append(sessions_of(minutes, daily, actions))
    return pl.concat(found) if found else pl.DataFrame()


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
    """Return a finding per series that lacks minutes."""
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
            f"since {since} {source} has {fewest} to {most} minutes of {symbol} in {sessions} sessions, and not all of them:"
            " as of a share that is not traded each minute",
            source=source,
            dataset=BARS_1M.name,
            facts={"sessions": sessions, "fewest": fewest, "most": most},
        )
        for source, symbol, sessions, fewest, most in counted.iter_rows()
    ]
