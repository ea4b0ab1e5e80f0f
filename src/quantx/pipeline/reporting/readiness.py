"""The readiness of an installation: database, queue and lake answer, and the lake is that of the state.

The checks create no queue and no container, and load no library for frames.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from quantx.errors import ConfigError, QuantxError
from quantx.lake.store import open_location
from quantx.pipeline.runtime.lake_ids import LAKE_ID, id_at
from quantx.pipeline.runtime.threads import Threads
from quantx.queues.open import open_queue, open_storage_queue
from quantx.queues.protocol import TaskQueue
from quantx.settings import Settings
from quantx.state.entra import identity_of_state
from quantx.state.postgres import open_state

log = structlog.get_logger()

LIMIT = 10.0  # seconds for each part; all parts are checked at the same time
_GRACE = 0.1


@dataclass(frozen=True)
class PartState:
    """What a part answered."""

    seconds: float
    error: QuantxError | None = None  # why it is not ready
    facts: Mapping[str, Any] = field(default_factory=dict)


class NoAnswer(QuantxError):
    """A part did not answer in time."""


def check_readiness(settings: Settings, limit: float = LIMIT) -> dict[str, PartState]:
    """Ask database, queue and lake at the same time, each for at most `limit` seconds; return the state of each."""
    checks = {"database": _database, "queue": _queue, "lake": _lake}
    if settings.queue_url == "postgresql":
        del checks["queue"]  # the database answers for it
    runtime = Threads()
    timer = threading.Timer(limit, runtime.stop)
    timer.start()
    answers = runtime.together([partial(_state_of, check, settings) for check in checks.values()], len(checks), _GRACE)
    timer.cancel()
    late = PartState(limit, NoAnswer(f"no answer within {limit:g} seconds"))
    parts = {name: answer or late for name, answer in zip(checks, answers, strict=True)}
    parts["lake"] = _of_the_state(parts["lake"], parts["database"])
    for name, part in parts.items():
        if part.error is not None:
            log.error("part.not_ready", part=name, error_class=type(part.error).__name__, error=str(part.error))
    return parts


def is_ready(parts: Mapping[str, PartState]) -> bool:
    """Return whether all parts are ready."""
    return all(part.error is None for part in parts.values())


def readiness_facts(parts: Mapping[str, PartState], *, with_reasons: bool) -> dict[str, Any]:
    """Return the states as a document; without reasons for callers who must not learn an address or an account."""
    return {
        "status": "ready" if is_ready(parts) else "not ready",
        "parts": {name: _part_facts(part, with_reasons) for name, part in parts.items()},
    }


def _part_facts(part: PartState, with_reasons: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"state": "ok", "seconds": round(part.seconds, 3), **part.facts}
    if part.error is not None:
        facts |= {"state": "no answer" if isinstance(part.error, NoAnswer) else "failed"}
        facts |= {"error_class": type(part.error).__name__}
        facts |= {"reason": str(part.error) if with_reasons else "the log has the reason"}
    return facts


def _state_of(check: Callable[[Settings], Mapping[str, Any]], settings: Settings) -> PartState:
    begun = time.monotonic()
    try:
        facts = check(settings)
    except QuantxError as error:
        return PartState(time.monotonic() - begun, error)
    return PartState(time.monotonic() - begun, None, facts)


def _database(settings: Settings) -> Mapping[str, Any]:
    identity = identity_of_state(settings)
    try:
        with closing(open_state(settings.state_url, identity)) as state:
            bound, database = state.binding(), state.database
            facts = {"schema_version": database.schema_version(), "lake_id": bound and bound.lake_id}
            if settings.queue_url == "postgresql":
                facts |= _depth(open_queue(settings, database))
            return facts
    finally:
        if identity is not None:
            identity.close()


def _queue(settings: Settings) -> Mapping[str, Any]:
    with closing(open_storage_queue(settings, create=False)) as queue:
        return _depth(queue)


def _depth(queue: TaskQueue) -> dict[str, Any]:
    depth = queue.depth()
    return {"messages": depth.total, "poisoned": depth.poisoned}


def _lake(settings: Settings) -> Mapping[str, Any]:
    location = open_location(settings.lake_url, settings, create=False)
    try:
        return {"lake_id": id_at(location, LAKE_ID)}
    finally:
        if location.identity is not None:
            location.identity.close()


def _of_the_state(lake: PartState, database: PartState) -> PartState:
    """Return the lake's state, with an error where the database has recorded another lake."""
    recorded = database.facts.get("lake_id")
    if lake.error is not None or recorded in (None, lake.facts["lake_id"]):
        return lake
    error = ConfigError("this is not the lake that the state has recorded; check QUANTX_LAKE_URL and QUANTX_STATE_URL")
    return PartState(lake.seconds, error, lake.facts)
