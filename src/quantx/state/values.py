"""The values that a state takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from quantx.core.model import FetchTask, Series, Window

Row = dict[str, Any]
TaskState = Literal["pending", "leased", "landed", "done", "failed"]
Settlement = Literal["acknowledged", "resolved"]
Sessions = tuple[date | None, date | None]  # the first and the last one that is curated
Named = tuple[str, str, date | None, date | None]  # instrument, symbol, first and last day (None: open)
UNFINISHED: tuple[TaskState, ...] = ("pending", "leased", "landed")


@dataclass(frozen=True)
class NewRun:
    """A run as its trigger asks for it."""

    id: str  # ULID
    kind: str  # daily, backfill or manual
    source: str
    request: Mapping[str, object]  # what was asked, for people
    skipped: int = 0  # symbols for which nothing is missing


@dataclass(frozen=True)
class NewTask:
    """A task as it is planned."""

    series: Series
    window: Window
    fallback: tuple[str, ...] = ()  # vendors that are asked in its vendor's place, the first one first


@dataclass(frozen=True)
class Plan:
    """What came of planning: the run that has the tasks, the tasks, and how many of them another run had planned."""

    run_id: str
    task_ids: tuple[int, ...]
    skipped: int
    shared: int = 0  # tasks of earlier runs, which report them


@dataclass(frozen=True)
class Ticket:
    """A task that waits for its message to be sent."""

    task_id: int
    run_id: str
    series: Series
    window: Window


@dataclass(frozen=True)
class Claim:
    """What became of the tasks that a worker wanted to claim."""

    held: tuple[FetchTask, ...]  # leased to this worker; may hold urgent tasks that it did not name
    settled: frozenset[int] = frozenset()  # need no worker any more
    unknown: frozenset[int] = frozenset()  # there is no such task


@dataclass(frozen=True)
class LandedReply:
    """A stored reply to a task: where it lies in its raw object, on how many pages, and what it has cost."""

    task: FetchTask
    row: int  # the first page
    fetched_at: datetime
    size: int  # bytes of the pages; of one that others share, its share
    malformed: str | None = None  # why it can't be read: then it is evidence, and its task goes on
    rows: int = 1  # pages, one after the other
    requests: int = 1  # that count for this task: a page that several tasks share was one request


@dataclass(frozen=True)
class RawObject:
    """A stored batch of replies."""

    path: str
    source: str
    dataset: str
    payloads: int
    size: int


@dataclass(frozen=True)
class Landing:
    """A landed reply of a round."""

    path: str
    row: int
    task_id: int
    run_id: str
    series: Series
    window: Window
    fetched_at: datetime
    malformed: str | None
    attempts: int  # failures of its task so far
    rows: int = 1  # pages, from `row` on
    size: int = 0  # bytes of the pages; of one that others share, its share


@dataclass(frozen=True)
class Holding:
    """The curated replies about a symbol."""

    source: str
    symbol: str
    replies: int
    size: int  # bytes


@dataclass(frozen=True)
class TaskResult:
    """How the curation of a task's reply ended."""

    task_id: int
    state: Literal["done", "failed", "pending"]  # pending: the stored reply is lost, the vendor is asked again
    error_class: str | None = None
    error: str | None = None
    new: int = 0
    changed: int = 0
    same: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class SeriesFacts:
    """What a reply has proved about its series."""

    series: Series
    covered: Window | None
    nothing: Sequence[Window]
    first_session: date | None
    watermark: date | None
    asked_through: date | None
    asked_at: datetime


@dataclass(frozen=True)
class SeriesProgress:
    """How far a series is."""

    watermark: date | None
    asked_through: date | None
    asked_at: datetime | None
    refused: bool  # the last answer was one that asking again does not change: unknown, not entitled


@dataclass(frozen=True)
class Slots:
    """Reserved requests: when each may start, by the state's clock."""

    starts: tuple[datetime, ...]
    reserved_at: datetime  # the state's time when it was asked


@dataclass(frozen=True)
class EndedRun:
    """A run whose last task has ended and that has no report yet."""

    id: str
    kind: str
    source: str
    request: Mapping[str, object]
    created_at: datetime
    skipped: int


@dataclass(frozen=True)
class RunTotals:
    """The counts of a run."""

    tasks: int = 0
    success: int = 0
    failed: int = 0
    requests: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)  # new, changed, same, rejected
    landed_at: datetime | None = None  # when the last reply was stored
    passed_on: int = 0  # to another vendor; those are counted there
    symbols: int = 0  # one may have several tasks: bars, events, months of minutes


@dataclass(frozen=True)
class LastDaily:
    """When the last daily run was planned that was about all of a universe; None: never."""

    universe: str
    market: str
    planned_at: datetime | None


@dataclass(frozen=True)
class RunUsage:
    """What some runs have used, all together."""

    runs: int = 0
    tasks: int = 0
    requests: int = 0  # to vendors
    seconds: float = 0.0  # from the plan of each to its report
    batches: int = 0  # raw objects
    size: int = 0  # bytes of the replies


@dataclass(frozen=True)
class Universe:
    """A universe and its members: (symbol, market, name, member from, member to)."""

    name: str
    phase: str
    market: str
    source_type: str
    refreshed_at: datetime
    members: Sequence[tuple[str, str, str | None, date | None, date | None]]
    enabled: bool = True  # takes part in daily updates
