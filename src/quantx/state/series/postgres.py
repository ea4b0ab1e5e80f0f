"""Series in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from typing_extensions import override

from quantx.core.model import Series, Window
from quantx.state.database import Database
from quantx.state.series.port import SeriesBook, SeriesProgress
from quantx.state.values import Row


class PostgresSeries(SeriesBook):
    """Coverage and watermark of each series."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def uncovered(
        self, series: Sequence[tuple[Series, Window]], now: datetime, late_seconds: float
    ) -> dict[str, list[Window]]:
        gaps: dict[str, list[Window]] = defaultdict(list)
        for source, dataset, timeframe in {(s.source, s.dataset, s.timeframe) for s, _ in series}:
            group = [(s, w) for s, w in series if (s.source, s.dataset, s.timeframe) == (source, dataset, timeframe)]
            rows = self._database.rows(
                "series.uncovered",
                source=source,
                dataset=dataset,
                timeframe=timeframe,
                symbols=[s.symbol for s, _ in group],
                starts=[w.start for _, w in group],
                ends=[w.end for _, w in group],
                now=now,
                late_seconds=late_seconds,
            )
            for row in rows:
                gaps[row["symbol"]].append(Window(row["gap_start"], row["gap_end"]))
        return gaps

    @override
    def progress(self, source: str, dataset: str, timeframe: str, symbols: Sequence[str]) -> dict[str, SeriesProgress]:
        rows = self._database.rows(
            "series.progress", source=source, dataset=dataset, timeframe=timeframe, symbols=list(symbols)
        )
        return {
            row["symbol"]: SeriesProgress(
                row["watermark"],
                row["asked_through"],
                row["last_asked_at"],
                refused=row["refused"],
                last_error=row["last_error"],
            )
            for row in rows
        }

    @override
    def refused(self, limit: int) -> list[Row]:
        return self._database.rows("series.refused", limit=limit)

    @override
    def manifest(self) -> list[Row]:
        return self._database.rows("series.manifest")
