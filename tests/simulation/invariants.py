"""The rules that hold after every history, each with how it is checked.

I1 the digest of each raw object at its creation is that of the object at the end
I2 the current rows are those of a naive rebuild from the raw objects in the order of the rounds; in whatever order,
   each current value is that of the newest reply
I3 no two current rows have the same symbol and date
I4 the revisions are those of the rebuild: old value, since when and until when
I5 at each end of a round and at the end of all: the rows of each done task's reply are current rows or revisions
I6 each task is done, or failed with a reason; each run has one report, whose counts are right; nothing is left in the
   queue, the outbox, the stored replies or a round; a message of another form lies on the poison queue
I7 no stretch of the quota's length has more requests than it allows; none starts while the vendor is known to be closed
I8 each version of the bars has at the end the rows that it had when it was committed
I9 a secret of the settings is in no message, raw object, report or record of the state
And, during the history (see the ledger): planned-once (no two unfinished tasks are the same), asked-once (a landed task
is not claimed, and a claim is good for one request that is not refused), one-per-series, fence (one holder per number,
and no other lands or fails), watermark (it never goes back).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tests.simulation.ledger import fingerprint
from tests.simulation.oracle import newest_answers

from quantx.errors import LakeError
from quantx.state.values import UNFINISHED

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

# A closure must be known to a worker that asks so many seconds later: it looks just before its turn, and trusts for
# 250 ms what it has seen.
_KNOWN_AFTER = 0.3


def check(fleet: Fleet) -> list[str]:
    """Return the rules that are broken, as texts that begin with their names."""
    found = list(fleet.ledger.violations)
    for rule, test in RULES.items():
        try:
            found += [f"{rule}: {text}" for text in test(fleet)]
        except (LakeError, IndexError) as error:
            found.append(f"I1: a raw object does not hold what has landed: {error}")
    return found


def raw_objects_never_change(fleet: Fleet) -> Iterator[str]:
    for path, digest in fleet.ledger.raw.items():
        if hashlib.sha256(fleet.location.get(path)).hexdigest() != digest:
            yield f"{path} has changed"


def rebuilding_gives_the_same(fleet: Fleet) -> Iterator[str]:
    rows = fleet.tables["bars_1d"].read()
    columns = ("symbol", "date", "open", "high", "low", "close", "volume", "known_from", "raw")
    current = {(symbol, day): (tuple(bar), known, raw) for symbol, day, *bar, known, raw in rows.select(columns).rows()}
    wanted = {key: (row.bar, row.known_from, row.raw) for key, row in fleet.expected.current.items()}
    for key in sorted(current.keys() | wanted.keys()):
        if current.get(key) != wanted.get(key):
            yield f"{key[0]} {key[1]} is {current.get(key)}, rebuilt: {wanted.get(key)}"
            return
    if fleet.weather.jump:  # replies of a wrong clock have a wrong order
        return
    newest = newest_answers({k: v for k, v in fleet.landed.items() if v.stored.task_id in fleet.done()})
    for key, bar in newest.items():
        if key in current and current[key][0] != bar:
            yield f"{key[0]} {key[1]} is {current[key][0]}, the newest reply has {bar}"
            return


def one_current_row_each(fleet: Fleet) -> Iterator[str]:
    keys = fleet.tables["bars_1d"].read().select("source", "symbol", "date")
    if keys.is_duplicated().any():
        yield "a session has two current rows"


def nothing_disappears(fleet: Fleet) -> Iterator[str]:
    columns = ("symbol", "date", "close", "known_from", "known_to")
    stored = sorted(fleet.tables["bars_1d_revisions"].read().select(columns).rows())
    wanted = sorted((*key, row.bar[3], row.known_from, until) for key, row, until in fleet.expected.revisions)
    if fleet.former is not None:  # a former curator was fenced between the two commits of a round
        now = {(*key, row.bar[3], row.known_from) for key, row in fleet.expected.current.items()}
        stored = [row for row in stored if row[:4] not in now]
        wanted = [row for row in wanted if row[:4] not in now]
    # An older belief that comes twice is one row.
    if sorted(set(stored)) != sorted(set(wanted)):
        odd = sorted(set(stored) ^ set(wanted))[0]
        yield f"revision {odd} is {'missing' if odd in wanted else 'too many'}"


def done_is_readable(fleet: Fleet) -> Iterator[str]:
    before = len(fleet.ledger.violations)
    fleet.ledger.check_readable(fleet.done(), "at the end")
    if fleet.former is not None:
        records = fleet.former.records
        done = {task.id for task in records.tasks.values() if task.state == "done"}
        fleet.ledger.check_replies([x for x in records.replies if x.reply.task_id in done], "of the former state")
    yield from (text.partition(": ")[2] for text in fleet.ledger.violations[before:])


def everything_ended(fleet: Fleet) -> Iterator[str]:
    records = fleet.state.records
    for task in records.tasks.values():
        if task.state in UNFINISHED:
            yield f"task {task.id} is {task.state}"
        elif task.state == "failed" and not (task.error_class and task.last_error):
            yield f"task {task.id} has failed without a reason"
    for run_id, run in records.runs.items():
        yield from _report_is_right(fleet, run_id, run.report)
    depth = fleet.queue.depth()
    if depth.total:
        yield f"{depth.total} messages are left in the queue"
    if depth.poisoned < fleet.world.garbage_messages:
        yield f"{depth.poisoned} records of poison for {fleet.world.garbage_messages} messages of garbage"
    if records.outbox:
        yield f"tasks {sorted(records.outbox)} wait in the outbox"
    if list(records.waiting()):
        yield "landed replies are left"


def _report_is_right(fleet: Fleet, run_id: str, path: str | None) -> Iterator[str]:
    written = {p: bodies for p, bodies in fleet.ledger.reports.items() if run_id in p}
    if path is None or list(written) != [path]:
        yield f"run {run_id} has the reports {list(written)}, recorded: {path}"
        return
    states = [task.state for task in fleet.state.records.tasks_of(run_id)]
    for body in written[path]:
        results = json.loads(body)["results"]
        if (results["success"], results["failed"]) != (states.count("done"), states.count("failed")):
            yield f"the report of run {run_id} says {results}, its tasks are {states}"


def quota_is_kept(fleet: Fleet) -> Iterator[str]:
    requests = fleet.ledger.requests
    times = sorted(request.at for request in requests)
    quota = fleet.quota
    if quota is not None:
        for first, beyond in zip(times, times[quota.count :], strict=False):
            if beyond - first < quota.seconds:
                yield f"{quota.count + 1} requests in {beyond - first:.4f} s, the last at {beyond:.4f} s"
                return
    for request in requests:
        closed = any(since + _KNOWN_AFTER <= request.at < until for since, until in fleet.ledger.closures)
        if closed:
            names = ",".join(request.symbols)
            yield f"{request.actor.name} fetched {names} at {request.at:.4f} s, during the vendor's back-off"
            return


def versions_stay(fleet: Fleet) -> Iterator[str]:
    versions = fleet.tables["bars_1d"].versions
    for (_, version), digest in fleet.ledger.fingerprints.items():
        if fingerprint(versions[version]) != digest:
            yield f"version {version} has other rows than when it was committed"


def no_secret_leaks(fleet: Fleet) -> Iterator[str]:
    records, canary = fleet.state.records, fleet.canary
    places = {
        "a message": "".join(fleet.decoded_messages()),
        "the state": repr((records.runs, records.tasks, records.replies, records.series, records.quotas)),
        "a report": repr(fleet.ledger.reports),
        "a raw object": repr([fleet.location.get(path) for path in fleet.ledger.raw]),
    }
    yield from (f"{place} holds a secret" for place, text in places.items() if canary in text)


RULES: dict[str, Callable[[Fleet], Iterator[str]]] = {
    "I1": raw_objects_never_change,
    "I2": rebuilding_gives_the_same,
    "I3": one_current_row_each,
    "I4": nothing_disappears,
    "I5": done_is_readable,
    "I6": everything_ended,
    "I7": quota_is_kept,
    "I8": versions_stay,
    "I9": no_secret_leaks,
}
