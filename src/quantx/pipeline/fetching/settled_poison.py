"""Discard the poison records of tasks that are settled: a later task has fetched what they could not."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from quantx.errors import QueueError
from quantx.queues.messages import decode
from quantx.queues.protocol import Poisoned, TaskQueue
from quantx.state.tasks.port import Tasks

log = structlog.get_logger()


def discard_settled_poison(queue: TaskQueue, tasks: Tasks) -> int:
    """Discard the records of settled tasks; return their number. Foreign messages and unknown tasks stay."""

    def chosen(records: Sequence[Poisoned]) -> list[bool]:
        ids = [_task_of(record) for record in records]
        settled = tasks.settled({each for each in ids if each is not None})
        return [each in settled for each in ids]

    try:
        if queue.depth().poisoned == 0:
            return 0
        gone = queue.discard_poison(chosen)
    except QueueError as error:  # the next worker repeats it
        log.warning("poison.not_discarded", error=str(error))
        return 0
    if gone:
        log.info("poison.discarded", records=gone)
    return gone


def _task_of(record: Poisoned) -> int | None:
    """Return the task of a record, None where it is no message of ours."""
    try:
        return decode(record.body).task_id
    except QueueError:
        return None
