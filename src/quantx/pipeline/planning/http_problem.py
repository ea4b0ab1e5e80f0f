"""Errors as a caller over HTTP sees them: application/problem+json (RFC 9457).

The sender of an invalid document gets all of its errors. An error on our side is described in the log and nowhere else:
the holder of a function's key must not learn an address, an account or a statement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import structlog

from quantx.errors import LakeError, QuantxError, QueueError, RefusedStatement, StateError
from quantx.pipeline.planning.triggers import UnknownRun
from quantx.pipeline.planning.update_request import InvalidRequest, RequestTooLarge

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_RETRY_AFTER = 60  # seconds
_SERVER_ERROR = 500  # a status from here on is not the caller's fault
_UNREACHABLE: dict[type[QuantxError], str] = {
    StateError: "the state's database can't be reached; send the request again, which does no harm",
    QueueError: "the queue can't be reached; what was planned is kept and sent later, and the same request finds it",
    LakeError: "the lake can't be reached; send the request again, which does no harm",
}


@dataclass(frozen=True)
class Problem:
    """A status, the document that explains it, and the headers that go with it."""

    status: int
    document: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def problem_of(error: QuantxError) -> Problem:
    """Return the problem document of an error, and log the whole error."""
    problem = _problem_of(error)
    write = log.error if problem.status >= _SERVER_ERROR else log.info
    write("http.refused", status=problem.status, error_class=type(error).__name__, error=str(error))
    return problem


def _problem_of(error: QuantxError) -> Problem:
    if isinstance(error, InvalidRequest):
        too_large = isinstance(error, RequestTooLarge)
        status, title = (413, "The document is too large") if too_large else (400, "Wrong request")
        first, *more = (each.detail for each in error.errors)
        detail = f"{len(error.errors)} errors" if more else first
        return _problem(status, title, detail, errors=[vars(each) for each in error.errors])
    if isinstance(error, UnknownRun):
        return _problem(404, "No such run", str(error))
    for unreachable, detail in _UNREACHABLE.items():
        if isinstance(error, unreachable) and not isinstance(error, RefusedStatement):
            problem = _problem(503, "A service can't be reached", detail)
            return Problem(503, problem.document, {"Retry-After": str(_RETRY_AFTER)})
    return _problem(500, "The app is not configured correctly", "its log has the reason")


def _problem(status: int, title: str, detail: str, **more: Any) -> Problem:
    return Problem(status, {"type": "about:blank", "title": title, "status": status, "detail": detail, **more})
