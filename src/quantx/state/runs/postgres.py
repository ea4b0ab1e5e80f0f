"""Runs in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection

from typing_extensions import override

from quantx.core.model import RunKind, Window
from quantx.state.database import Database
from quantx.state.runs.port import EndedRun, LastDaily, Runs, RunTotals, RunUsage, TaskUsage
from quantx.state.values import Row


class PostgresRuns(Runs):
    """Runs, their counts and their reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def ended(self) -> list[EndedRun]:
        return [EndedRun(**row) for row in self._database.rows("runs.ended_runs")]

    @override
    def totals(self, run_id: str) -> RunTotals:
        row = self._database.rows("runs.totals", run_id=run_id)[0]
        rows = {name.removeprefix("rows_"): row.pop(name) for name in list(row) if name.startswith("rows_")}
        return RunTotals(**row, rows=rows)

    @override
    def failures(self, run_id: str) -> list[Row]:
        return self._database.rows("runs.failures", run_id=run_id)

    @override
    def finish(self, run_id: str, report: str) -> None:
        self._database.rows("runs.finish", run_id=run_id, report=report)

    @override
    def report_of(self, run_id: str) -> str | None:
        rows = self._database.rows("runs.report_of", run_id=run_id)
        return rows[0]["report"] if rows else None

    @override
    def uninspected(self) -> dict[str, list[str]]:
        return {row["id"]: row["symbols"] for row in self._database.rows("runs.uninspected")}

    @override
    def minute_windows(self, run_ids: Collection[str]) -> dict[str, Window]:
        rows = self._database.rows("runs.minute_windows", run_ids=list(run_ids))
        return {row["symbol"]: Window(row["first"], row["last"]) for row in rows}

    @override
    def inspected(self, run_ids: Collection[str]) -> None:
        self._database.rows("runs.inspected", run_ids=list(run_ids))

    @override
    def recent(self, most: int, *, kind: RunKind | None = None, before: str | None = None) -> list[Row]:
        return self._database.rows("runs.recent", most=most, kind=kind, before=before)

    @override
    def find(self, run_id: str) -> Row | None:
        rows = self._database.rows("runs.find", run_id=run_id)
        return rows[0] if rows else None

    @override
    def last_daily(self) -> list[LastDaily]:
        return [LastDaily(**row) for row in self._database.rows("runs.last_daily")]

    @override
    def usage(self, kind: RunKind, days: int) -> RunUsage:
        return RunUsage(**self._database.rows("runs.usage", kind=kind, days=days)[0])

    @override
    def task_usage(self, days: int) -> list[TaskUsage]:
        rows = self._database.rows("runs.task_usage", days=days)
        return [TaskUsage(window=Window(row.pop("window_start"), row.pop("window_end")), **row) for row in rows]

    @override
    def vendor_usage(self, days: int) -> list[Row]:
        return self._database.rows("runs.vendor_usage", days=days)
