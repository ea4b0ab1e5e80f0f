"""The audit in PostgreSQL."""

from __future__ import annotations

import json

from typing_extensions import override

from quantx.state.audit.port import Audit, AuditEntry, Outcome
from quantx.state.database import Database
from quantx.state.values import Row


class PostgresAudit(Audit):
    """The audit in a table: one row per request id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def begin(self, entry: AuditEntry) -> bool:
        facts = json.dumps(dict(entry.facts), default=str)
        return bool(self._database.rows("audit.begin", **{**vars(entry), "facts": facts}))

    @override
    def end(self, request_id: str, outcome: Outcome, message: str) -> None:
        self._database.rows("audit.end", request_id=request_id, outcome=outcome, message=message)

    @override
    def find(self, request_id: str) -> Row | None:
        rows = self._database.rows("audit.find", request_id=request_id)
        return rows[0] if rows else None

    @override
    def listed(
        self, limit: int, *, action: str | None = None, actor: str | None = None, before: int | None = None
    ) -> list[Row]:
        return self._database.rows("audit.listed", limit=limit, action=action, actor=actor, before=before)
