"""The curator's rounds in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple
from datetime import date, timedelta

from typing_extensions import override

from quantx.core.model import StoredReply
from quantx.state.memory_records import Records, ReplyRecord, RoundRecord, days_of, newest
from quantx.state.rounds.port import Rounds, TaskResult
from quantx.state.series.port import SeriesFacts
from quantx.state.values import TaskState

_HOT_DAYS = 45


class MemoryRounds(Rounds):
    """The state's rounds."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @override
    def waiting(self) -> tuple[int, int]:
        with self._records.lock:
            sizes = [record.reply.size for record in self._records.waiting()]
            return len(sizes), sum(sizes)

    @override
    def unfinished(self) -> int | None:
        with self._records.lock:
            unfinished = [r.id for r in self._records.rounds.values() if not r.finished]
            return min(unfinished, default=None)

    @override
    def start(self, above: int, most_bytes: int, most_replies: int) -> int:
        with self._records.lock:
            unfinished = self.unfinished()
            if unfinished is not None:
                return unfinished
            number = max([above, *self._records.rounds]) + 1
            self._records.rounds[number] = RoundRecord(number)
            for record in self._next(most_bytes, most_replies):
                record.round_id = number
            return number

    @override
    def upcoming(self, most_bytes: int, most_replies: int) -> list[StoredReply]:
        with self._records.lock:
            return _in_order(self._next(most_bytes, most_replies))

    @override
    def replies(self, round_id: int) -> list[StoredReply]:
        with self._records.lock:
            return _in_order([record for record in self._records.replies if record.round_id == round_id])

    @override
    def finish(self, round_id: int, results: Sequence[TaskResult], facts: Sequence[SeriesFacts], hot_bars: str) -> None:
        with self._records.lock:
            if self._records.rounds[round_id].finished:
                return
            self._records.rounds[round_id].finished = True
            for result in results:
                self._end_task(result)
            for fact in facts:
                cover(self._records, fact)
            self._keep_hot(hot_bars)

    def _next(self, most_bytes: int, most_replies: int) -> list[ReplyRecord]:
        """Return the records of a new round."""
        taken, records = 0, list[ReplyRecord]()
        for record in self._oldest()[:most_replies]:
            if taken >= most_bytes and taken:
                break
            records.append(record)
            taken += record.reply.size
        return records

    def _oldest(self) -> list[ReplyRecord]:
        """Return the oldest open reply of each series, and the oldest malformed one."""
        open_ = [x for x in self._records.replies if x.round_id is None]
        first: dict[tuple[object, bool], ReplyRecord] = {}
        for record in sorted(open_, key=lambda x: (x.reply.fetched_at, x.id)):
            first.setdefault((record.reply.series, record.reply.malformed is None), record)
        return list(first.values())

    def _end_task(self, result: TaskResult) -> None:
        task = self._records.tasks[result.task_id]
        if task.state != "landed":
            return
        again = result.state == "pending" and not (
            result.max_attempts is not None and task.attempts + 1 >= result.max_attempts
        )
        state: TaskState = "failed" if result.state == "pending" and not again else result.state
        task.becomes(state, self._records.clock.now())
        task.error_class, task.last_error = result.error_class, result.error or task.last_error
        for name in task.rows:
            task.rows[name] += getattr(result, name)
        if again:
            task.attempts += 1
            task.not_before = self._records.clock.now()
            self._records.outbox[task.id] = None

    def _keep_hot(self, hot_bars: str) -> None:
        hot = self._records.hot_bars
        rows = json.loads(hot_bars) if hot_bars else []
        for row in rows:
            key = (row["source"], row["symbol"], row["date"])
            if key not in hot or hot[key]["known_from"] <= row["known_from"]:
                hot[key] = row
        for source, symbol in {(row["source"], row["symbol"]) for row in rows}:
            days = [key for key in hot if key[:2] == (source, symbol)]
            oldest = date.fromisoformat(max(days)[2]) - timedelta(days=_HOT_DAYS)
            for key in days:
                if date.fromisoformat(key[2]) < oldest:
                    del hot[key]


def _in_order(records: Sequence[ReplyRecord]) -> list[StoredReply]:
    """Return replies by series, and those of a series in the order of fetching."""
    ordered = sorted(records, key=lambda x: (*astuple(x.reply.series), x.reply.fetched_at, x.id))
    return [record.reply for record in ordered]


def cover(records: Records, fact: SeriesFacts) -> None:
    """Record the coverage of a series."""
    series = records.series_of(fact.series)
    covered = days_of([fact.covered] if fact.covered else [])
    nothing = days_of(fact.nothing)
    series.nothing = (series.nothing - (covered - nothing)) | nothing
    series.covered = series.covered | covered
    firsts = [d for d in (series.first_session, fact.first_session) if d is not None]
    series.first_session = min(firsts, default=None)
    series.watermark = newest(series.watermark, fact.watermark)
    series.asked_through = newest(series.asked_through, fact.asked_through)
    series.last_asked_at = max(series.last_asked_at or fact.asked_at, fact.asked_at)
    series.failures, series.last_error, series.refused = 0, None, False
