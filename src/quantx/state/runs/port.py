"""The port of runs in the state, and its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from quantx.core.model import RunKind, Window
from quantx.state.values import Row


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """A run whose last task has ended and that has no report yet."""

    id: str
    kind: RunKind
    source: str
    request: Mapping[str, object]
    created_at: datetime
    skipped: int


@dataclass(frozen=True, kw_only=True)
class RunTotals:
    """The counts of a run."""

    tasks: int = 0
    success: int = 0
    failed: int = 0
    requests: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)  # new, changed, same, rejected
    landed_at: datetime | None = None  # when the last reply was stored
    passed_on: int = 0  # to another vendor, where they are counted
    symbols: int = 0  # one may have several tasks: bars, events, months of minutes


@dataclass(frozen=True)
class LastDaily:
    """When the last daily run for a whole universe was planned; None: never."""

    universe: str
    market: str
    planned_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class RunUsage:
    """The usage of several runs together."""

    runs: int = 0
    tasks: int = 0
    requests: int = 0  # to vendors
    seconds: float = 0.0  # from the plan of each to its report
    batches: int = 0  # raw objects
    size: int = 0  # bytes of the replies


@dataclass(frozen=True, kw_only=True)
class TaskUsage:
    """The usage of completed tasks of one kind with the same window and market."""

    source: str
    dataset: str
    timeframe: str
    symbol: str  # one of them
    window: Window
    tasks: int
    requests: int  # to the vendor
    rows: int  # new, changed, same and rejected
    size: int  # bytes of the replies
    stored: float  # bytes of their raw objects, by their share


class Runs(Protocol):
    """Runs and their reports."""

    def ended(self) -> list[EndedRun]:
        """Return the runs whose last task has ended and that have no report."""
        ...

    def totals(self, run_id: str) -> RunTotals:
        """Return the counts of a run."""
        ...

    def failures(self, run_id: str) -> list[Row]:
        """Return source, symbol, error_class, last_error and attempts of a run's failed tasks."""
        ...

    def finish(self, run_id: str, report: str) -> None:
        """Record the path of a run's report; the first one stays."""
        ...

    def report_of(self, run_id: str) -> str | None:
        """Return the path of a run's report."""
        ...

    def uninspected(self) -> dict[str, list[str]]:
        """Return the reported runs without an inspection since, each with the sorted symbols of its tasks."""
        ...

    def minute_windows(self, run_ids: Collection[str]) -> dict[str, Window]:
        """Return the first to the last day for which these runs have requested minutes of each symbol."""
        ...

    def inspected(self, run_ids: Collection[str]) -> None:
        """Record the inspection of these runs."""
        ...

    def recent(self, most: int, *, kind: RunKind | None = None, before: str | None = None) -> list[Row]:
        """Return the newest runs, for display; `before`: only those that were planned before the run with this id."""
        ...

    def find(self, run_id: str) -> Row | None:
        """Return a run as `recent` does, with its request and the number of its unfinished tasks."""
        ...

    def last_daily(self) -> list[LastDaily]:
        """Return the last daily run of each enabled universe with members: by its name, by its phase, or of all."""
        ...

    def usage(self, kind: RunKind, days: int) -> RunUsage:
        """Return the usage of the reported runs of a kind that were planned within the last `days`."""
        ...

    def task_usage(self, days: int) -> list[TaskUsage]:
        """Return the usage of the tasks that were completed within the last `days`, those with replies."""
        ...

    def vendor_usage(self, days: int) -> list[Row]:
        """Return the tasks of the runs of the last `days` by vendor (source) and class of their last error (or None).

        Of each: tasks, requests, failed, unfinished, accepted and rejected (rows), last_at.
        """
        ...
