"""Runs and universes in memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, timedelta

from quantx.core.model import Series
from quantx.state.memory.records import Records, RunRecord, sums
from quantx.state.protocol import UNFINISHED, EndedRun, LastDaily, Named, Row, RunTotals, RunUsage, Universe


class MemoryRuns:
    """The state's runs."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def ended(self) -> list[EndedRun]:
        """Return the runs whose last task has ended and that have no report."""
        with self._records.lock:
            return [
                EndedRun(r.asked.id, r.asked.kind, r.asked.source, r.asked.request, r.created_at, r.asked.skipped)
                for r in self._records.runs.values()
                if r.finished_at is None
                and not any(task.state in UNFINISHED for task in self._records.tasks_of(r.asked.id))
            ]

    def totals(self, run_id: str) -> RunTotals:
        """Return the counts of a run."""
        with self._records.lock:
            tasks = self._records.tasks_of(run_id)
            states = [task.state for task in tasks if not task.passed_on]
            symbols = len({task.series.symbol for task in tasks if not task.passed_on})
            requests, rows = sum(task.requests for task in tasks), sums(task.rows for task in tasks)
            ids = {task.id for task in tasks}
            landed = [x.landed_at for x in self._records.landings if x.task_id in ids and x.malformed is None]
            counts = (len(states), states.count("done"), states.count("failed"), requests, rows)
            return RunTotals(
                *counts, landed_at=max(landed, default=None), passed_on=len(tasks) - len(states), symbols=symbols
            )

    def failures(self, run_id: str) -> list[Row]:
        """Return a run's failed tasks."""
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

    def finish(self, run_id: str, report: str) -> None:
        """Record the path of a run's report; the first one stays."""
        with self._records.lock:
            run = self._records.runs.get(run_id)
            if run is not None and run.finished_at is None:
                run.finished_at, run.report = self._records.clock.now(), report

    def report_of(self, run_id: str) -> str | None:
        """Return the path of a run's report."""
        with self._records.lock:
            run = self._records.runs.get(run_id)
            return run.report if run else None

    def uninspected(self) -> dict[str, list[str]]:
        """Return the reported runs whose data nobody has inspected since, each with the symbols of its tasks."""
        with self._records.lock:
            waiting = sorted(id_ for id_, r in self._records.runs.items() if r.finished_at and not r.inspected_at)
            return {id_: sorted({t.series.symbol for t in self._records.tasks_of(id_)}) for id_ in waiting}

    def inspected(self, run_ids: Collection[str]) -> None:
        """Record that the data of these runs was inspected."""
        with self._records.lock:
            for run in (self._records.runs[id_] for id_ in run_ids):
                run.inspected_at = run.inspected_at or self._records.clock.now()

    def recent(self, most: int) -> list[Row]:
        """Return the newest runs."""
        with self._records.lock:
            newest = sorted(self._records.runs.values(), key=lambda r: r.created_at, reverse=True)
            return [self._shown(run) for run in newest[:most]]

    def find(self, run_id: str) -> Row | None:
        """Return a run, with what was asked and the number of its unfinished tasks."""
        with self._records.lock:
            run = self._records.runs.get(run_id)
            if run is None:
                return None
            unfinished = sum(task.state in UNFINISHED for task in self._records.tasks_of(run_id))
            return self._shown(run) | {"request": dict(run.asked.request), "unfinished": unfinished}

    def last_daily(self) -> list[LastDaily]:
        """Return when each enabled universe with members was last planned for."""
        with self._records.lock:
            runs = [run for run in self._records.runs.values() if run.asked.kind == "daily"]
            universes = sorted(self._records.universes.values(), key=lambda u: (u.phase, u.name))
            return [
                LastDaily(u.name, u.market, max((r.created_at for r in runs if _is_about(r, u)), default=None))
                for u in universes
                if _current(u) and u.enabled
            ]

    def usage(self, kind: str, days: int) -> RunUsage:
        """Return what the runs of a kind have used that were planned within the last `days` and have a report."""
        with self._records.lock:
            since = self._records.clock.now() - timedelta(days=days)
            runs = [r for r in self._records.runs.values() if r.asked.kind == kind and r.created_at > since]
            reported = {r.asked.id: r.finished_at - r.created_at for r in runs if r.finished_at is not None}
            tasks = {id_: task for id_, task in self._records.tasks.items() if task.run_id in reported}
            kept = [landing for landing in self._records.landings if landing.task_id in tasks]
            return RunUsage(
                runs=len(reported),
                tasks=len(tasks),
                requests=sum(task.requests for task in tasks.values()),
                seconds=sum(lasted.total_seconds() for lasted in reported.values()),
                batches=len({landing.path for landing in kept}),
                size=sum(landing.size for landing in kept),
            )

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


