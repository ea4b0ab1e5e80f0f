"""A batch grows while batches end quickly, and shrinks where they are slow."""

from __future__ import annotations

from quantx.pipeline.fetching.batch_size import BatchSize


def test_a_batch_doubles_with_each_quick_one_up_to_the_most() -> None:
    size, seen = BatchSize(200), []
    for _ in range(5):
        seen.append(size.tasks)
        size.note(size.tasks, 1.4)
    assert seen == [32, 64, 128, 200, 200]


def test_a_batch_stays_where_it_was_not_full_or_took_seconds() -> None:
    size = BatchSize(256)
    size.note(31, 0.1)
    size.note(32, 3.0)
    assert size.tasks == 32


def test_a_slow_batch_is_halved_down_to_a_page() -> None:
    size = BatchSize(256)
    for _ in range(3):
        size.note(size.tasks, 0.1)
    seen = []
    for _ in range(4):
        size.note(size.tasks, 9.0)
        seen.append(size.tasks)
    assert seen == [128, 64, 32, 32]


def test_a_small_setting_is_never_exceeded() -> None:
    size = BatchSize(4)
    size.note(4, 0.1)
    size.note(4, 100.0)
    assert size.tasks == 4
