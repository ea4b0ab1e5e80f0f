"""Deletions in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime

from typing_extensions import override

from quantx.core.model import Series, Window
from quantx.core.tombstones import PRICES, SymbolDays, Tombstone
from quantx.state.deletions.port import Deletions, Stopped
from quantx.state.deletions.postgres import names_of_datasets, why
from quantx.state.findings.memory import MemoryFindings
from quantx.state.gaps.memory import MemoryGaps
from quantx.state.memory_records import Records, TaskRecord
from quantx.state.values import UNFINISHED, Row


class MemoryDeletions(Deletions):
    """The state's deletions."""

    def __init__(self, records: Records, findings: MemoryFindings, gaps: MemoryGaps) -> None:
        self._records = records
        self._findings = findings
        self._gaps = gaps

    @override
    def count(self, stone: Tombstone) -> Mapping[str, int]:
        with self._records.lock:
            return {
                "hot_bars": len(self._hot(stone)),
                "series": len(list(self._series(stone))),
                "gaps": self._gaps.erase(_gap_of(stone), dry_run=True),
                "findings": self._findings.erase(_finding_of(stone), dry_run=True),
            }

    @override
    def stop_tasks(self, stone: Tombstone) -> Stopped:
        with self._records.lock:
            now, held = self._records.clock.now(), list[datetime]()
            tasks = [
                task
                for task in self._tasks(stone)
                if task.state in UNFINISHED or (task.state == "failed" and task.retried_by is None)
            ]
            for task in tasks:
                held += [task.lease_until] if task.state == "leased" and task.lease_until is not None else []
                task.becomes("failed", now)
                task.fence += 1
                task.error_class, task.last_error, task.retried_by = "Deleted", why(stone), task.id
                self._records.outbox.pop(task.id, None)
            for task in self._records.tasks.values():
                own = replace(task.series, source=stone.source)
                if task.state in ("pending", "leased") and stone.deletes(own, task.window):
                    task.fallback = tuple(name for name in task.fallback if name != stone.source)
        return Stopped(len(tasks), max(held, default=None))

    @override
    def erase(self, stone: Tombstone) -> Mapping[str, int]:
        with self._records.lock:
            hot, series = self._hot(stone), list(self._series(stone))
            for key in hot:
                del self._records.hot_bars[key]
            for each in series:
                self._cut(each, stone)
            for task in self._tasks(stone):
                task.last_error = task.last_error and why(stone)
            gaps = self._gaps.erase(_gap_of(stone))
            findings = self._findings.erase(_finding_of(stone))
        return {"hot_bars": len(hot), "gaps": gaps, "findings": findings, "series": len(series)}

    @override
    def replace_object(self, path: str, stand_in: str | None, size: int, kept: Collection[int]) -> None:
        with self._records.lock:
            here = [record for record in self._records.replies if record.reply.path == path]
            for record in here:
                if record.reply.task_id not in kept:
                    self._records.replies.remove(record)
                elif stand_in is not None:
                    record.reply = replace(record.reply, path=stand_in)
            landed = self._records.raw.pop(path, None)
            if stand_in is not None and landed is not None:
                self._records.raw[stand_in] = landed & set(kept)

    def _hot(self, stone: Tombstone) -> list[tuple[str, str, str]]:
        if stone.dataset not in (None, PRICES):
            return []
        hot = self._records.hot_bars
        return [k for k in hot if k[0] == stone.source and _has(stone, k[1], date.fromisoformat(str(k[2])))]

    def _series(self, stone: Tombstone) -> Iterator[Series]:
        for series in self._records.series:
            if stone.spans_in(series.source, series.dataset, series.symbol):
                yield series

    def _tasks(self, stone: Tombstone) -> list[TaskRecord]:
        return [task for task in self._records.tasks.values() if stone.deletes(task.series, task.window)]

    def _cut(self, series: Series, stone: Tombstone) -> None:
        spans = stone.spans_in(series.source, series.dataset, series.symbol)
        if any(span.whole for span in spans):
            del self._records.series[series]
            return
        record = self._records.series[series]
        gone = {day for day in record.covered if any(_in(span, date.fromordinal(day)) for span in spans)}
        record.covered, record.nothing, record.last_error = record.covered - gone, record.nothing - gone, None
        record.first_session = _kept(record.first_session, spans)
        record.watermark = _kept(record.watermark, spans)


def _in(span: SymbolDays, day: date) -> bool:
    return span.overlaps(Window(day, day))


def _kept(day: date | None, spans: Collection[SymbolDays]) -> date | None:
    return None if day is None or any(_in(span, day) for span in spans) else day


def _has(stone: Tombstone, symbol: str, day: date | None) -> bool:
    spans = stone.spans_of(symbol)
    return bool(spans) if day is None else any(_in(span, day) for span in spans)


def _gap_of(stone: Tombstone) -> Callable[[Series, date], bool]:
    prices = stone.dataset in (None, PRICES)
    return lambda series, day: prices and series.source == stone.source and _has(stone, series.symbol, day)


def _finding_of(stone: Tombstone) -> Callable[[Row], bool]:
    mentions, named = re.compile(rf"\b{re.escape(stone.source)}\b"), names_of_datasets(stone)[1]

    def is_deleted(row: Row) -> bool:
        quotes = row["source"] == stone.source or mentions.search(f"{row['message']} {row['facts']}") is not None
        return (
            quotes
            and (named is None or row["dataset"] in ("", *named))
            and _has(stone, row["subject"], row["first_day"])
        )

    return is_deleted
