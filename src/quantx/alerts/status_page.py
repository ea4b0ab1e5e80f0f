"""The status page `reports/status.html`: one self-contained file without a script, for the morning's look.

It is written at the end of each work and each sweep, and states when, and until when it can be relied on: a page that
nobody writes any more must not look fresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from quantx.alerts.channels.texts import plain
from quantx.alerts.view import open_alerts
from quantx.core.model import SEVERITIES
from quantx.pages.render import render_page
from quantx.pages.views import HtmlTable, first_of, table_of
from quantx.pipeline.reporting.freshness import UniverseFreshness, next_due, universe_freshness

if TYPE_CHECKING:
    from quantx.pipeline.runtime.context import Context

PATH = "reports/status.html"
_RUNS, _ALERTS = 5, 30  # that the page shows

_FROM_DATA = ("group", "subject", "message")  # of an alert

Level = Literal["good", "part", "bad"]


@dataclass(frozen=True, kw_only=True)
class StatusFacts:
    """What the page shows."""

    name: str  # of the installation
    lake: str
    written_at: datetime
    fresh_until: datetime  # a further session is due then
    limit: float  # per cent of members with recent bars that may lack the session that is due
    universes: Sequence[UniverseFreshness]
    alerts: Sequence[Mapping[str, Any]]
    runs: Sequence[Mapping[str, Any]]
    findings: Mapping[str, int]  # open ones by severity


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to the question of the morning."""

    level: Level
    headline: str
    reasons: Sequence[str]


def write_status_page(context: Context) -> str:
    """Write the page into the lake, and return its path."""
    context.location.put(PATH, status_page(status_facts(context)).encode())
    return PATH


def status_facts(context: Context) -> StatusFacts:
    """Return the facts of the page, from the state alone."""
    now, settings, state = context.clock.now(), context.settings, context.state
    return StatusFacts(
        name=settings.alerts_name,
        lake=context.location.url,
        written_at=now,
        fresh_until=next_due(settings, now),
        limit=settings.alert_limit("freshness_missed") or 0.0,
        universes=universe_freshness(state.alert_facts, settings, now),
        alerts=open_alerts(state),
        runs=state.runs.recent(_RUNS),
        findings=state.findings.count_open(),
    )


def verdict_of(facts: StatusFacts) -> Verdict:
    """Return whether today's numbers can be used, and why not.

    They can't where a universe is `bad` by `freshness_level`. An open alert of
    severity error is named, but need not concern all numbers.
    """
    stale = [each for each in facts.universes if each.level(facts.limit) == "bad"]
    errors = sum(alert["severity"] == "error" for alert in facts.alerts)
    reasons = [_missing(each) for each in stale]
    if not facts.universes:
        reason = "No universe is declared for daily updates: this page can't say whether its sessions are complete."
        return Verdict(level="part", headline="No universe is updated daily", reasons=[reason])
    if stale:
        usable = len(facts.universes) - len(stale)
        headline = "Today's numbers are not complete" if not usable else "Some of today's numbers are not complete"
        return Verdict(level="bad", headline=headline, reasons=reasons)
    partly = [_missing(each) for each in facts.universes if each.current < each.members]
    if errors:
        partly.append(f"{errors:,} open {'alert' if errors == 1 else 'alerts'} of severity error: see below.")
        return Verdict(level="part", headline="Complete, with open errors", reasons=partly)
    return Verdict(level="good", headline="Today's numbers can be used", reasons=partly)


def _missing(each: UniverseFreshness) -> str:
    behind = each.members - each.current
    return f"{plain(each.universe)}: {behind:,} of {each.members:,} members lack the session of {each.due}."


def status_page(facts: StatusFacts) -> str:
    """Return the page as HTML."""
    return render_page(
        "quantx.alerts",
        "status.html",
        name=facts.name,
        lake=facts.lake,
        verdict=verdict_of(facts),
        written_at=facts.written_at,
        fresh_until=facts.fresh_until,
        alerts=[{**a, **{n: plain(str(a[n])) for n in _FROM_DATA}} for a in facts.alerts[:_ALERTS]],
        alerts_title=first_of("Open alerts", min(len(facts.alerts), _ALERTS), len(facts.alerts)),
        universes=_universes(facts),
        runs=_runs(facts.runs),
        findings=", ".join(f"{facts.findings[s]:,} {s}" for s in SEVERITIES if facts.findings.get(s)) or "none",
    )


def _universes(facts: StatusFacts) -> HtmlTable:
    heads = {
        "universe": "universe",
        "current": "up to date",
        "members": "members",
        "due": "session due",
        "newest": "newest",
    }
    return table_of([{name: getattr(each, name) for name in heads} for each in facts.universes], "Universes", heads)


def _runs(runs: Sequence[Mapping[str, Any]]) -> HtmlTable:
    heads = {
        "created_at": "planned (UTC)",
        "kind": "run",
        "success": "done",
        "failed": "failed",
        "ended": "ended (UTC)",
    }
    rows = [{**run, "ended": run["finished_at"] or "not yet"} for run in runs]
    return table_of(rows, "Last runs", heads)
