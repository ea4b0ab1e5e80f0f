"""What the state promises: tasks, runs, landed replies and rounds, series, quotas, universes, and roles.

One database holds it all, and its clock is the only one that leases, quotas and stored instants go by. Each method is
one transaction: it has happened as a whole or not at all. Every method may raise StateError; then what was asked for
may have happened or not, and asking again with the same arguments does no harm.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Protocol

from quantx.core.healing import Ask, Gap
from quantx.core.model import FetchTask, Finding, Quota, Series, Window
from quantx.state.values import (
    UNFINISHED,
    Claim,
    EndedRun,
    Holding,
    LandedReply,
    Landing,
    LastDaily,
    Named,
    NewRun,
    NewTask,
    Plan,
    RawObject,
    Row,
    RunTotals,
    RunUsage,
    SeriesFacts,
    SeriesProgress,
    Sessions,
    Settlement,
    Slots,
    TaskResult,
    TaskState,
    Ticket,
    Universe,
)

__all__ = [
    "UNFINISHED",
    "Claim",
    "EndedRun",
    "Findings",
    "Gaps",
    "Hold",
    "Holding",
    "LandedReply",
    "Landing",
    "LastDaily",
    "Named",
    "NewRun",
    "NewTask",
    "Plan",
    "Quotas",
    "RawObject",
    "Replies",
    "Rounds",
    "Row",
    "RunTotals",
    "RunUsage",
    "Runs",
    "Securities",
    "SeriesBook",
    "SeriesFacts",
    "SeriesProgress",
    "Sessions",
    "Settlement",
    "Slots",
    "State",
    "TaskResult",
    "TaskState",
    "Tasks",
    "Ticket",
    "Universe",
    "Universes",
]


class Hold(Protocol):
    """A role that is held as long as its connection lives."""

    def confirm(self) -> None:
        """Raise a StateError where the role is lost."""
        ...


class Tasks(Protocol):
    """Units of work: planned once, held by one worker at a time, never lost."""

    def plan(self, run: NewRun, wanted: Sequence[NewTask]) -> Plan:
        """Record a run with its tasks, one per series; all of its new tasks wait for their message to be sent.

        A task with the same kind, series and window that is unfinished is shared, not planned twice. Where a single
        earlier run has all of the tasks, no new run is made: the plan is that run's.
        """
        ...

    def retry(self, run: NewRun, ids: Collection[int] | None) -> Plan:
        """Plan failed tasks (`ids`, or all that nobody has retried) once more, in a run of their own."""
        ...

    def to_send(self, most: int, patience: float) -> list[Ticket]:
        """Take tasks whose message is to be sent, daily work first; others get them only after `patience` seconds."""
        ...

    def unsent(self) -> int:
        """Return how many tasks wait for their message to be sent, and no sender has taken them."""
        ...

    def sent(self, task_ids: Collection[int]) -> None:
        """Forget that the messages of these tasks are to be sent."""
        ...

    def claim(
        self, ids: Collection[int], owner: str, lease: float, most: int, widths: Mapping[str, int] | None = None
    ) -> Claim:
        """Lease up to `most` tasks to `owner` for `lease` seconds; each claim raises a task's fencing number.

        A task can be claimed when nobody holds its lease and no other task of its series is leased. Daily work goes
        first: where some of `ids` are other work, pending daily tasks are claimed before them, also unnamed ones. A
        task whose holders have died too often is given up. The same `owner` again gets what it has got.

        Of a vendor that answers so many symbols at once (`widths`, by source), pending tasks with the dataset,
        timeframe and window of a claimed one come along, although unnamed.
        """
        ...

    def extend(self, tasks: Sequence[FetchTask], lease: float) -> set[int]:
        """Extend leases and return the ids of those tasks that are still held under their fencing number."""
        ...

    def land(self, raw: RawObject, replies: Sequence[LandedReply]) -> set[int]:
        """Record stored replies and return the tasks that have landed: those still held under their fencing number.

        The same object again returns what it has landed.
        """
        ...

    def release(self, tasks: Sequence[FetchTask], delay: float, error: str | None = None, requests: int = 0) -> None:
        """Give tasks back, to be claimed after `delay` seconds; no failure is counted.

        `requests` were made for them together.
        """
        ...

    def pass_on(
        self, task: FetchTask, error_class: str, error: str, *, requests: int = 1, events: Window | None = None
    ) -> bool:
        """Give a task up at its vendor, and plan it at the next one in its order, in the same run.

        `events`: also the events of that window, which do not come with the next vendor's bars; who waits for the task
        (`count`, `any_unfinished`) waits for these, too. Events that this vendor was to tell follow their bars: they are
        given up with them. False where it is no longer held, or no other vendor stands in.
        """
        ...

    def fail(
        self,
        task: FetchTask,
        error_class: str,
        error: str,
        *,
        final: bool,
        most: int,
        delay: float,
        requests: int = 1,
    ) -> bool | None:
        """Count a failure; True: given up, False: to be tried again after `delay` seconds, None: no longer held.

        A task is given up after `most` failures, or at once where the failure is `final`.
        """
        ...

    def resend_lost(self, patience: float) -> int:
        """Have messages sent again for unfinished tasks that nobody holds and whose message is overdue; how many."""
        ...

    def count(self, ids: Collection[int] | None = None) -> dict[TaskState, int]:
        """Return how many tasks (of `ids`, or all) are in each state; states without tasks are absent.

        A task that was passed on is not counted, but the one that took its place, also among `ids`.
        """
        ...

    def any_unfinished(self, ids: Collection[int] | None = None) -> bool:
        """Tell whether one of these tasks (or one that took its place), or of all, has not ended."""
        ...

    def dead(self) -> int:
        """Return how many tasks were given up and not retried."""
        ...

    def listed(self, state: TaskState | None, run_id: str | None, most: int, *, dead: bool = False) -> list[Row]:
        """Return tasks for people, the newest first; `dead`: given up and not retried."""
        ...


class Rounds(Protocol):
    """Landed replies, and the curator's rounds over them. Called by who holds the curator's role."""

    def waiting(self) -> tuple[int, int]:
        """Return how many landed replies no finished round has, and their bytes."""
        ...

    def unfinished(self) -> int | None:
        """Return the round that was begun and not finished."""
        ...

    def start(self, above: int, most_bytes: int, most_replies: int) -> int:
        """Begin a round with the oldest waiting reply of each series, up to `most_bytes`, but at least one.

        Its number is above all rounds of this state and above `above`, the last one that the lake has seen.
        """
        ...

    def landings(self, round_id: int) -> list[Landing]:
        """Return the replies of a round by series, and those of a series in the order of fetching."""
        ...

    def finish(self, round_id: int, results: Sequence[TaskResult], facts: Sequence[SeriesFacts], hot_bars: str) -> None:
        """Record what a round has done. Watermarks never go back; `hot_bars` are recent rows as JSON."""
        ...


class Replies(Protocol):
    """Replies that a finished round has, for who derives the tables again. Called by who holds the curator's role."""

    def holdings(self, source: str | None, symbols: Collection[str] | None) -> list[Holding]:
        """Return the symbols about which there are curated replies, those that were stored together side by side.

        `source`, `symbols`: of these alone; None: of all.
        """
        ...

    def curated(self, source: str, symbols: Collection[str]) -> list[Landing]:
        """Return the curated replies about some symbols in the order of fetching, also those that can't be read."""
        ...

    def unknown(self, paths: Collection[str]) -> set[str]:
        """Return those of these raw objects that have not landed in this state."""
        ...

    def restate(
        self,
        source: str,
        facts: Sequence[SeriesFacts],
        sessions: Mapping[Series, Sessions],
        recent: Collection[str],
        hot_bars: str,
    ) -> None:
        """Record what was derived anew from a vendor's replies.

        `facts`, in the order of the replies, are added to what is known; `sessions` are the first session and the
        watermark of series as they are now, also where the watermark goes back. The recent rows of the symbols `recent`
        are `hot_bars` (JSON) and no others.
        """
        ...


