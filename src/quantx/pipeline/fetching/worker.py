"""The worker: receive → claim → fetch within the rate limit → land, until the queue is empty."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog
from ulid import ULID

from quantx.core.model import Clock, FetchTask, Quota
from quantx.errors import (
    LakeError,
    ProviderError,
    QueueError,
    RateLimited,
    RefusedStatement,
    StateError,
    TerminalProviderError,
)
from quantx.lake.store import LakeLocation
from quantx.pipeline.curating.curator import Curator
from quantx.pipeline.fetching.batch_outcomes import BatchOutcomes
from quantx.pipeline.fetching.batch_size import BatchSize
from quantx.pipeline.fetching.landing import Landing, Progress, close_vendor
from quantx.pipeline.fetching.leases import Leases
from quantx.pipeline.fetching.own_work import OwnHandler, OwnWork
from quantx.pipeline.fetching.rate_limit import RateLimiter, StateTime
from quantx.pipeline.fetching.reply_memory import ReplyMemory
from quantx.pipeline.fetching.settled_poison import discard_settled_poison
from quantx.pipeline.fetching.task_groups import GroupReply, TaskGroup, group_tasks
from quantx.pipeline.planning.plan import send_outbox
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.threads import Runtime
from quantx.providers.protocol import Page, Provider
from quantx.providers.registry import why_absent
from quantx.queues import messages
from quantx.queues.protocol import MOST_MESSAGES, Message, TaskQueue
from quantx.settings import Settings
from quantx.state.findings.port import Findings
from quantx.state.quotas.port import Quotas
from quantx.state.tasks.port import Tasks
from quantx.tracing import any_span, shared_span

log = structlog.get_logger()

_IDLE_SECONDS, _LONGEST_IDLE = 0.2, 2.0  # between two checks of an empty queue; and while this worker curates
_CURATE_SECONDS = 0.5  # between two checks whether enough has landed
_TOP_UP_SECONDS = 1.0
_OUTAGE_SECONDS = 60.0  # of retries during an outage, where there is no time budget
_CLAIMING, _FINISHING = 0.8, 0.95  # of the time budget: until when tasks are claimed, and calls retried
_SWITCH_SECONDS = 0.0005  # between Python's threads: requests start on time although the curator computes beside them
_NAMED = 20  # symbols in the trace of a request
_SLOW_SLOTS = 20  # for which a request may wait where the quota is slow
_LANES = 2  # batches at a time: while one is stored and recorded, the other fetches
_SPARE_SECONDS = 0.2  # before a slot: enough to land replies
_AGAIN = 3  # times that a worker makes a refused request again, before its task goes back to the queue
_FETCH_GRACE, _GRACE = 4.0, 7.0  # seconds that fetches, and then their batches, get once the worker is to stop


@dataclass(kw_only=True)
class Worker:
    """Drains the queue. Any number may run, anywhere; any may die at any moment."""

    settings: Settings
    clock: Clock
    location: LakeLocation
    queue: TaskQueue
    tasks: Tasks
    quotas: Quotas
    findings: Findings
    state_now: Callable[[], datetime]
    providers: Mapping[str, Provider]
    limits: Mapping[str, Quota | None]  # by source; None: unlimited
    runtime: Runtime
    curator: Curator
    report_ended_runs: Callable[[], object]
    own_work: Mapping[str, OwnHandler] = field(default_factory=dict)  # by dataset: what needs no vendor
    on_progress: Callable[[Progress], None] = lambda progress: None
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{ULID()}"
        self._retry = Retry(self.runtime, _OUTAGE_SECONDS)
        self._time = StateTime()
        self._topped_up_at = self.runtime.monotonic()
        self._refused_by = set(self.providers)  # whose next answer is reported to the fleet
        self._leases: list[Leases] = []  # of the batches at work
        self._size = BatchSize(self.settings.chunk_size)
        self._own = OwnWork(
            handlers=self.own_work,
            tasks=self.tasks,
            queue=self.queue,
            lease=self.settings.lease_seconds,
            stopping=lambda: self.runtime.stopping,
        )
        self._curates_beside = False
        self._memory = ReplyMemory(self.settings.held_bytes, self.runtime)
        self._widths = {s: p.capabilities.symbols_per_request for s, p in self.providers.items()}

    def run(
        self, *, task_ids: Sequence[int] | None = None, until_empty: bool = True, time_budget: float | None = None
    ) -> Progress:
        """Work until all of `task_ids` have ended, or else until no task is unfinished; return the counts.

        The worker stops claiming at 80 % of `time_budget` (seconds), or when it is to stop. Then it finishes the tasks
        that it holds, and curates what has landed. During an outage of the state, the queue or the lake, calls are
        retried up to 95 % of the budget, or for a minute without a budget; then the error is raised. Fetched pages stay
        in memory meanwhile.
        """
        end, last = (
            None if time_budget is None else self.runtime.monotonic() + share * time_budget
            for share in (_CLAIMING, _FINISHING)
        )
        self._retry = Retry(self.runtime, _OUTAGE_SECONDS, last)
        sys.setswitchinterval(_SWITCH_SECONDS)
        with self.runtime.repeating(_CURATE_SECONDS, partial(self._curate_beside, end)):
            lanes = min(_LANES, self.settings.max_workers)
            while not self._is_over(end):
                worked = self.runtime.together([partial(self._drain, end, lanes)] * lanes, lanes, _GRACE)
                if any(worked):
                    continue
                self._retry.call(partial(self._curate, everything=True, end=end))
                if self._retry.call(partial(self._is_done, task_ids, until_empty)):
                    self._retry.call(partial(discard_settled_poison, self.queue, self.tasks))
                    return self.progress
                self._retry.call(self._resend_lost)
                self._wait_idle()
        self._curate(everything=True, end=last)
        return self.progress

    def run_held(self, tasks: Sequence[FetchTask]) -> Progress:
        """Fetch, land and curate tasks that are leased to this worker already; return the counts.

        Other workers' replies are curated, too. What is not fetched when the worker is to stop goes back.
        """
        leases = Leases(tasks, {}, tasks=self.tasks, queue=self.queue, seconds=self.settings.lease_seconds)
        with self.runtime.repeating(_CURATE_SECONDS, partial(self._curate_beside, None)):
            self._fetch_held(tasks, leases, self.settings.max_workers)
            ids = [task.id for task in tasks]
            while not self.runtime.stopping:
                self._retry.call(partial(self._curate, everything=True, end=None))
                if not self._retry.call(partial(self.tasks.count, ids)).get("landed", 0):
                    break
                self._wait_idle()
        return self.progress

    def _is_over(self, end: float | None) -> bool:
        return self.runtime.stopping or (end is not None and self.runtime.monotonic() >= end)

    def _wait_idle(self) -> None:
        """Wait a moment for messages; while this worker curates, until that has ended, but not long."""
        until = self.runtime.monotonic() + _LONGEST_IDLE
        while not self.runtime.wait(_IDLE_SECONDS) and self._curates_beside and self.runtime.monotonic() < until:
            continue

    def _drain(self, end: float | None, lanes: int) -> bool:
        """Handle batch after batch until the queue is empty; return whether there was one."""
        at_once, worked = max(1, self.settings.max_workers // lanes), False
        while not self._is_over(end) and self._one_batch(at_once):
            worked = True
            self._top_up()
        return worked

    def _top_up(self) -> None:
        """Send the tasks for which the queue had no room, at most once a second."""
        now = self.runtime.monotonic()
        if now >= self._topped_up_at + _TOP_UP_SECONDS:
            self._topped_up_at = now
            self._retry.call(self._send_outbox)

    def _send_outbox(self) -> None:
        send_outbox(self.tasks, self.queue, self.runtime)

    def _one_batch(self, at_once: int) -> bool:
        """Handle the messages of a batch, up to `at_once` fetches at a time; return whether there was a message."""
        begun, size = self.runtime.monotonic(), self._size.tasks
        lease, owner = self.settings.lease_seconds, f"{self.owner}:{ULID()}"
        received = self._receive(size)
        if not received:
            return False
        named = self._read(received)
        if not named:
            return True
        claim = self._retry.call(lambda: self.tasks.claim(named.keys(), owner, lease, size, self._widths))
        held = {task.id for task in claim.held}
        if claim.complete:
            self._retry.call(lambda: self.queue.delete([named[i] for i in claim.complete]))
        for task_id in claim.unknown:
            self._poison(named[task_id], f"it names the task {task_id}, which this state does not have")
        # Another worker holds the task, or it must wait: the message stays, in case that worker dies.
        rest = [
            message
            for i, message in named.items()
            if i not in held | claim.complete | claim.unknown
            and not any(leases.adopt(i, message) for leases in self._leases.copy())
        ]
        if rest:
            self._retry.call(lambda: self.queue.extend(rest, lease / 3))
        if claim.held:
            leases = Leases(claim.held, named, tasks=self.tasks, queue=self.queue, seconds=lease)
            self._fetch_held(claim.held, leases, at_once)
            self._size.note(len(received), self.runtime.monotonic() - begun)
        return True

    def _receive(self, most: int) -> list[Message]:
        """Receive messages page by page, until the queue gives less than a page."""
        received: list[Message] = []
        while most > 0:
            page = self._retry.call(partial(self.queue.receive, min(most, MOST_MESSAGES), self.settings.lease_seconds))
            received += page
            most = most - len(page) if len(page) == MOST_MESSAGES else 0
        return received

    def _fetch_held(self, tasks: Sequence[FetchTask], leases: Leases, at_once: int) -> None:
        self._leases.append(leases)  # messages of tasks that were claimed without theirs may come meanwhile
        own, fetched = ([t for t in tasks if self._own.is_own(t) is is_own] for is_own in (True, False))
        try:
            with shared_span("batch", [t.run_id for t in tasks], tasks=len(tasks)), leases.extended(self.runtime):
                if fetched:
                    self._fetch_all(fetched, at_once, self._landing(leases))
                if own:
                    self._own.carry_out(own, leases, self._retry, self.progress)
        finally:
            self._leases.remove(leases)
        self.on_progress(self.progress)

    def _landing(self, leases: Leases) -> Landing:
        return Landing(
            leases=leases,
            retry=self._retry,
            progress=self.progress,
            settings=self.settings,
            clock=self.clock,
            location=self.location,
            queue=self.queue,
            tasks=self.tasks,
            quotas=self.quotas,
            findings=self.findings,
            limits=self.limits,
            providers=self.providers,
            memory=self._memory,
        )

    def _read(self, received: Sequence[Message]) -> dict[int, Message]:
        """Return the messages by their tasks' ids; a message of another form goes to the poison queue."""
        named: dict[int, Message] = {}
        for message in received:
            try:
                task_id = messages.decode(message.body).task_id
            except QueueError as error:
                self._poison(message, str(error))
                continue
            if task_id in named:  # sent twice: one delivery is enough
                self._retry.call(partial(self.queue.delete, [message]))
            else:
                named[task_id] = message
        return named

    def _poison(self, message: Message, reason: str) -> None:
        log.error("message.poison", reason=reason, body=message.body[:200])
        self._retry.call(partial(self.queue.poison, message, reason))

    def _fetch_all(self, tasks: Sequence[FetchTask], at_once: int, landing: Landing) -> None:
        """Fetch all tasks within the rate limits, and land the outcomes; tasks without a request go back."""
        groups = group_tasks(tasks, self.providers)
        limiters = self._limiters(groups, at_once)
        gaps = [quota.gap for source in limiters if (quota := self.limits.get(source)) is not None]
        most_bytes = self.settings.batch_bytes
        outcomes = BatchOutcomes(tasks, landing, self.runtime, most_bytes=most_bytes, gap=max(gaps, default=0.0))
        calls = [partial(self._fetch, group, limiters.get(group.source), outcomes) for group in groups]
        self.runtime.together(calls, at_once, _FETCH_GRACE)
        outcomes.end()

    def _limiters(self, groups: Sequence[TaskGroup], at_once: int) -> dict[str, RateLimiter]:
        """Return the rate limiter of each vendor that has an adapter here, ready for its first request."""
        limiters = {}
        with contextlib.suppress(StateError):  # earlier samples may be enough, and a reservation raises it again
            self._time.synchronize(self.state_now, self.runtime)
        for source, count in Counter(group.source for group in groups).items():
            if source not in self.providers:
                continue
            self.providers[source].prepare()  # a first request that is late would fall into another one's slot
            limiters[source] = RateLimiter(
                self.quotas,
                source,
                quota=self.limits.get(source),
                requests=count,
                at_once=count if self.limits.get(source) is None else at_once,  # without a quota no slot is lost
                runtime=self.runtime,
                time=self._time,
                longest_wait=self._longest_wait(source),
            )
        return limiters

    def _longest_wait(self, source: str) -> float:
        """Return for how many seconds a request may wait for its slot; its task is held meanwhile.

        A vendor with a quota of a day has a slot each quarter of a minute. A task with several requests waits for them:
        a task that is given back begins with its first request again.
        """
        quota = self.limits.get(source)
        return max(self.settings.lease_seconds, 0.0 if quota is None else _SLOW_SLOTS * quota.gap)

    def _fetch(self, group: TaskGroup, limiter: RateLimiter | None, outcomes: BatchOutcomes) -> None:
        """Fetch a group once there is memory for its reply, and add the outcomes."""
        reply = GroupReply(group)
        if limiter is None:  # planned by a newer program, or by one with other settings
            reason = why_absent(group.source, self.settings, self.providers)
            reply.fail(ProviderError(f"this worker can't fetch from {group.source}: {reason}"))
        else:
            with self._memory.request(group.source, outcomes.land_waiting) as has_room:
                if has_room:
                    self._fetch_pages(group, reply, limiter, outcomes)
        reply.release()
        outcomes.add(reply.take_outcomes())

    def _fetch_pages(self, group: TaskGroup, reply: GroupReply, limiter: RateLimiter, outcomes: BatchOutcomes) -> None:
        """Fetch page by page, and add the outcomes; tasks without a request stay open."""
        pages, first, again = self._pages(group), True, _AGAIN
        while reply.open_group:
            if limiter.seconds_to_slot() > _SPARE_SECONDS:  # the quota's pause
                outcomes.land_in_pause()
            try:
                if not (first or limiter.add_request()) or not limiter.acquire(self._retry):
                    break
            except StateError:
                break
            first, refusals, begun = False, limiter.refusals, self.runtime.monotonic()
            self.progress.requests += 1
            try:
                reply.add(self._next_page(group, pages))
                if limiter.refusals == refusals:  # else the request was made before the refusal
                    self._note_answer(group.source)
            except ProviderError as error:
                refusal = self._note_refusal(group.source, error, limiter, begun)
                if refusal is not None and again:
                    again -= 1
                    reply.restart(refusal)
                else:
                    reply.fail(error, error.symbols if isinstance(error, TerminalProviderError) else frozenset())
                if (left := reply.open_group) is not None:  # the error was about some symbols only, or a refusal
                    pages = self._pages(left)
            outcomes.add(reply.take_outcomes())

    def _next_page(self, group: TaskGroup, pages: Iterator[Page]) -> Page:
        names, count = ",".join(group.request.symbols[:_NAMED]), len(group.tasks)
        with any_span("fetch", group.run_ids, source=group.source, symbols=count, symbol=names) as span:
            page = next(pages)
            self._memory.note(group.source, page.payload)
            span.set_attributes({"status": page.payload.status, "bytes": len(page.payload.body)})
        return page

    def _pages(self, group: TaskGroup) -> Iterator[Page]:
        """Yield the vendor's pages; an error of its adapter does not stop the other vendors' work."""
        try:
            yield from self.providers[group.source].fetch(group.request)
        except ProviderError:
            raise
        except Exception as error:
            log.exception("provider.broken", source=group.source, symbols=group.request.symbols[:10])
            raise ProviderError(f"the adapter of {group.source} failed with {type(error).__name__}") from error
        raise ProviderError(f"the adapter of {group.source} ends before all symbols are complete")

    def _note_refusal(
        self, source: str, error: ProviderError, limiter: RateLimiter, begun: float
    ) -> RateLimited | None:
        """Report a refusal to the fleet; return one after which the next slot is soon: it has no waiting time."""
        if not isinstance(error, RateLimited):
            return None
        self._refused_by.add(source)
        age = self.runtime.monotonic() - begun
        limiter.refuse(partial(close_vendor, self.quotas, source, self.limits.get(source), error, age))
        return error if error.retry_after is None else None

    def _note_answer(self, source: str) -> None:
        """After a refusal: report to the fleet that the vendor answers again."""
        if source in self._refused_by:
            with contextlib.suppress(StateError):  # the next answer reports it
                if self.quotas.accept(source):
                    self._refused_by.discard(source)

    def _curate_beside(self, end: float | None) -> None:
        """Curate while others fetch, where enough has landed."""
        self._curates_beside = True
        try:
            self._curate(everything=False, end=end)
        except RefusedStatement:
            raise
        except (StateError, LakeError) as error:
            log.warning("curator.interrupted", error=str(error))
        finally:
            self._curates_beside = False

    def _curate(self, *, everything: bool, end: float | None) -> None:
        """Take the curator's role where it is free, and where enough has landed or no task is left to fetch."""
        rows = self.curator.curate(everything=everything, stopping=partial(self._is_over, end))
        self.progress.rows += rows  # read it now: another thread may have curated meanwhile
        self.report_ended_runs()
        self.on_progress(self.progress)

    def _is_done(self, task_ids: Sequence[int] | None, until_empty: bool) -> bool:
        if task_ids is None and not until_empty:
            return False
        return not self.tasks.any_unfinished(task_ids)

    def _resend_lost(self) -> None:
        """Send lost messages again, and what the outbox still holds."""
        self.tasks.resend_lost(self.settings.lease_seconds * 2)
        self._send_outbox()
