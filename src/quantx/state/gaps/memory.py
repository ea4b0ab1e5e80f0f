"""Gaps in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from typing import Literal

from typing_extensions import override

from quantx.core.gap_schedule import HEAL, Gap, GapRequest
from quantx.core.model import Series
from quantx.state.gaps.port import Gaps
from quantx.state.memory_records import Records
from quantx.state.values import Row, TaskState


class MemoryGaps(Gaps):
    """Gaps, and the requests for them by tasks."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._gaps: dict[tuple[Series, date], Gap] = {}

    def erase(self, is_deleted: Callable[[Series, date], bool], *, dry_run: bool = False) -> int:
        """Delete gaps; return how many."""
        with self._records.lock:
            gone = [key for key in self._gaps if is_deleted(*key)]
            for key in () if dry_run else gone:
                del self._gaps[key]
        return len(gone)

    @override
    def known(self, symbols: Collection[str] | None = None) -> list[Gap]:
        with self._records.lock:
            gaps = [g for g in self._gaps.values() if g.status != "filled"]
        gaps = [g for g in gaps if symbols is None or g.series.symbol in symbols]
        return sorted(gaps, key=lambda g: (_place(g.series), g.session))

    @override
    def requests(self, symbols: Collection[str]) -> list[GapRequest]:
        with self._records.lock:
            tasks = [t for t in self._records.tasks.values() if t.kind == HEAL and t.series.symbol in symbols]
            return [
                GapRequest(
                    t.series, t.window, state=_STATES.get(t.state, "waiting"), at=t.updated_at, error=t.last_error
                )
                for t in tasks
            ]

    @override
    def due(self, sources: Collection[str], now: datetime) -> list[str]:
        due = [g for g in self.known() if g.status == "open" and g.due_at is not None and g.due_at <= now]
        return sorted({g.series.symbol for g in due if g.series.source in sources})

    @override
    def put(self, gaps: Sequence[Gap]) -> None:
        with self._records.lock:
            self._gaps |= {gap.key: gap for gap in gaps}

    @override
    def count(self) -> list[Row]:
        counts = Counter((gap.series, gap.status) for gap in self.known())
        return [
            vars(series) | {status: counts[series, status] for status in ("open", "explained")}
            for series in sorted({series for series, _ in counts}, key=_place)
        ]


_STATES: dict[TaskState, Literal["answered", "failed"]] = {"done": "answered", "failed": "failed"}


def _place(series: Series) -> tuple[str, ...]:
    return series.source, series.dataset, series.timeframe, series.symbol