class SeriesBook(Protocol):
    """What is known of each series."""

    def uncovered(
        self, series: Sequence[tuple[Series, Window]], now: datetime, patience: float
    ) -> dict[str, list[Window]]:
        """Return the parts of the windows that were never answered, by symbol.

        What the vendor was late with when it was asked less than `patience` seconds before `now` is left out.
        """
        ...

    def progress(self, source: str, dataset: str, timeframe: str, symbols: Sequence[str]) -> dict[str, SeriesProgress]:
        """Return how far the series are; what was never asked is absent."""
        ...

    def manifest(self) -> list[Row]:
        """Return what is known of every series, for people."""
        ...


class Quotas(Protocol):
    """Requests to a vendor, shared by all workers."""

    def reserve(self, source: str, quota: Quota | None, count: int, patience: float, doubt: float = 0) -> Slots | None:
        """Reserve up to `count` requests, those that may start within `patience` seconds; None where there is none.

        A request starts a `quota.gap` after the one before it and a `quota.pause` after the one `quota.count` before
        it: in any stretch of the quota's length no more start than it allows, by all workers together, if each starts
        at its time or up to `quota.tolerance` seconds later; or `doubt` seconds more, by which the worker is unsure of
        the state's time.
        """
        ...

    def close(self, source: str, seconds: float, reason: str) -> None:
        """Leave a vendor alone for so long; a longer closure that is in force stays."""
        ...

    def refuse(self, source: str, first: float, longest: float, reason: str) -> None:
        """Leave a vendor alone that has refused without saying for how long.

        It is `first` seconds, and twice as long after each further refusal, up to `longest`, until it answers again.
        Where the vendor is left alone already, nothing changes: the request was under way when it was closed.
        """
        ...

    def accept(self, source: str) -> bool:
        """Note that a vendor has answered: its refusals are not in a row any more. False while it is left alone."""
        ...

    def closed_for(self, source: str) -> float:
        """Return for how many more seconds the vendor is left alone, 0 where it is not."""
        ...

    def opens_in(self, source: str, quota: Quota | None) -> float:
        """Return after how many seconds a request may start, 0 where one may now; reserves nothing.

        Longer than `closed_for` where the quota is used up: with 25 requests a day it may be hours.
        """
        ...

    def refused_for(self, source: str) -> float:
        """Return for how many seconds the vendor has refused without an answer in between, 0 where it answers.

        A refusal a quarter of an hour after the end of the last closure is the first one.
        """
        ...

    def closed(self) -> list[Row]:
        """Return the vendors that are left alone: source, closed_until, reason."""
        ...


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
        """Return the reported runs whose data nobody has inspected since, each with the symbols of its tasks, sorted."""
        ...

    def inspected(self, run_ids: Collection[str]) -> None:
        """Record that the data of these runs was inspected."""
        ...

    def recent(self, most: int) -> list[Row]:
        """Return the newest runs, for people."""
        ...

    def find(self, run_id: str) -> Row | None:
        """Return a run as `recent` does, with what was asked and the number of its unfinished tasks."""
        ...

    def last_daily(self) -> list[LastDaily]:
        """Return when each enabled universe with members was last planned for: by its name, by its phase, or with all."""
        ...

    def usage(self, kind: str, days: int) -> RunUsage:
        """Return what the runs of a kind have used that were planned within the last `days` and have a report."""
        ...


