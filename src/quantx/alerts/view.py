"""Alerts as rows for people: the command, the status page and the dashboard show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from quantx.core.alert_rules import ALERT_RULES
from quantx.core.alerts import Alert
from quantx.core.model import SEVERITIES

if TYPE_CHECKING:
    from quantx.state.port import State


def open_alerts(state: State) -> list[Mapping[str, Any]]:
    """Return what was wrong at the last check, the worst first, as rows of `alert_rows`."""
    return [row for row in alert_rows(state.alerts.listed()) if row["present"]]


def alert_rows(alerts: Iterable[Alert]) -> list[Mapping[str, Any]]:
    """Return alerts as rows: those that are present first, the worst and oldest of them first."""
    rows = [_row(alert) for alert in alerts]
    return sorted(rows, key=lambda row: (not row["present"], SEVERITIES.index(row["severity"]), row["since"]))


def _row(alert: Alert) -> Mapping[str, Any]:
    condition, rule = alert.condition, ALERT_RULES[alert.condition.kind]
    return {
        "rule": condition.kind,
        "title": rule.title,
        "group": condition.group,
        "subject": condition.subject,
        "severity": condition.severity,
        "message": condition.message,
        "next_step": rule.next_step,
        "present": alert.present,
        "since": alert.begun_at,
        "until": None if alert.present else alert.changed_at,
        "announced": alert.announced,
    }
