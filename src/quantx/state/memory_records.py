"""The records of the state in memory, and its one lock."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime, timedelta

from quantx.core.model import Clock, FetchTask, RunKind, Series, StoredReply, Window
from quantx.state.values import Named, NewRun, Row, TaskState, Universe

Days = set[int]  # ordinals: a set of days needs no arithmetic of ranges


@dataclass
class RunRecord:
    """A run."""

    asked: NewRun
    created_at: datetime
    _: KW_ONLY
    finished_at: datetime | None = None
    report: str | None = None
    inspected_at: datetime | None = None


@dataclass(kw_only=True)
class TaskRecord:
    """A task."""

    id: int
    run_id: str
    kind: RunKind
    series: Series
    window: Window
    created_at: datetime
    updated_at: datetime
    not_before: datetime
    state: TaskState = "pending"
    attempts: int = 0
    lapses: int = 0  # leases that ran out
    fence: int = 0
    lease_owner: str | None = None
    lease_until: datetime | None = None
    error_class: str | None = None
    last_error: str | None = None
    requests: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("new", "changed", "same", "rejected"), 0))
    retried_by: int | None = None
    fallback: tuple[str, ...] = ()
    passed_on: bool = False  # to another vendor, by the task that has retried it

    @property
    def key(self) -> tuple[object, ...]:
        """Return the unique key of an unfinished task."""
        return (self.kind, self.series, self.window)

    def leased_at(self, now: datetime) -> bool:
        """Return whether a lease of the task is in force."""
        return self.state == "leased" and self.lease_until is not None and self.lease_until >= now

    def as_held(self, *, has_history: bool) -> FetchTask:
        """Return the task as its holder has it."""
        return FetchTask(
            id=self.id,
            run_id=self.run_id,
            kind=self.kind,
            series=self.series,
            window=self.window,
            attempts=self.attempts,
            fence=self.fence,
            has_history=has_history,
            fallback=self.fallback,
        )

    def is_lost(self, overdue: datetime) -> bool:
        """Return whether no worker holds the task and its message should have been handled by then."""
        if self.state == "pending":
            return self.not_before < overdue and self.updated_at < overdue
        ended = max(self.lease_until, self.updated_at) if self.lease_until is not None else None
        return self.state == "leased" and ended is not None and ended < overdue

    def add_rows(self, **rows: int) -> None:
        """Add rows that were committed, and forget earlier failures."""
        for name, number in rows.items():
            self.rows[name] += number
        self.error_class = self.last_error = None

    def becomes(self, state: TaskState, now: datetime) -> None:
        """Change the state of a task, and end its lease."""
        self.state, self.updated_at = state, now
        self.lease_owner = self.lease_until = None


@dataclass
class ReplyRecord:
    """A stored reply, when it landed, and the round that has it."""

    id: int
    reply: StoredReply
    landed_at: datetime
    round_id: int | None = None


@dataclass
class RoundRecord:
    """A round of the curator."""

    id: int
    finished: bool = False


@dataclass(kw_only=True)
class SeriesRecord:
    """The coverage and the failures of a series."""

    covered: Days = field(default_factory=set)
    nothing: Days = field(default_factory=set)
    first_session: date | None = None
    watermark: date | None = None
    asked_through: date | None = None
    last_asked_at: datetime | None = None
    failures: int = 0
    last_error: str | None = None
    refused: bool = False


@dataclass(kw_only=True)
class QuotaRecord:
    """The last reserved slots of a vendor's quota, and the end of its back-off."""

    slots: list[datetime] = field(default_factory=list)
    closed_until: datetime | None = None
    refusals: int = 0  # consecutive, without a waiting time
    refused_since: datetime | None = None  # the first refusal after the last answer
    reason: str | None = None


class Records:
    """All records behind one lock; every method of the state's parts holds it from its start to its end."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.runs: dict[str, RunRecord] = {}
        self.tasks: dict[int, TaskRecord] = {}
        self.outbox: dict[int, datetime | None] = {}  # taken until, by task
        self.raw: dict[str, set[int]] = {}  # what has landed, by path
        self.raw_sizes: list[Row] = []  # source, dataset, replies, size and time of each raw object
        self.replies: list[ReplyRecord] = []
        self.rounds: dict[int, RoundRecord] = {}
        self.series: dict[Series, SeriesRecord] = {}
        self.quotas: dict[str, QuotaRecord] = {}
        self.universes: dict[str, Universe] = {}
        self.namings: list[Named] = []
        self.hot_bars: dict[tuple[str, str, str], Row] = {}

    def in_(self, seconds: float) -> datetime:
        """Return the instant in `seconds` from now."""
        return self.clock.now() + timedelta(seconds=seconds)

    def series_of(self, series: Series) -> SeriesRecord:
        """Return the record of a series; create a missing one."""
        return self.series.setdefault(series, SeriesRecord())

    def tasks_of(self, run_id: str) -> list[TaskRecord]:
        """Return the tasks of a run."""
        return [task for task in self.tasks.values() if task.run_id == run_id]

    def waiting(self) -> Iterator[ReplyRecord]:
        """Yield the stored replies that no finished round has."""
        return (x for x in self.replies if x.round_id is None or not self.rounds[x.round_id].finished)


def days_of(windows: Iterable[Window]) -> Days:
    """Return the days in some windows."""
    return {day for w in windows for day in range(w.start.toordinal(), w.end.toordinal() + 1)}


def windows_of(days: Days) -> list[Window]:
    """Return the fewest windows that hold these days, in order."""
    spans: list[tuple[int, int]] = []
    for day in sorted(days):
        if spans and spans[-1][1] == day - 1:
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return [Window(date.fromordinal(a), date.fromordinal(b)) for a, b in spans]


def multirange(days: Days) -> str:
    """Return days as PostgreSQL shows a datemultirange."""
    return "{" + ",".join(f"[{w.start},{w.end + timedelta(days=1)})" for w in windows_of(days)) + "}"


def newest(*values: date | None) -> date | None:
    """Return the greatest of the dates that are not None."""
    return max((v for v in values if v is not None), default=None)


def sums(rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts by name."""
    total = dict.fromkeys(("new", "changed", "same", "rejected"), 0)
    for counts in rows:
        for name, count in counts.items():
            total[name] += count
    return total
