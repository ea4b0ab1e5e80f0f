"""What an all-seeing bookkeeper notes while the fleet works; some rules are checked at the very moment."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
from tests.simulation.oracle import RawZone, accepted_bars
from tests.simulation.scheduler import Actor, Fiber
from tests.simulation.world import Watch, World

from quantx.core.model import FetchTask, Series, StoredReply, Window
from quantx.errors import LakeError
from quantx.lake.memory import MemoryTable
from quantx.state.memory import MemoryState
from quantx.state.memory_records import ReplyRecord
from quantx.state.rounds.port import TaskResult
from quantx.state.tasks.port import Claim, Plan, RawObject
from quantx.state.values import UNFINISHED, NewRun


@dataclass(frozen=True)
class Request:
    """A request as the vendor sees it."""

    at: float
    actor: Actor
    symbols: tuple[str, ...]
    window: Window


@dataclass
class Ledger(Watch):
    """The bookkeeper."""

    world: World
    state: MemoryState
    tables: Mapping[str, MemoryTable]
    raw_zone: RawZone
    violations: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    closures: list[tuple[float, float]] = field(default_factory=list)  # known since, in force until
    raw: dict[str, str] = field(default_factory=dict)  # digest of what was stored first
    reports: dict[str, list[bytes]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    fences: dict[int, int] = field(default_factory=dict)
    holders: dict[tuple[int, int], str] = field(default_factory=dict)
    may_ask: Counter[tuple[Actor, str, Window]] = field(default_factory=Counter)
    watermarks: dict[Series, date] = field(default_factory=dict)
    landed: set[int] = field(default_factory=set)
    fetched: set[Fiber] = field(default_factory=set)  # whose children have asked the vendor since its last claim
    rounds_begun: int = 0
    refused: int = 0  # replies that came with an old fencing number
    joined: int = 0  # plans that were those of an earlier run, or shared its tasks
    sealed: bool = False  # the newer state has sealed the table of bars
    fingerprints: dict[tuple[str, int], int] = field(default_factory=dict)
    seen: dict[str, tuple[pl.DataFrame, list[tuple[Any, ...]]]] = field(default_factory=dict)  # by table

    def violate(self, rule: str, text: str) -> None:
        """Note that a rule was broken."""
        self.violations.append(f"{rule}: {text} (at {self.world.scheduler.now:.4f} s)")
        self.world.scheduler.say(f"VIOLATION {rule}: {text}")

    def tasks_plan(self, actor: Actor, result: Plan, run: NewRun, *given: object) -> None:
        self.joined += bool(result.shared) or result.run_id != run.id
        self.check_planned_once()

    def tasks_retry(self, actor: Actor, result: Plan, run: NewRun, *given: object) -> None:
        self.check_planned_once()

    def check_planned_once(self) -> None:
        unfinished = [t.key for t in self.state.records.tasks.values() if t.state in UNFINISHED]
        if len(set(unfinished)) < len(unfinished):
            self.violate("planned-once", "two unfinished tasks have the same kind, series and window")

    def asks(self, actor: Actor, symbols: Sequence[str], window: Window) -> None:
        """See a request to the vendor: each claim of a task is good for one."""
        self.requests.append(Request(self.world.scheduler.now, actor, tuple(symbols), window))
        for symbol in symbols:
            self.may_ask[actor, symbol, window] -= 1
            if self.may_ask[actor, symbol, window] < 0:
                self.violate("asked-once", f"{actor.name} asks for {symbol} again without another claim")

    def is_refused(self, actor: Actor, symbols: Sequence[str], window: Window) -> None:
        """See a refusal without a waiting time: the claim is good for another request."""
        for symbol in symbols:
            self.may_ask[actor, symbol, window] += 1

    def tasks_claim(self, actor: Actor, result: Claim, ids: object, owner: str, *given: object) -> None:
        if self.world.scheduler.current is not None:
            self.fetched.discard(self.world.scheduler.current)
        for task in result.held:
            if task.id in self.landed:
                self.violate("asked-once", f"task {task.id} was claimed although its reply has landed")
            holder = self.holders.setdefault((task.id, task.fence), owner)
            if holder != owner or task.fence < self.fences.get(task.id, 0):
                self.violate("fence", f"task {task.id} was given to two workers under the number {task.fence}")
            self.fences[task.id] = task.fence
            self.may_ask[actor, task.series.symbol, task.window] += 1
        series = [task.series for task in result.held]
        if len(set(series)) < len(series):
            self.violate("one-per-series", f"{actor.name} holds two tasks of a series")

    def tasks_land(
        self,
        actor: Actor,
        result: set[int],
        raw: RawObject,
        replies: Sequence[StoredReply],
        tasks: Sequence[FetchTask],
        requests: Sequence[int],
    ) -> None:
        for reply, task in zip(replies, tasks, strict=True):
            self.refused += reply.malformed is None and task.id not in result
            if reply.malformed is None and task.id in result:
                if task.fence != self.fences[task.id]:
                    self.violate("fence", f"{actor.name} landed task {task.id} after its lease had passed on")
                self.landed.add(task.id)

    def tasks_fail(self, actor: Actor, result: bool | None, task: FetchTask, *given: object, **how: object) -> None:
        if result is not None and task.fence != self.fences[task.id]:
            self.violate("fence", f"{actor.name} failed task {task.id} after its lease had passed on")

    def rounds_replies(self, actor: Actor, result: object, round_id: int) -> None:
        self.rounds_begun += 1

    def rounds_finish(
        self, actor: Actor, result: None, round_id: int, results: Sequence[TaskResult], *given: object
    ) -> None:
        done = {r.task_id for r in results if r.state == "done"}
        self.landed -= {r.task_id for r in results if r.state == "pending"}
        self.check_readable(done, f"round {round_id}")
        for series, known in self.state.records.series.items():
            if known.watermark is not None:
                if known.watermark < self.watermarks.get(series, known.watermark):
                    self.violate("watermark", f"that of {series.symbol} went back to {known.watermark}")
                self.watermarks[series] = known.watermark

    def check_readable(self, done: set[int], when: str) -> None:
        """I5: what a task that is done has brought is readable, as current rows or as revisions."""
        records = self.state.records
        done = {i for i in done if records.tasks[i].state == "done"}
        self.check_replies([x for x in records.replies if x.reply.task_id in done], when)

    def check_replies(self, replies: Sequence[ReplyRecord], when: str) -> None:
        """I5: what these replies have brought is readable."""
        kept = [x for x in replies if x.reply.malformed is None]
        current, revisions = self.rows("bars_1d"), self.rows("bars_1d_revisions")
        known = {(symbol, day, close) for symbol, day, close, _ in (*current, *revisions)}
        try:
            bodies = self.raw_zone.landed(kept)
        except (LakeError, IndexError) as error:
            self.violate("I1", f"a raw object does not hold what has landed: {error}")
            return
        for record in kept:
            item = bodies[record.id]
            for day, bar in accepted_bars(item):
                if (item.symbol, day, bar[3]) not in known:
                    self.violate(
                        "I5", f"task {item.stored.task_id} is done, but {item.symbol} {day} is not readable ({when})"
                    )
                    return

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Return symbol, date, close and known_from of a table's rows."""
        now = self.tables[table].read()
        if table not in self.seen or self.seen[table][0] is not now:
            self.seen[table] = now, list(zip(*(now[c] for c in ("symbol", "date", "close", "known_from")), strict=True))
        return self.seen[table][1]

    def quotas_close(self, actor: Actor, result: None, source: str, seconds: float, reason: str) -> None:
        now = self.world.scheduler.now
        self.closures.append((now, now + seconds))

    def store_create(self, actor: Actor, result: bool, path: str, body: bytes) -> None:
        if result and path.startswith("raw/"):
            self.raw.setdefault(path, hashlib.sha256(body).hexdigest())

    def store_put(self, actor: Actor, result: None, path: str, body: bytes) -> None:
        if path.startswith("reports/"):
            self.reports.setdefault(path, []).append(body)

    def queue_send(self, actor: Actor, result: None, bodies: Sequence[str], delay: float = 0) -> None:
        self.sent += bodies

    def bars_1d_commit(self, actor: Actor, result: bool, *given: object, **how: object) -> None:
        table = self.tables["bars_1d"]
        if result and actor.former and self.sealed:
            self.violate("fenced", f"{actor.name} has committed after a newer state had taken the lake over")
        if result:
            self.fingerprints["bars_1d", len(table.versions) - 1] = fingerprint(table.versions[-1])

    def bars_1d_seal(self, actor: Actor, *given: object) -> None:
        self.sealed = self.sealed or (not actor.former and self.tables["bars_1d"].version() is not None)

    def begin_again(self, state: MemoryState) -> None:
        """Watch a newer state from now on: it has tasks of its own."""
        self.state = state
        for seen in (self.fences, self.holders, self.may_ask, self.watermarks, self.landed, self.requests):
            seen.clear()
        self.closures.clear()
        self.sealed = False


def fingerprint(rows: pl.DataFrame) -> int:
    """Return a number that another content would not have."""
    return hash(tuple(rows.rows()))
