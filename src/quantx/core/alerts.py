"""Alerts: conditions that begin and end, and the messages about these transitions. Pure.

A condition that begins makes one message, and its end one. The first end within a day is reported at once. A condition
that has begun again within a day is reported as over once it has been absent for `settle`. Transitions that happen
together and have one topic share a message, and a topic has at most `most_a_day` messages within a day; what is left
waits, and is in the digest. So neither a condition that comes and goes nor a thousand at once make a storm.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from quantx.core.alert_rules import ALERT_RULES, Send
from quantx.core.model import SEVERITIES, Severity

Transition = Literal["began", "resolved", "digest", "test"]

DAY = timedelta(days=1)
_KEPT = timedelta(days=30)  # an alert that is over
_LONGEST_KEY = 500  # characters
_SHOWN = 10  # conditions that a message lists


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Something that is wrong now."""

    kind: str  # id of the alert rule
    subject: str  # a symbol, a vendor, a market, a run, a folder
    message: str  # the fact
    severity: Severity
    group: str = ""  # conditions of one kind and group share messages: the rule of a finding

    @property
    def topic(self) -> str:
        """Return what the messages of this condition are about."""
        return f"{self.kind}/{self.group}" if self.group else self.kind

    @property
    def key(self) -> str:
        """Return the identity of the condition; the digest of a long one, which no index of a database takes."""
        key = f"{self.topic}/{self.subject}"
        return key if len(key) <= _LONGEST_KEY else f"{self.topic[:100]}/{hashlib.sha256(key.encode()).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A condition over time."""

    condition: Condition
    present: bool
    begun_at: datetime
    changed_at: datetime  # when `present` changed
    announced: bool = False  # the last message about it reported its beginning
    begins: tuple[datetime, ...] = ()  # of the last day


@dataclass(frozen=True, kw_only=True)
class AlertMessage:
    """A message to all channels of its topic; `id` is the same in each attempt, so that a receiver can drop repeats."""

    id: str
    topic: str
    transition: Transition
    severity: Severity
    title: str
    lines: tuple[str, ...]
    made_at: datetime

    @property
    def kind(self) -> str:
        """Return the id of the alert rule, or the transition of a digest and a test."""
        return self.topic.partition("/")[0]


@dataclass(frozen=True, kw_only=True)
class AlertPolicy:
    """When messages are made."""

    send: Mapping[str, Send] = field(default_factory=dict)  # by kind; of other kinds as the rule declares
    settle: timedelta = timedelta(minutes=30)
    most_a_day: int = 6  # messages about one topic

    def at_once(self, kind: str) -> bool:
        """Return whether a kind has messages of its own."""
        return self.send.get(kind, ALERT_RULES[kind].send if kind in ALERT_RULES else "at_once") == "at_once"


def observe(
    alerts: Iterable[Alert],
    conditions: Sequence[Condition],
    checked: Collection[str],
    now: datetime,
    unchecked_topics: Collection[str] = (),
) -> dict[str, Alert]:
    """Return the alerts by key as they are now. Those of kinds and topics that were not checked stay as they are.

    An alert that has been over for 30 days is left out.
    """
    current = {condition.key: condition for condition in conditions if condition.kind in checked}
    result: dict[str, Alert] = {}
    for alert in alerts:
        key = alert.condition.key
        alert = _not_after(now, alert)
        if key in current:
            result[key] = _seen(alert, current.pop(key), now)
        elif alert.present and alert.condition.kind in checked and alert.condition.topic not in unchecked_topics:
            result[key] = replace(alert, present=False, changed_at=now)
        elif alert.present or alert.announced or alert.changed_at > now - _KEPT:
            result[key] = alert
    for key, condition in current.items():
        result[key] = Alert(condition=condition, present=True, begun_at=now, changed_at=now, begins=(now,))
    return result


def _not_after(now: datetime, alert: Alert) -> Alert:
    """Return an alert without times after `now`, which a clock that was wrong has left, and without old beginnings."""
    return replace(
        alert,
        begun_at=min(alert.begun_at, now),
        changed_at=min(alert.changed_at, now),
        begins=tuple(at for at in alert.begins if now - DAY < at <= now),
    )


def _seen(alert: Alert, condition: Condition, now: datetime) -> Alert:
    if alert.present:
        return replace(alert, condition=condition)
    begun = alert.begun_at if alert.announced else now  # its end was not reported: the same alert goes on
    return replace(
        alert, condition=condition, present=True, begun_at=begun, changed_at=now, begins=(*alert.begins, now)
    )


