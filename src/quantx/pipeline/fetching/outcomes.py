"""What becomes of fetched tasks: one raw object per batch, a record in one transaction, then the messages."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog
from ulid import ULID

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER, FetchTask, Finding
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
from quantx.lake.raw import Answered, Landing, raw_path, write_batch
from quantx.pipeline.fetching.answers import Outcome
from quantx.pipeline.fetching.leases import Leases
from quantx.pipeline.planning.vendor_order import events_window
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.retry import Retry
from quantx.queues.protocol import Message
from quantx.state.tasks.port import LandedReply, RawObject
from quantx.tracing import shared_span

log = structlog.get_logger()

_SHORTEST_CLOSURE, _LONGEST_CLOSURE = 1.0, 3600.0  # an absurd Retry-After is not believed beyond an hour
# A refusal without a time to wait costs some turns first. A stray one is over then; a real block is asked less and less.
_TURNS, _SHORTEST_REFUSAL, _LONGEST_REFUSAL = 2, 0.1, 600.0
_BACKOFF = 0.5  # seconds; doubles with each failure, with jitter


@dataclass
class Progress:
    """What a worker has done so far; the command line shows it."""

    landed: int = 0
    failed: int = 0
    requests: int = 0
    rows: int = 0
    last_error: str | None = None


def close_vendor(platform: Platform, source: str, error: RateLimited) -> None:
    """Have the whole fleet leave a vendor alone for as long as it asks for; of several closures the longest counts."""
    log.warning("vendor.closed", source=source, seconds=error.retry_after, reason=str(error))
    quota = platform.quotas.get(source)
    turns = 1.0 if quota is None else max(_SHORTEST_REFUSAL, _TURNS * quota.seconds / quota.count)
    first = min(turns, _LONGEST_REFUSAL)
    try:
        if error.retry_after is None:
            platform.state.quotas.refuse(source, first, _LONGEST_REFUSAL, str(error))
        else:
            seconds = min(max(error.retry_after, _SHORTEST_CLOSURE), _LONGEST_CLOSURE)
            platform.state.quotas.close(source, seconds, str(error))
    except StateError as outage:  # the next refusal closes it
        log.warning("vendor.not_closed", source=source, error=str(outage))


def settle(
    platform: Platform,
    outcomes: Sequence[Outcome],
    leases: Leases,
    progress: Progress,
    retry: Retry,
    *,
    stopping: bool,
) -> None:
    """Store what came, then land, retry, delay or give up each task.

    Messages are deleted only after the reply is stored and the state says so.
    """
    outcomes = sorted(outcomes, key=lambda o: o.task.series.dataset == "actions")  # events follow their bars
    by_zone: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.reply:
            by_zone[outcome.task.series.source, outcome.task.series.dataset].append(outcome)
    for (source, dataset), kept in by_zone.items():
        with shared_span("land", [o.task.run_id for o in kept], source=source, replies=len(kept)):
            landed = _land(platform, source, dataset, kept, retry)
        progress.landed += len(landed)
        _delete(platform, leases.let_go([o.task for o in kept if o.task.id in landed]), retry)
    back = [o for o in outcomes if isinstance(o.error, RateLimited) or (o.error is None and not o.pages)]
    groups: dict[tuple[str, str | None], list[Outcome]] = defaultdict(list)
    for outcome in back:
        groups[outcome.task.series.source, str(outcome.error) if outcome.error else None].append(outcome)
    for (source, why), some in groups.items():
        progress.last_error = why or progress.last_error
        _put_back(platform, source, some, why, leases, retry, at_once=stopping)
    for outcome in outcomes:
        if outcome.error is not None and outcome not in back:
            progress.last_error = str(outcome.error)
            given_up = _count_failure(platform, outcome, outcome.error, leases, retry)
            progress.failed += given_up  # now: the other batch counts, too


def _land(platform: Platform, source: str, dataset: str, kept: Sequence[Outcome], retry: Retry) -> set[int]:
    """Store replies as one raw object and record them; return the tasks that have landed.

    A task whose lease has passed to another worker does not land: its fencing number has risen. A page about several
    symbols is stored once.
    """
    path = raw_path(source, dataset, platform.clock.now().date().isoformat(), str(ULID()))
    batch, rows = _distinct_pages(kept)
    answered = _answered(kept, batch, rows)
    size = retry.call(lambda: write_batch(platform.location, path, batch, answered))
    raw = RawObject(path, source, dataset, len(batch), size)
    replies = [
        LandedReply(o.task, a.row, a.fetched_at, a.size, a.malformed, rows=a.rows, requests=o.requests)
        for o, a in zip(kept, answered, strict=True)
    ]
    landed = retry.call(lambda: platform.state.tasks.land(raw, replies))
    log.info("batch.landed", source=source, payloads=len(batch), landed=len(landed), bytes=size, path=path)
    return landed


def _distinct_pages(kept: Sequence[Outcome]) -> tuple[list[Landing], dict[int, list[int]]]:
    """Return the pages in the order in which they came, and each task's rows among them."""
    batch: list[Landing] = []
    places: dict[int, int] = {}  # by identity: equal bodies may be different replies
    rows: dict[int, list[int]] = {}
    for outcome in kept:
        for page in outcome.reply:
            if id(page) not in places:
                places[id(page)] = len(batch)
                batch.append(Landing(outcome.task.id, page))
        rows[outcome.task.id] = [places[id(page)] for page in outcome.reply]
    return batch, rows


