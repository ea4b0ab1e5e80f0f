"""The fleet's quotas in PostgreSQL."""

from __future__ import annotations

from quantx.core.model import Quota
from quantx.state.database import Database, run
from quantx.state.quotas.port import Slots
from quantx.state.values import Row


class PostgresQuotas:
    """One row per vendor: the last requests that were given out, and until when the vendor is left alone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[str] = set()

    def reserve(self, source: str, quota: Quota | None, count: int, patience: float, doubt: float = 0) -> Slots | None:
        """Reserve up to `count` requests; None where the first could not start within `patience` seconds."""
        if quota is None:
            rows = self._database.rows("quotas.open_from", source=source, patience=patience)
            return Slots((rows[0]["at"],) * count, rows[0]["reserved_at"]) if rows else None
        if source not in self._known:
            self._database.rows("quotas.add_source", source=source)
            self._known.add(source)
        rows = self._database.rows(
            "quotas.reserve",
            source=source,
            limit=quota.count,
            pause=quota.pause,
            gap=quota.gap,
            count=count,
            patience=patience,
            doubt=doubt,
        )
        return Slots(tuple(rows[0]["starts"]), rows[0]["reserved_at"]) if rows[0]["starts"] else None

    def close(self, source: str, seconds: float, reason: str) -> None:
        """Leave a vendor alone for so long."""
        with self._database.transaction() as connection:
            run(connection, "quotas.close", {"source": source, "seconds": seconds, "reason": reason})
            run(connection, "quotas.refused_since_now", {"source": source})

    def refuse(self, source: str, first: float, longest: float, reason: str) -> None:
        """Leave a vendor alone that has refused without saying for how long."""
        refusal = {"source": source, "first": first, "longest": longest, "reason": reason}
        with self._database.transaction() as connection:
            run(connection, "quotas.refuse", refusal)
            run(connection, "quotas.refused_since_now", {"source": source})

    def accept(self, source: str) -> bool:
        """Note that a vendor has answered: its refusals are not in a row any more. False while it is left alone."""
        return bool(self._database.rows("quotas.accept", source=source))

    def closed_for(self, source: str) -> float:
        """Return for how many more seconds the vendor is left alone, 0 where it is not."""
        rows = self._database.rows("quotas.closed_for", source=source)
        return float(rows[0]["seconds"]) if rows else 0.0

    def opens_in(self, source: str, quota: Quota | None) -> float:
        """Return after how many seconds a request may start, 0 where one may now; reserves nothing."""
        if quota is None:
            return self.closed_for(source)
        limits = {"limit": quota.count, "gap": quota.gap, "pause": quota.pause}
        rows = self._database.rows("quotas.opens_in", source=source, **limits)
        return max(0.0, float(rows[0]["seconds"] or 0)) if rows else 0.0

    def refused_for(self, source: str) -> float:
        """Return for how many seconds the vendor has refused without an answer in between, 0 where it answers."""
        rows = self._database.rows("quotas.refused_for", source=source)
        return float(rows[0]["seconds"]) if rows else 0.0

    def closed(self) -> list[Row]:
        """Return the vendors that are left alone."""
        return self._database.rows("quotas.closed")
