"""The status of the system."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

from quantx.lake.store import LakeLocation
from quantx.lake.tombstones import deleted_of, pending_of
from quantx.queues.protocol import Depth
from quantx.state.option_members.port import MemberState
from quantx.state.port import State
from quantx.state.values import TaskState

_REFUSED = 20  # series that the status names


def status_of(state: State, depth: Depth, lake: str, now: datetime) -> dict[str, Any]:
    """Return recent runs, counts of tasks and members of option archives, the queue, vendors, findings and gaps."""
    counts, gaps, members = state.tasks.count(), state.gaps.count(), state.option_members.count()
    return {
        "lake": lake,
        "runs": state.runs.recent(10),
        "tasks": {name: counts.get(name, 0) for name in get_args(TaskState)} | {"dead": state.tasks.dead()},
        "queue": {
            "visible": depth.visible,
            "total": depth.total,
            "oldest": depth.oldest,
            "oldest_seconds": None if depth.oldest is None else round((now - depth.oldest).total_seconds(), 1),
            "poisoned": depth.poisoned,
        },
        "closed": state.quotas.closed(),
        "refused": state.series.refused(_REFUSED),
        "universes": state.universes.freshness(),
        "option_members": {name: members.get(name, 0) for name in get_args(MemberState)},
        "findings": state.findings.count_open(),
        "gaps": {how: sum(row[how] for row in gaps) for how in ("open", "explained")},
    }


def deletion_counts(location: LakeLocation) -> dict[str, int]:
    """Return the numbers of tombstones in force and of deletions that are not complete, and of their raw objects."""
    stones = deleted_of(location).stones
    left = [stone for stone in stones if not stone.done]
    waiting = sum(len(pending_of(location, stone)) for stone in left)
    return {"tombstones": len(stones), "not_complete": len(left), "raw_objects_left": waiting}