def _answered(kept: Sequence[Outcome], batch: Sequence[Landing], rows: Mapping[int, Sequence[int]]) -> list[Answered]:
    shared = Counter(row for o in kept for row in rows[o.task.id])
    return [
        Answered(
            task_id=o.task.id,
            run_id=o.task.run_id,
            timeframe=o.task.series.timeframe,
            symbol=o.task.series.symbol,
            window=o.task.window,
            row=min(rows[o.task.id]),
            rows=max(rows[o.task.id]) - min(rows[o.task.id]) + 1,
            fetched_at=o.reply[-1].fetched_at,
            size=sum(len(batch[row].payload.body) // shared[row] for row in rows[o.task.id]),
            malformed=str(o.error) if o.error else None,
        )
        for o in kept
    ]


def _delete(platform: Platform, done: Sequence[Message], retry: Retry) -> None:
    deleted = retry.call(lambda: platform.queue.delete(done)) if done else []
    if not all(deleted):  # delivered to another worker meanwhile, which will find the task settled
        log.warning("message.lease_lost", messages=deleted.count(False))


def _put_back(
    platform: Platform,
    source: str,
    outcomes: Sequence[Outcome],
    why: str | None,
    leases: Leases,
    retry: Retry,
    *,
    at_once: bool,
) -> None:
    """Return tasks to the queue until their vendor may be asked again; no failure is counted.

    Where that takes long, another vendor is asked in its place, if one stands in.
    """
    delay = 0.0 if at_once else _until_open(platform, source, retry)
    silent = retry.call(lambda: platform.state.quotas.refused_for(source)) if why is not None else 0.0
    if max(delay, silent) > platform.settings.fallback_after:
        reason = why or f"{source} may not be asked for {delay:.0f} s"
        outcomes = [o for o in outcomes if not _pass_on(platform, o, "RateLimited", reason, leases, retry)]
        if not outcomes:
            return
    if not at_once and delay == 0:  # open again; or open, but others have the next turns
        delay = _BACKOFF * random.uniform(1, 1.5) if why else platform.settings.lease_seconds * random.uniform(0.3, 0.7)
    tasks, requests = [o.task for o in outcomes], sum(o.requests for o in outcomes) if why is not None else 0
    held = leases.let_go(tasks)
    retry.call(lambda: platform.state.tasks.release(tasks, delay, why, requests=requests))
    if held:
        retry.call(lambda: platform.queue.extend(held, delay))


def _until_open(platform: Platform, source: str, retry: Retry) -> float:
    """Return for how many seconds the vendor is left alone or has no turns; 0 where others only have the next ones.

    A quota of a day that is used up would otherwise keep workers at it, and start new ones, until the next day.
    """
    quotas, quota = platform.state.quotas, platform.quotas.get(source)
    closed = retry.call(lambda: quotas.closed_for(source))
    turn = retry.call(lambda: quotas.opens_in(source, quota))
    return max(closed, turn if turn > platform.settings.lease_seconds else 0.0)


def _pass_on(platform: Platform, outcome: Outcome, name: str, why: str, leases: Leases, retry: Retry) -> bool:
    """Have the next vendor asked for what this one can't give, and for its events where its bars do not bring them.

    Events follow their bars: where these have passed on, nothing is asked for. False where nobody stands in.
    """
    task, events = outcome.task, None
    if not task.fallback and task.series.dataset != "actions":
        return False
    if task.fallback and task.series.dataset == "bars":
        known = calendar(venue_of(task.series.symbol).calendar)
        newest = known.last_closed(platform.clock.now(), SETTLED_AFTER) or task.window.end
        there = replace(task.series, source=task.fallback[0])
        events = events_window(platform.providers, there, task.window, newest)
    held = leases.let_go([task]) if task.fallback else []
    asked = outcome.requests if outcome.error is not None else 0
    if not retry.call(lambda: platform.state.tasks.pass_on(task, name, why, requests=asked, events=events)):
        return bool(task.fallback)  # somebody else holds it now
    to = task.fallback[0] if task.fallback else "the vendor of its bars"
    log.info("task.passed_on", symbol=task.series.symbol, source=task.series.source, to=to, error=why)
    _delete(platform, held or leases.let_go([task]), retry)
    if task.series.dataset == "bars":
        retry.call(partial(_no_events_missing, platform, task))
    return True


def _no_events_missing(platform: Platform, task: FetchTask) -> None:
    """End what was found of events that were given up before their bars: another vendor's are shown, with its own."""
    window = events_window(platform.providers, task.series, task.window, task.window.end)
    if window is None:
        return
    open_ = platform.state.findings.listed(100, status="open", rule=EVENTS_MISSING, subject=task.series.symbol)
    for finding in open_:
        if (finding["source"], finding["first_day"]) == (task.series.source, window.start):
            platform.state.findings.settle(finding["id"], "resolved", "quantx", "another vendor stands in with its own")


def _count_failure(platform: Platform, outcome: Outcome, error: ProviderError, leases: Leases, retry: Retry) -> bool:
    """Count a failed attempt: the task is tried again later, passed on or given up; return whether it was given up."""
    task, name, most = outcome.task, type(error).__name__, platform.settings.max_attempts
    final = _is_final(error, task)
    if (final or task.attempts + 1 >= most) and _pass_on(platform, outcome, name, str(error), leases, retry):
        return False
    held = leases.let_go([task])
    delay = _BACKOFF * 2**task.attempts * random.uniform(1, 1.5)
    given_up = retry.call(
        lambda: platform.state.tasks.fail(
            task, name, str(error), final=final, most=most, delay=delay, requests=outcome.requests
        )
    )
    if not given_up:
        if held:
            retry.call(lambda: platform.queue.extend(held, delay))
        return False
    log.info("task.failed", symbol=task.series.symbol, error=str(error), error_class=name)
    if task.series.dataset == "actions":
        retry.call(lambda: platform.state.findings.note([_events_missing(task, str(error))]))
    if final:  # recorded: the vendor has answered
        _delete(platform, held, retry)
    else:
        for message in held:
            retry.call(partial(platform.queue.poison, message, f"{name}: {error}"))
    return True


def _events_missing(task: FetchTask, why: str) -> Finding:
    series, window = task.series, task.window
    return Finding(
        EVENTS_MISSING,
        "error",
        series.symbol,
        f"{series.source} does not give the splits and dividends of {series.symbol} ({why}): its bars are there, and"
        " adjusted prices may lack an event; `quantx tasks retry` asks again",
        source=series.source,
        dataset=series.dataset,
        first_day=window.start,
        last_day=window.end,
    )


def _is_final(error: ProviderError, task: FetchTask) -> bool:
    """Tell whether asking again is useless.

    A malformed reply may be a broken transfer. A symbol with history that is suddenly unknown may be a refusal in
    disguise (yfinance#2125: a 429 that arrives as "possibly delisted").
    """
    if isinstance(error, MalformedPayload) or (isinstance(error, UnknownSymbol) and task.has_history):
        return False
    return isinstance(error, TerminalProviderError)
