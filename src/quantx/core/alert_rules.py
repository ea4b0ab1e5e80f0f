"""The conditions that make alerts, as data: severity, limit, when a message is sent, and the next step.

The code that detects a condition is in quantx.alerts.conditions. The setting `alerts_rules` changes `send` and `limit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from quantx.core.model import Severity

Send = Literal["at_once", "digest", "never"]


@dataclass(frozen=True)
class AlertRule:
    """One kind of condition."""

    id: str
    title: str  # of a message, before the subject
    severity: Severity
    _: KW_ONLY
    meaning: str  # when the condition holds
    next_step: str
    limit: float | None = None  # in `unit`; None: none, or the condition is not checked without one
    unit: str = ""
    send: Send = "at_once"


_RULES = (
    AlertRule(
        "run_failed",
        "Run failed",
        "error",
        meaning="a run of the last week ended with tasks that failed permanently and were not retried; those of daily"
        " runs count until their series is fetched, and are one condition per vendor and kind of error",
        next_step="`quantx tasks list --dead` lists the tasks, `quantx tasks retry` repeats them",
    ),
    AlertRule(
        "run_late",
        "Run late",
        "error",
        meaning="a session has no daily run by its deadline (`deadline_hours`), or a run has unfinished tasks so many"
        " hours after it was planned",
        next_step="`quantx status` shows runs and queue; docs/operations.md, `a timer died`",
        limit=12,
        unit="hours",
    ),
    AlertRule(
        "freshness_missed",
        "Sessions missing",
        "error",
        meaning="more than so many per cent of a universe's members lack the session that is due",
        next_step="`quantx coverage` names the symbols; `quantx status` shows runs and vendors in back-off",
        limit=5,
        unit="per cent",
    ),
    AlertRule(
        "finding",
        "Finding",
        "error",
        meaning="a finding of severity error is open",
        next_step="`quantx findings list --status open` shows it; `quantx findings acknowledge` closes it",
    ),
    AlertRule(
        "vendor_disagreement",
        "Vendors disagree",
        "warn",
        meaning="a finding about different values of two vendors is open",
        next_step="`quantx crossvalidate compare` shows the values",
    ),
    AlertRule(
        "circuit_open",
        "Vendor in back-off",
        "warn",
        meaning="a vendor has refused requests for so many minutes and is in back-off",
        next_step="`quantx status` shows the reason; a fallback in the setting `sources` takes its tasks",
        limit=30,
        unit="minutes",
    ),
    AlertRule(
        "poison",
        "Poison messages",
        "error",
        meaning="the poison queue has messages",
        next_step="docs/operations.md, `poison messages`",
    ),
    AlertRule(
        "cost_above_budget",
        "Cost above the budget",
        "warn",
        meaning="the monthly cost, estimated from the daily runs of the last 30 days, is above so many US dollars; not"
        " checked without a limit",
        next_step="`quantx cost` shows the parts",
        unit="US dollars a month",
    ),
    AlertRule(
        "backup_failed",
        "Backup failed",
        "error",
        meaning="the last `quantx backup create` failed, or the last good one is older than so many hours (without a"
        " limit: its age is not checked)",
        next_step="run `quantx backup create` again; its error names the reason",
        unit="hours",
    ),
    AlertRule(
        "disk",
        "Disk almost full",
        "error",
        meaning="a disk of this machine with the lake or the embedded database has less free than so many per cent",
        next_step="free some space, or move the lake; `quantx compact` removes unused files",
        limit=5,
        unit="per cent",
    ),
    AlertRule(
        "alert_undelivered",
        "Alerts not delivered",
        "error",
        meaning="a channel has not accepted a message within the limit of attempts",
        next_step="`quantx alerts list` shows the error; `quantx alerts test` tries the channels",
    ),
)
ALERT_RULES: Mapping[str, AlertRule] = {rule.id: rule for rule in _RULES}
