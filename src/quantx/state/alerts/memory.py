"""Alerts in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Literal

from typing_extensions import override

from quantx.core.alerts import DAY, Alert, AlertMessage
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
from quantx.state.findings.port import Findings
from quantx.state.memory_records import Records, TaskRecord
from quantx.state.values import UNFINISHED, Row

_KEPT = timedelta(days=30)  # messages


@dataclass(kw_only=True)
class _DeliveryRecord:
    delivery: Delivery
    changed_at: datetime
    state: Literal["waiting", "sent", "dead"] = "waiting"
    error: str | None = None


class MemoryAlerts(Alerts):
    """Alerts, messages and deliveries in dictionaries."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._alerts: dict[str, Alert] = {}
        self._messages: dict[str, AlertMessage] = {}
        self._deliveries: dict[tuple[str, str], _DeliveryRecord] = {}

    @override
    def change(self, decide: Callable[[AlertBook], AlertChange], now: datetime) -> list[AlertMessage]:
        with self._records.lock:
            past = [m for m in self._messages.values() if m.made_at <= now]
            book = AlertBook(
                alerts=self.listed(),
                made=Counter(m.topic for m in past if m.made_at > now - DAY and m.transition in ("began", "resolved")),
                digest_at=max((m.made_at for m in past if m.transition == "digest"), default=None),
                dead=sum(r.state == "dead" and r.changed_at > now - DAY for r in self._deliveries.values()),
            )
            change = decide(book)
            self._alerts = dict(change.alerts)
            for message, channels in change.messages:
                self._messages[message.id] = message
                for channel in channels:
                    delivery = Delivery(message=message, channel=channel, attempts=0, not_before=now)
                    self._deliveries[message.id, channel] = _DeliveryRecord(delivery=delivery, changed_at=now)
            self._forget(now)
            return [message for message, _ in change.messages]

    def _forget(self, now: datetime) -> None:
        old = {m.id for m in self._messages.values() if m.made_at < now - _KEPT}
        self._messages = {name: m for name, m in self._messages.items() if name not in old}
        self._deliveries = {key: record for key, record in self._deliveries.items() if key[0] not in old}

    @override
    def listed(self) -> list[Alert]:
        with self._records.lock:
            by_key = sorted(self._alerts.values(), key=lambda alert: alert.condition.key)
            newest_first = sorted(by_key, key=lambda alert: alert.changed_at, reverse=True)
            return sorted(newest_first, key=lambda alert: not alert.present)

    @override
    def waiting(self, channel: str, most: int) -> list[Delivery]:
        with self._records.lock:
            found = [
                record.delivery
                for record in self._deliveries.values()
                if record.state == "waiting" and record.delivery.channel == channel
            ]
        return sorted(found, key=lambda d: (d.message.made_at, d.message.id))[:most]

    @override
    def end_delivery(self, delivery: Delivery, state: Literal["sent", "dead"], error: str | None = None) -> None:
        self._attempted(delivery, state, error, self._records.clock.now())

    @override
    def delay_delivery(self, delivery: Delivery, seconds: float, error: str, *, counted: bool = True) -> None:
        self._attempted(delivery, "waiting", error, self._records.in_(seconds), int(counted))

    def _attempted(
        self,
        delivery: Delivery,
        state: Literal["waiting", "sent", "dead"],
        error: str | None,
        not_before: datetime,
        count: int = 1,
    ) -> None:
        with self._records.lock:
            record = self._deliveries[delivery.message.id, delivery.channel]
            if record.state == "waiting":
                record.delivery = replace(
                    record.delivery, attempts=record.delivery.attempts + count, not_before=not_before
                )
                record.state, record.error, record.changed_at = state, error, self._records.clock.now()

    @override
    def deliveries(self, most: int) -> list[Row]:
        with self._records.lock:
            records = sorted(self._deliveries.values(), key=lambda r: r.delivery.channel)
        records.sort(key=lambda r: (r.delivery.message.made_at, r.delivery.message.id), reverse=True)
        return [
            {
                "message": r.delivery.message.id,
                "title": r.delivery.message.title,
                "channel": r.delivery.channel,
                "state": r.state,
                "attempts": r.delivery.attempts,
                "not_before": r.delivery.not_before,
                "last_error": r.error,
                "changed_at": r.changed_at,
            }
            for r in records[:most]
        ]


