"""Quotas in PostgreSQL."""

from __future__ import annotations

from typing_extensions import override

from quantx.core.model import Quota
from quantx.state.database import Database
from quantx.state.quotas.port import Quotas, Slots
from quantx.state.values import Row


class PostgresQuotas(Quotas):
    """One row per vendor: the last reserved slots, and the end of the back-off."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sources: set[str] = set()  # with a row

    @override
    def reserve(
        self, source: str, quota: Quota | None, count: int, longest_wait: float, doubt: float = 0
    ) -> Slots | None:
        if quota is None:
            rows = self._database.rows("quotas.open_from", source=source, longest_wait=longest_wait)
            return Slots((rows[0]["at"],) * count, rows[0]["reserved_at"]) if rows else None
        if source not in self._sources:
            self._database.rows("quotas.add_source", source=source)
            self._sources.add(source)
        rows = self._database.rows(
            "quotas.reserve",
            source=source,
            limit=quota.count,
            pause=quota.pause,
            gap=quota.gap,
            count=count,
            longest_wait=longest_wait,
            doubt=doubt,
        )
        return Slots(tuple(rows[0]["starts"]), rows[0]["reserved_at"]) if rows[0]["starts"] else None

    @override
    def close(self, source: str, seconds: float, reason: str) -> None:
        self._database.rows("quotas.close", source=source, seconds=seconds, reason=reason)

    @override
    def refuse(self, source: str, first: float, longest: float, reason: str, age: float = 0) -> float | None:
        rows = self._database.rows("quotas.refuse", source=source, first=first, longest=longest, reason=reason, age=age)
        return float(rows[0]["seconds"]) if rows else None

    @override
    def accept(self, source: str) -> bool:
        return bool(self._database.rows("quotas.accept", source=source)[0]["open"])

    @override
    def closed_for(self, source: str) -> float:
        rows = self._database.rows("quotas.closed_for", source=source)
        return float(rows[0]["seconds"]) if rows else 0.0

    @override
    def opens_in(self, source: str, quota: Quota | None) -> float:
        if quota is None:
            return self.closed_for(source)
        limits = {"limit": quota.count, "gap": quota.gap, "pause": quota.pause}
        rows = self._database.rows("quotas.opens_in", source=source, **limits)
        return max(0.0, float(rows[0]["seconds"] or 0)) if rows else 0.0

    @override
    def refused_for(self, source: str) -> float:
        rows = self._database.rows("quotas.refused_for", source=source)
        return float(rows[0]["seconds"]) if rows else 0.0

    @override
    def used(self, source: str, quota: Quota) -> int:
        return int(self._database.rows("quotas.used", source=source, seconds=quota.seconds)[0]["used"])

    @override
    def closed(self) -> list[Row]:
        return self._database.rows("quotas.closed")
