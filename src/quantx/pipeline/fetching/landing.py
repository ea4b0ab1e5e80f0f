"""Landing: store the replies of a batch as one raw object, record each task's outcome, then delete the messages."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog
from ulid import ULID

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER, Clock, FetchTask, Finding, Quota, StoredReply
from quantx.core.quality.operational_rules import EVENTS_MISSING
from quantx.core.symbols import venue_of
from quantx.errors import (
    MalformedPayload,
    ProviderError,
    RateLimited,
    StateError,
    TerminalProviderError,
    UnknownSymbol,
)
from quantx.lake.raw import RawPage, raw_path, write_batch
from quantx.lake.store import LakeLocation
from quantx.pipeline.fetching.leases import Leases
from quantx.pipeline.fetching.reply_memory import ReplyMemory
from quantx.pipeline.fetching.task_groups import FetchOutcome
from quantx.pipeline.planning.vendor_order import events_window
from quantx.pipeline.runtime.retry import Retry
from quantx.providers.protocol import Provider
from quantx.queues.protocol import Message, TaskQueue
from quantx.settings import Settings
from quantx.state.findings.port import Findings
from quantx.state.quotas.port import Quotas
from quantx.state.tasks.port import RawObject, Tasks
from quantx.tracing import shared_span

log = structlog.get_logger()

_SHORTEST_BACK_OFF, _LONGEST_BACK_OFF = 1.0, 3600.0  # bounds of a vendor's Retry-After
# A refusal without a Retry-After costs the time of a slot first, and more with each one that follows.
_LONGEST_REFUSAL = 600.0
_RETRY_DELAY = 0.5  # seconds; doubles with each failure, with jitter


@dataclass(kw_only=True)
class Progress:
    """The counts of a worker; the command line shows them."""

    landed: int = 0
    failed: int = 0
    requests: int = 0
    rows: int = 0
    last_error: str | None = None


def close_vendor(quotas: Quotas, source: str, quota: Quota | None, error: RateLimited, age: float) -> float | None:
    """Begin a back-off of the whole fleet from a vendor: for as long as it demands. The longest of several counts.

    The refused request started `age` seconds ago. Returns the seconds of the back-off where they are certain.
    """
    one_slot = 1.0 if quota is None else quota.seconds / quota.count
    try:
        if error.retry_after is None:
            begun = quotas.refuse(source, min(one_slot, _LONGEST_REFUSAL), _LONGEST_REFUSAL, str(error), age)
            log.warning("vendor.closed", source=source, seconds=begun, reason=str(error))
            return begun
        seconds = min(max(error.retry_after, _SHORTEST_BACK_OFF), _LONGEST_BACK_OFF)
        quotas.close(source, seconds, str(error))
        log.warning("vendor.closed", source=source, seconds=seconds, reason=str(error))
    except StateError as outage:  # the next refusal closes it
        log.warning("vendor.not_closed", source=source, error=str(outage))
    return None


@dataclass(frozen=True, kw_only=True)
class Landing:
    """The end of a batch's fetching: every outcome of its tasks is stored and recorded here."""

    leases: Leases  # of the batch
    retry: Retry
    progress: Progress
    settings: Settings
    clock: Clock
    location: LakeLocation
    queue: TaskQueue
    tasks: Tasks
    quotas: Quotas
    findings: Findings
    limits: Mapping[str, Quota | None]  # by source; None: unlimited
    providers: Mapping[str, Provider]
    memory: ReplyMemory

    def land(self, outcomes: Sequence[FetchOutcome], *, stopping: bool) -> None:
        """Store the replies, and land, release, pass on or fail each task.

        Messages are deleted only after the reply is stored and the state has recorded it.
        """
        outcomes = sorted(outcomes, key=lambda o: o.task.series.dataset == "actions")  # events follow their bars
        self._land_replies([outcome for outcome in outcomes if outcome.pages_to_store])
        back = [o for o in outcomes if isinstance(o.error, RateLimited) or (o.error is None and not o.pages)]
        self._put_all_back(back, at_once=stopping)
        for outcome in outcomes:
            if outcome.error is not None and outcome not in back:
                self.progress.last_error = str(outcome.error)
                failed = self._count_failure(outcome, outcome.error)
                self.progress.failed += failed  # read it now: another thread counts, too

    def _land_replies(self, outcomes: Sequence[FetchOutcome]) -> None:
        by_zone: dict[tuple[str, str], list[FetchOutcome]] = defaultdict(list)
        for outcome in outcomes:
            by_zone[outcome.task.series.source, outcome.task.series.dataset].append(outcome)
        for (source, dataset), some in by_zone.items():
            with shared_span("land", [o.task.run_id for o in some], source=source, replies=len(some)):
                landed = self._store(source, dataset, some)
            self.progress.landed += len(landed)
            self._delete(self.leases.release([o.task for o in some if o.task.id in landed]))

    def _store(self, source: str, dataset: str, outcomes: Sequence[FetchOutcome]) -> set[int]:
        """Store replies as one raw object and record them; return the tasks that have landed.

        A task whose lease has passed to another worker does not land: its fencing number has risen. A page about
        several symbols is stored once.
        """
        path = raw_path(source, dataset, self.clock.now().date().isoformat(), str(ULID()))
        pages, rows = _distinct_pages(outcomes)
        replies = _stored_replies(path, outcomes, pages, rows)
        with self.memory.writing(sum(reply.size for reply in replies)):
            size = self.retry.call(lambda: write_batch(self.location, path, pages, replies))
        raw = RawObject(path=path, source=source, dataset=dataset, payloads=len(pages), size=size)
        tasks, requests = [o.task for o in outcomes], [o.requests for o in outcomes]
        landed = self.retry.call(lambda: self.tasks.land(raw, replies, tasks, requests))
        log.info("batch.landed", source=source, payloads=len(pages), landed=len(landed), bytes=size, path=path)
        return landed

    def _delete(self, messages: Sequence[Message]) -> None:
        deleted = self.retry.call(lambda: self.queue.delete(messages)) if messages else []
        if not all(deleted):  # delivered to another worker meanwhile, for which there is nothing to do
            log.warning("message.lease_lost", messages=deleted.count(False))

    def _put_all_back(self, outcomes: Sequence[FetchOutcome], *, at_once: bool) -> None:
        groups: dict[tuple[str, str | None], list[FetchOutcome]] = defaultdict(list)
        for outcome in outcomes:
            groups[outcome.task.series.source, str(outcome.error) if outcome.error else None].append(outcome)
        for (source, error), some in groups.items():
            self.progress.last_error = error or self.progress.last_error
            self._put_back(source, some, error, at_once=at_once)

    def _put_back(self, source: str, outcomes: Sequence[FetchOutcome], error: str | None, *, at_once: bool) -> None:
        """Return tasks to the queue until their vendor takes requests again; no failure is counted.

        Where that takes long, the tasks pass on to a fallback vendor, if they have one.
        """
        delay = 0.0 if at_once else self._until_open(source)
        silent = self.retry.call(lambda: self.quotas.refused_for(source)) if error is not None else 0.0
        if max(delay, silent) > self.settings.fallback_after:
            reason = error or f"{source} takes no requests for {delay:.0f} s"
            outcomes = [o for o in outcomes if not self._pass_on(o, "RateLimited", reason)]
            if not outcomes:
                return
        if not at_once and delay == 0:  # the back-off has ended; or there was none, but others have the next slots
            lease = self.settings.lease_seconds
            delay = _RETRY_DELAY * random.uniform(1, 1.5) if error else lease * random.uniform(0.3, 0.7)
        tasks, requests = [o.task for o in outcomes], sum(o.requests for o in outcomes) if error is not None else 0
        messages = self.leases.release(tasks)
        self.retry.call(lambda: self.tasks.release(tasks, delay, error, requests=requests))
        if messages:
            self.retry.call(lambda: self.queue.extend(messages, delay))

    def _until_open(self, source: str) -> float:
        """Return for how many seconds the vendor is in back-off or has no slots; 0 where others have the next ones.

        A used-up quota of a day would otherwise keep workers busy, and start new ones, until the next day.
        """
        back_off = self.retry.call(lambda: self.quotas.closed_for(source))
        slot = self.retry.call(lambda: self.quotas.opens_in(source, self.limits.get(source)))
        return max(back_off, slot if slot > self.settings.lease_seconds else 0.0)

    def _pass_on(self, outcome: FetchOutcome, error_class: str, error: str) -> bool:
        """Pass a task on to its fallback vendor, with its events where that vendor's bars come without them.

        Events whose bars have passed on are dropped. False where there is no fallback.
        """
        task, events = outcome.task, None
        if not task.fallback and task.series.dataset != "actions":
            return False
        if task.fallback and task.series.dataset == "bars":
            sessions = calendar(venue_of(task.series.symbol).calendar)
            newest = sessions.last_closed(self.clock.now(), SETTLED_AFTER) or task.window.end
            events = events_window(self.providers, replace(task.series, source=task.fallback[0]), task.window, newest)
        messages = self.leases.release([task]) if task.fallback else []
        requests = outcome.requests if outcome.error is not None else 0
        if not self.retry.call(lambda: self.tasks.pass_on(task, error_class, error, requests=requests, events=events)):
            return bool(task.fallback)  # another worker holds it now
        to = task.fallback[0] if task.fallback else "the vendor of its bars"
        log.info("task.passed_on", symbol=task.series.symbol, source=task.series.source, to=to, error=error)
        self._delete(messages or self.leases.release([task]))
        if task.series.dataset == "bars":
            self.retry.call(partial(self._resolve_missing_events, task))
        return True

    def _resolve_missing_events(self, task: FetchTask) -> None:
        """Resolve the finding about events that had failed before their bars: the fallback brings its own events."""
        window = events_window(self.providers, task.series, task.window, task.window.end)
        if window is None:
            return
        series = task.series
        for finding in self.findings.open(EVENTS_MISSING, series.source, subjects=[series.symbol]):
            if finding.first_day == window.start:
                self.findings.close(finding.id, "resolved", "quantx", "a fallback vendor brings its own events")

    def _count_failure(self, outcome: FetchOutcome, error: ProviderError) -> bool:
        """Record a failed attempt: the task is retried later, passed on or failed. Return whether it has failed."""
        task, name, most = outcome.task, type(error).__name__, self.settings.max_attempts
        final = _is_final(error, task)
        if (final or task.attempts + 1 >= most) and self._pass_on(outcome, name, str(error)):
            return False
        messages = self.leases.release([task])
        delay = _RETRY_DELAY * 2**task.attempts * random.uniform(1, 1.5)
        failed = self.retry.call(
            lambda: self.tasks.fail(
                task, name, str(error), final=final, most=most, delay=delay, requests=outcome.requests
            )
        )
        if not failed:
            if messages:
                self.retry.call(lambda: self.queue.extend(messages, delay))
            return False
        log.info("task.failed", symbol=task.series.symbol, error=str(error), error_class=name)
        if task.series.dataset == "actions":
            self.retry.call(lambda: self.findings.note([_events_missing(task, str(error))]))
        if final:  # the vendor has answered, and the answer is recorded
            self._delete(messages)
        else:
            for message in messages:
                self.retry.call(partial(self.queue.poison, message, f"{name}: {error}"))
        return True


