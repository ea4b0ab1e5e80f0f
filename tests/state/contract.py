"""A state under test, in memory and in PostgreSQL, and the moves that its contract tests make."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from quantx.core.model import FetchTask, Quota, RunKind, Series, StoredReply, Window
from quantx.state.memory import MemoryState
from quantx.state.port import State
from quantx.state.postgres import PostgresState, open_state
from quantx.state.quotas.port import Slots
from quantx.state.rounds.port import TaskResult
from quantx.state.series.port import SeriesFacts
from quantx.state.tasks.port import NewTask, Plan, RawObject
from quantx.state.values import NewRun

WEEK = Window(date(2024, 1, 2), date(2024, 1, 5))
REPLY = 10  # bytes of each reply here
ASKED = datetime(2024, 2, 1, tzinfo=UTC)
LEASE = 3600.0
EVER = 1e6  # seconds: as patient as can be

# The columns in which PostgreSQL keeps instants: time passes when they all move back.
INSTANTS = {
    "tasks": ("lease_until", "not_before", "created_at", "updated_at"),
    "outbox": ("taken_until",),
    "quota": ("closed_until", "refused_since"),
    "runs": ("created_at", "finished_at"),
    "alert_deliveries": ("not_before", "changed_at"),
    "series": ("last_asked_at",),
}


def reply_to(task: FetchTask, **differences: Any) -> StoredReply:
    """A stored reply to a claimed task."""
    place = {"path": "raw/x.parquet", "row": 0, "fetched_at": ASKED, "size": REPLY} | differences
    return StoredReply(task_id=task.id, run_id=task.run_id, series=task.series, window=task.window, **place)


def raw_object(path: str, payloads: int = 1) -> RawObject:
    """A stored batch of replies."""
    return RawObject(path=path, source="yahoo", dataset="bars", payloads=payloads, size=REPLY)


@dataclass
class HandClock:
    """Stands still until it is moved."""

    instant: datetime = datetime(2024, 2, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant

    def move(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)


@dataclass
class Kit:
    """A state under test, the way to let time pass for it, and the moves that tests make."""

    state: State
    let_pass: Callable[[float], None]
    kill: Callable[[], None]  # ends the connections that hold roles
    hot_closes: Callable[[], list[float]]
    runs: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    paths: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_run(self, kind: RunKind = "daily", skipped: int = 0) -> NewRun:
        return NewRun(f"R{next(self.runs)}", kind, "yahoo", {"symbols": ["A"]}, skipped=skipped)

    def plan(
        self, *symbols: str, kind: RunKind = "daily", run: NewRun | None = None, window: Window = WEEK, skipped: int = 0
    ) -> Plan:
        wanted = [NewTask(Series("yahoo", "bars", "1d", symbol), window) for symbol in symbols]
        return self.state.tasks.plan(run or self.new_run(kind, skipped), wanted)

    def task(self, symbol: str = "AAPL", kind: RunKind = "daily") -> int:
        (task_id,) = self.plan(symbol, kind=kind).task_ids
        return task_id

    def claim(self, *ids: int, owner: str = "me", lease: float = LEASE, most: int = 100) -> list[FetchTask]:
        return list(self.state.tasks.claim(ids, owner, lease, most).held)

    def one(self, *ids: int, owner: str = "me", lease: float = LEASE) -> FetchTask:
        (held,) = self.claim(*ids, owner=owner, lease=lease)
        return held

    def land(
        self, *tasks: FetchTask, path: str | None = None, malformed: str | None = None, fetched_at: datetime = ASKED
    ) -> set[int]:
        path = path or f"raw/{next(self.paths)}.parquet"
        how = {"path": path, "fetched_at": fetched_at, "malformed": malformed}
        replies = [reply_to(task, row=row, **how) for row, task in enumerate(tasks)]
        return self.state.tasks.land(raw_object(path, payloads=len(tasks)), replies, tasks)

    def fail(
        self, task: FetchTask, *, final: bool = False, most: int = 3, error_class: str = "Transient"
    ) -> bool | None:
        return self.state.tasks.fail(task, error_class, "503", final=final, most=most, delay=0.0)

    def listed(self, task_id: int) -> dict[str, Any]:
        (row,) = [row for row in self.state.tasks.listed(None, None, 1000) if row["id"] == task_id]
        return row

    def state_of(self, task_id: int) -> str:
        return str(self.listed(task_id)["state"])

    def landed(self, *symbols: str) -> list[int]:
        """Plan, claim and land a task per symbol, each with an object of its own."""
        ids = list(self.plan(*symbols).task_ids)
        for task in self.claim(*ids):
            assert self.land(task) == {task.id}
        return ids

    def start(self, above: int = 0, replies: int = 100) -> int:
        return self.state.rounds.start(above, replies * REPLY, 1000)

    def finish(self, round_id: int, *results: TaskResult, facts: Sequence[SeriesFacts] = ()) -> None:
        self.state.rounds.finish(round_id, results, facts, "[]")

    def curate(self, *results: TaskResult, facts: Sequence[SeriesFacts] = ()) -> None:
        self.finish(self.start(), *results, facts=facts)

    def cover(
        self,
        *covered: tuple[int, int],
        nothing: Sequence[tuple[int, int]] = (),
        first: int | None = None,
        last: int | None = None,
    ) -> None:
        for part in covered:
            self.curate(facts=[facts(part, nothing=nothing, first=first, last=last)])

    def uncovered(
        self, start: int, end: int, late_seconds: float = 3600.0, now: datetime = ASKED
    ) -> list[tuple[int, int]]:
        gaps = self.state.series.uncovered([(series(), window(start, end))], now, late_seconds)
        return [(w.start.day, w.end.day) for w in gaps.get("AAPL", [])]

    def known(self) -> dict[str, Any]:
        (row,) = self.state.series.manifest()
        return row

    def reserve(
        self, quota: Quota | None, count: int = 1, source: str = "yahoo", longest_wait: float = EVER
    ) -> Slots | None:
        return self.state.quotas.reserve(source, quota, count, longest_wait)

    def waits(self, quota: Quota | None, *counts: int, source: str = "yahoo") -> list[tuple[int, int]]:
        """Reserve one after another; return the seconds to the first start, in tens, and the number of each grant."""
        found = [self.reserve(quota, count, source) for count in counts]
        return [(round(seconds_to(slots)[0] / 10) * 10, len(slots.starts)) for slots in found if slots is not None]


def seconds_to(slots: Slots) -> list[float]:
    return [(start - slots.reserved_at).total_seconds() for start in slots.starts]


def day(number: int) -> date:
    return date(2024, 1, number)


def window(start: int, end: int) -> Window:
    return Window(day(start), day(end))


def series(symbol: str = "AAPL") -> Series:
    return Series("yahoo", "bars", "1d", symbol)


def facts(
    covered: tuple[int, int] | None = (2, 5),
    *,
    symbol: str = "AAPL",
    nothing: Sequence[tuple[int, int]] = (),
    first: int | None = None,
    last: int | None = None,
    through: int | None = None,
    asked_at: datetime = ASKED,
) -> SeriesFacts:
    through = through or (covered[1] if covered else None)
    return SeriesFacts(
        series(symbol),
        covered=window(*covered) if covered else None,
        nothing=[window(*w) for w in nothing],
        first_session=day(first) if first else None,
        watermark=day(last) if last else None,
        asked_through=day(through) if through else None,
        asked_at=asked_at,
    )


def done(task_id: int, **counts: int) -> TaskResult:
    return TaskResult(task_id, "done", **counts)


def in_threads(calls: Sequence[Callable[[], None]]) -> None:
    """Make calls at the same time; the first error of one of them is raised."""
    failures: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 — raised below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def memory_kit(request: pytest.FixtureRequest) -> Kit:
    clock = HandClock()
    state = MemoryState(clock, actor=lambda: "me")

    def hot_closes() -> list[float]:
        return [row["close"] for row in state.records.hot_bars.values()]

    return Kit(state, clock.move, lambda: state.holder_died("me"), hot_closes)


def has_run_since(state: PostgresState, instant: str) -> None:
    """Have the server seem to have been started at that instant."""
    with state.database.transaction() as connection:
        connection.execute(
            "create or replace function server_start() returns timestamptz language sql stable as"
            f" $$ select {instant} $$".encode()
        )


def postgres_kit(request: pytest.FixtureRequest) -> Kit:
    state = open_state(request.getfixturevalue("migrated_database_url"))
    request.addfinalizer(state.close)
    has_run_since(state, "now() - interval '1 year'")

    def let_pass(seconds: float) -> None:
        with state.database.transaction() as connection:
            for table, columns in INSTANTS.items():
                moved = ", ".join(f"{c} = {c} - make_interval(secs => {seconds})" for c in columns)
                connection.execute(f"update {table} set {moved}".encode())
            earlier = f"select s - make_interval(secs => {seconds}) from unnest(slots) s"
            connection.execute(f"update quota set slots = array({earlier})".encode())

    def kill() -> None:
        with state.database.transaction() as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_locks"
                " where locktype = 'advisory' and pid <> pg_backend_pid()"
                " and database = (select oid from pg_database where datname = current_database())"
            )

    def hot_closes() -> list[float]:
        with state.database.transaction() as connection:
            return [row["close"] for row in connection.execute("select close from hot_bars order by date").fetchall()]

    return Kit(state, let_pass, kill, hot_closes)
