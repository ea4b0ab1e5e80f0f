"""A stored reply to a claimed task."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from quantx.core.model import FetchTask, StoredReply

FETCHED = datetime(2024, 1, 6, tzinfo=UTC)


def reply_to(task: FetchTask, **differences: Any) -> StoredReply:
    place = {"path": "raw/x.parquet", "row": 0, "fetched_at": FETCHED, "size": 100} | differences
    return StoredReply(task_id=task.id, run_id=task.run_id, series=task.series, window=task.window, **place)