class Universes(Protocol):
    """Named lists of symbols."""

    def put(self, universe: Universe) -> None:
        """Record a universe with all of its members, in place of what was recorded before."""
        ...

    def enable(self, names: Collection[str]) -> None:
        """Let these universes take part in daily updates, and no others."""
        ...

    def symbols(
        self,
        universe: str | None,
        phase: str | None,
        *,
        since: date | None = None,
        among: Collection[str] | None = None,
    ) -> list[str]:
        """Return the members of a universe, of a phase's enabled universes, or of all that are enabled.

        `since`: also those who have left on that day or later; `among`: of these universes alone.
        """
        ...

    def listed(self) -> list[Row]:
        """Return name, phase, market, source_type, members and refreshed_at of each universe."""
        ...

    def freshness(self) -> list[Row]:
        """Return how far the members of each enabled universe are."""
        ...


class Findings(Protocol):
    """What was noticed about data or the system's own work: open until it is acknowledged or resolved."""

    def note(self, findings: Sequence[Finding]) -> int:
        """Record findings; return how many are new.

        One with the same rule, subject, source, dataset and first day is seen again: its words and figures are
        replaced, and it is open again where it had been resolved. An acknowledged one stays so, unless `times` in its facts
        has grown: then it is open again, and keeps the reason of before.
        """
        ...

    def resolve(self, rule: str, subjects: Collection[str], reason: str) -> int:
        """Settle the open findings of a rule about these subjects, since it does not hold any more; how many."""
        ...

    def restate(
        self,
        rules: Collection[str],
        source: str | None,
        dataset: str | None,
        findings: Sequence[Finding],
        reason: str,
        subjects: Collection[str] | None = None,
        days: Mapping[str, tuple[date, date]] | None = None,
    ) -> tuple[int, int]:
        """Record all that these rules find now in a dataset of a source (None: any); return how many are new, and resolved.

        What is open and is not found any more is resolved for that `reason`; with `subjects`, only what is about these.
        With `days`, only what is about its subjects and lies, from its first to its last day, between those two days.
        """
        ...

    def settle(self, finding_id: int, status: Settlement, by: str, reason: str) -> bool:
        """Acknowledge or resolve a finding on somebody's word; False where there is none that is not settled so."""
        ...

    def listed(
        self, most: int, *, status: str | None = None, rule: str | None = None, subject: str | None = None
    ) -> list[Row]:
        """Return findings for people, the worst and newest first."""
        ...

    def count_open(self) -> dict[str, int]:
        """Return how many findings are open, by severity."""
        ...


