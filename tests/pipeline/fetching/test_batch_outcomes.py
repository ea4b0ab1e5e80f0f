"""When the outcomes of a batch land: few late, more of them soon, large ones at once, and the rest at the end.

With a slow quota a batch lands whole, or after a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, cast

import pytest

from quantx.core.model import FetchTask, Payload, Quota, Series, Window
from quantx.pipeline.fetching.batch_outcomes import BatchOutcomes
from quantx.pipeline.fetching.task_groups import FetchOutcome

NOW = datetime(2024, 1, 12, 23, tzinfo=UTC)
TASKS = [
    FetchTask(
        id=number,
        run_id="run",
        kind="backfill",
        series=Series("tape", "bars", "1d", f"S{number}"),
        window=Window(date(2024, 1, 2), date(2024, 1, 12)),
        attempts=0,
        fence=1,
        has_history=False,
    )
    for number in range(32)
]


@dataclass
class Batch:
    """A batch, its landings by the tasks' ids, and a clock that the test moves."""

    quota: Quota | None = None
    tasks: Sequence[FetchTask] = tuple(TASKS[:10])
    now: float = 0.0
    stopping: bool = False
    landings: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outcomes = BatchOutcomes(
            self.tasks,
            cast(Any, self),
            cast(Any, self),
            most_bytes=1000,
            gap=0.0 if self.quota is None else self.quota.gap,
        )

    def monotonic(self) -> float:
        return self.now

    def land(self, outcomes: Sequence[FetchOutcome], *, stopping: bool) -> None:
        self.landings.append([outcome.task.id for outcome in outcomes])

    def answered(self, *numbers: int, at: float, size: int = 10) -> None:
        self.now = at
        for number in numbers:
            page = Payload(f"S{number}", "tape://", 200, NOW, content_type="text/plain", body=bytes(size))
            self.outcomes.add([FetchOutcome(TASKS[number], (page,))])


@pytest.fixture
def batch() -> Batch:
    return Batch()


def test_a_fast_batch_lands_once_at_its_end(batch: Batch) -> None:
    batch.answered(*range(10), at=0.4)
    batch.outcomes.end()
    assert batch.landings == [list(range(10))]


def test_some_replies_land_with_the_first_one_after_half_a_second(batch: Batch) -> None:
    batch.answered(0, 1, 2, 3, at=0.0)
    batch.answered(4, at=0.5)
    batch.answered(5, at=0.6)
    assert batch.landings == [[0, 1, 2, 3, 4]]


def test_few_replies_wait_for_others_but_not_for_long(batch: Batch) -> None:
    """Each landing makes an object in the raw zone."""
    batch.answered(0, at=0.0)
    batch.answered(1, at=5.0)
    assert batch.landings == []
    batch.answered(2, at=10.0)
    assert batch.landings == [[0, 1, 2]]


def test_in_the_quotas_pause_some_replies_land_and_few_wait(batch: Batch) -> None:
    batch.answered(0, 1, 2, at=0.0)
    batch.outcomes.land_in_pause()
    assert batch.landings == []
    batch.answered(3, at=0.1)
    batch.outcomes.land_in_pause()
    assert batch.landings == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("quota", "seconds", "landings"),
    [
        (Quota(50, 1), 0.16, 8),  # 50 a second, of a fleet of four workers with two batches each
        (Quota(2, 1), 1.0, 1),  # Yahoo's default, one worker
        (Quota(2, 1), 4.0, 2),  # the same, of a fleet of four
        (Quota(1, 60), 120.0, 16),
    ],
)
def test_a_slow_quota_does_not_multiply_the_objects_of_a_batch(quota: Quota, seconds: float, landings: int) -> None:
    """A batch of 32 tasks, with seconds from reply to reply; it lands in each pause, too."""
    batch = Batch(quota, TASKS)
    for number in range(32):
        batch.answered(number, at=seconds * number)
        batch.outcomes.land_in_pause()
    batch.outcomes.end()
    assert sum(map(bool, batch.landings)) == landings
    assert sorted(number for landed in batch.landings for number in landed) == list(range(32))


def test_large_replies_land_at_once(batch: Batch) -> None:
    batch.answered(0, at=0.0, size=600)
    batch.answered(1, at=0.1, size=600)
    assert batch.landings == [[0, 1]]


def test_tasks_without_an_outcome_go_back_at_the_end_and_what_comes_later_is_dropped(batch: Batch) -> None:
    batch.answered(3, at=0.0)
    batch.outcomes.end()
    batch.answered(5, at=60.0)
    assert batch.landings == [[3, 0, 1, 2, 4, 5, 6, 7, 8, 9]]
