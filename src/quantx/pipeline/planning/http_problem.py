"""What a caller over HTTP is told about an error: application/problem+json (RFC 9457).

Who sent a wrong document learns all that is wrong with it. What is wrong on our side stands in the log and nowhere else:
an address, an account or a statement is nobody's business who only holds a function's key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import structlog

from quantx.errors import LakeError, QuantxError, QueueError, RefusedStatement, StateError
from quantx.pipeline.planning.triggers import UnknownRun
from quantx.pipeline.planning.update_request import TooLarge, WrongRequest

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER = 60  # seconds
_OURS = 500  # a status from here on is no fault of the caller
_AWAY: dict[type[QuantxError], str] = {
    StateError: "the state's database can't be reached; ask again, which does no harm",
    QueueError: "the queue can't be reached; what was planned is kept and sent later, and asking again finds it",
    LakeError: "the lake can't be reached; ask again, which does no harm",
}


@dataclass(frozen=True)
class Problem:
    """A status, the document that explains it, and the headers that go with it."""

    status: int
    document: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def problem_of(error: QuantxError) -> Problem:
    """Return what to tell about an error, and log all of it."""
    problem = _told(error)
    logged = log.error if problem.status >= _OURS else log.info
    logged("http.refused", status=problem.status, error_class=type(error).__name__, error=str(error))
    return problem


def _told(error: QuantxError) -> Problem:
    if isinstance(error, WrongRequest):
        status, title = (413, "The document is too large") if isinstance(error, TooLarge) else (400, "Wrong request")
        first, *more = (each.detail for each in error.errors)
        detail = f"{len(error.errors)} errors" if more else first
        return _problem(status, title, detail, errors=[vars(each) for each in error.errors])
    if isinstance(error, UnknownRun):
        return _problem(404, "No such run", str(error))
    for away, detail in _AWAY.items():
        if isinstance(error, away) and not isinstance(error, RefusedStatement):
            problem = _problem(503, "A service is away", detail)
            return Problem(503, problem.document, {"Retry-After": str(_RETRY_AFTER)})
    return _problem(500, "The app is not set up as it must be", "its log says what is wrong")


def _problem(status: int, title: str, detail: str, **more: Any) -> Problem:
    return Problem(status, {"type": "about:blank", "title": title, "status": status, "detail": detail, **more})
