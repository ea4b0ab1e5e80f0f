"""The state of the system in one look."""

from __future__ import annotations

from typing import Any

from quantx.pipeline.platform import Platform


def status_of(platform: Platform) -> dict[str, Any]:
    """Return recent runs, tasks by state, the queue's depth, closed vendors and the universes' freshness."""
    database, depth = platform.database, platform.queue.depth()
    states = {row["state"]: row["tasks"] for row in database.rows("tasks.count_by_state", ids=None)}
    return {
        "lake": platform.location.url,
        "runs": database.rows("runs.recent_runs", most=10),
        "tasks": {state: states.get(state, 0) for state in ("pending", "leased", "landed", "done", "failed")},
        "queue": {"visible": depth.visible, "total": depth.total, "oldest": depth.oldest},
        "closed": database.rows("series.circuits"),
        "universes": database.rows("universes.freshness"),
    }
