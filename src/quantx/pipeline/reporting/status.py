"""The state of the system in one look."""

from __future__ import annotations

from typing import Any, get_args

from quantx.pipeline.runtime.platform import Platform
from quantx.state.values import TaskState


def status_of(platform: Platform) -> dict[str, Any]:
    """Return recent runs, tasks by state, the queue, vendors that are left alone, the universes' freshness, open findings and gaps."""
    state, depth, now = platform.state, platform.queue.depth(), platform.clock.now()
    counts, gaps = state.tasks.count(), state.gaps.count()
    return {
        "lake": platform.location.url,
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
        "universes": state.universes.freshness(),
        "findings": state.findings.count_open(),
        "gaps": {how: sum(row[how] for row in gaps) for how in ("open", "explained")},
    }