def make_messages(
    alerts: Mapping[str, Alert],
    made: Mapping[str, int],
    policy: AlertPolicy,
    now: datetime,
    new_id: Callable[[], str],
) -> tuple[dict[str, Alert], list[AlertMessage]]:
    """Return the alerts with what is now announced, and the messages that announce it.

    `made` has the number of messages of the last day by topic.
    """
    after = {key: alert if policy.at_once(alert.condition.kind) else _silent(alert) for key, alert in alerts.items()}
    due: dict[tuple[str, Transition], list[Alert]] = defaultdict(list)
    for alert in alerts.values():
        if (transition := _due(alert, policy, now)) is not None:
            due[alert.condition.topic, transition].append(alert)
    messages, counts = [], dict(made)
    for (topic, transition), group in due.items():
        count = counts.get(topic, 0)
        if count >= policy.most_a_day:
            continue
        counts[topic] = count + 1
        messages.append(_message(topic, transition, group, now, new_id(), last=counts[topic] == policy.most_a_day))
        for alert in group:
            after[alert.condition.key] = replace(alert, announced=transition == "began")
    return after, messages


def _silent(alert: Alert) -> Alert:
    """Return an alert of a kind without messages of its own: it has none that an end must follow."""
    return replace(alert, announced=False) if alert.announced else alert


def _due(alert: Alert, policy: AlertPolicy, now: datetime) -> Transition | None:
    if alert.present == alert.announced or not policy.at_once(alert.condition.kind):
        return None
    if alert.present:
        return "began"
    comes_and_goes = len(alert.begins) > 1
    return "resolved" if not comes_and_goes or now - alert.changed_at >= policy.settle else None


def _message(
    topic: str, transition: Transition, group: Sequence[Alert], now: datetime, new: str, *, last: bool
) -> AlertMessage:
    kind = topic.partition("/")[0]
    rule = ALERT_RULES[kind]
    group = sorted(group, key=lambda alert: alert.condition.key)
    lines = [_line(alert) for alert in group[:_SHOWN]]
    if len(group) > _SHOWN:
        lines.append(f"… and {len(group) - _SHOWN:,} more")
    if transition == "began":
        lines.append(f"Next: {rule.next_step}.")
    if any(len(alert.begins) > 1 for alert in group):
        lines.append("It comes and goes: the end is reported once it has lasted.")
    if last:
        lines.append("No more messages about this within a day: it changes too often. `quantx alerts list` shows it.")
    severity = min((alert.condition.severity for alert in group), key=SEVERITIES.index)
    what = ", ".join(filter(None, (topic.partition("/")[2], _subjects(group))))
    title = f"{'Resolved: ' if transition == 'resolved' else ''}{rule.title}: {what}"
    return AlertMessage(
        id=new, topic=topic, transition=transition, severity=severity, title=title, lines=tuple(lines), made_at=now
    )


def _subjects(group: Sequence[Alert]) -> str:
    return group[0].condition.subject if len(group) == 1 else f"{len(group):,} at once"


def _line(alert: Alert) -> str:
    return f"{alert.condition.subject}: {alert.condition.message} (since {alert.begun_at:%Y-%m-%d %H:%M} UTC)"


def make_digest(alerts: Collection[Alert], undelivered: int, now: datetime, new_id: str) -> AlertMessage:
    """Return the digest: what is wrong now, what ended within the last day, and what was not delivered."""
    open_ones = sorted(
        (alert for alert in alerts if alert.present),
        key=lambda alert: (SEVERITIES.index(alert.condition.severity), alert.begun_at),
    )
    over = [alert for alert in alerts if not alert.present and alert.changed_at > now - DAY]
    lines = [f"{ALERT_RULES[alert.condition.kind].title}: {_line(alert)}" for alert in open_ones[: 2 * _SHOWN]]
    if len(open_ones) > 2 * _SHOWN:
        lines.append(f"… and {len(open_ones) - 2 * _SHOWN:,} more; `quantx alerts list` shows all")
    if over:
        names = [f"{ALERT_RULES[alert.condition.kind].title}: {alert.condition.subject}" for alert in over[:_SHOWN]]
        more = f", and {len(over) - _SHOWN:,} more" if len(over) > _SHOWN else ""
        lines.append(f"Over since yesterday: {'; '.join(names)}{more}")
    if undelivered:
        lines.append(f"Not delivered within the last day: {undelivered:,}; `quantx alerts list` shows why")
    title = f"Daily digest: {len(open_ones):,} open" if open_ones else "Daily digest: nothing is wrong"
    severities: list[Severity] = [alert.condition.severity for alert in open_ones]
    return AlertMessage(
        id=new_id,
        topic="digest",
        transition="digest",
        severity=min(severities, key=SEVERITIES.index) if severities else "info",
        title=title,
        lines=tuple(lines),
        made_at=now,
    )
