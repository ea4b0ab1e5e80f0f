"""The port of the audit, and its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from quantx.state.values import Row

Place = Literal["dashboard", "command"]
Outcome = Literal["begun", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """An action of a person, as it begins."""

    request_id: str  # one per form or command: a repeated request has the same one
    actor: str
    place: Place
    action: str  # as in tasks.retry
    subject: str
    reason: str
    facts: Mapping[str, object] = field(default_factory=dict)


class Audit(Protocol):
    """The actions of people with their reasons and outcomes; entries are never changed or deleted afterwards."""

    def begin(self, entry: AuditEntry) -> bool:
        """Record that an action begins; return False, and record nothing, where its request id is recorded already.

        An action that its process did not finish keeps the outcome `begun`.
        """
        ...

    def end(self, request_id: str, outcome: Outcome, message: str) -> None:
        """Record the outcome of an action that has begun; the first outcome stays."""
        ...

    def find(self, request_id: str) -> Row | None:
        """Return an action as `listed` does."""
        ...

    def listed(
        self, limit: int, *, action: str | None = None, actor: str | None = None, before: int | None = None
    ) -> list[Row]:
        """Return actions as rows for display, the newest first; `before`: only those with a smaller id."""
        ...