class Gaps(Protocol):
    """Sessions that series lack, until they are filled or explained. Who was asked for them is what the tasks say."""

    def known(self, symbols: Collection[str] | None = None) -> list[Gap]:
        """Return the gaps of these symbols, or all, that are open or explained; those that were filled are left out."""
        ...

    def asks(self, symbols: Collection[str]) -> list[Ask]:
        """Return what tasks of the kind `heal` have asked for about these symbols, in the order of planning."""
        ...

    def due(self, sources: Collection[str], now: datetime) -> list[str]:
        """Return the symbols of which an open gap of one of these vendors is to be asked for by `now`."""
        ...

    def put(self, gaps: Sequence[Gap]) -> None:
        """Record gaps as they are now, each in place of what was recorded of it before."""
        ...

    def count(self) -> list[Row]:
        """Return source, dataset, timeframe, symbol, open and explained: how many; series without any are absent."""
        ...


class Securities(Protocol):
    """Who carried which symbol when: a copy of what the lake knows, for planning, which reads no tables."""

    def put(self, namings: Sequence[Named]) -> None:
        """Record all namings, in place of what was recorded before."""
        ...

    def namings(self) -> list[Named]:
        """Return all namings."""
        ...


class State(Protocol):
    """The parts together."""

    shown_url: str  # without a password

    @property
    def tasks(self) -> Tasks: ...  # noqa: D102 — the parts say what they are
    @property
    def rounds(self) -> Rounds: ...  # noqa: D102
    @property
    def replies(self) -> Replies: ...  # noqa: D102
    @property
    def series(self) -> SeriesBook: ...  # noqa: D102
    @property
    def quotas(self) -> Quotas: ...  # noqa: D102
    @property
    def runs(self) -> Runs: ...  # noqa: D102
    @property
    def universes(self) -> Universes: ...  # noqa: D102
    @property
    def findings(self) -> Findings: ...  # noqa: D102
    @property
    def gaps(self) -> Gaps: ...  # noqa: D102
    @property
    def securities(self) -> Securities: ...  # noqa: D102

    def now(self) -> datetime:
        """Return the database's time, aware and in UTC."""
        ...

    def bind_lake(self, lake_id: str, state_id: str) -> tuple[str, str]:
        """Bind the state to a lake on first use; return the ids of the lake it is bound to and of this state."""
        ...

    def bound_lake(self) -> str | None:
        """Return the id of the lake that this state speaks about."""
        ...

    def exclusive(self, role: str) -> AbstractContextManager[Hold | None]:
        """Hold a role while the block lasts; None where somebody else has it. It is free when its holder dies."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
