"""The answer of the overview: whether today's numbers can be used, and if not, why and what to do.

Everything here is pure: facts → texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal
from urllib.parse import quote

from quantx.dashboard.freshness import DueTimes, FreshUniverse
from quantx.dashboard.tables import shortened
from quantx.pipeline.reporting.freshness import RECENT

Answer = Literal["good", "warn", "bad", "unknown"]
_ORDER = ("bad", "unknown", "warn", "good")
_ANSWERS: Mapping[Answer, str] = {
    "good": "Yes: today's numbers can be used.",
    "warn": "Yes, today's numbers can be used, with the exceptions below.",
    "bad": "No: today's numbers can't be used yet, for the reasons below.",
    "unknown": "Whether today's numbers can be used is not known.",
}
_OWN_REASONS = ("circuit_open", "finding", "freshness_missed", "poison")  # alerts about what this page sees by itself
_LATE_QUEUE = 3600.0  # seconds that a message waits before a worker seems to be missing
_MOST_ALERTS = 3  # named on their card


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """The newest daily run, by the state or by its report."""

    id: str
    at: datetime  # of its plan
    tasks: int
    failed: int
    unfinished: bool


@dataclass(frozen=True, kw_only=True)
class OverviewFacts:
    """What the overview knows. None: not known, because the lake or the database does not answer."""

    times: DueTimes
    lake_problem: str  # why the lake can't be read
    database_problem: str
    universes: Sequence[FreshUniverse] = ()
    updated: frozenset[str] | None = None  # the universes of daily updates
    last_run: LastRun | None = None
    findings: Mapping[str, int] | None = None  # open ones by severity
    tasks: Mapping[str, int] | None = None  # by state, and `dead`
    queue: Mapping[str, Any] | None = None  # total, oldest_seconds, poisoned
    back_off: Sequence[Mapping[str, Any]] | None = None  # vendors: source, closed_until, reason
    alerts: Sequence[Mapping[str, Any]] | None = None  # present ones: rule, title, subject, message
    cost: float | None = None  # US dollars a month
    in_azure: bool = False


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why the answer is not a plain yes, and the page that helps."""

    level: Answer
    text: str
    link: str = ""  # a page of the dashboard
    link_text: str = ""
    action: str = ""  # an action that puts it right


@dataclass(frozen=True, kw_only=True)
class Card:
    """One fact at a glance."""

    title: str
    value: str
    detail: str = ""
    level: Answer = "good"
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class OverviewView:
    """The page: the answer, its reasons, the universes and the system, each the worst first."""

    level: Answer
    answer: str
    summary: str
    reasons: Sequence[Reason]
    universes: Sequence[Card]
    not_updated: Sequence[Card]
    system: Sequence[Card]
    notes: Sequence[str] = field(default=())


def overview_of(facts: OverviewFacts) -> OverviewView:
    """Return the page of these facts."""
    updated = [u for u in facts.universes if facts.updated is None or u.universe in facts.updated]
    others = [u for u in facts.universes if facts.updated is not None and u.universe not in facts.updated]
    reasons = sorted([*_of_lake(facts, updated), *_of_system(facts)], key=lambda reason: _ORDER.index(reason.level))
    level: Answer = reasons[0].level if reasons else "good"
    return OverviewView(
        level=level,
        answer=_ANSWERS[level],
        summary=_summary(facts, updated),
        reasons=reasons,
        universes=sorted(
            (_universe_card(each) for each in updated), key=lambda card: (_ORDER.index(card.level), card.title)
        ),
        not_updated=[_universe_card(each, level="unknown") for each in others],
        system=list(_system_cards(facts)),
        notes=list(_notes(facts, updated)),
    )


def _of_lake(facts: OverviewFacts, updated: Sequence[FreshUniverse]) -> Iterator[Reason]:
    if facts.lake_problem:
        yield Reason(level="unknown", text=f"The lake can't be read: {facts.lake_problem}")
    elif not updated and not facts.updated:
        text = "No universe is updated: declare one in config/universes.yaml, then run `quantx refresh-universe`"
        yield Reason(level="unknown", text=f"{text} and `quantx backfill`.")
    else:
        for name in sorted((facts.updated or frozenset()) - {each.universe for each in updated}):
            text = f"{name}: the lake has none of its members; `quantx refresh-universe` writes them."
            yield Reason(level="bad", text=text, link="/universes", link_text="universes")
    for each in updated:
        if each.level == "good":
            continue
        yield Reason(
            level=each.level,
            text=f"{each.universe}: {_missing(each)}",
            link=f"/universes?name={quote(each.universe)}",
            link_text="its members",
            action="update.plan" if each.level == "bad" else "",
        )