class MemoryJobOutcomes(JobOutcomes):
    """Outcomes in a dictionary."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._outcomes: dict[str, JobOutcome] = {}

    @override
    def record(self, job: str, error: str | None) -> None:
        with self._records.lock:
            now = self._records.clock.now()
            before = self._outcomes.get(job) or JobOutcome(job=job, succeeded_at=None, failed_at=None, error=None)
            new = {"succeeded_at": now} if error is None else {"failed_at": now, "error": error}
            self._outcomes[job] = replace(before, **new)

    @override
    def listed(self) -> list[JobOutcome]:
        with self._records.lock:
            return [self._outcomes[job] for job in sorted(self._outcomes)]


class MemoryAlertFacts(AlertFacts):
    """Queries over the records."""

    def __init__(self, records: Records, findings: Findings) -> None:
        self._records = records
        self._findings = findings

    @override
    def run_problems(self, days: int) -> list[RunProblem]:
        with self._records.lock:
            since = self._records.clock.now() - timedelta(days=days)
            problems: list[RunProblem] = []
            for run_id, run in self._records.runs.items():
                tasks = self._records.tasks_of(run_id) if run.created_at > since else []
                unfinished = sum(task.state in UNFINISHED for task in tasks)
                of_run = partial(RunProblem, run_id=run_id, kind=run.asked.kind, created_at=run.created_at)
                groups: dict[tuple[str, str | None], list[TaskRecord]] = defaultdict(list)
                for task in filter(self._counts, tasks):
                    groups[task.series.source, task.error_class].append(task)
                for (source, error_class), failed in groups.items():
                    error = min((task.last_error for task in failed if task.last_error), default=None)
                    problems.append(
                        of_run(
                            running=unfinished > 0,
                            unfinished=False,
                            source=source,
                            error_class=error_class,
                            tasks=len(failed),
                            error=error,
                        )
                    )
                if unfinished:
                    problems.append(of_run(running=True, unfinished=True, tasks=unfinished))
            return sorted(problems, key=_order)

    def _counts(self, task: TaskRecord) -> bool:
        """Return whether a task failed, was not retried and, where it repeats, its series was not served later."""
        if task.state != "failed" or task.passed_on or task.retried_by is not None:
            return False
        series = self._records.series.get(task.series)
        served = series is not None and series.failures == 0 and (series.last_asked_at or task.updated_at)
        repeated = self._records.runs[task.run_id].asked.kind in ("daily", "heal")
        return not (repeated and served and served > task.updated_at)

    @override
    def member_progress(self) -> list[MemberProgress]:
        with self._records.lock:
            newest: dict[str, date | None] = defaultdict(lambda: None)
            for series, record in self._records.series.items():
                if (series.dataset, series.timeframe) == ("bars", "1d") and record.watermark is not None:
                    newest[series.symbol] = max(newest[series.symbol] or record.watermark, record.watermark)
            groups: dict[tuple[str, str, date | None], list[str]] = defaultdict(list)
            for name, universe in self._records.universes.items():
                members = {m[0] for m in universe.members if m[4] is None} if universe.enabled else set()
                for symbol in members:
                    groups[name, _ending(symbol), newest[symbol]].append(symbol)
        return sorted(
            (
                MemberProgress(universe=name, symbol=min(symbols), watermark=watermark, members=len(symbols))
                for (name, _, watermark), symbols in groups.items()
            ),
            key=lambda progress: (progress.universe, progress.symbol),
        )

    @override
    def open_findings(self, rules: Collection[str], most: int) -> tuple[list[Row], dict[str, int]]:
        rows = self._findings.listed(None, status="open")
        names = ("rule", "severity", "subject", "source", "dataset", "first_day", "message")
        chosen = [{n: r[n] for n in names} for r in rows if r["severity"] == "error" or r["rule"] in rules]
        crowded = {rule: count for rule, count in Counter(row["rule"] for row in chosen).items() if count > most}
        left = [row for row in chosen if row["rule"] not in crowded]
        left.sort(key=lambda r: (r["rule"], r["subject"], r["source"], r["first_day"] or date.max))
        return left, crowded

    @override
    def refused_since(self) -> list[Row]:
        with self._records.lock:
            now = self._records.clock.now()
            return [
                {
                    "source": source,
                    "reason": row.reason,
                    "closed_until": row.closed_until,
                    "refused_since": row.refused_since,
                }
                for source, row in sorted(self._records.quotas.items())
                if row.closed_until is not None and row.closed_until > now
            ]


def _order(problem: RunProblem) -> tuple[object, ...]:
    by_class = (problem.source or "", problem.error_class or "")
    return (problem.created_at, problem.run_id, problem.unfinished, *by_class)


def _ending(symbol: str) -> str:
    """Return what follows the dot of a symbol."""
    return symbol.rpartition(".")[2] if "." in symbol else ""
