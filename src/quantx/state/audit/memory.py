"""The audit in memory."""

from __future__ import annotations

from typing_extensions import override

from quantx.state.audit.port import Audit, AuditEntry, Outcome
from quantx.state.memory_records import Records
from quantx.state.values import Row


class MemoryAudit(Audit):
    """The audit in a dictionary by request id."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._rows: dict[str, Row] = {}

    @override
    def begin(self, entry: AuditEntry) -> bool:
        with self._records.lock:
            if entry.request_id in self._rows:
                return False
            now = {"begun_at": self._records.clock.now(), "ended_at": None}
            begun = {"id": len(self._rows) + 1, "outcome": "begun", "message": None}
            self._rows[entry.request_id] = {**vars(entry), "facts": dict(entry.facts), **now, **begun}
            return True

    @override
    def end(self, request_id: str, outcome: Outcome, message: str) -> None:
        with self._records.lock:
            row = self._rows.get(request_id)
            if row is not None and row["outcome"] == "begun":
                row |= {"outcome": outcome, "message": message, "ended_at": self._records.clock.now()}

    @override
    def find(self, request_id: str) -> Row | None:
        with self._records.lock:
            row = self._rows.get(request_id)
            return None if row is None else dict(row)

    @override
    def listed(
        self, limit: int, *, action: str | None = None, actor: str | None = None, before: int | None = None
    ) -> list[Row]:
        with self._records.lock:
            rows = [
                dict(row)
                for row in reversed(self._rows.values())
                if (action is None or row["action"] == action)
                and (actor is None or row["actor"] == actor)
                and (before is None or row["id"] < before)
            ]
        return rows[:limit]
