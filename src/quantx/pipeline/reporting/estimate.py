"""What planned tasks will need: requests, minutes, rows and megabytes, from what past tasks of this lake have used.

A figure that nothing here proves is None: the first tasks of a vendor have only what the calendar and the vendor's
declared limits say.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantx.core.calendars import calendar
from quantx.core.model import Quota, Series, Window
from quantx.core.symbols import is_filer, venue_of
from quantx.lake.protocol import StoredTables
from quantx.pipeline.planning.vendor_order import Providers, capabilities_of
from quantx.state.runs.port import Runs, TaskUsage
from quantx.state.tasks.port import NewTask

_DAYS = 365  # of past tasks that count
Kind = tuple[str, str, str]  # source, dataset, timeframe


@dataclass(frozen=True, kw_only=True)
class TaskEstimate:
    """The needs of the tasks of one vendor, dataset and timeframe; None: nothing here proves it."""

    source: str
    dataset: str
    timeframe: str
    tasks: int
    symbols: int
    sessions: int  # of all tasks together
    requests: int | None
    minutes: float | None  # at the vendor's rate limit, at least; 0: it has none
    rows: int | None
    raw_megabytes: float | None
    curated_megabytes: float | None
    past_tasks: int  # from which the figures come


def estimate_tasks(
    tasks: Sequence[NewTask],
    *,
    runs: Runs,
    providers: Providers,
    quotas: Mapping[str, Quota | None],
    tables: StoredTables,
) -> list[TaskEstimate]:
    """Return what tasks will need, by vendor, dataset and timeframe."""
    groups, past = defaultdict[Kind, list[NewTask]](list), defaultdict[Kind, list[TaskUsage]](list)
    for task in tasks:
        groups[_kind(task.series)].append(task)
    for used in runs.task_usage(_DAYS) if groups else ():
        past[used.source, used.dataset, used.timeframe].append(used)
    return [_estimate(kind, some, past[kind], providers, quotas, tables) for kind, some in sorted(groups.items())]


def _estimate(
    kind: Kind,
    tasks: Sequence[NewTask],
    past: Sequence[TaskUsage],
    providers: Providers,
    quotas: Mapping[str, Quota | None],
    tables: StoredTables,
) -> TaskEstimate:
    source, dataset, timeframe = kind
    sessions = np.array([_sessions(task.series.symbol, task.window) for task in tasks], dtype=float)
    known = np.array([_sessions(used.symbol, used.window) for used in past], dtype=float)
    requests = _requests(kind, tasks, sessions, past, known, providers)
    rows = _rows(kind, sessions, past, known)
    stored = _fitted(sessions, past, known, [used.stored for used in past])
    quota = quotas.get(source)
    return TaskEstimate(
        source=source,
        dataset=dataset,
        timeframe=timeframe,
        tasks=len(tasks),
        symbols=len({task.series.symbol for task in tasks}),
        sessions=int(sessions.sum()),
        requests=requests,
        minutes=None if requests is None else _minutes(requests, quota),
        rows=rows,
        raw_megabytes=None if stored is None else round(stored / 1e6, 3),
        curated_megabytes=_curated(rows, kind, tables),
        past_tasks=sum(used.tasks for used in past),
    )


def _kind(series: Series) -> Kind:
    return series.source, series.dataset, series.timeframe


def _sessions(symbol: str, window: Window) -> int:
    if is_filer(symbol):
        return 1
    return len(calendar(venue_of(symbol).calendar).sessions(window.start, window.end))


def _fitted(
    sessions: np.ndarray, past: Sequence[TaskUsage], known: np.ndarray, values: Sequence[float]
) -> float | None:
    """Return the sum of a value over new tasks: a part for each task, and a part for each session.

    With past tasks of one length only, both parts can't be told apart: the value is then taken per session.
    """
    if not past or not sessions.size:
        return None
    counts = np.array([used.tasks for used in past], dtype=float)
    each = np.array(values, dtype=float) / counts
    if len(set(known)) == 1:
        per_session = float((each * counts).sum() / (known * counts).sum()) if known.sum() else 0.0
        return float((sessions * per_session).sum()) if known.sum() else float(sessions.size * each.mean())
    design = np.stack([np.ones_like(known), known], axis=1) * np.sqrt(counts)[:, None]
    (base, slope), *_ = np.linalg.lstsq(design, each * np.sqrt(counts), rcond=None)
    if base < 0:  # then all of it is per session
        base, slope = 0.0, float((each * counts * known).sum() / (known**2 * counts).sum())
    return float((max(base, 0.0) + max(slope, 0.0) * sessions).sum())


def _requests(
    kind: Kind,
    tasks: Sequence[NewTask],
    sessions: np.ndarray,
    past: Sequence[TaskUsage],
    known: np.ndarray,
    providers: Providers,
) -> int | None:
    """Return the number of requests: one for the symbols that fit into it, and further pages by past sessions."""
    source, dataset, timeframe = kind
    can = capabilities_of(providers, source)
    if can is None:
        return None
    at_once = can.symbols_at_once(timeframe) if dataset == "bars" else can.symbols_per_request
    least = math.ceil(len(tasks) / at_once)
    if not past:
        return least
    if at_once == 1:
        return round(sum(used.requests for used in past) / sum(used.tasks for used in past) * len(tasks))
    further = sum(max(0, used.requests - math.ceil(used.tasks / at_once)) for used in past)
    lengths = float(sum(used.tasks * length for used, length in zip(past, known, strict=True)))
    return least + (math.ceil(further / lengths * float(sessions.sum())) if lengths else 0)


def _rows(kind: Kind, sessions: np.ndarray, past: Sequence[TaskUsage], known: np.ndarray) -> int | None:
    """Return the number of rows, by the rows per session of past tasks; of daily bars one a session without them."""
    weights = known * np.array([used.tasks for used in past], dtype=float)
    if past and weights.sum():
        return round(float(sessions.sum() * sum(used.rows for used in past) / weights.sum()))
    return int(sessions.sum()) if kind[1:] == ("bars", "1d") else None


def _minutes(requests: int, quota: Quota | None) -> float:
    return 0.0 if quota is None else round(requests * quota.seconds / quota.count / 60, 2)


def _curated(rows: int | None, kind: Kind, tables: StoredTables) -> float | None:
    """Return the megabytes of rows, by the bytes per row that their table has now."""
    names = {("bars", "1d"): "bars_1d", ("bars", "1m"): "bars_1m", ("actions", "1d"): "actions"}
    name = names.get(kind[1:])
    facts = tables[name].facts() if name in tables and name is not None else None
    if rows is None or not facts or not facts["rows"]:
        return None
    return round(rows * float(facts["megabytes"]) / int(facts["rows"]), 3)
