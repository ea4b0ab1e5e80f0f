"""What every state promises: one class of tests, run against the one in memory and against PostgreSQL."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from quantx.core.gap_schedule import Gap
from quantx.core.model import FetchTask, Finding, Quota, Series, Window
from quantx.errors import StateError
from quantx.state.memory import MemoryState
from quantx.state.port import State
from quantx.state.postgres import PostgresState, open_state
from quantx.state.quotas.port import Slots
from quantx.state.replies.port import Holding
from quantx.state.rounds.port import TaskResult
from quantx.state.runs.port import LastDaily, RunUsage
from quantx.state.series.port import SeriesFacts
from quantx.state.tasks.port import Claim, NewTask, Plan, RawObject
from quantx.state.values import NewRun, Universe

from .stored import reply_to

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
    "series": ("last_asked_at",),
}


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

    def new_run(self, kind: str = "daily", skipped: int = 0) -> NewRun:
        return NewRun(f"R{next(self.runs)}", kind, "yahoo", {"symbols": ["A"]}, skipped)

    def plan(
        self, *symbols: str, kind: str = "daily", run: NewRun | None = None, window: Window = WEEK, skipped: int = 0
    ) -> Plan:
        wanted = [NewTask(Series("yahoo", "bars", "1d", symbol), window) for symbol in symbols]
        return self.state.tasks.plan(run or self.new_run(kind, skipped), wanted)

    def task(self, symbol: str = "AAPL", kind: str = "daily") -> int:
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
        how = {"path": path, "fetched_at": fetched_at, "size": REPLY, "malformed": malformed}
        replies = [reply_to(task, row=row, **how) for row, task in enumerate(tasks)]
        return self.state.tasks.land(RawObject(path, "yahoo", "bars", len(tasks), REPLY), replies, tasks)

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

    def uncovered(self, start: int, end: int, patience: float = 3600.0, now: datetime = ASKED) -> list[tuple[int, int]]:
        gaps = self.state.series.uncovered([(series(), window(start, end))], now, patience)
        return [(w.start.day, w.end.day) for w in gaps.get("AAPL", [])]

    def known(self) -> dict[str, Any]:
        (row,) = self.state.series.manifest()
        return row

    def reserve(
        self, quota: Quota | None, count: int = 1, source: str = "yahoo", patience: float = EVER
    ) -> Slots | None:
        return self.state.quotas.reserve(source, quota, count, patience)

    def waits(self, quota: Quota | None, *counts: int, source: str = "yahoo") -> list[tuple[int, int]]:
        """Reserve one after another; return the (rounded) seconds to the first start and the number of each grant."""
        found = [self.reserve(quota, count, source) for count in counts]
        return [(round(seconds_to(slots)[0]), len(slots.starts)) for slots in found if slots is not None]


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
        window(*covered) if covered else None,
        [window(*w) for w in nothing],
        day(first) if first else None,
        day(last) if last else None,
        day(through) if through else None,
        asked_at,
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


def _has_run_since(state: PostgresState, instant: str) -> None:
    """Have the server seem to have been started at that instant."""
    with state.database.transaction() as connection:
        connection.execute(
            "create or replace function server_start() returns timestamptz language sql stable as"
            f" $$ select {instant} $$".encode()
        )


def postgres_kit(request: pytest.FixtureRequest) -> Kit:
    state = open_state(request.getfixturevalue("empty_database_url"))
    request.addfinalizer(state.close)
    _has_run_since(state, "now() - interval '1 year'")

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
                "select pg_terminate_backend(pid, 5000) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()"
                " and database = (select oid from pg_database where datname = current_database())"
            )

    def hot_closes() -> list[float]:
        with state.database.transaction() as connection:
            return [row["close"] for row in connection.execute("select close from hot_bars order by date").fetchall()]

    return Kit(state, let_pass, kill, hot_closes)


@pytest.fixture(params=[memory_kit, postgres_kit], ids=["memory", "postgres"])
def kit(request: pytest.FixtureRequest) -> Kit:
    made: Kit = request.param(request)
    return made


class TestPlanning:
    def test_each_symbol_gets_a_task_that_waits_for_its_message(self, kit: Kit) -> None:
        plan = kit.plan("A", "B", skipped=3)
        assert (plan.run_id, len(set(plan.task_ids)), plan.skipped, plan.shared) == ("R1", 2, 3, 0)
        tickets = kit.state.tasks.to_send(10, 60)
        assert [(t.task_id, t.run_id, t.series, t.window) for t in tickets] == [
            (task, "R1", series(symbol), WEEK) for task, symbol in zip(plan.task_ids, "AB", strict=True)
        ]

    def test_each_symbol_has_its_own_window(self, kit: Kit) -> None:
        windows: Mapping[str, Window] = {"B": window(3, 4), "A": window(5, 5)}
        kit.state.tasks.plan(kit.new_run(), [NewTask(series(symbol), window) for symbol, window in windows.items()])
        assert {t.series.symbol: t.window for t in kit.state.tasks.to_send(10, 60)} == windows

    def test_two_triggers_that_plan_the_same_work_share_its_tasks(self, kit: Kit) -> None:
        first, second = kit.plan("A", "B"), kit.plan("B", "C")
        assert (second.run_id, second.shared) == ("R2", 1)
        assert len({*first.task_ids, *second.task_ids}) == 3
        assert len(kit.state.tasks.to_send(10, 60)) == 3

    def test_a_shared_task_stays_with_the_run_that_planned_it(self, kit: Kit) -> None:
        kit.plan("A")
        second = kit.plan("A", "B")
        assert [row["symbol"] for row in kit.state.tasks.listed(None, second.run_id, 10)] == ["B"]

    def test_a_trigger_for_work_that_one_run_has_planned_joins_that_run(self, kit: Kit) -> None:
        first = kit.plan("A", "B", skipped=2)
        second = kit.plan("B", "A", skipped=7)
        assert (second.run_id, set(second.task_ids), second.skipped) == (first.run_id, set(first.task_ids), 2)
        assert [run["id"] for run in kit.state.runs.recent(10)] == [first.run_id]

    def test_a_trigger_for_work_of_two_runs_has_a_run_of_its_own(self, kit: Kit) -> None:
        kit.plan("A")
        kit.plan("B")
        both = kit.plan("A", "B")
        assert (both.run_id, both.shared) == ("R3", 2)
        assert kit.state.runs.totals("R3").tasks == 0

    def test_a_run_without_tasks_is_a_run_that_has_ended(self, kit: Kit) -> None:
        plan = kit.plan(skipped=5)
        assert (plan.run_id, plan.task_ids, plan.skipped) == ("R1", (), 5)
        assert [(run.id, run.skipped) for run in kit.state.runs.ended()] == [("R1", 5)]

    @pytest.mark.parametrize("other", [{"kind": "backfill"}, {"window": window(2, 4)}], ids=["kind", "window"])
    def test_another_kind_or_window_is_other_work(self, kit: Kit, other: dict[str, Any]) -> None:
        assert set(kit.plan("A").task_ids).isdisjoint(kit.plan("A", **other).task_ids)

    def test_work_that_has_ended_can_be_planned_again(self, kit: Kit) -> None:
        task = kit.task()
        assert kit.fail(kit.one(task), final=True)
        again = kit.plan("AAPL")
        assert (again.shared, task in again.task_ids) == (0, False)

    def test_planning_the_same_run_again_changes_nothing(self, kit: Kit) -> None:
        """The answer to the first try was lost."""
        run = kit.new_run(skipped=1)
        first = kit.plan("A", "B", run=run)
        assert kit.plan("A", "B", run=run) == first
        kit.fail(kit.one(first.task_ids[0]), final=True)
        again = kit.plan("A", "B", run=run)
        assert (again.run_id, set(again.task_ids), again.skipped) == (run.id, set(first.task_ids), 1)
        assert sum(kit.state.tasks.count().values()) == 2

    def test_triggers_that_name_the_same_symbols_in_another_order_do_not_block_each_other(self, kit: Kit) -> None:
        symbols = [f"S{n}" for n in range(100)]

        def plan(order: list[str], names: str) -> None:
            for name in names:
                kit.plan(*order, run=NewRun(name, "daily", "yahoo", {}))

        in_threads([lambda: plan(symbols, "abcdefgh"), lambda: plan(symbols[::-1], "ABCDEFGH")])
        assert kit.state.tasks.count() == {"pending": 100}


class TestRetrying:
    def dead(self, kit: Kit, *symbols: str) -> list[int]:
        ids = list(kit.plan(*symbols).task_ids)
        for task in kit.claim(*ids):
            assert kit.fail(task, final=True)
        return ids

    def test_failed_tasks_are_planned_once_more_in_a_new_run(self, kit: Kit) -> None:
        dead = self.dead(kit, "A", "B")
        plan = kit.state.tasks.retry(kit.new_run("manual"), None)
        assert (plan.run_id, len(plan.task_ids), plan.shared) == ("R2", 2, 0)
        assert set(plan.task_ids).isdisjoint(dead)
        assert sorted(t.attempts for t in kit.claim(*plan.task_ids)) == [0, 0]
        assert [kit.listed(task)["kind"] for task in plan.task_ids] == ["daily", "daily"]

    def test_a_failed_task_is_retried_once(self, kit: Kit) -> None:
        self.dead(kit, "A")
        assert len(kit.state.tasks.listed(None, None, 10, dead=True)) == 1
        kit.state.tasks.retry(kit.new_run("manual"), None)
        assert kit.state.tasks.listed(None, None, 10, dead=True) == []
        assert kit.state.tasks.retry(kit.new_run("manual"), None).task_ids == ()

    def test_only_the_named_ones_are_retried(self, kit: Kit) -> None:
        first, second = self.dead(kit, "A", "B")
        pending = kit.task("C")
        assert len(kit.state.tasks.retry(kit.new_run("manual"), [second, pending, 999]).task_ids) == 1
        assert [row["id"] for row in kit.state.tasks.listed(None, None, 10, dead=True)] == [first]

    def test_what_is_planned_anew_already_is_shared(self, kit: Kit) -> None:
        self.dead(kit, "A", "B")
        other = kit.plan("A").task_ids[0]
        plan = kit.state.tasks.retry(kit.new_run("manual"), None)
        assert (other in plan.task_ids, len(plan.task_ids), plan.shared) == (True, 2, 1)
        assert kit.state.tasks.listed(None, None, 10, dead=True) == []

    def test_two_failures_of_the_same_work_become_one_task(self, kit: Kit) -> None:
        self.dead(kit, "A")
        self.dead(kit, "A")
        plan = kit.state.tasks.retry(kit.new_run("manual"), None)
        assert len(plan.task_ids) == 1
        assert kit.state.tasks.listed(None, None, 10, dead=True) == []


class TestSending:
    def test_a_message_waits_until_it_was_sent(self, kit: Kit) -> None:
        task = kit.task()
        (ticket,) = kit.state.tasks.to_send(10, 60)
        assert kit.state.tasks.to_send(10, 60) == []  # another sender
        kit.let_pass(61)
        assert kit.state.tasks.to_send(10, 60) == [ticket]  # the first one died
        kit.state.tasks.sent([task])
        kit.let_pass(61)
        assert kit.state.tasks.to_send(10, 60) == []

    def test_no_more_are_taken_than_asked(self, kit: Kit) -> None:
        kit.plan("A", "B", "C")
        assert [len(kit.state.tasks.to_send(2, 60)) for _ in range(3)] == [2, 1, 0]

    def test_what_needs_no_worker_any_more_is_not_sent(self, kit: Kit) -> None:
        """A sender got an error, although the queue had taken its messages."""
        landed, failed, leased = kit.plan("A", "B", "C").task_ids
        kit.land(kit.one(landed))
        kit.fail(kit.one(failed), final=True)
        kit.one(leased)
        assert [ticket.task_id for ticket in kit.state.tasks.to_send(10, 60)] == [leased]

    def test_what_was_sent_twice_does_no_harm(self, kit: Kit) -> None:
        task = kit.task()
        for _ in range(2):
            kit.state.tasks.sent([task, 999])
        assert kit.state.tasks.to_send(10, 60) == []


class TestClaiming:
    def test_a_task_is_held_by_one_worker(self, kit: Kit) -> None:
        task = kit.task()
        held = kit.one(task, owner="one")
        assert (held.fence, held.attempts, held.has_history) == (1, 0, False)
        assert (held.run_id, held.kind, held.series, held.window) == ("R1", "daily", series(), WEEK)
        assert kit.claim(task, owner="two") == []
        assert kit.state_of(task) == "leased"

    def test_the_same_owner_gets_what_it_has_got(self, kit: Kit) -> None:
        """The answer to its claim was lost."""
        task = kit.task()
        assert kit.one(task, owner="one") == kit.one(task, owner="one")

    def test_a_repeated_claim_begins_the_lease_anew(self, kit: Kit) -> None:
        task = kit.task()
        kit.one(task, owner="one", lease=60)
        kit.let_pass(40)
        kit.one(task, owner="one", lease=60)
        kit.let_pass(40)
        assert kit.claim(task, owner="two") == []

    def test_a_lease_that_ran_out_passes_on_with_a_higher_fence(self, kit: Kit) -> None:
        task = kit.task()
        one = kit.one(task, owner="one", lease=60)
        kit.let_pass(61)
        assert kit.one(task, owner="two").fence > one.fence

    def test_a_message_may_be_ahead_of_the_delay_of_its_task(self, kit: Kit) -> None:
        task = kit.task()
        kit.state.tasks.release([kit.one(task)], delay=3600)
        assert len(kit.claim(task)) == 1

    def test_claiming_says_what_needs_no_worker_and_what_does_not_exist(self, kit: Kit) -> None:
        landed, failed, held, free = kit.plan("A", "B", "C", "D").task_ids
        kit.land(kit.one(landed))
        kit.fail(kit.one(failed), final=True)
        kit.one(held, owner="other")
        claim = kit.state.tasks.claim([landed, failed, held, free, 999], "me", LEASE, 10)
        assert [t.id for t in claim.held] == [free]
        assert (claim.settled, claim.unknown) == ({landed, failed}, {999})

    def test_no_more_are_claimed_than_asked(self, kit: Kit) -> None:
        ids = kit.plan("A", "B", "C").task_ids
        assert [t.id for t in kit.claim(*ids, most=2)] == list(ids[:2])
        assert [t.id for t in kit.claim(*ids, most=2, owner="two")] == [ids[2]]

    def test_claiming_nothing_is_nothing(self, kit: Kit) -> None:
        kit.task()
        assert kit.claim() == []

    def test_tasks_of_one_series_are_worked_on_one_after_the_other(self, kit: Kit) -> None:
        daily, backfill = kit.task("A"), kit.task("A", "backfill")
        assert kit.one(backfill, daily, owner="one").id == daily
        assert kit.claim(backfill, owner="two") == []
        assert kit.claim(backfill, owner="one") == []
        kit.let_pass(LEASE + 1)
        assert kit.one(backfill, owner="two").id == backfill

    def test_whose_lease_has_run_out_does_not_come_back_beside_another_task_of_the_series(self, kit: Kit) -> None:
        daily, backfill = kit.task("A"), kit.task("A", "backfill")
        lapsed = kit.one(backfill, owner="one")
        kit.let_pass(LEASE + 1)
        kit.one(daily, owner="two")
        assert kit.state.tasks.extend([lapsed], LEASE) == set()
        assert kit.land(lapsed) == set()
        assert kit.state_of(backfill) == "pending"

    def test_a_series_whose_reply_has_landed_is_free_for_its_next_task(self, kit: Kit) -> None:
        daily, backfill = kit.task("A"), kit.task("A", "backfill")
        kit.land(kit.one(daily))
        assert kit.one(backfill, owner="two").id == backfill

    def test_daily_work_goes_first_also_where_nobody_named_it(self, kit: Kit) -> None:
        backfills = kit.plan("A", "B", kind="backfill").task_ids
        daily = kit.plan("C").task_ids
        assert [t.id for t in kit.claim(*backfills, most=2)] == [*daily, backfills[0]]

    def test_daily_work_that_is_to_wait_is_not_claimed_unnamed(self, kit: Kit) -> None:
        backfill, daily = kit.task("A", "backfill"), kit.task("B")
        kit.state.tasks.release([kit.one(daily)], delay=3600)
        assert [t.id for t in kit.claim(backfill)] == [backfill]

    @pytest.mark.parametrize("named", ["daily", "settled"])
    def test_daily_work_is_not_claimed_unnamed_where_no_other_work_is_named(self, kit: Kit, named: str) -> None:
        other, unnamed = kit.task("A", "daily" if named == "daily" else "backfill"), kit.task("B")
        if named == "settled":
            kit.land(kit.claim(other, most=2)[-1])
            kit.let_pass(LEASE + 1)
            kit.state.tasks.release(kit.claim(unnamed, owner="x"), delay=0)
        assert unnamed not in [t.id for t in kit.claim(other)]

    def test_of_many_workers_one_gets_each_task(self, kit: Kit) -> None:
        ids = kit.plan(*(f"S{n}" for n in range(100))).task_ids
        got: list[int] = []

        def claims(n: int) -> Callable[[], None]:
            return lambda: got.extend(t.id for t in kit.claim(*ids[n % 2 :: 2], owner=str(n)))

        in_threads([claims(n) for n in range(6)])
        assert sorted(got) == sorted(ids)

    def test_of_many_workers_one_gets_each_series(self, kit: Kit) -> None:
        names = [f"S{n}" for n in range(30)]
        ids = [*kit.plan(*names).task_ids, *kit.plan(*names, kind="backfill").task_ids]
        got: list[str] = []

        def claims(n: int) -> Callable[[], None]:
            return lambda: got.extend(t.series.symbol for t in kit.claim(*ids[n % 3 :: 3], owner=str(n)))

        in_threads([claims(n) for n in range(6)])
        assert sorted(got) == sorted(set(got))

    def test_what_kills_its_workers_is_given_up(self, kit: Kit) -> None:
        task = kit.task()
        for n in range(10):
            assert kit.one(task, owner=str(n), lease=60).fence == n + 1
            kit.let_pass(61)
        claim = kit.state.tasks.claim([task], "last", 60, 10)
        assert (claim.held, claim.settled) == ((), {task})
        row = kit.listed(task)
        assert (row["state"], row["error_class"], row["attempts"]) == ("failed", "WorkerDied", 0)

    def test_a_series_with_bars_has_a_history(self, kit: Kit) -> None:
        kit.cover((2, 5), last=5)
        assert kit.one(kit.task()).has_history


class TestHolding:
    def test_who_lost_the_lease_can_do_nothing_any_more(self, kit: Kit) -> None:
        task = kit.task()
        one = kit.one(task, owner="one", lease=60)
        kit.let_pass(61)
        two = kit.one(task, owner="two")
        assert kit.land(one) == set()
        assert kit.fail(one) is None
        assert kit.state.tasks.extend([one], LEASE) == set()
        kit.state.tasks.release([one], delay=0.0)
        assert kit.state_of(task) == "leased"
        assert kit.land(two) == {task}

    def test_a_lease_that_ran_out_but_was_not_taken_still_lands(self, kit: Kit) -> None:
        task = kit.task()
        held = kit.one(task, lease=60)
        kit.let_pass(61)
        assert kit.land(held) == {task}

    def test_a_lease_can_be_extended_by_its_holder(self, kit: Kit) -> None:
        task, other = kit.plan("A", "B").task_ids
        held = kit.claim(task, other, lease=60)
        kit.let_pass(40)
        assert kit.state.tasks.extend(held, 60) == {task, other}
        kit.let_pass(40)
        assert kit.claim(task, other, owner="two") == []

    def test_giving_a_task_back_counts_no_failure(self, kit: Kit) -> None:
        task = kit.task()
        held = kit.one(task)
        kit.state.tasks.release([held], delay=60.0, error="429", requests=1)
        row = kit.listed(task)
        assert (row["state"], row["attempts"], row["last_error"]) == ("pending", 0, "429")
        assert kit.state.runs.totals("R1").requests == 1
        kit.state.tasks.release([held], delay=60.0, requests=1)  # once more is nothing
        assert kit.state.runs.totals("R1").requests == 1
        assert kit.one(task).fence == held.fence + 1


class TestLandingAndFailing:
    def test_landing_ends_the_fetching(self, kit: Kit) -> None:
        task = kit.task()
        assert kit.land(kit.one(task)) == {task}
        assert kit.state_of(task) == "landed"
        assert kit.claim(task) == []
        assert kit.state.rounds.waiting() == (1, REPLY)
        assert kit.state.runs.totals("R1").requests == 1

    def test_landing_the_same_object_again_returns_what_it_has_landed(self, kit: Kit) -> None:
        held = kit.one(kit.task())
        assert kit.land(held, path="raw/1.parquet") == {held.id}
        assert kit.land(held, path="raw/1.parquet") == {held.id}
        assert kit.state.rounds.waiting() == (1, REPLY)

    def test_a_task_lands_once(self, kit: Kit) -> None:
        held = kit.one(kit.task())
        assert kit.land(held, path="raw/1.parquet") == {held.id}
        assert kit.land(held, path="raw/2.parquet") == set()
        assert kit.state.rounds.waiting() == (1, REPLY)

    def test_of_a_batch_lands_what_is_still_held(self, kit: Kit) -> None:
        ids = kit.plan("A", "B").task_ids
        old = kit.claim(*ids, lease=60)
        kit.let_pass(61)
        kit.one(ids[0], owner="two")
        assert kit.land(*old) == {ids[1]}

    def test_a_malformed_reply_is_kept_and_its_task_goes_on(self, kit: Kit) -> None:
        task = kit.task()
        held = kit.one(task)
        assert kit.land(held, malformed="no JSON") == set()
        assert kit.state_of(task) == "leased"
        (landing,) = kit.state.rounds.replies(kit.start())
        assert (landing.task_id, landing.malformed) == (task, "no JSON")
        assert kit.fail(held, most=3) is False

    def test_failures_count_until_the_task_is_given_up(self, kit: Kit) -> None:
        task = kit.task()
        assert [kit.fail(kit.one(task), most=3) for _ in range(3)] == [False, False, True]
        row = kit.listed(task)
        assert (row["attempts"], row["last_error"], row["error_class"]) == (3, "503", "Transient")
        assert kit.claim(task) == []
        assert kit.state.runs.totals("R1").requests == 3

    def test_a_final_failure_is_given_up_at_once(self, kit: Kit) -> None:
        assert kit.fail(kit.one(kit.task()), final=True) is True

    def test_a_failure_counts_once(self, kit: Kit) -> None:
        held = kit.one(kit.task())
        assert kit.fail(held) is False
        assert kit.fail(held) is None

    def test_who_is_given_up_is_noted_with_its_series(self, kit: Kit) -> None:
        for _ in range(2):
            kit.fail(kit.one(kit.task()), final=True)
        row = kit.known()
        assert (row["failures"], row["last_error"]) == (2, "503")
        assert not kit.state.series.progress("yahoo", "bars", "1d", ["AAPL"])["AAPL"].refused

    @pytest.mark.parametrize("error_class", ["UnknownSymbol", "NotEntitled"])
    def test_an_answer_that_asking_again_does_not_change_is_a_refusal(self, kit: Kit, error_class: str) -> None:
        kit.fail(kit.one(kit.task()), final=True, error_class=error_class)
        assert kit.state.series.progress("yahoo", "bars", "1d", ["AAPL"])["AAPL"].refused
        kit.cover((2, 5), last=5)
        assert not kit.state.series.progress("yahoo", "bars", "1d", ["AAPL"])["AAPL"].refused


class TestLostMessages:
    def test_a_task_that_nobody_works_on_is_sent_again_once(self, kit: Kit) -> None:
        waiting, dead, alive = kit.plan("A", "B", "C").task_ids
        kit.state.tasks.to_send(10, 1)
        kit.state.tasks.sent([waiting, dead, alive])
        kit.one(dead, lease=10, owner="dead")
        held = kit.one(alive, lease=10)
        assert kit.state.tasks.resend_lost(60) == 0
        kit.let_pass(100)
        kit.state.tasks.extend([held], 10)
        assert kit.state.tasks.resend_lost(60) == 2
        assert [t.task_id for t in kit.state.tasks.to_send(10, 60)] == [waiting, dead]
        assert kit.state.tasks.resend_lost(60) == 0

    def test_what_is_delayed_is_not_lost(self, kit: Kit) -> None:
        task = kit.task()
        kit.state.tasks.release([kit.one(task)], delay=100)
        kit.let_pass(120)
        assert kit.state.tasks.resend_lost(60) == 0
        kit.let_pass(60)
        assert kit.state.tasks.resend_lost(60) == 1

    def test_what_has_landed_is_not_lost(self, kit: Kit) -> None:
        kit.land(kit.one(kit.task()))
        kit.let_pass(100)
        assert kit.state.tasks.resend_lost(60) == 0


class TestListing:
    def test_tasks_are_counted_by_state(self, kit: Kit) -> None:
        landed, failed, _ = ids = kit.plan("A", "B", "C").task_ids
        kit.land(kit.one(landed))
        kit.fail(kit.one(failed), final=True)
        assert kit.state.tasks.count() == {"landed": 1, "failed": 1, "pending": 1}
        assert kit.state.tasks.count(ids[:1]) == {"landed": 1}
        assert kit.state.tasks.count([]) == {}

    def test_the_newest_tasks_are_listed_first(self, kit: Kit) -> None:
        first, second = kit.task("A"), kit.task("B")
        kit.fail(kit.one(first), final=True)
        assert [row["id"] for row in kit.state.tasks.listed(None, None, 10)] == [second, first]
        assert [row["id"] for row in kit.state.tasks.listed(None, None, 1)] == [second]
        assert [row["id"] for row in kit.state.tasks.listed("failed", None, 10)] == [first]
        assert [row["id"] for row in kit.state.tasks.listed(None, "R2", 10)] == [second]

    def test_a_listed_task_says_the_same_in_every_state(self, kit: Kit) -> None:
        kit.task()
        (row,) = kit.state.tasks.listed(None, None, 10)
        del row["updated_at"]
        assert row == {
            "id": row["id"],
            "run_id": "R1",
            "kind": "daily",
            "source": "yahoo",
            "dataset": "bars",
            "symbol": "AAPL",
            "timeframe": "1d",
            "window_start": WEEK.start,
            "window_end": WEEK.end,
            "state": "pending",
            "attempts": 0,
            "lapses": 0,
            "rows_new": 0,
            "rows_changed": 0,
            "rows_rejected": 0,
            "error_class": None,
            "last_error": None,
            "retried_by": None,
            "passed_on": False,
        }


class TestRounds:
    def test_a_round_keeps_its_replies_until_it_is_finished(self, kit: Kit) -> None:
        tasks = kit.landed("A", "B")
        round_id = kit.start()
        assert kit.state.rounds.unfinished() == round_id
        found = kit.state.rounds.replies(round_id)
        assert [(x.series.symbol, x.task_id, x.row, x.window, x.run_id) for x in found] == [
            (symbol, task, 0, WEEK, "R1") for symbol, task in zip("AB", tasks, strict=True)
        ]
        assert kit.state.rounds.waiting() == (2, 2 * REPLY)
        kit.finish(round_id)
        assert kit.state.rounds.unfinished() is None
        assert kit.state.rounds.waiting() == (0, 0)

    def test_rounds_count_upwards_from_the_last_one_that_the_lake_has_seen(self, kit: Kit) -> None:
        first = kit.start(above=41)
        kit.finish(first)
        second = kit.start()
        assert (first, second) == (42, 43)

    def test_a_round_that_was_begun_goes_first(self, kit: Kit) -> None:
        """A second one beside it might be committed before it, and then the lake would take it for a repetition."""
        kit.landed("A", "B")
        first = kit.start(replies=1)
        assert kit.start() == first
        assert len(kit.state.rounds.replies(first)) == 1

    def test_a_round_has_no_more_replies_than_asked(self, kit: Kit) -> None:
        kit.landed("A", "B", "C")
        round_id = kit.state.rounds.start(0, 10**9, 2)
        assert len(kit.state.rounds.replies(round_id)) == 2

    def test_a_series_gets_one_reply_per_round_in_the_order_of_fetching(self, kit: Kit) -> None:
        daily, backfill = kit.task("A"), kit.task("A", "backfill")
        kit.land(kit.one(daily), fetched_at=ASKED)
        kit.land(kit.one(backfill), fetched_at=ASKED - timedelta(days=1))
        found = []
        for _ in range(2):
            round_id = kit.start()
            found.append([x.task_id for x in kit.state.rounds.replies(round_id)])
            kit.finish(round_id)
        assert found == [[backfill], [daily]]

    def test_evidence_goes_beside_the_reply_of_its_series(self, kit: Kit) -> None:
        held = kit.one(kit.task("A"))
        kit.land(held, malformed="no JSON", fetched_at=ASKED)
        kit.land(held, fetched_at=ASKED + timedelta(seconds=1))
        assert [x.malformed for x in kit.state.rounds.replies(kit.start())] == ["no JSON", None]

    @pytest.mark.parametrize("replies", [1, 2])
    def test_a_round_is_no_larger_than_asked(self, kit: Kit, replies: int) -> None:
        kit.landed("A", "B", "C")
        assert len(kit.state.rounds.replies(kit.start(replies=replies))) == replies

    def test_a_reply_that_is_larger_than_a_round_has_one_of_its_own(self, kit: Kit) -> None:
        kit.landed("A", "B")
        assert len(kit.state.rounds.replies(kit.state.rounds.start(0, 1, 1000))) == 1

    def test_a_finished_round_ends_its_tasks_and_counts_their_rows(self, kit: Kit) -> None:
        good, bad = kit.landed("A", "B")
        kit.curate(
            done(good, new=5, changed=1, same=2, rejected=3),
            TaskResult(bad, "failed", "MalformedPayload", "no JSON", rejected=1),
        )
        assert kit.state.tasks.count() == {"done": 1, "failed": 1}
        totals = kit.state.runs.totals("R1")
        assert (totals.tasks, totals.success, totals.failed, totals.requests) == (2, 1, 1, 2)
        assert totals.rows == {"new": 5, "changed": 1, "same": 2, "rejected": 4}
        assert kit.state.runs.failures("R1") == [
            {
                "source": "yahoo",
                "symbol": "B",
                "error_class": "MalformedPayload",
                "last_error": "no JSON",
                "attempts": 0,
            }
        ]

    def test_only_what_has_landed_is_ended_by_a_round(self, kit: Kit) -> None:
        pending, leased = kit.plan("A", "B").task_ids
        kit.one(leased)
        kit.curate(done(pending), done(leased))
        assert kit.state.tasks.count() == {"pending": 1, "leased": 1}

    def test_a_task_whose_reply_is_lost_is_asked_for_again(self, kit: Kit) -> None:
        (task,) = kit.landed("A")
        kit.state.tasks.sent([task])
        kit.curate(TaskResult(task, "pending", "LakeError", "the raw object is damaged"))
        row = kit.listed(task)
        assert (row["state"], row["attempts"], row["last_error"]) == ("pending", 1, "the raw object is damaged")
        assert [t.task_id for t in kit.state.tasks.to_send(10, 60)] == [task]
        assert kit.one(task).attempts == 1

    def test_a_task_whose_reply_is_lost_fails_after_its_last_attempt(self, kit: Kit) -> None:
        lost = {"state": "pending", "error_class": "DamagedObject", "error": "damaged", "max_attempts": 2}
        (task,) = kit.landed("A")
        kit.curate(TaskResult(task, **lost))
        assert (kit.state_of(task), kit.listed(task)["attempts"]) == ("pending", 1)
        kit.land(kit.one(task))
        kit.state.tasks.sent([task])
        kit.curate(TaskResult(task, **lost))
        row = kit.listed(task)
        assert (row["state"], row["attempts"], row["last_error"]) == ("failed", 1, "damaged")
        assert kit.state.tasks.to_send(10, 60) == []

    def test_finishing_a_round_again_changes_nothing(self, kit: Kit) -> None:
        """A curator that was taken for dead wakes up; meanwhile the lost reply has landed anew."""
        (task,) = kit.landed("A")
        round_id = kit.start()
        lost = TaskResult(task, "pending", "LakeError", "the raw object is damaged")
        kit.finish(round_id, lost)
        kit.land(kit.one(task))
        kit.finish(round_id, lost)
        assert kit.state_of(task) == "landed"

    def test_hot_bars_are_taken_as_json_and_the_newest_knowledge_is_kept(self, kit: Kit) -> None:
        prices = dict.fromkeys(("open", "high", "low", "close"), 1.5)
        row = {"source": "yahoo", "symbol": "A", "date": "2024-01-02", **prices, "volume": 7, "currency": "USD"}
        for later, close in ((1, 1.75), (1, 1.5), (0, 1.25)):
            known = {"known_from": (ASKED + timedelta(days=later)).isoformat(), "close": close}
            kit.state.rounds.finish(kit.start(), [], [], json.dumps([row | known]))
        assert kit.hot_closes() == [1.5]


class TestReplies:
    def test_replies_are_held_once_their_round_has_ended(self, kit: Kit) -> None:
        kit.landed("A", "B")
        assert kit.state.replies.holdings(None, None) == []
        round_id = kit.start()
        assert kit.state.replies.curated("yahoo", {"A", "B"}) == []
        kit.finish(round_id)
        assert kit.state.replies.holdings(None, None) == [Holding("yahoo", s, 1, REPLY) for s in ("A", "B")]
        assert kit.state.replies.holdings("yahoo", {"B"}) == [Holding("yahoo", "B", 1, REPLY)]
        assert kit.state.replies.holdings("stooq", None) == kit.state.replies.holdings(None, {"C"}) == []

    def test_replies_come_in_the_order_of_fetching(self, kit: Kit) -> None:
        for later in (2, 1, 3):
            task = kit.one(kit.task("A"))
            kit.land(task, path=f"raw/{later}.parquet", fetched_at=ASKED + timedelta(days=later), malformed="no JSON")
            kit.curate(done(task.id))
            kit.state.tasks.fail(task, "MalformedPayload", "no JSON", final=True, most=1, delay=0)
        first, *_ = found = kit.state.replies.curated("yahoo", {"A"})
        assert [landing.path for landing in found] == ["raw/1.parquet", "raw/2.parquet", "raw/3.parquet"]
        assert (first.series, first.window, first.size, first.rows) == (series("A"), WEEK, REPLY, 1)
        assert (first.malformed, first.fetched_at) == ("no JSON", ASKED + timedelta(days=1))
        assert kit.state.replies.curated("stooq", {"A"}) == []

    def test_objects_that_have_not_landed_are_told(self, kit: Kit) -> None:
        kit.land(kit.one(kit.task("A")), path="raw/1.parquet")
        assert kit.state.replies.unknown(["raw/1.parquet", "raw/2.parquet"]) == {"raw/2.parquet"}
        assert kit.state.replies.unknown([]) == set()

    def test_what_was_derived_anew_takes_the_place_of_what_was_known(self, kit: Kit) -> None:
        kit.cover((2, 5), first=2, last=5)
        anew = [facts((6, 8), nothing=[(8, 8)], last=8), facts((8, 9), last=9), facts((2, 3), symbol="MSFT", last=3)]
        sessions = {series(): (day(3), day(4)), series("MSFT"): (None, None)}
        kit.state.replies.restate("yahoo", anew, sessions, [], "[]")
        rows = {row["symbol"]: row for row in kit.state.series.manifest()}
        assert (rows["AAPL"]["first_session"], rows["AAPL"]["watermark"]) == (day(3), day(4))
        assert (rows["MSFT"]["first_session"], rows["MSFT"]["watermark"]) == (None, None)
        assert kit.uncovered(1, 12) == [(1, 1), (10, 12)]
        assert rows["AAPL"]["nothing"] == "{}"  # the later answer had a bar there

    def test_hot_bars_become_those_that_were_derived(self, kit: Kit) -> None:
        prices = dict.fromkeys(("open", "high", "low", "close"), 1.5)
        row = {"source": "yahoo", "date": "2024-01-02", **prices, "volume": 7, "currency": "USD"}
        known = {"known_from": (ASKED + timedelta(days=1)).isoformat()}
        rows = [row | known | {"symbol": "A"}, row | known | {"symbol": "B", "date": "2024-01-03"}]
        kit.state.rounds.finish(kit.start(), [], [], json.dumps(rows))
        earlier = row | {"symbol": "A", "close": 1.25, "known_from": ASKED.isoformat()}
        kit.state.replies.restate("yahoo", [], {}, ["A"], json.dumps([earlier]))
        assert sorted(kit.hot_closes()) == [1.25, 1.5]
        kit.state.replies.restate("yahoo", [], {}, ["A"], "[]")
        assert kit.hot_closes() == [1.5]


class TestSeries:
    def test_a_new_series_is_uncovered_as_a_whole(self, kit: Kit) -> None:
        assert kit.uncovered(2, 12) == [(2, 12)]

    def test_what_was_answered_is_not_asked_again(self, kit: Kit) -> None:
        kit.cover((5, 8), first=5, last=8)
        assert kit.uncovered(2, 12) == [(2, 4), (9, 12)]
        assert kit.uncovered(5, 8) == []
        kit.cover((2, 4), first=2, last=4)
        assert kit.uncovered(2, 12) == [(9, 12)]

    def test_series_are_told_apart(self, kit: Kit) -> None:
        kit.cover((5, 8))
        asked = [(series(symbol), window(5, 9)) for symbol in ("AAPL", "MSFT")]
        assert dict(kit.state.series.uncovered(asked, ASKED, 0)) == {"AAPL": [window(9, 9)], "MSFT": [window(5, 9)]}

    def test_the_order_of_the_answers_does_not_matter(self, kit: Kit) -> None:
        kit.cover((9, 10), (2, 3), (5, 6), (3, 9))
        assert kit.uncovered(1, 12) == [(1, 1), (11, 12)]

    def test_what_the_vendor_was_late_with_is_left_alone_for_a_while(self, kit: Kit) -> None:
        kit.curate(facts=[facts((2, 5), last=5, through=8)])
        assert kit.uncovered(2, 8, now=ASKED + timedelta(minutes=59)) == []
        assert kit.uncovered(2, 8, now=ASKED + timedelta(minutes=61)) == [(6, 8)]
        assert kit.uncovered(2, 9, now=ASKED) == [(6, 9)]
        assert kit.uncovered(1, 5, now=ASKED) == [(1, 1)]

    def test_what_the_vendor_has_not_answered_at_all_is_left_alone_for_a_while(self, kit: Kit) -> None:
        kit.curate(facts=[facts(None, through=12)])
        assert kit.uncovered(8, 12, now=ASKED) == []
        assert kit.uncovered(2, 12, now=ASKED) == [(2, 12)]

    def test_a_watermark_never_goes_back_and_the_first_session_never_forward(self, kit: Kit) -> None:
        kit.cover((5, 10), first=5, last=10)
        kit.cover((2, 4), first=2, last=4)
        kit.cover((3, 3))
        row = kit.known()
        assert (row["first_session"], row["watermark"]) == (day(2), day(10))
        progress = kit.state.series.progress("yahoo", "bars", "1d", ["AAPL", "MSFT"])
        assert progress.keys() == {"AAPL"}
        found = progress["AAPL"]
        assert (found.watermark, found.asked_through, found.asked_at) == (day(10), day(10), ASKED)

    def test_where_the_vendor_has_nothing_is_remembered_until_it_has_something(self, kit: Kit) -> None:
        kit.cover((1, 10), nothing=[(1, 4)], first=5, last=10)
        assert kit.known()["nothing"] == "{[2024-01-01,2024-01-05)}"
        kit.cover((3, 4), first=3, last=4)
        assert kit.known()["nothing"] == "{[2024-01-01,2024-01-03)}"
        assert kit.known()["covered"] == "{[2024-01-01,2024-01-11)}"

    def test_an_answer_ends_a_row_of_failures(self, kit: Kit) -> None:
        kit.fail(kit.one(kit.task()), final=True)
        kit.cover((2, 5), last=5)
        row = kit.known()
        assert (row["failures"], row["last_error"]) == (0, None)


LONG = Quota(4, 8000.0)  # a gap of 1000 seconds: far more than a test takes
BATCH = round(LONG.pause)


class TestQuotas:
    def test_requests_start_a_gap_apart_and_batches_a_pause_apart(self, kit: Kit) -> None:
        first = [(n * 1000, 1) for n in range(4)]
        assert kit.waits(LONG, 1, 1, 1, 1, 1, 1) == [*first, (BATCH, 1), (BATCH + 1000, 1)]

    def test_several_are_reserved_at_once_each_with_its_start(self, kit: Kit) -> None:
        slots = kit.reserve(LONG, 6)
        assert slots is not None
        assert [round(s) for s in seconds_to(slots)] == [0, 1000, 2000, 3000, BATCH, BATCH + 1000]

    def test_of_several_only_those_are_reserved_that_start_soon(self, kit: Kit) -> None:
        slots = kit.reserve(LONG, 6, patience=2500)
        assert slots is not None
        assert [round(s) for s in seconds_to(slots)] == [0, 1000, 2000]
        assert kit.waits(LONG, 1) == [(3000, 1)]

    def test_each_source_has_its_own_quota(self, kit: Kit) -> None:
        found = [kit.waits(LONG, 1, source=source)[0][0] for source in ("yahoo", "alpaca", "yahoo")]
        assert found == [0, 0, 1000]

    def test_without_a_quota_everybody_starts_at_once(self, kit: Kit) -> None:
        assert kit.waits(None, 1, 100, 1) == [(0, 1), (0, 100), (0, 1)]

    def test_slots_that_nobody_took_are_not_saved_up(self, kit: Kit) -> None:
        kit.waits(LONG, 2)
        kit.let_pass(10 * BATCH)
        assert kit.waits(LONG, 4, 1) == [(0, 4), (BATCH, 1)]

    def test_who_comes_late_in_a_stretch_delays_nobody_in_the_next(self, kit: Kit) -> None:
        kit.waits(LONG, 1)
        kit.let_pass(5000)
        assert kit.waits(LONG, 3, 1) == [(0, 3), (BATCH - 5000, 1)]

    @pytest.mark.parametrize("quota", [Quota(3, 10.0), Quota(1, 5.0), Quota(7, 60.0)])
    def test_no_stretch_holds_more_than_the_quota(self, kit: Kit, quota: Quota) -> None:
        starts: list[float] = []
        now = 0.0
        for passes, count in zip(itertools.cycle([0.0, 0.7, 3.1, 11.0, 0.2]), [1, 4, 2, 9, 1, 3] * 10, strict=False):
            kit.let_pass(passes)
            now += passes
            slots = kit.reserve(quota, count)
            assert slots is not None
            starts += [now + seconds for seconds in seconds_to(slots)]
        starts.sort()
        # PostgreSQL's clock has gone on a little between the steps, so that a start is known to a second.
        for n, start in enumerate(starts):
            within = [s for s in starts[n:] if s < start + quota.seconds - 1.0]
            assert len(within) <= quota.count

    def test_no_slot_is_given_twice_however_many_ask(self, kit: Kit) -> None:
        given: list[int] = []
        quota = Quota(1000, 2_000_000.0)  # a gap of 1000 s

        def worker(count: int) -> Callable[[], None]:
            def reserve() -> None:
                for _ in range(10):
                    slots = kit.reserve(quota, count)
                    assert slots is not None
                    given.extend(round(seconds / quota.gap) for seconds in seconds_to(slots))

            return reserve

        in_threads([worker(1 + n % 3) for n in range(8)])
        assert sorted(given) == list(range(len(given)))

    def test_who_would_have_to_wait_too_long_takes_no_slot(self, kit: Kit) -> None:
        assert kit.waits(LONG, 1, 1, 1) == [(0, 1), (1000, 1), (2000, 1)]
        assert kit.reserve(LONG, patience=2000) is None
        assert kit.reserve(LONG, patience=2000) is None
        assert kit.waits(LONG, 1) == [(3000, 1)]

    def test_how_long_a_vendor_has_refused_counts_until_it_answers(self, kit: Kit) -> None:
        """Each closure may be short: a vendor that refuses again and again is as good as closed."""
        quotas = kit.state.quotas
        assert quotas.refused_for("yahoo") == 0
        quotas.close("yahoo", 1, "slow down")
        kit.let_pass(60)
        quotas.close("yahoo", 1, "slow down")
        kit.let_pass(60)
        quotas.refuse("yahoo", 1, 600, "slow down")
        assert 119 <= quotas.refused_for("yahoo") <= 125
        kit.let_pass(5)
        assert quotas.accept("yahoo")
        assert quotas.refused_for("yahoo") == 0
        quotas.close("yahoo", 1, "slow down")
        kit.let_pass(3600)
        quotas.close("yahoo", 1, "slow down")  # nobody has asked meanwhile
        assert quotas.refused_for("yahoo") <= 5

    def test_a_closed_vendor_is_asked_by_nobody_until_then(self, kit: Kit) -> None:
        kit.waits(LONG, 1)
        kit.state.quotas.close("yahoo", 50_000, "429")
        assert round(kit.state.quotas.closed_for("yahoo")) == 50_000
        assert kit.waits(LONG, 1, 1) == [(50_000, 1), (51_000, 1)]
        assert kit.waits(None, 1) == [(50_000, 1)]
        assert [(row["source"], row["reason"]) for row in kit.state.quotas.closed()] == [("yahoo", "429")]

    def test_when_a_request_may_start_is_told_without_taking_the_slot(self, kit: Kit) -> None:
        def opens_in(quota: Quota | None = LONG) -> int:
            return round(kit.state.quotas.opens_in("yahoo", quota), -2)

        assert (opens_in(), opens_in(None)) == (0, 0)
        kit.waits(LONG, 1)
        assert (opens_in(), opens_in()) == (1000, 1000)
        kit.waits(LONG, 3)
        assert (opens_in(), opens_in(None)) == (8000, 0)
        kit.state.quotas.close("yahoo", 50_000, "429")
        assert (opens_in(), opens_in(None)) == (50_000, 50_000)

    def test_a_closed_vendor_gives_no_slot_to_the_impatient(self, kit: Kit) -> None:
        kit.state.quotas.close("yahoo", 50_000, "429")
        assert kit.reserve(LONG, patience=1000) is None
        assert kit.reserve(None, patience=1000) is None
        assert kit.waits(LONG, 1) == [(50_000, 1)]

    def test_a_shorter_closure_does_not_end_a_longer_one(self, kit: Kit) -> None:
        kit.state.quotas.close("yahoo", 50_000, "blocked")
        kit.state.quotas.close("yahoo", 5000, "429")
        assert round(kit.state.quotas.closed_for("yahoo")) == 50_000
        assert [row["reason"] for row in kit.state.quotas.closed()] == ["blocked"]

    def test_a_closure_that_is_over_closes_nothing(self, kit: Kit) -> None:
        kit.state.quotas.close("yahoo", 60, "429")
        kit.let_pass(61)
        assert kit.waits(LONG, 1) == [(0, 1)]
        assert (kit.state.quotas.closed(), kit.state.quotas.closed_for("yahoo")) == ([], 0.0)

    def test_refusals_in_a_row_close_for_ever_longer_until_the_vendor_answers(self, kit: Kit) -> None:
        def refused() -> int:
            kit.state.quotas.refuse("yahoo", 1000.0, 5000.0, "429")
            return round(kit.state.quotas.closed_for("yahoo"), -2)

        assert refused() == 1000
        assert refused() == 1000  # this request was under way when the vendor was closed
        found = []
        for seconds in (1000, 2000, 4000, 5000):
            kit.let_pass(seconds + 1)
            found.append(refused())
        assert found == [2000, 4000, 5000, 5000]
        kit.state.quotas.accept("yahoo")  # this one was asked before the vendor was closed
        kit.let_pass(5001)
        assert refused() == 5000
        kit.let_pass(5001)
        kit.state.quotas.accept("yahoo")
        assert refused() == 1000

    def test_a_refusal_does_not_shorten_a_closure(self, kit: Kit) -> None:
        kit.state.quotas.close("yahoo", 50_000, "blocked")
        kit.state.quotas.refuse("yahoo", 1.0, 600.0, "429")
        assert round(kit.state.quotas.closed_for("yahoo")) == 50_000
        assert [row["reason"] for row in kit.state.quotas.closed()] == ["blocked"]

    def test_nobody_has_closed_an_unknown_vendor(self, kit: Kit) -> None:
        assert kit.state.quotas.closed_for("yahoo") == 0.0

    def test_whoever_knows_the_time_badly_gets_more_room(self, kit: Kit) -> None:
        slots = kit.state.quotas.reserve("yahoo", LONG, 4, EVER, doubt=500.0)
        assert slots is not None
        assert [round(s) for s in seconds_to(slots)] == [0, 1500, 3000, 4500]
        assert kit.waits(LONG, 1) == [(BATCH + 500, 1)]


class TestRuns:
    def test_a_run_is_reported_once_when_its_last_task_has_ended(self, kit: Kit) -> None:
        first, second = kit.plan("A", "B").task_ids
        assert kit.state.runs.ended() == []
        kit.fail(kit.one(first), final=True)
        assert kit.state.runs.ended() == []
        kit.fail(kit.one(second), final=True)
        (run,) = kit.state.runs.ended()
        assert (run.id, run.kind, run.source, run.request) == ("R1", "daily", "yahoo", {"symbols": ["A"]})
        assert kit.state.runs.report_of("R1") is None
        kit.state.runs.finish("R1", "reports/R1.json")
        kit.state.runs.finish("R1", "reports/other.json")
        assert kit.state.runs.ended() == []
        assert kit.state.runs.report_of("R1") == "reports/R1.json"
        assert kit.state.runs.totals("R1").failed == 2

    def test_a_reported_run_waits_to_be_inspected_once(self, kit: Kit) -> None:
        runs = kit.state.runs
        for task_id in kit.plan("B", "A").task_ids:
            assert runs.uninspected() == {}
            kit.fail(kit.one(task_id), final=True)
        runs.finish("R1", "reports/R1.json")
        assert runs.uninspected() == {"R1": ["A", "B"]}
        runs.inspected([])
        assert runs.uninspected() == {"R1": ["A", "B"]}
        runs.inspected(["R1"])
        runs.inspected(["R1"])
        assert runs.uninspected() == {}

    def test_a_run_tells_when_its_last_reply_was_stored(self, kit: Kit) -> None:
        first, second = kit.plan("A", "B").task_ids
        assert kit.state.runs.totals("R1").landed_at is None
        kit.land(kit.one(first))
        landed_at = kit.state.runs.totals("R1").landed_at
        assert landed_at is not None
        assert abs(landed_at - kit.state.now()) < timedelta(seconds=10)
        kit.land(kit.one(second), malformed="no JSON")
        assert kit.state.runs.totals("R1").landed_at == landed_at

    def test_an_unknown_run_has_no_report(self, kit: Kit) -> None:
        assert kit.state.runs.report_of("R1") is None

    def test_what_the_reported_runs_of_a_kind_have_used_is_counted(self, kit: Kit) -> None:
        assert kit.state.runs.usage("daily", 30) == RunUsage()
        for symbols in (["AAPL", "MSFT"], ["IBM"]):
            run = kit.new_run()
            ids = kit.plan(*symbols, run=run).task_ids
            kit.land(*kit.claim(*ids))
            kit.let_pass(60)
            kit.curate(*(done(task_id, new=1) for task_id in ids))
            kit.state.runs.finish(run.id, f"reports/{run.id}.json")
        kit.plan("GOOG", kind="backfill")
        kit.plan("TSLA")  # not reported yet
        used = kit.state.runs.usage("daily", 30)
        assert (used.runs, used.tasks, used.requests, used.batches, used.size) == (2, 3, 3, 2, 3 * REPLY)
        assert 120 <= used.seconds < 180
        assert kit.state.runs.usage("backfill", 30) == RunUsage()
        kit.let_pass(31 * 86_400)
        assert kit.state.runs.usage("daily", 30) == RunUsage()

    def test_the_newest_runs_come_first(self, kit: Kit) -> None:
        kit.landed("A")
        kit.let_pass(1)
        kit.plan("B", skipped=4)
        newest, oldest = kit.state.runs.recent(10)
        assert (newest["id"], newest["skipped"], newest["tasks"], newest["finished_at"]) == ("R2", 4, 1, None)
        assert oldest["id"] == "R1"
        assert newest.keys() == oldest.keys()
        assert [run["id"] for run in kit.state.runs.recent(1)] == ["R2"]

    def test_a_run_is_found_with_what_was_asked_and_what_is_left(self, kit: Kit) -> None:
        kit.landed("A")
        kit.let_pass(1)
        kit.plan("B", "C", skipped=4)
        found = kit.state.runs.find("R2")
        assert found is not None
        assert (found["kind"], found["tasks"], found["unfinished"], found["skipped"]) == ("daily", 2, 2, 4)
        assert found == kit.state.runs.recent(1)[0] | {"request": {"symbols": ["A"]}, "unfinished": 2}
        assert kit.state.runs.find("R3") is None


class TestUniverses:
    MEMBERS = (
        ("AAPL", "us", "Apple", None, None),
        ("GONE", "us", None, date(2000, 1, 1), date(2020, 1, 1)),
        ("0700.HK", "hk", None, date(2004, 1, 1), None),
    )

    def put(self, kit: Kit, name: str = "u", phase: str = "p", members: Sequence[Any] = MEMBERS) -> None:
        kit.state.universes.put(Universe(name, phase, "us", "csv", ASKED, members))

    def test_the_current_members_are_found_by_universe_and_phase(self, kit: Kit) -> None:
        self.put(kit)
        self.put(kit, "v", "q", [("MSFT", "us", None, None, None), ("AAPL", "us", None, None, None)])
        symbols = kit.state.universes.symbols
        assert symbols("u", None) == ["0700.HK", "AAPL"]
        assert symbols(None, "q") == symbols("v", "q") == ["AAPL", "MSFT"]
        assert symbols(None, None) == ["0700.HK", "AAPL", "MSFT"]
        assert symbols("u", "q") == symbols("w", None) == []

    def test_a_new_list_takes_the_place_of_the_old_one(self, kit: Kit) -> None:
        self.put(kit)
        self.put(kit, members=[("MSFT", "us", None, None, None)])
        assert kit.state.universes.symbols("u", None) == ["MSFT"]
        self.put(kit, members=[])
        assert kit.state.universes.symbols("u", None) == []

    def test_who_is_not_enabled_counts_only_by_name(self, kit: Kit) -> None:
        self.put(kit)
        self.put(kit, "v", "q", [("MSFT", "us", None, None, None)])
        kit.state.universes.enable(["v", "unknown"])
        symbols = kit.state.universes.symbols
        assert symbols(None, None) == symbols(None, "q") == ["MSFT"]
        assert symbols(None, "p") == []
        assert symbols("u", None) == ["0700.HK", "AAPL"]
        kit.state.universes.enable(["u"])
        assert symbols(None, None) == ["0700.HK", "AAPL"]
        self.put(kit)  # a new list of an enabled one
        assert symbols(None, None, among=["u", "v"]) == ["0700.HK", "AAPL"]
        assert symbols(None, None, among=["v"]) == symbols(None, None, among=[]) == []
        assert symbols("u", None, among=["u"]) == ["0700.HK", "AAPL"]

    def test_who_has_left_counts_since_a_day(self, kit: Kit) -> None:
        self.put(kit)
        symbols = kit.state.universes.symbols
        assert symbols("u", None, since=date(2020, 1, 1)) == ["0700.HK", "AAPL", "GONE"]
        assert symbols("u", None, since=date(2020, 1, 2)) == ["0700.HK", "AAPL"]

    def test_universes_are_listed_by_phase(self, kit: Kit) -> None:
        self.put(kit, "b", "p2")
        self.put(kit, "c", "p1")
        self.put(kit, "a", "p1")
        listed = kit.state.universes.listed()
        assert [row["name"] for row in listed] == ["a", "c", "b"]
        assert listed[0] == {
            "name": "a",
            "phase": "p1",
            "market": "us",
            "source_type": "csv",
            "members": 2,
            "refreshed_at": ASKED,
        }

    def plan_about(self, kit: Kit, kind: str = "daily", **request: object) -> datetime:
        """Plan a run in which nothing is missing, and return when."""
        kit.let_pass(60)
        new = NewRun(f"R{next(kit.runs)}", kind, "yahoo", request, skipped=2)
        kit.state.tasks.plan(new, [])
        found = kit.state.runs.find(new.id)
        assert found is not None
        created_at: datetime = found["created_at"]
        return created_at

    def test_the_last_daily_run_about_all_of_a_universe_is_known(self, kit: Kit) -> None:
        self.put(kit, "a", "p")
        self.put(kit, "b", "q")
        self.put(kit, "empty", "q", [])

        def planned() -> dict[str, datetime | None]:
            return {each.universe: each.planned_at for each in kit.state.runs.last_daily()}

        assert kit.state.runs.last_daily() == [LastDaily("a", "us", None), LastDaily("b", "us", None)]
        self.plan_about(kit, "backfill", universe="a")
        self.plan_about(kit, symbols=["AAPL"])
        assert planned() == {"a": None, "b": None}
        by_name = self.plan_about(kit, universe="a", lookback=5)
        assert planned() == {"a": by_name, "b": None}
        by_phase = self.plan_about(kit, phase="q")
        assert planned()["b"] == by_phase
        everything = self.plan_about(kit, lookback=5)
        assert planned() == {"a": everything, "b": everything}
        kit.state.universes.enable(["b"])  # nobody plans for the other one any more, and nobody misses it
        assert planned() == {"b": everything}

    def test_freshness_tells_how_far_the_members_are(self, kit: Kit) -> None:
        self.put(kit)
        kit.cover((2, 5), last=5)
        self.put(kit, "not_declared_any_more")
        kit.state.universes.enable(["u"])
        assert kit.state.universes.freshness() == [
            {
                "name": "u",
                "phase": "p",
                "market": "us",
                "members": 2,
                "with_data": 1,
                "oldest": day(5),
                "newest": day(5),
            }
        ]

    def test_a_member_is_as_fresh_as_the_newest_of_its_sources(self, kit: Kit) -> None:
        self.put(kit)
        kit.cover((2, 5), last=5)
        again = facts((2, 9), last=9)
        kit.curate(facts=[replace(again, series=replace(again.series, source="another"))])
        (row,) = kit.state.universes.freshness()
        assert (row["members"], row["with_data"], row["oldest"], row["newest"]) == (2, 1, day(9), day(9))


class TestTheWhole:
    def test_the_first_lake_stays(self, kit: Kit) -> None:
        assert kit.state.bound_lake() is None
        assert kit.state.bind_lake("L1", "S1") == ("L1", "S1")
        assert kit.state.bind_lake("L2", "S2") == ("L1", "S1")
        assert kit.state.bound_lake() == "L1"

    def test_the_time_is_in_utc(self, kit: Kit) -> None:
        assert kit.state.now().utcoffset() == timedelta(0)

    def test_a_role_has_one_holder(self, kit: Kit) -> None:
        with kit.state.exclusive("curator") as mine, kit.state.exclusive("curator") as other:
            assert mine is not None
            assert other is None
            mine.confirm()
            with kit.state.exclusive("reporter") as another_role:
                assert another_role is not None
        with kit.state.exclusive("curator") as again:
            assert again is not None

    def test_a_role_is_free_after_an_error(self, kit: Kit) -> None:
        with contextlib.suppress(KeyError), kit.state.exclusive("curator"):
            raise KeyError
        with kit.state.exclusive("curator") as again:
            assert again is not None

    def test_a_role_is_free_when_its_holder_dies(self, kit: Kit) -> None:
        with kit.state.exclusive("curator") as lost:
            assert lost is not None
            kit.kill()
            with kit.state.exclusive("curator") as other:
                assert other is not None
                other.confirm()
                with pytest.raises(StateError):
                    lost.confirm()

    def test_what_one_request_serves_is_claimed_together(self, kit: Kit) -> None:
        first, *others = kit.plan("A", "B", "C", "D", "E").task_ids
        backfill = kit.task("F", kind="backfill")  # the same window: the same request can serve it
        (elsewhere,) = kit.plan("G", window=Window(WEEK.start, WEEK.start)).task_ids
        claim = kit.state.tasks.claim([first], "me", LEASE, 1, {"yahoo": 5})
        assert [task.id for task in claim.held] == [first, *others]  # daily work first, and no more than fits
        again = kit.state.tasks.claim([first], "me", LEASE, 1, {"yahoo": 5})
        assert [(t.id, t.fence) for t in again.held] == [(t.id, t.fence) for t in claim.held]
        assert [task.id for task in kit.claim(backfill, elsewhere, owner="other")] == [elsewhere, backfill]
        assert kit.state.tasks.claim([*others], "other", LEASE, 10, {"yahoo": 5}).held == ()

    def test_of_one_series_a_request_serves_one_task(self, kit: Kit) -> None:
        (a,) = kit.plan("A").task_ids
        kit.plan("B", kind="backfill")
        (b,) = kit.plan("B").task_ids
        assert {t.id for t in kit.state.tasks.claim([a], "me", LEASE, 1, {"yahoo": 9}).held} == {a, b}

    def test_pages_that_tasks_share_are_one_request(self, kit: Kit) -> None:
        plan = kit.plan("A", "B")
        a, b = kit.claim(*plan.task_ids)
        raw = RawObject("raw/p.parquet", "yahoo", "bars", 2, REPLY)
        replies = [reply_to(a, path=raw.path, rows=2), reply_to(b, path=raw.path, row=1)]
        assert kit.state.tasks.land(raw, replies, [a, b], [2, 0]) == {a.id, b.id}
        assert kit.state.rounds.replies(kit.start()) == replies
        assert kit.state.runs.totals(plan.run_id).requests == 2

    def test_a_task_passes_on_to_the_vendor_that_stands_in(self, kit: Kit) -> None:
        run = kit.new_run()
        wanted = [NewTask(series("A"), WEEK, ("stooq", "fmp")), NewTask(series("B"), WEEK)]
        plan = kit.state.tasks.plan(run, wanted)
        a, b = kit.claim(*plan.task_ids)
        assert (a.fallback, b.fallback) == (("stooq", "fmp"), ())
        assert kit.state.tasks.pass_on(a, "UnknownSymbol", "never heard of it")
        assert not kit.state.tasks.pass_on(a, "UnknownSymbol", "again")  # no longer held
        assert not kit.state.tasks.pass_on(b, "UnknownSymbol", "nobody stands in")
        kit.land(b)
        assert kit.state.tasks.any_unfinished(plan.task_ids)  # what took its place
        assert kit.state.tasks.count(plan.task_ids) == {"pending": 1, "landed": 1}
        assert kit.state.tasks.dead() == 0
        assert kit.state.series.progress("yahoo", "bars", "1d", ["A"])["A"].refused
        (ticket,) = [t for t in kit.state.tasks.to_send(10, EVER) if t.series.source == "stooq"]
        (there,) = kit.claim(ticket.task_id)
        assert (there.series.symbol, there.window, there.run_id, there.fallback) == ("A", WEEK, run.id, ("fmp",))
        assert kit.fail(there, final=True)
        totals = kit.state.runs.totals(run.id)
        assert (totals.tasks, totals.failed, totals.passed_on, totals.requests, totals.symbols) == (2, 1, 1, 3, 2)
        assert [(f["source"], f["symbol"]) for f in kit.state.runs.failures(run.id)] == [("stooq", "A")]
        assert kit.state.tasks.count(plan.task_ids) == {"failed": 1, "landed": 1}

    def test_events_apart_are_planned_with_the_task_that_is_passed_on(self, kit: Kit) -> None:
        run = kit.new_run()
        wanted = [NewTask(series(symbol), WEEK, ("stooq",)) for symbol in "AB"]
        plan = kit.state.tasks.plan(run, wanted)
        a, b = kit.claim(*plan.task_ids)
        since = Window(WEEK.start - timedelta(days=60), WEEK.end)
        assert kit.state.tasks.pass_on(a, "UnknownSymbol", "never heard of it", events=since)
        assert not kit.state.tasks.pass_on(a, "UnknownSymbol", "again", events=since)
        kit.land(b)
        tickets = [t for t in kit.state.tasks.to_send(10, EVER) if t.series.source == "stooq"]
        assert [(t.series.dataset, t.series.symbol, t.window, t.run_id) for t in tickets] == [
            ("bars", "A", WEEK, run.id),
            ("actions", "A", since, run.id),
        ]
        (bars,) = kit.claim(tickets[0].task_id)
        kit.land(bars)
        assert kit.state.tasks.count(plan.task_ids) == {"landed": 2, "pending": 1}  # A's bars, B's; A's events
        assert kit.state.tasks.count([b.id]) == {"landed": 1}
        (events,) = kit.claim(tickets[1].task_id)
        assert events.fallback == ()
        assert kit.fail(events, final=True)
        assert kit.state.tasks.count(plan.task_ids) == {"landed": 2, "failed": 1}

    def test_events_follow_bars_that_were_passed_on(self, kit: Kit) -> None:
        events = Series("yahoo", "actions", "1d", "A")
        wanted = [
            NewTask(series("A"), WEEK, ("stooq",)),
            NewTask(events, WEEK),
            NewTask(replace(events, symbol="B"), WEEK),
        ]
        plan = kit.state.tasks.plan(kit.new_run(), wanted)
        held = {(t.series.dataset, t.series.symbol): t for t in kit.claim(*plan.task_ids)}
        assert not kit.state.tasks.pass_on(held["actions", "A"], "NotEntitled", "its bars have not passed on")
        assert kit.state.tasks.pass_on(held["bars", "A"], "NotEntitled", "not in your plan")
        assert not kit.state.tasks.pass_on(held["actions", "B"], "NotEntitled", "it has no bars here")
        assert kit.state.tasks.pass_on(held["actions", "A"], "NotEntitled", "not in your plan")
        assert kit.state.tasks.count([held["actions", "A"].id]) == {"pending": 1}  # the bars that stand for it
        assert kit.state.tasks.count(plan.task_ids) == {"pending": 1, "leased": 1}
        assert kit.state.tasks.dead() == 0

    @pytest.mark.parametrize("given_up", [False, True])
    def test_events_that_wait_or_were_given_up_follow_their_bars(self, kit: Kit, given_up: bool) -> None:
        events = Series("yahoo", "actions", "1d", "A")
        plan = kit.state.tasks.plan(kit.new_run(), [NewTask(series("A"), WEEK, ("stooq",)), NewTask(events, WEEK)])
        held = {t.series.dataset: t for t in kit.claim(*plan.task_ids)}
        if given_up:
            assert kit.fail(held["actions"], final=True)
        else:
            kit.state.tasks.release([held["actions"]], 3000.0, "closed")
        assert kit.state.tasks.pass_on(held["bars"], "RateLimited", "closed")
        assert kit.state.tasks.dead() == 0
        assert kit.state.tasks.count(plan.task_ids) == {"pending": 1}
        assert kit.state.runs.totals(plan.run_id).passed_on == 2

    def test_a_finding_is_open_until_it_is_settled(self, kit: Kit) -> None:
        findings = kit.state.findings
        gap = Finding("gap", "warn", "AAPL", "three sessions are missing", "yahoo", "bars", WEEK.start, WEEK.end)
        late = Finding("late", "error", "us", "no run for 2024-01-05", facts={"deadline": "06:00"})
        assert findings.note([gap, late]) == 2
        assert findings.note([gap]) == 0  # seen again
        assert findings.count_open() == {"error": 1, "warn": 1}
        first, second = findings.listed(10)
        assert (first["rule"], first["facts"], first["first_day"]) == ("late", {"deadline": "06:00"}, None)
        assert (second["subject"], second["source"], second["last_day"]) == ("AAPL", "yahoo", WEEK.end)
        assert findings.settle(second["id"], "acknowledged", "ops", "the exchange was closed")
        assert not findings.settle(second["id"], "acknowledged", "ops", "again")
        assert not findings.settle(10**9, "resolved", "ops", "there is none")
        assert findings.resolve("late", ["us", "hk"], "a run came") == 1
        assert findings.count_open() == {}
        findings.note([gap, late])
        assert {row["rule"]: row["status"] for row in findings.listed(10)} == {"gap": "acknowledged", "late": "open"}
        assert [row["reason"] for row in findings.listed(10, status="acknowledged")] == ["the exchange was closed"]
        assert findings.listed(10, rule="gap", subject="MSFT") == []

    def test_who_carried_which_symbol_is_replaced_as_a_whole(self, kit: Kit) -> None:
        assert kit.state.instruments.namings() == []
        meta = [("us.FB", "FB", None, date(2022, 6, 8)), ("us.FB", "META", date(2022, 6, 9), None)]
        kit.state.instruments.put([*meta, ("us.X", "X", None, None)])
        kit.state.instruments.put(meta[::-1])
        assert kit.state.instruments.namings() == meta
        kit.state.instruments.put([])
        assert kit.state.instruments.namings() == []

    def test_an_acknowledged_finding_that_happens_again_is_open_again_with_its_reason(self, kit: Kit) -> None:
        findings = kit.state.findings

        def seen(times: int, day: date) -> dict[str, object]:
            findings.note(
                [Finding("tick", "warn", "A", "words", first_day=WEEK.start, last_day=day, facts={"times": times})]
            )
            (row,) = findings.listed(9)
            return row

        findings.settle(seen(2, WEEK.start)["id"], "acknowledged", "ops", "two known ones")  # type: ignore[arg-type]
        assert seen(2, WEEK.end)["status"] == "acknowledged"  # it lasts, and is no other one
        again = seen(3, WEEK.end)
        assert (again["status"], again["reason"], again["settled_by"]) == ("open", "two known ones", "ops")
        assert seen(3, WEEK.end)["status"] == "open"

    def test_what_rules_do_not_find_any_more_is_resolved(self, kit: Kit) -> None:
        findings = kit.state.findings

        def found(rule: str, subject: str, source: str = "yahoo", day: date = WEEK.start) -> Finding:
            return Finding(rule, "warn", subject, "words", source, "bars_1d", day, day)

        def statuses() -> dict[tuple[str, str, str], str]:
            return {(r["rule"], r["subject"], r["source"]): r["status"] for r in findings.listed(99)}

        others = [found("spike", "A", "stooq"), found("gap", "A"), Finding("spike", "warn", "A", "words", "yahoo", "x")]
        findings.note(others)
        first = [found("spike", "A"), found("spike", "B"), found("stale", "B")]
        assert findings.restate(["spike", "stale"], "yahoo", "bars_1d", first, "gone") == (3, 0)
        assert findings.restate(["spike", "stale"], "yahoo", "bars_1d", first[:1], "gone", ["A"]) == (0, 0)
        assert findings.restate(["spike", "stale"], "yahoo", "bars_1d", first[:2], "gone") == (0, 1)
        assert statuses()["stale", "B", "yahoo"] == "resolved"
        moved = [found("spike", "A", day=WEEK.end)]
        assert findings.restate(["spike"], "yahoo", "bars_1d", moved, "gone", ["A"]) == (1, 1)
        assert findings.restate(["spike"], "yahoo", "bars_1d", [], "gone", ["A"]) == (0, 1)
        assert {key for key, status in statuses().items() if status == "open"} == {
            ("spike", "A", "stooq"),
            ("gap", "A", "yahoo"),
            ("spike", "A", "yahoo"),  # of another dataset
            ("spike", "B", "yahoo"),
        }
        assert findings.restate(["stale"], "yahoo", "bars_1d", first[2:], "gone") == (0, 0)
        assert statuses()["stale", "B", "yahoo"] == "open"  # it is back
        assert findings.restate(["spike"], None, None, [found("spike", "A", "stooq")], "gone", ["A"]) == (0, 1)
        assert statuses()["spike", "A", "stooq"] == "open"
        assert statuses()["spike", "B", "yahoo"] == "open"

    def test_what_lies_between_the_days_of_its_subject_is_resolved(self, kit: Kit) -> None:
        findings, before, after = kit.state.findings, WEEK.start - timedelta(days=1), WEEK.end + timedelta(days=1)

        def found(subject: str, first: date | None, last: date | None) -> Finding:
            return Finding("spike", "warn", subject, "words", "yahoo", "bars_1d", first, last)

        inside = [found("A", WEEK.start, WEEK.end), found("A", WEEK.end, WEEK.end)]
        across = [found("A", before, WEEK.end), found("B", WEEK.start, after)]
        elsewhere = [found("A", None, None), found("C", WEEK.start, WEEK.end)]
        findings.note([*inside, *across, *elsewhere])
        days = {"A": (WEEK.start, WEEK.end), "B": (WEEK.start, WEEK.end)}
        assert findings.restate(["spike"], "yahoo", "bars_1d", [], "gone", days={}) == (0, 0)
        assert findings.restate(["spike"], "yahoo", "bars_1d", inside[:1], "gone", ["B"], days) == (0, 0)
        assert findings.restate(["spike"], "yahoo", "bars_1d", inside[:1], "gone", days=days) == (0, 1)
        open_ = {(r["subject"], r["first_day"], r["last_day"]) for r in findings.listed(99, status="open")}
        assert open_ == {(f.subject, f.first_day, f.last_day) for f in (inside[0], *across, *elsewhere)}

    def test_gaps_are_open_or_explained_until_they_are_filled(self, kit: Kit) -> None:
        gaps, monday = kit.state.gaps, datetime(2024, 2, 5, tzinfo=UTC)
        some = [Gap(series("B"), day(3), due_at=monday), Gap(series("A"), day(4)), Gap(series("A"), day(3), asked=2)]
        gaps.put([])
        gaps.put(some)
        assert gaps.known() == [some[2], some[1], some[0]]
        assert gaps.known(["B", "C"]) == some[:1]
        assert gaps.due(["yahoo"], monday) == ["B"]
        assert gaps.due(["yahoo"], monday - timedelta(seconds=1)) == gaps.due(["stooq"], monday) == []
        why = "yahoo has answered 5 times without the session"
        explained = replace(some[0], status="explained", explanation="vendor_has_nothing", reason=why, asked_at=monday)
        gaps.put([explained, replace(some[1], status="filled")])
        assert gaps.due(["yahoo"], monday) == []
        assert gaps.known() == [some[2], explained]
        rows = [tuple(row.values()) for row in gaps.count()]
        assert rows == [("yahoo", "bars", "1d", "A", 1, 0), ("yahoo", "bars", "1d", "B", 0, 1)]
        gaps.put([some[1]])  # it is missing again
        assert len(gaps.known()) == 3

    def test_what_was_asked_for_gaps_is_what_the_tasks_say(self, kit: Kit) -> None:
        ids = [kit.task(symbol, kind="heal") for symbol in ("A", "B", "C", "D")]
        answered, failed, _, landed = (kit.one(i) for i in ids)
        kit.plan("A", kind="daily")  # is not about a gap
        kit.land(answered, landed)
        kit.curate(done(answered.id))
        kit.fail(failed, final=True)
        asks = kit.state.gaps.asks(["A", "B", "C", "E"])
        assert [(a.series.symbol, a.state, a.error) for a in asks] == [
            ("A", "answered", None),
            ("B", "failed", "503"),
            ("C", "waiting", None),
        ]
        assert {a.window for a in asks} == {WEEK}
        assert all(a.at.tzinfo is not None for a in asks)

    def test_of_two_findings_with_one_key_at_once_the_last_stands(self, kit: Kit) -> None:
        two = [Finding("gap", "warn", "AAPL", words) for words in ("one", "two")]
        assert kit.state.findings.note(two) == 1
        assert [row["message"] for row in kit.state.findings.listed(10)] == ["two"]


def test_after_a_restart_of_the_server_holders_get_a_lease_to_come_back(empty_database_url: str) -> None:
    """They could not extend their leases while it was away, and may hold what they have fetched."""
    state = open_state(empty_database_url)
    try:
        (task,) = state.tasks.plan(NewRun("R1", "daily", "yahoo", {}), [NewTask(series("AAPL"), WEEK)]).task_ids
        state.tasks.claim([task], "holder", 1.0, 32)
        with state.database.transaction() as connection:
            connection.execute("update tasks set lease_until = now() - interval '20 s'")
        for started, passes_on in (("now() - interval '1 s'", False), ("now() - interval '1 min'", True)):
            _has_run_since(state, started)
            assert bool(state.tasks.claim([task], "other", 15.0, 32).held) is passes_on
    finally:
        state.close()


def test_a_claim_looks_again_at_a_task_that_lands_while_it_waits(empty_database_url: str) -> None:
    """Its lease has run out, and its holder lands it all the same: the claim waits for the row and then leaves it."""
    state = open_state(empty_database_url)
    try:
        _has_run_since(state, "now() - interval '1 year'")
        (task,) = state.tasks.plan(NewRun("R1", "daily", "yahoo", {}), [NewTask(series("AAPL"), WEEK)]).task_ids
        state.tasks.claim([task], "holder", 1.0, 32)
        with state.database.transaction() as connection:
            connection.execute("update tasks set lease_until = now() - interval '1 s'")
        found: list[Claim] = []
        claiming = threading.Thread(target=lambda: found.append(state.tasks.claim([task], "other", 15.0, 32)))
        with state.database.transaction() as landing:
            landing.execute("update tasks set state = 'landed', lease_owner = null, lease_until = null")
            claiming.start()
            claiming.join(0.5)
            assert claiming.is_alive()  # it waits for the row
        claiming.join(10)
        assert (found[0].held, found[0].settled) == ((), frozenset({task}))
    finally:
        state.close()