def _missing(each: FreshUniverse) -> str:
    """Return which members of a universe lack the session that is due."""
    due = f"the session of {each.due}, which is due"
    if not each.current and each.newest is None:
        return "no member has a bar of the last month."
    if not each.current:
        return f"no member has {due}; the newest bar is of {each.newest}."
    texts = []
    if each.late:
        lack = "1 member lacks" if len(each.late) == 1 else f"{len(each.late):,} of {each.members:,} members lack"
        texts.append(f"{lack} {due}: {each.named_late}.")
    if each.silent:
        have = "1 member has" if each.silent == 1 else f"{each.silent:,} of {each.members:,} members have"
        texts.append(f"{have} no bar of the last {RECENT} sessions.")
    return " ".join(texts)


def _of_system(facts: OverviewFacts) -> Iterator[Reason]:
    if facts.findings is None and not facts.lake_problem:
        text = "Whether critical findings are open is not known: the database does not answer, and none were published."
        yield Reason(level="warn", text=text)
    if facts.findings is not None and (count := facts.findings.get("error", 0)):
        are = "1 critical finding is" if count == 1 else f"{count:,} critical findings are"
        yield Reason(
            level="warn",
            text=f"{are} open: the numbers that it names may be wrong."
            if count == 1
            else f"{are} open: the numbers that they name may be wrong.",
            link="/findings?severity=error&status=open",
            link_text="findings",
        )
    if facts.tasks is not None and (dead := facts.tasks.get("dead", 0)):
        have = "1 task has" if dead == 1 else f"{dead:,} tasks have"
        yield Reason(
            level="warn",
            text=f"{have} failed permanently: what they should fetch is missing.",
            link="/tasks?state=dead",
            link_text="failed tasks",
        )
    if facts.queue is not None:
        if (facts.queue["oldest_seconds"] or 0) > _LATE_QUEUE:
            text = f"The oldest task has waited for {duration(facts.queue['oldest_seconds'])}: no worker takes it."
            yield Reason(level="warn", text=f"{text} Start one with `quantx work`.", link="/runs", link_text="runs")
        if poisoned := facts.queue["poisoned"]:
            text = f"{poisoned:,} unreadable {'message is' if poisoned == 1 else 'messages are'} in the poison queue."
            yield Reason(level="warn", text=text, link="/tasks?state=dead", link_text="failed tasks")
    for row in facts.back_off or ():
        text = f"{row['source']} is in back-off until {row['closed_until']:%H:%M}: {shortened(row['reason'])}"
        yield Reason(level="warn", text=text, link="/vendors", link_text="vendors")
    for row in facts.alerts or ():
        if row["rule"] in _OWN_REASONS:
            continue
        yield Reason(level="warn", text=f"{row['title']}, {row['subject']}: {shortened(row['message'])}")


def _notes(facts: OverviewFacts, updated: Sequence[FreshUniverse]) -> Iterator[str]:
    coming = sorted({each.coming for each in updated if each.coming is not None})
    if coming:
        have = sum(each.with_coming for each in updated if each.coming is not None)
        of = sum(each.members for each in updated if each.coming is not None)
        days = " and ".join(day.isoformat() for day in coming)
        yield f"The session of {days} is due by {moment(facts.times.next_due_at)}; {have:,} of {of:,} members have it."
    if facts.database_problem and not facts.lake_problem:
        yield (
            f"The database does not answer: {facts.database_problem}. This page shows what the lake and its reports"
            " have; queue, failed tasks and back-off are not known, and actions must wait."
        )


def _summary(facts: OverviewFacts, updated: Sequence[FreshUniverse]) -> str:
    due = [each.due for each in updated if each.due is not None]
    if not due:
        return ""
    complete = sum(each.level == "good" for each in updated)
    every = f"{complete} of {counted(len(updated), 'universe')} {'has' if len(updated) == 1 else 'have'}"
    return f"{every} each session that is due, up to {max(due):%A} {max(due)}."


