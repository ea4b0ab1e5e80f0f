"""The status and the problem document of each error."""

from __future__ import annotations

import pytest

from quantx.errors import (
    ConfigError,
    DamagedObject,
    LakeError,
    QuantxError,
    QueueError,
    RateLimited,
    RefusedStatement,
    StateError,
)
from quantx.pipeline.planning.http_problem import problem_of
from quantx.pipeline.planning.triggers import UnknownRun
from quantx.pipeline.planning.update_request import FieldError, InvalidRequest, RequestTooLarge
from quantx.queues.protocol import NotSent

OURS = "postgresql://ops@db.internal: the relation quantx.tasks of account devstore"


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (InvalidRequest([FieldError("no", "#/phase")]), 400, False),
        (RequestTooLarge([FieldError("no")]), 413, False),
        (UnknownRun("there is no run 'x'"), 404, False),
        (StateError(OURS), 503, True),
        (QueueError(OURS), 503, True),
        (NotSent(OURS), 503, True),
        (LakeError(OURS), 503, True),
        (DamagedObject(OURS), 503, True),
        (RefusedStatement(OURS), 500, False),
        (ConfigError(OURS), 500, False),
        (RateLimited(OURS), 500, False),
        (QuantxError(OURS), 500, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_status(error: QuantxError, status: int, retry: bool) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.document["status"]) == (status, status)
    assert ("Retry-After" in problem.headers) is retry
    assert OURS not in str(problem.document)


def test_one_error_is_the_detail_and_several_are_counted() -> None:
    one, two = (
        problem_of(InvalidRequest([FieldError("no")])),
        problem_of(InvalidRequest([FieldError("no"), FieldError("nor this", "#/end")])),
    )
    assert (one.document["detail"], two.document["detail"]) == ("no", "2 errors")
    assert two.document["errors"] == [{"detail": "no", "pointer": "#"}, {"detail": "nor this", "pointer": "#/end"}]
