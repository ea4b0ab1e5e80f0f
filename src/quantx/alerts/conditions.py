"""What is wrong now, from the state, the queue and the disks of this machine: one check per rule of alerts."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import structlog

from quantx.core.alert_rules import ALERT_RULES
from quantx.core.alerts import Condition
from quantx.core.model import Severity
from quantx.errors import QuantxError
from quantx.pipeline.planning.deadline import RULE as NO_RUN
from quantx.pipeline.reporting.freshness import universe_freshness
from quantx.pipeline.reporting.monthly_cost import cost_of_month
from quantx.settings import Settings
from quantx.settings.alerts import AlertRuleSettings
from quantx.state.alerts.port import RunProblem

if TYPE_CHECKING:
    from quantx.pipeline.runtime.context import Context

log = structlog.get_logger()

# Rules of findings about different values of two vendors (core/quality: vendor_causes, action_comparison), which are
# heavy to import; a test compares them.
DISAGREEMENTS = (
    "vendor_currency",
    "vendor_events_disagree",
    "vendor_hundredfold",
    "vendor_scale",
    "vendor_shifted",
    "vendor_split",
    "vendors_disagree",
)
_UNCHANGED = AlertRuleSettings()
_RUN_DAYS = 7
_REPEATED = ("daily", "heal")
_DELIVERIES = 500
BACKUP = "backup"
_CROWD = 2000  # open findings of one rule that are read one by one
CROWD = "very many"  # the subject of a condition for more
Check = Callable[["Context", float | None, datetime], Iterator[Condition]]


@dataclass(frozen=True)
class CheckedConditions:
    """What is wrong now, and which kinds of conditions were checked: what is known about others stays as it is."""

    conditions: tuple[Condition, ...]
    checked: frozenset[str]
    unchecked_topics: frozenset[str] = frozenset()  # rules with very many findings


def check_conditions(context: Context, now: datetime, leave_out: Collection[str] = ()) -> CheckedConditions:
    """Run all checks but those left out and those that the settings switch off.

    A check that fails is logged, and its kind stays as it is.
    """
    rules = context.settings.alerts_rules
    conditions: list[Condition] = []
    checked: set[str] = set()
    for kind, check in CHECKS.items():
        if kind in leave_out:
            continue
        rule = rules.get(kind, _UNCHANGED)
        try:
            found = [] if rule.send == "never" else list(check(context, context.settings.alert_limit(kind), now))
        except QuantxError as error:
            log.warning("alerts.check_failed", check=kind, error=str(error))
            continue
        left_out = set(rule.leave_out)
        conditions += [each for each in found if left_out.isdisjoint({each.group, each.subject, *each.subject.split()})]
        checked.add(kind)
    crowded = frozenset(each.topic for each in conditions if each.subject == CROWD)
    return CheckedConditions(tuple(conditions), frozenset(checked), crowded)


def _condition(
    kind: str, subject: str, message: str, *, group: str = "", severity: Severity | None = None
) -> Condition:
    severity = severity or ALERT_RULES[kind].severity
    return Condition(kind=kind, subject=subject, message=message, severity=severity, group=group)


def _run_failed(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    """Yield ended runs with failed tasks. Daily runs and healing repeat: theirs are one condition per kind of failure.

    So a symbol that fails each day makes one message, and another failure a further one.
    """
    found: dict[tuple[str, str], list[RunProblem]] = defaultdict(list)
    for each in context.state.alert_facts.run_problems(_RUN_DAYS):
        if not each.running:
            of_runs = f"{each.source}, {each.error_class}" if each.kind in _REPEATED else f"run {each.run_id}"
            found[each.kind, of_runs].append(each)
    for (kind, subject), problems in found.items():
        newest = [problem for problem in problems if problem.run_id == problems[-1].run_id]
        tasks = sum(problem.tasks for problem in newest)
        of_run = f" of run {newest[-1].run_id}" if kind in _REPEATED else ""
        failed = f"{'1 task' if tasks == 1 else f'{tasks:,} tasks'}{of_run} failed"
        example = f", as in: {newest[-1].error}" if newest[-1].error else ""
        yield _condition("run_failed", subject, failed + example, group=kind)


def _run_late(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    for finding in context.state.findings.open(NO_RUN):
        yield _condition("run_late", finding.subject, finding.message)
    for run in context.state.alert_facts.run_problems(_RUN_DAYS):
        if run.unfinished and limit is not None and now - run.created_at > timedelta(hours=limit):
            hours = (now - run.created_at).total_seconds() / 3600
            waiting = "1 unfinished task" if run.tasks == 1 else f"{run.tasks:,} unfinished tasks"
            yield _condition("run_late", f"{run.kind} run {run.run_id}", f"{waiting} after {hours:.0f} hours")


def _freshness_missed(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    for each in universe_freshness(context.state.alert_facts, context.settings, now):
        # Before the first bars `run_late` reports that a run is missing.
        if each.with_bars and limit is not None and each.missing_share > limit:
            behind = each.members - each.current
            message = f"{behind:,} of {each.members:,} members lack the session that is due ({each.due})"
            yield _condition("freshness_missed", each.universe, f"{message}; the newest is {each.newest}")


def _finding(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    rows, crowded = context.state.alert_facts.open_findings((), _CROWD)
    others = (NO_RUN, *DISAGREEMENTS)
    yield from (_of_finding("finding", row) for row in rows if row["rule"] not in others)
    yield from (_crowd("finding", rule, count) for rule, count in crowded.items() if rule not in others)


def _vendor_disagreement(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    rows, crowded = context.state.alert_facts.open_findings(DISAGREEMENTS, _CROWD)
    yield from (_of_finding("vendor_disagreement", row) for row in rows if row["rule"] in DISAGREEMENTS)
    yield from (_crowd("vendor_disagreement", rule, n) for rule, n in crowded.items() if rule in DISAGREEMENTS)


def _crowd(kind: str, rule: str, count: int) -> Condition:
    """Return the one condition of a rule with very many findings."""
    return _condition(kind, CROWD, f"more than {_CROWD:,} open findings ({count:,})", group=rule)


def _of_finding(kind: str, row: Mapping[str, object]) -> Condition:
    parts = (row["subject"], row["source"], row["dataset"], row["first_day"])
    subject = " ".join(str(part) for part in parts if part)
    severity: Severity = row["severity"]  # type: ignore[assignment]
    return _condition(kind, subject, str(row["message"]), group=str(row["rule"]), severity=severity)


def _circuit_open(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    for row in context.state.alert_facts.refused_since():
        since = row["refused_since"]
        if since is not None and limit is not None and now - since > timedelta(minutes=limit):
            minutes = (now - since).total_seconds() / 60
            message = f"it has refused requests for {minutes:,.0f} minutes: {row['reason'] or 'no reason given'}"
            yield _condition("circuit_open", row["source"], message)


def _poison(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    poisoned = context.queue.depth().poisoned
    if poisoned:
        are = "message is" if poisoned == 1 else "messages are"
        yield _condition("poison", "queue", f"{poisoned:,} {are} in the poison queue")


def _cost_above_budget(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    if limit is None:
        return
    estimated = cost_of_month(context.state.runs)
    if estimated is not None and estimated.total > limit:
        message = f"{estimated.total:,.2f} US dollars a month, estimated; the budget is {limit:,.2f}"
        yield _condition("cost_above_budget", "month", message)


def _backup_failed(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    outcomes = {outcome.job: outcome for outcome in context.state.job_outcomes.listed()}
    outcome = outcomes.get(BACKUP)
    if outcome is not None and outcome.failed:
        yield _condition("backup_failed", "last backup", f"it failed: {outcome.error}")
    last = None if outcome is None else outcome.succeeded_at
    if limit is not None and (last is None or now - last > timedelta(hours=limit)):
        known = "there is none yet" if last is None else f"the last one is of {last:%Y-%m-%d %H:%M} UTC"
        yield _condition("backup_failed", "age", f"no good backup within {limit:g} hours: {known}")


def _disk(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    devices = set()
    for path in local_folders(context.settings, context.location.url):
        try:
            device, usage = path.stat().st_dev, shutil.disk_usage(path)
        except OSError:
            continue  # the check of the lake names its reason
        if device in devices or limit is None:
            continue
        devices.add(device)
        free = 100 * usage.free / usage.total if usage.total else 100.0
        if free < limit:
            yield _condition("disk", str(path), f"{free:.1f} % free, {usage.free / 1e9:,.1f} GB")


def _alert_undelivered(context: Context, limit: float | None, now: datetime) -> Iterator[Condition]:
    ended: set[str] = set()
    for row in context.state.alerts.deliveries(_DELIVERIES):  # the newest first
        channel = str(row["channel"])
        if row["state"] == "waiting" or channel in ended:
            continue
        ended.add(channel)
        if row["state"] == "dead":
            message = f"a message was not accepted after {row['attempts']:,} attempts: {row['last_error']}"
            yield _condition("alert_undelivered", channel, message)


def local_folders(settings: Settings, lake_url: str) -> list[Path]:
    """Return the folders of this machine in which the lake and the embedded database lie."""
    folders = []
    for url in (lake_url, settings.state_url):
        parts = urlsplit(url)
        if parts.scheme in ("", "file"):
            folders.append(Path(unquote(parts.path)).absolute())
    return folders


CHECKS: Mapping[str, Check] = {
    "run_failed": _run_failed,
    "run_late": _run_late,
    "freshness_missed": _freshness_missed,
    "finding": _finding,
    "vendor_disagreement": _vendor_disagreement,
    "circuit_open": _circuit_open,
    "poison": _poison,
    "cost_above_budget": _cost_above_budget,
    "backup_failed": _backup_failed,
    "disk": _disk,
    "alert_undelivered": _alert_undelivered,
}