def _distinct_pages(outcomes: Sequence[FetchOutcome]) -> tuple[list[RawPage], dict[int, list[int]]]:
    """Return the pages in the order in which they came, and the rows of each task among them."""
    pages: list[RawPage] = []
    places: dict[int, int] = {}  # by identity: equal bodies may be different replies
    rows: dict[int, list[int]] = {}
    for outcome in outcomes:
        for page in outcome.pages_to_store:
            if id(page) not in places:
                places[id(page)] = len(pages)
                pages.append(RawPage(outcome.task.id, page))
        rows[outcome.task.id] = [places[id(page)] for page in outcome.pages_to_store]
    return pages, rows


def _stored_replies(
    path: str, outcomes: Sequence[FetchOutcome], pages: Sequence[RawPage], rows: Mapping[int, Sequence[int]]
) -> list[StoredReply]:
    shared = Counter(row for o in outcomes for row in rows[o.task.id])
    return [
        StoredReply(
            task_id=o.task.id,
            run_id=o.task.run_id,
            series=o.task.series,
            window=o.task.window,
            path=path,
            row=min(rows[o.task.id]),
            rows=max(rows[o.task.id]) - min(rows[o.task.id]) + 1,
            fetched_at=o.pages_to_store[-1].fetched_at,
            size=sum(len(pages[row].payload.body) // shared[row] for row in rows[o.task.id]),
            malformed=str(o.error) if o.error else None,
        )
        for o in outcomes
    ]


def _events_missing(task: FetchTask, error: str) -> Finding:
    series, window = task.series, task.window
    return Finding(
        EVENTS_MISSING,
        "error",
        series.symbol,
        f"{series.source} does not deliver the splits and dividends of {series.symbol} ({error}): its bars are there,"
        " and adjusted prices may miss an event; `quantx tasks retry` fetches them again",
        source=series.source,
        dataset=series.dataset,
        first_day=window.start,
        last_day=window.end,
    )


def _is_final(error: ProviderError, task: FetchTask) -> bool:
    """Return whether another attempt is useless.

    A malformed reply may be a broken transfer. A symbol with history that is suddenly unknown may be a refusal in
    disguise (yfinance#2125: a 429 that arrives as "possibly delisted").
    """
    if isinstance(error, MalformedPayload) or (isinstance(error, UnknownSymbol) and task.has_history):
        return False
    return isinstance(error, TerminalProviderError)
