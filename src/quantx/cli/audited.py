"""The audit of commands that decide something, beside that of the dashboard's actions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ulid import ULID

from quantx.errors import QuantxError
from quantx.state.audit.login import login_name
from quantx.state.audit.port import AuditEntry
from quantx.state.port import State


@contextmanager
def audited(state: State, action: str, subject: str, *, reason: str = "", by: str | None = None) -> Iterator[None]:
    """Record the block as an action of a person, with its outcome; `by` is the login by default."""
    entry = AuditEntry(
        request_id=str(ULID()),
        actor=by or login_name(),
        place="command",
        action=action,
        subject=subject,
        reason=reason,
    )
    state.audit.begin(entry)
    try:
        yield
    except QuantxError as error:
        state.audit.end(entry.request_id, "failed", str(error))
        raise
    state.audit.end(entry.request_id, "done", f"quantx {action.replace('.', ' ')}")
