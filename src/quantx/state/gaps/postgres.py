"""Gaps in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from typing_extensions import override

from quantx.core.gap_schedule import Gap, GapRequest
from quantx.core.model import Series, Window
from quantx.state.database import Database
from quantx.state.gaps.port import Gaps
from quantx.state.values import Row


class PostgresGaps(Gaps):
    """Gaps, and the requests for them by tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def known(self, symbols: Collection[str] | None = None) -> list[Gap]:
        rows = self._database.rows("gaps.known", symbols=None if symbols is None else list(symbols))
        return [Gap(Series(*(row.pop(c) for c in _SERIES)), **row) for row in rows]

    @override
    def requests(self, symbols: Collection[str]) -> list[GapRequest]:
        rows = self._database.rows("gaps.requests", symbols=list(symbols))
        return [
            GapRequest(
                Series(*(row[c] for c in _SERIES)),
                Window(row["window_start"], row["window_end"]),
                state=row["state"],
                at=row["updated_at"],
                error=row["last_error"],
            )
            for row in rows
        ]

    @override
    def due(self, sources: Collection[str], now: datetime) -> list[str]:
        rows = self._database.rows("gaps.due", sources=list(sources), now=now)
        return [row["symbol"] for row in rows]

    @override
    def put(self, gaps: Sequence[Gap]) -> None:
        if not gaps:
            return
        columns: dict[str, list[object]] = {f"{c}s": [getattr(g.series, c) for g in gaps] for c in _SERIES}
        self._database.rows(
            "gaps.put_gaps",
            **columns,
            sessions=[g.session for g in gaps],
            statuses=[g.status for g in gaps],
            explanations=[g.explanation for g in gaps],
            reasons=[g.reason for g in gaps],
            asked=[g.asked for g in gaps],
            asked_at=[g.asked_at for g in gaps],
            due_at=[g.due_at for g in gaps],
        )

    @override
    def count(self) -> list[Row]:
        return self._database.rows("gaps.count_gaps")


_SERIES = ("source", "dataset", "timeframe", "symbol")