def _universe_card(each: FreshUniverse, level: Answer | None = None) -> Card:
    parts = [f"have {each.due}" if each.due is not None else "no session was due in the last month"]
    if each.late:
        parts.append(f"{len(each.late):,} late")
    if each.silent:
        parts.append(f"{each.silent:,} without recent bars")
    if each.with_coming:
        parts.append(f"{each.with_coming:,} have {each.coming} already")
    return Card(
        title=each.universe,
        value=f"{each.current:,} of {counted(each.members, 'member')}",
        detail="; ".join(parts),
        level=level or each.level,
        link=f"/universes?name={quote(each.universe)}",
    )


def _system_cards(facts: OverviewFacts) -> Iterator[Card]:
    unknown = Card(title="", value="not known", detail="the database does not answer", level="unknown")
    run = facts.last_run
    if run is None:
        yield Card(title="Last daily run", value="none yet", level="unknown", link="/runs")
    else:
        state = (
            "running" if run.unfinished else "complete" if not run.failed else f"{counted(run.failed, 'task')} failed"
        )
        level: Answer = "warn" if run.failed else "good"
        ago = duration((facts.times.now - run.at).total_seconds())
        detail = f"{state}, {counted(run.tasks, 'task')}, {moment(run.at)}"
        yield Card(title="Last daily run", value=f"{ago} ago", detail=detail, level=level, link=f"/runs/{run.id}")
    yield _findings_card(facts.findings)
    if facts.queue is None or facts.tasks is None:
        yield _named(unknown, "Queue")
    else:
        waiting, oldest = facts.queue["total"], facts.queue["oldest_seconds"]
        late = (oldest or 0) > _LATE_QUEUE or bool(facts.queue["poisoned"]) or bool(facts.tasks.get("dead"))
        detail = f"the oldest for {duration(oldest)}" if oldest is not None else "no task waits"
        dead = facts.tasks.get("dead", 0)
        detail += f"; {dead:,} failed permanently" if dead else ""
        yield Card(
            title="Queue", value=f"{waiting:,} waiting", detail=detail, level="warn" if late else "good", link="/tasks"
        )
    if facts.back_off is None:
        yield _named(unknown, "Vendors in back-off")
    else:
        names = ", ".join(str(row["source"]) for row in facts.back_off)
        value = names or "none"
        yield Card(title="Vendors in back-off", value=value, level="warn" if names else "good", link="/vendors")
    if facts.alerts is not None:
        count = len(facts.alerts)
        named = "; ".join(f"{row['title']}: {row['subject']}" for row in facts.alerts[:_MOST_ALERTS])
        detail = f"at the last check: {named}{'; …' if count > _MOST_ALERTS else ''}" if count else ""
        level = "warn" if count else "good"
        yield Card(title="Alerts", value=f"{count:,} active" if count else "none", detail=detail, level=level)
    if facts.in_azure:
        known = facts.cost is not None
        value = f"{facts.cost:,.2f} USD" if known else "not known"
        yield Card(
            title="Cost of this month",
            value=value,
            detail="estimated from the last 30 days",
            link="/storage",
            level="good" if known else "unknown",
        )
    else:
        yield Card(title="Cost of this month", value="none", detail="everything is on this machine", link="/storage")


def _findings_card(findings: Mapping[str, int] | None) -> Card:
    link = "/findings?status=open"
    if findings is None:
        return Card(title="Critical findings", value="not known", detail="none were published yet", level="unknown")
    errors = findings.get("error", 0)
    others = f"{counted(findings.get('warn', 0), 'warning')}, {counted(findings.get('info', 0), 'note')}"
    level: Answer = "warn" if errors else "good"
    return Card(
        title="Critical findings", value=f"{errors:,}" if errors else "none", detail=others, level=level, link=link
    )


def _named(card: Card, title: str) -> Card:
    return Card(title=title, value=card.value, detail=card.detail, level=card.level)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "task"), counted(1_200, "task")
    ('1 task', '1,200 tasks')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def moment(at: datetime | date) -> str:
    """Return an instant as a person reads it, in UTC."""
    return f"{at:%Y-%m-%d %H:%M}"


def duration(seconds: float) -> str:
    """Return a duration in its largest units.

    >>> duration(42), duration(65 * 60), duration(50 * 3600)
    ('less than a minute', '1 h 5 min', '2 days 2 h')
    """
    minutes = int(seconds // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"
