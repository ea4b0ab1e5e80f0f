"""Runs in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from typing_extensions import override

from quantx.core.model import RunKind, Window
from quantx.state.memory_records import Records, RunRecord, TaskRecord, sums
from quantx.state.option_members.port import MEMBER_TASKS
from quantx.state.runs.port import EndedRun, LastDaily, Runs, RunTotals, RunUsage, TaskUsage
from quantx.state.universes.memory import current_members
from quantx.state.values import UNFINISHED, Row, Universe


class MemoryRuns(Runs):
    """The state's runs."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @override
    def ended(self) -> list[EndedRun]:
        with self._records.lock:
            return [
                EndedRun(
                    id=r.asked.id,
                    kind=r.asked.kind,
                    source=r.asked.source,
                    request=r.asked.request,
                    created_at=r.created_at,
                    skipped=r.asked.skipped,
                )
                for r in self._records.runs.values()
                if r.finished_at is None
                and not any(task.state in UNFINISHED for task in self._records.tasks_of(r.asked.id))
            ]

    @override
    def totals(self, run_id: str) -> RunTotals:
        with self._records.lock:
            tasks = self._records.tasks_of(run_id)
            states = [task.state for task in tasks if not task.passed_on]
            symbols = len({task.series.symbol for task in tasks if not task.passed_on})
            ids = {task.id for task in tasks}
            landed = [
                x.landed_at for x in self._records.replies if x.reply.task_id in ids and x.reply.malformed is None
            ]
            return RunTotals(
                tasks=len(states),
                success=states.count("done"),
                failed=states.count("failed"),
                requests=sum(task.requests for task in tasks),
                rows=sums(task.rows for task in tasks),
                landed_at=max(landed, default=None),
                passed_on=len(tasks) - len(states),
                symbols=symbols,
            )

    @override
    def failures(self, run_id: str) -> list[Row]:
        with self._records.lock:
            tasks = self._records.tasks_of(run_id)
            failed = [task for task in tasks if task.state == "failed" and not task.passed_on]
            return [
                {
                    "source": task.series.source,
                    "symbol": task.series.symbol,
                    "error_class": task.error_class,
                    "last_error": task.last_error,
                    "attempts": task.attempts,
                }
                for task in sorted(failed, key=lambda t: (t.series.symbol, t.series.source))
            ]

    @override
    def finish(self, run_id: str, report: str) -> None:
        with self._records.lock:
            run = self._records.runs.get(run_id)
            if run is not None and run.finished_at is None:
                run.finished_at, run.report = self._records.clock.now(), report

    @override
    def report_of(self, run_id: str) -> str | None:
        with self._records.lock:
            run = self._records.runs.get(run_id)
            return run.report if run else None

    @override
    def uninspected(self) -> dict[str, list[str]]:
        with self._records.lock:
            waiting = sorted(id_ for id_, r in self._records.runs.items() if r.finished_at and not r.inspected_at)
            return {id_: sorted(self._symbols_of(id_)) for id_ in waiting}

    def _symbols_of(self, run_id: str) -> set[str]:
        tasks = self._records.tasks_of(run_id)
        return {task.series.symbol for task in tasks if task.series.dataset != MEMBER_TASKS}

    @override
    def minute_windows(self, run_ids: Collection[str]) -> dict[str, Window]:
        windows: dict[str, Window] = {}
        with self._records.lock:
            for task in (task for id_ in run_ids for task in self._records.tasks_of(id_)):
                if (task.series.dataset, task.series.timeframe) == ("bars", "1m"):
                    known = windows.get(task.series.symbol, task.window)
                    first, last = min(known.start, task.window.start), max(known.end, task.window.end)
                    windows[task.series.symbol] = Window(first, last)
        return windows

    @override
    def inspected(self, run_ids: Collection[str]) -> None:
        with self._records.lock:
            for run in (self._records.runs[id_] for id_ in run_ids):
                run.inspected_at = run.inspected_at or self._records.clock.now()

    @override
    def recent(self, most: int, *, kind: RunKind | None = None, before: str | None = None) -> list[Row]:
        def place(run: RunRecord) -> tuple[datetime, str]:
            return run.created_at, run.asked.id

        with self._records.lock:
            known = self._records.runs.values()
            end = None if before is None else self._records.runs.get(before)
            if before is not None and end is None:
                return []
            chosen = [r for r in known if kind in (None, r.asked.kind) and (end is None or place(r) < place(end))]
            return [self._shown(run) for run in sorted(chosen, key=place, reverse=True)[:most]]

    @override
    def find(self, run_id: str) -> Row | None:
        with self._records.lock:
            run = self._records.runs.get(run_id)
            if run is None:
                return None
            unfinished = sum(task.state in UNFINISHED for task in self._records.tasks_of(run_id))
            return self._shown(run) | {"request": dict(run.asked.request), "unfinished": unfinished}

    @override
    def last_daily(self) -> list[LastDaily]:
        with self._records.lock:
            runs = [run for run in self._records.runs.values() if run.asked.kind == "daily"]
            universes = sorted(self._records.universes.values(), key=lambda u: (u.phase, u.name))
            return [
                LastDaily(u.name, u.market, max((r.created_at for r in runs if _is_about(r, u)), default=None))
                for u in universes
                if current_members(u) and u.enabled
            ]

    @override
    def usage(self, kind: RunKind, days: int) -> RunUsage:
        with self._records.lock:
            since = self._records.clock.now() - timedelta(days=days)
            runs = [r for r in self._records.runs.values() if r.asked.kind == kind and r.created_at > since]
            reported = {r.asked.id: r.finished_at - r.created_at for r in runs if r.finished_at is not None}
            tasks = {id_: task for id_, task in self._records.tasks.items() if task.run_id in reported}
            kept = [x.reply for x in self._records.replies if x.reply.task_id in tasks]
            return RunUsage(
                runs=len(reported),
                tasks=len(tasks),
                requests=sum(task.requests for task in tasks.values()),
                seconds=sum(lasted.total_seconds() for lasted in reported.values()),
                batches=len({reply.path for reply in kept}),
                size=sum(reply.size for reply in kept),
            )

    @override
    def vendor_usage(self, days: int) -> list[Row]:
        with self._records.lock:
            since = self._records.clock.now() - timedelta(days=days)
            runs = {run.asked.id for run in self._records.runs.values() if run.created_at > since}
            tasks = [task for task in self._records.tasks.values() if task.run_id in runs]
        groups: dict[tuple[str, str | None], list[TaskRecord]] = {}
        for task in tasks:
            groups.setdefault((task.series.source, task.error_class), []).append(task)
        return [_vendor(*key, groups[key]) for key in sorted(groups, key=lambda k: (k[0], k[1] is None, k[1] or ""))]

    @override
    def task_usage(self, days: int) -> list[TaskUsage]:
        with self._records.lock:
            since = self._records.clock.now() - timedelta(days=days)
            sizes = dict[int, int]()
            for reply in (record.reply for record in self._records.replies):
                sizes[reply.task_id] = sizes.get(reply.task_id, 0) + reply.size
            tasks = [t for t in self._records.tasks.values() if t.state == "done" and t.id in sizes]
            groups = dict[tuple[object, ...], list[TaskRecord]]()
            for task in (task for task in tasks if task.updated_at > since):
                series = task.series
                market = series.symbol.partition(".")[2]
                key = (series.source, series.dataset, series.timeframe, task.window, market)
                groups.setdefault(key, []).append(task)
            return [_used(some, sizes) for some in groups.values()]

    def _shown(self, run: RunRecord) -> Row:
        totals = self.totals(run.asked.id)
        return {
            "id": run.asked.id,
            "kind": run.asked.kind,
            "source": run.asked.source,
            "created_at": run.created_at,
            "finished_at": run.finished_at,
            "skipped": run.asked.skipped,
            "report": run.report,
            "tasks": totals.tasks,
            "success": totals.success,
            "failed": totals.failed,
            "rows_new": totals.rows["new"],
            "rows_changed": totals.rows["changed"],
            "rows_rejected": totals.rows["rejected"],
        }