class MemoryUniverses:
    """The state's universes."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, universe: Universe) -> None:
        """Record a universe with all of its members, in place of what was recorded before."""
        with self._records.lock:
            self._records.universes[universe.name] = universe

    def enable(self, names: Collection[str]) -> None:
        """Let these universes take part in daily updates, and no others."""
        with self._records.lock:
            known = self._records.universes
            self._records.universes = {n: replace(u, enabled=n in names) for n, u in known.items()}

    def symbols(
        self,
        universe: str | None,
        phase: str | None,
        *,
        since: date | None = None,
        among: Collection[str] | None = None,
    ) -> list[str]:
        """Return the members of a universe, of a phase's enabled universes, or of all that are enabled."""
        with self._records.lock:
            chosen = [
                u
                for u in self._records.universes.values()
                if (u.enabled if universe is None else u.name == universe)
                and (phase is None or u.phase == phase)
                and (among is None or u.name in among)
            ]
            return sorted({symbol for u in chosen for symbol in _members(u, since)})

    def listed(self) -> list[Row]:
        """Return what is known of each universe."""
        with self._records.lock:
            return [
                {
                    "name": u.name,
                    "phase": u.phase,
                    "market": u.market,
                    "source_type": u.source_type,
                    "members": len(_current(u)),
                    "refreshed_at": u.refreshed_at,
                }
                for u in self._in_order()
            ]

    def freshness(self) -> list[Row]:
        """Return how far the members of each enabled universe are."""
        with self._records.lock:
            return [self._fresh(u) for u in self._in_order() if u.enabled and _current(u)]

    def _fresh(self, universe: Universe) -> Row:
        members, newest = set(_current(universe)), dict[str, date]()
        for series, known in self._records.series.items():
            if _is_daily(series) and series.symbol in members and known.watermark is not None:
                newest[series.symbol] = max(known.watermark, newest.get(series.symbol, known.watermark))
        marks = newest.values()
        return {
            "name": universe.name,
            "phase": universe.phase,
            "market": universe.market,
            "members": len(members),
            "with_data": len(marks),
            "oldest": min(marks, default=None),
            "newest": max(marks, default=None),
        }

    def _in_order(self) -> list[Universe]:
        return sorted(self._records.universes.values(), key=lambda u: (u.phase, u.name))


class MemorySecurities:
    """The state's copy of what the lake knows of symbols."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, namings: Sequence[Named]) -> None:
        """Record all namings, in place of what was recorded before."""
        with self._records.lock:
            self._records.namings = list(namings)

    def namings(self) -> list[Named]:
        """Return all namings."""
        with self._records.lock:
            return sorted(self._records.namings, key=lambda n: (n[0], n[2] or date.min))


def _is_about(run: RunRecord, universe: Universe) -> bool:
    asked = run.asked.request
    named = (asked.get("universe", universe.name), asked.get("phase", universe.phase))
    return "symbols" not in asked and named == (universe.name, universe.phase)


def _current(universe: Universe) -> list[str]:
    return _members(universe, None)


def _members(universe: Universe, since: date | None) -> list[str]:
    """Return who is a member, or was one on or after a day."""
    return [s for s, _, _, _, until in universe.members if until is None or (since is not None and until >= since)]


def _is_daily(series: Series) -> bool:
    return (series.dataset, series.timeframe) == ("bars", "1d")
