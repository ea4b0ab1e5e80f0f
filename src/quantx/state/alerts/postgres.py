"""Alerts in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import DictRow
from typing_extensions import override

from quantx.core.alerts import Alert, AlertMessage, Condition
from quantx.state.alerts.port import (
    AlertBook,
    AlertChange,
    AlertFacts,
    Alerts,
    Delivery,
    JobOutcome,
    JobOutcomes,
    MemberProgress,
    RunProblem,
)
from quantx.state.database import Database, run
from quantx.state.values import Row

_MESSAGE = ("id", "topic", "transition", "severity", "title", "made_at")


class PostgresAlerts(Alerts):
    """Alerts, messages and deliveries in three tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def change(self, decide: Callable[[AlertBook], AlertChange], now: datetime) -> list[AlertMessage]:
        with self._database.transaction() as connection:
            run(connection, "alerts.lock", {})
            book = _book(connection, now)
            change = decide(book)
            known = {alert.condition.key: alert for alert in book.alerts}
            _put_alerts(connection, known, change.alerts)
            for message, channels in change.messages:
                values = {name: getattr(message, name) for name in _MESSAGE} | {"lines": list(message.lines)}
                run(connection, "alerts.put_message", values)
                placed = {"message": message.id, "channels": list(channels), "now": now}
                run(connection, "alerts.put_deliveries", placed)
            run(connection, "alerts.forget_messages", {"now": now})
            return [message for message, _ in change.messages]

    @override
    def listed(self) -> list[Alert]:
        return [_alert(row) for row in self._database.rows("alerts.alerts")]

    @override
    def waiting(self, channel: str, most: int) -> list[Delivery]:
        return [_delivery(row) for row in self._database.rows("alerts.waiting", channel=channel, most=most)]

    @override
    def end_delivery(self, delivery: Delivery, state: Literal["sent", "dead"], error: str | None = None) -> None:
        place = {"message": delivery.message.id, "channel": delivery.channel}
        self._database.rows("alerts.end_delivery", state=state, error=error, **place)

    @override
    def delay_delivery(self, delivery: Delivery, seconds: float, error: str, *, counted: bool = True) -> None:
        place = {"message": delivery.message.id, "channel": delivery.channel}
        self._database.rows("alerts.delay_delivery", seconds=seconds, error=error, count=int(counted), **place)

    @override
    def deliveries(self, most: int) -> list[Row]:
        return self._database.rows("alerts.deliveries", most=most)


class PostgresJobOutcomes(JobOutcomes):
    """One row per job."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def record(self, job: str, error: str | None) -> None:
        self._database.rows("alerts.record_outcome", job=job, error=error)

    @override
    def listed(self) -> list[JobOutcome]:
        return [JobOutcome(**row) for row in self._database.rows("alerts.outcomes")]


class PostgresAlertFacts(AlertFacts):
    """Queries over the tables of the other nouns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def run_problems(self, days: int) -> list[RunProblem]:
        return [RunProblem(**row) for row in self._database.rows("alerts.run_problems", days=days)]

    @override
    def member_progress(self) -> list[MemberProgress]:
        return [MemberProgress(**row) for row in self._database.rows("alerts.member_progress")]

    @override
    def open_findings(self, rules: Collection[str], most: int) -> tuple[list[Row], dict[str, int]]:
        counts = self._database.rows("alerts.crowded_rules", rules=list(rules), most=most)
        crowded = {row["rule"]: row["findings"] for row in counts}
        return self._database.rows("alerts.open_findings", rules=list(rules), crowded=list(crowded)), crowded

    @override
    def refused_since(self) -> list[Row]:
        return self._database.rows("alerts.refused_since")


def _book(connection: Connection[DictRow], now: datetime) -> AlertBook:
    return AlertBook(
        alerts=[_alert(row) for row in run(connection, "alerts.alerts", {})],
        made={row["topic"]: row["messages"] for row in run(connection, "alerts.made", {"now": now})},
        digest_at=run(connection, "alerts.digest_at", {"now": now})[0]["made_at"],
        dead=run(connection, "alerts.dead", {"now": now})[0]["dead"],
    )


def _put_alerts(connection: Connection[DictRow], known: Mapping[str, Alert], alerts: Mapping[str, Alert]) -> None:
    """Write the alerts that have changed, and forget those that were left out."""
    changed = [_values(key, alert) for key, alert in alerts.items() if known.get(key) != alert]
    if changed:
        run(connection, "alerts.put_alerts", {"rows": json.dumps(changed, default=datetime.isoformat)})
    if gone := sorted(known.keys() - alerts.keys()):
        run(connection, "alerts.forget_alerts", {"keys": gone})


def _values(key: str, alert: Alert) -> dict[str, Any]:
    condition = alert.condition
    return {
        "key": key,
        "kind": condition.kind,
        "topic": condition.topic,
        "subject": condition.subject,
        "message": condition.message,
        "severity": condition.severity,
        "present": alert.present,
        "begun_at": alert.begun_at,
        "changed_at": alert.changed_at,
        "announced": alert.announced,
        "begins": list(alert.begins),
    }


def _alert(row: Row) -> Alert:
    condition = Condition(
        kind=row["kind"],
        subject=row["subject"],
        message=row["message"],
        severity=row["severity"],
        group=row["topic"].partition("/")[2],
    )
    times = {name: row[name] for name in ("present", "begun_at", "changed_at", "announced")}
    return Alert(condition=condition, begins=tuple(row["begins"]), **times)


def _delivery(row: Row) -> Delivery:
    message = AlertMessage(lines=tuple(row["lines"]), **{name: row[name] for name in _MESSAGE})
    return Delivery(message=message, channel=row["channel"], attempts=row["attempts"], not_before=row["not_before"])