def _used(tasks: Sequence[TaskRecord], sizes: Mapping[int, int]) -> TaskUsage:
    first, size = tasks[0], sum(sizes[task.id] for task in tasks)
    return TaskUsage(
        source=first.series.source,
        dataset=first.series.dataset,
        timeframe=first.series.timeframe,
        symbol=min(task.series.symbol for task in tasks),
        window=first.window,
        tasks=len(tasks),
        requests=sum(task.requests for task in tasks),
        rows=sum(sum(task.rows.values()) for task in tasks),
        size=size,
        stored=float(size),  # raw objects in memory have no size of their own
    )


def _is_about(run: RunRecord, universe: Universe) -> bool:
    asked = run.asked.request
    named = (asked.get("universe", universe.name), asked.get("phase", universe.phase))
    return "symbols" not in asked and named == (universe.name, universe.phase)


def _vendor(source: str, error_class: str | None, tasks: Sequence[TaskRecord]) -> Row:
    return {
        "source": source,
        "error_class": error_class,
        "tasks": len(tasks),
        "requests": sum(task.requests for task in tasks),
        "failed": sum(task.state == "failed" for task in tasks),
        "unfinished": sum(task.state in UNFINISHED for task in tasks),
        "accepted": sum(task.rows[kind] for task in tasks for kind in ("new", "changed", "same")),
        "rejected": sum(task.rows["rejected"] for task in tasks),
        "last_at": max(task.updated_at for task in tasks),
    }
