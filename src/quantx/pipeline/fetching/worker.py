"""The worker: receive → claim → fetch within the quota → settle, until nothing is left to do."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from ulid import ULID

from quantx.core.model import FetchTask
from quantx.errors import (
    LakeError,
    ProviderError,
    QueueError,
    RateLimited,
    RefusedStatement,
    StateError,
    TerminalProviderError,
)
from quantx.pipeline.curating.curator import curate_landed
from quantx.pipeline.fetching.answers import Answer, FetchOutcome, Group, grouped
from quantx.pipeline.fetching.leases import Leases
from quantx.pipeline.fetching.outcomes import Progress, close_vendor, settle
from quantx.pipeline.fetching.rate_limit import StateTime, Turns
from quantx.pipeline.planning.plan import send_outbox
from quantx.pipeline.reporting.run_report import report_ended_runs
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.retry import Retry
from quantx.providers.protocol import Page
from quantx.providers.registry import why_absent
from quantx.queues import messages
from quantx.queues.protocol import Message
from quantx.tracing import any_span, shared_span

log = structlog.get_logger()

_IDLE_SECONDS = 0.2
_CURATE_SECONDS = 0.5  # between two looks whether enough has landed
_TOP_UP_SECONDS = 1.0
_OUTAGE_SECONDS = 60.0  # that an outage may last where there is no time budget
_CLAIMING, _FINISHING = 0.8, 0.95  # of the time budget: until when tasks are claimed, and an outage is waited out
_SWITCH_SECONDS = 0.0005  # between Python's threads: requests start on time although the curator computes beside them
_NAMED = 20  # symbols in the trace of a request
_TURNS = 20  # of a slow quota: a request waits for as many
_LANES = 2  # batches at a time: while one is stored and recorded, the other fetches
_FETCH_GRACE, _GRACE = 4.0, 7.0  # seconds that fetches, and then their batches, get once the worker is told to stop


def _longest_wait(platform: Platform, source: str) -> float:
    """Return for how many seconds a request may wait for its turn; its task is held meanwhile.

    A vendor that sells so many requests a day has a turn each quarter of a minute: whoever needs several for one symbol
    must bear to wait for them beside others, for a task that is given back begins with its first request again.
    """
    quota = platform.quotas.get(source)
    return max(platform.settings.lease_seconds, 0.0 if quota is None else _TURNS * quota.gap)


@dataclass
class Worker:
    """Drains the queue. Any number may run, anywhere; any may die at any moment."""

    platform: Platform
    on_progress: Callable[[Progress], None] = lambda progress: None
    progress: Progress = field(default_factory=Progress)
    most_bytes: int = 16_000_000  # of a request's pages that are held in memory before they are stored

    def __post_init__(self) -> None:
        self.runtime = self.platform.runtime
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{ULID()}"
        self._retry = Retry(self.runtime, _OUTAGE_SECONDS)
        self._time = StateTime()
        self._topped_up_at = self.runtime.monotonic()
        self._refused_by = set(self.platform.providers)  # of their next answer the fleet is told
        self._leases: list[Leases] = []  # those of the batches at work
        self._widths = {s: p.capabilities.symbols_per_request for s, p in self.platform.providers.items()}

    def run(
        self, *, task_ids: Sequence[int] | None = None, until_empty: bool = True, time_budget: float | None = None
    ) -> Progress:
        """Work until all of `task_ids` have ended, or else until nothing is left to do.

        Stops claiming at 80 % of `time_budget` (seconds) or when told to stop, finishes what it holds, and curates what
        has landed. An outage of the state, the queue or the lake is waited out up to 95 %, or for a minute without a
        budget; then its error is raised. What was fetched is kept in memory meanwhile.
        """
        end, last = (
            None if time_budget is None else self.runtime.monotonic() + share * time_budget
            for share in (_CLAIMING, _FINISHING)
        )
        self._retry = Retry(self.runtime, _OUTAGE_SECONDS, last)
        sys.setswitchinterval(_SWITCH_SECONDS)
        with self.runtime.repeating(_CURATE_SECONDS, partial(self._curate_beside, end)):
            lanes = min(_LANES, self.platform.settings.max_workers)
            while not self._is_over(end):
                worked = self.runtime.together([partial(self._drain, end, lanes)] * lanes, lanes, _GRACE)
                if any(worked):
                    continue
                self._retry.call(partial(self._curate, everything=True, end=end))
                if self._retry.call(partial(self._nothing_left, task_ids, until_empty)):
                    return self.progress
                self._retry.call(self._resend_lost)
                self.runtime.wait(_IDLE_SECONDS)
        self._curate(everything=True, end=last)
        return self.progress

    def _is_over(self, end: float | None) -> bool:
        return self.runtime.stopping or (end is not None and self.runtime.monotonic() >= end)

    def _drain(self, end: float | None, lanes: int) -> bool:
        """Handle batch after batch until the queue gives none; return whether there was one."""
        at_once, worked = max(1, self.platform.settings.max_workers // lanes), False
        while not self._is_over(end) and self._one_batch(at_once):
            worked = True
            self._top_up()
        return worked

    def _top_up(self) -> None:
        """Send what the queue had no room for, at most once a second."""
        now = self.runtime.monotonic()
        if now >= self._topped_up_at + _TOP_UP_SECONDS:
            self._topped_up_at = now
            self._retry.call(partial(send_outbox, self.platform))

    def _one_batch(self, at_once: int) -> bool:
        """Handle up to 32 messages, up to `at_once` fetches at a time; return whether there was a message."""
        platform, size = self.platform, self.platform.settings.chunk_size
        lease, owner = platform.settings.lease_seconds, f"{self.owner}:{ULID()}"
        received = self._retry.call(lambda: platform.queue.receive(size, lease))
        if not received:
            return False
        named = self._read(received)
        if not named:
            return True
        claim = self._retry.call(lambda: platform.state.tasks.claim(named.keys(), owner, lease, size, self._widths))
        held = {task.id for task in claim.held}
        if claim.settled:
            self._retry.call(lambda: platform.queue.delete([named[i] for i in claim.settled]))
        for task_id in claim.unknown:
            self._poison(named[task_id], f"it names the task {task_id}, which this state does not have")
        # Held by somebody else, or its turn is later: the message stays, in case that worker dies.
        rest = [
            message
            for i, message in named.items()
            if i not in held | claim.settled | claim.unknown
            and not any(leases.adopt(i, message) for leases in self._leases.copy())
        ]
        if rest:
            self._retry.call(lambda: platform.queue.extend(rest, lease / 3))
        if claim.held:
            self._fetch_held(claim.held, Leases(platform, claim.held, named), at_once)
        return True

    def _fetch_held(self, tasks: Sequence[FetchTask], leases: Leases, at_once: int) -> None:
        self._leases.append(leases)  # messages of tasks that came along without theirs may come meanwhile
        try:
            with shared_span("batch", [t.run_id for t in tasks], tasks=len(tasks)), leases.kept(self.runtime):
                self._fetch_all(tasks, at_once, leases)
        finally:
            self._leases.remove(leases)
        self.on_progress(self.progress)

    def _read(self, received: Sequence[Message]) -> dict[int, Message]:
        """Return the messages by their tasks' ids; what is no message of ours goes to the poison queue."""
        named: dict[int, Message] = {}
        for message in received:
            try:
                task_id = messages.decode(message.body).task_id
            except QueueError as error:
                self._poison(message, str(error))
                continue
            if task_id in named:  # sent twice: one delivery is enough
                self._retry.call(partial(self.platform.queue.delete, [message]))
            else:
                named[task_id] = message
        return named

    def _poison(self, message: Message, reason: str) -> None:
        log.error("message.poison", reason=reason, body=message.body[:200])
        self._retry.call(partial(self.platform.queue.poison, message, reason))

    def _fetch_all(self, tasks: Sequence[FetchTask], at_once: int, leases: Leases) -> None:
        """Ask for all tasks, each request in its turn, and settle what comes; what was not asked for goes back."""
        platform, groups = self.platform, grouped(tasks, self.platform.providers)
        turns = {}
        with contextlib.suppress(StateError):  # known from before, or the reservation will tell
            self._time.ask(platform.state.now, self.runtime)
        for source, count in Counter(group.source for group in groups).items():
            if source not in platform.providers:
                continue
            platform.providers[source].prepare()  # a first request that is late would fall into another's turn
            turns[source] = Turns(
                platform.state.quotas,
                source,
                platform.quotas.get(source),
                count,
                at_once,
                self.runtime,
                self._time,
                _longest_wait(platform, source),
            )

        def store(outcomes: Sequence[FetchOutcome]) -> None:
            settle(platform, outcomes, leases, self.progress, self._retry, stopping=self.runtime.stopping)

        calls = [partial(self._fetch, group, turns.get(group.source), store) for group in groups]
        fetched = self.runtime.together(calls, at_once, _FETCH_GRACE)
        outcomes = [
            [FetchOutcome(task) for task in g.tasks] if got is None else got
            for g, got in zip(groups, fetched, strict=True)
        ]
        store([outcome for some in outcomes for outcome in some])

    def _fetch(
        self, group: Group, turns: Turns | None, store: Callable[[Sequence[FetchOutcome]], None]
    ) -> list[FetchOutcome]:
        """Ask page by page; what is complete is stored where memory says so, the rest is returned."""
        answer, pages, first = Answer(group), self._pages(group), True
        if turns is None:  # planned by a newer program, or by one with other settings
            why = why_absent(group.source, self.platform.settings, self.platform.providers)
            answer.fail(ProviderError(f"this worker can't ask {group.source}: {why}"))
            return answer.done
        while answer.left:
            try:
                if not (first or turns.another()) or not turns.take(self._retry):
                    break
            except StateError:
                break
            first, refusals = False, turns.refusals
            self.progress.requests += 1
            try:
                names, count = ",".join(group.request.symbols[:_NAMED]), len(group.tasks)
                with any_span("fetch", group.run_ids, source=group.source, symbols=count, symbol=names) as span:
                    page = next(pages)
                    span.set_attributes({"status": page.payload.status, "bytes": len(page.payload.body)})
                answer.add(page)
                if turns.refusals == refusals:  # else it was asked before the refusal
                    self._note_answer(group.source)
            except ProviderError as error:
                self._note_refusal(group.source, error, turns)
                answer.fail(error, error.symbols if isinstance(error, TerminalProviderError) else frozenset())
                if (left := answer.left) is not None:  # it was about some symbols only
                    pages = self._pages(left)
            if answer.size > self.most_bytes:
                store(answer.done)
                answer.done = []
        answer.leave()
        return answer.done

    def _pages(self, group: Group) -> Iterator[Page]:
        """Yield the vendor's pages; a mistake in its adapter must not stop the others' work."""
        try:
            yield from self.platform.providers[group.source].fetch(group.request)
        except ProviderError:
            raise
        except Exception as error:
            log.exception("provider.broken", source=group.source, symbols=group.request.symbols[:10])
            raise ProviderError(f"the adapter of {group.source} failed with {type(error).__name__}") from error
        raise ProviderError(f"the adapter of {group.source} ends before it has said all")

    def _note_refusal(self, source: str, error: ProviderError, turns: Turns) -> None:
        if isinstance(error, RateLimited):
            self._refused_by.add(source)
            turns.refuse(partial(close_vendor, self.platform, source, error))

    def _note_answer(self, source: str) -> None:
        """After a refusal: tell the fleet that the vendor answers again."""
        if source in self._refused_by:
            with contextlib.suppress(StateError):  # the next answer tells
                if self.platform.state.quotas.accept(source):
                    self._refused_by.discard(source)

    def _curate_beside(self, end: float | None) -> None:
        """Curate while others are fetched, when enough has landed."""
        try:
            self._curate(everything=False, end=end)
        except RefusedStatement:
            raise
        except (StateError, LakeError) as error:
            log.warning("curator.interrupted", error=str(error))

    def _curate(self, *, everything: bool, end: float | None) -> None:
        """Take the curator's role where it is free, when enough has landed or nothing is left to fetch."""
        rows = curate_landed(self.platform, everything=everything, stopping=partial(self._is_over, end))
        self.progress.rows += rows  # now: another thread may have curated meanwhile
        report_ended_runs(self.platform)
        self.on_progress(self.progress)

    def _nothing_left(self, task_ids: Sequence[int] | None, until_empty: bool) -> bool:
        if task_ids is None and not until_empty:
            return False
        return not self.platform.state.tasks.any_unfinished(task_ids)

    def _resend_lost(self) -> None:
        """Send again what has no message any more, and what the outbox still holds."""
        self.platform.state.tasks.resend_lost(self.platform.settings.lease_seconds * 2)
        send_outbox(self.platform)
