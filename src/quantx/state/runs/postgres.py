"""Runs in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection

from quantx.core.model import RunKind
from quantx.state.database import Database
from quantx.state.runs.port import EndedRun, LastDaily, RunTotals, RunUsage
from quantx.state.values import Row


class PostgresRuns:
    """Runs, their counts and their reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ended(self) -> list[EndedRun]:
        """Return the runs whose last task has ended and that have no report."""
        return [EndedRun(**row) for row in self._database.rows("runs.ended_runs")]

    def totals(self, run_id: str) -> RunTotals:
        """Return the counts of a run."""
        row = self._database.rows("runs.totals", run_id=run_id)[0]
        rows = {name.removeprefix("rows_"): row.pop(name) for name in list(row) if name.startswith("rows_")}
        return RunTotals(**row, rows=rows)

    def failures(self, run_id: str) -> list[Row]:
        """Return source, symbol, error_class, last_error and attempts of a run's failed tasks."""
        return self._database.rows("runs.failures", run_id=run_id)

    def finish(self, run_id: str, report: str) -> None:
        """Record the path of a run's report; the first one stays."""
        self._database.rows("runs.finish", run_id=run_id, report=report)

    def report_of(self, run_id: str) -> str | None:
        """Return the path of a run's report."""
        rows = self._database.rows("runs.report_of", run_id=run_id)
        return rows[0]["report"] if rows else None

    def uninspected(self) -> dict[str, list[str]]:
        """Return the reported runs whose data nobody has inspected since, each with the symbols of its tasks."""
        return {row["id"]: row["symbols"] for row in self._database.rows("runs.uninspected")}

    def inspected(self, run_ids: Collection[str]) -> None:
        """Record that the data of these runs was inspected."""
        self._database.rows("runs.inspected", run_ids=list(run_ids))

    def recent(self, most: int) -> list[Row]:
        """Return the newest runs."""
        return self._database.rows("runs.recent", most=most)

    def find(self, run_id: str) -> Row | None:
        """Return a run, with what was asked and the number of its unfinished tasks."""
        rows = self._database.rows("runs.find", run_id=run_id)
        return rows[0] if rows else None

    def last_daily(self) -> list[LastDaily]:
        """Return when each enabled universe with members was last planned for."""
        return [LastDaily(**row) for row in self._database.rows("runs.last_daily")]

    def usage(self, kind: RunKind, days: int) -> RunUsage:
        """Return what the runs of a kind have used that were planned within the last `days` and have a report."""
        return RunUsage(**self._database.rows("runs.usage", kind=kind, days=days)[0])
