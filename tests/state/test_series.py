"""What is known about a series, and the quota that all workers share."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from typing import Any

import pytest

from quantx.state.database import Database

ASKED = datetime(2024, 2, 1, tzinfo=UTC)
SERIES = {"source": "yahoo", "dataset": "bars", "timeframe": "1d"}
LONG = 1000.0  # seconds between two slots: far more than a test takes


def day(number: int) -> date:
    return date(2024, 1, number)


def ranges(*windows: tuple[int, int]) -> str:
    return "{" + ",".join(f"[{day(a)},{day(b)}]" for a, b in windows) + "}"


def cover(
    database: Database,
    *covered: tuple[int, int],
    nothing: tuple[tuple[int, int], ...] = (),
    first: int | None = None,
    last: int | None = None,
) -> None:
    database.rows(
        "curation.cover_series",
        **SERIES,
        symbols=["AAPL"],
        covered=[ranges(*covered)],
        nothing=[ranges(*nothing)],
        firsts=[day(first) if first else None],
        lasts=[day(last) if last else None],
        through=[max((day(b) for _, b in covered), default=None)],
        asked=[ASKED],
    )


def uncovered(database: Database, start: int, end: int) -> list[tuple[int, int]]:
    rows = database.rows(
        "series.uncovered",
        **SERIES,
        symbols=["AAPL"],
        starts=[day(start)],
        ends=[day(end)],
        now=datetime.now(UTC),
        patience=3600.0,
    )
    return [(r["gap_start"].day, r["gap_end"].day) for r in rows]


def facts(database: Database) -> dict[str, Any]:
    (row,) = database.rows("series.manifest")
    return row


def test_a_new_series_is_uncovered_as_a_whole(database: Database) -> None:
    assert uncovered(database, 2, 12) == [(2, 12)]


def test_what_was_answered_is_not_asked_again(database: Database) -> None:
    cover(database, (5, 8), first=5, last=8)
    assert uncovered(database, 2, 12) == [(2, 4), (9, 12)]
    assert uncovered(database, 5, 8) == []
    cover(database, (2, 4), first=2, last=4)
    assert uncovered(database, 2, 12) == [(9, 12)]


def test_the_order_of_the_answers_does_not_matter(database: Database) -> None:
    for window in ((9, 10), (2, 3), (5, 6), (3, 9)):
        cover(database, window)
    assert uncovered(database, 1, 12) == [(1, 1), (11, 12)]


def test_a_watermark_never_goes_back_and_the_first_session_never_forward(database: Database) -> None:
    cover(database, (5, 10), first=5, last=10)
    cover(database, (2, 4), first=2, last=4)
    cover(database, (3, 3))
    assert (facts(database)["first_session"], facts(database)["watermark"]) == (day(2), day(10))
    known = database.rows("series.watermarks", **SERIES, symbols=["AAPL", "MSFT"], now=datetime.now(UTC))
    assert known == [{"symbol": "AAPL", "watermark": day(10), "at_rest": False}]


def test_where_the_vendor_has_nothing_is_remembered_until_it_has_something(database: Database) -> None:
    cover(database, (1, 10), nothing=((1, 4),), first=5, last=10)
    assert facts(database)["nothing"] == "{[2024-01-01,2024-01-05)}"
    cover(database, (3, 4), first=3, last=4)
    assert facts(database)["nothing"] == "{[2024-01-01,2024-01-03)}"


def test_an_answer_ends_a_row_of_failures(database: Database) -> None:
    for _ in range(2):
        database.rows("tasks.note_series_failure", **SERIES, symbol="AAPL", error="503")
    assert (facts(database)["failures"], facts(database)["last_error"]) == (2, "503")
    cover(database, (2, 5), last=5)
    assert (facts(database)["failures"], facts(database)["last_error"]) == (0, None)


# --------------------------------------------------------------------------------------------------------------- quota


def ask(
    database: Database, count: int = 1, gap: float = LONG, source: str = "yahoo", patience: float = 1e6
) -> float | None:
    rows = database.rows("series.reserve_slots", source=source, count=count, gap=gap, patience=patience)
    return rows[0]["wait"] if rows else None


def reserve(database: Database, count: int = 1, gap: float = LONG, source: str = "yahoo") -> float:
    wait = ask(database, count, gap, source)
    assert wait is not None
    return wait


def slot(wait: float) -> int:
    """The number of the slot, counted from now."""
    return round(wait / LONG)


def test_the_first_slot_is_now_and_each_next_one_a_gap_later(database: Database) -> None:
    assert [slot(reserve(database)) for _ in range(4)] == [0, 1, 2, 3]


def test_several_slots_are_reserved_in_one_statement(database: Database) -> None:
    assert [slot(reserve(database, count)) for count in (3, 2, 1)] == [0, 3, 5]


def test_each_source_has_its_own_quota(database: Database) -> None:
    assert [slot(reserve(database, source=source)) for source in ("yahoo", "alpaca", "yahoo")] == [0, 0, 1]


def test_no_slot_is_given_twice_however_many_ask(database: Database) -> None:
    given: list[int] = []
    failures: list[BaseException] = []

    def worker(count: int) -> None:
        try:
            for _ in range(10):
                first = slot(reserve(database, count))
                given.extend(range(first, first + count))
        except BaseException as error:  # noqa: BLE001 — told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=worker, args=(1 + n % 3,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(given) == list(range(len(given)))


def test_slots_that_nobody_took_are_not_saved_up(database: Database) -> None:
    reserve(database)
    with database.transaction() as connection:
        connection.execute("update quota set next_slot = now() - interval '1 day'")
    assert [slot(reserve(database)) for _ in range(2)] == [0, 1]


def test_a_closed_vendor_is_asked_by_nobody_until_then(database: Database) -> None:
    reserve(database)
    database.rows("series.close_quota", source="yahoo", seconds=50 * LONG, reason="429")
    assert [slot(reserve(database)) for _ in range(2)] == [50, 51]
    assert [(r["source"], r["reason"]) for r in database.rows("series.circuits")] == [("yahoo", "429")]


def test_a_vendor_can_be_closed_before_anybody_asked(database: Database) -> None:
    database.rows("series.close_quota", source="yahoo", seconds=50 * LONG, reason="429")
    assert slot(reserve(database)) == 50


def test_a_shorter_closure_does_not_end_a_longer_one(database: Database) -> None:
    database.rows("series.close_quota", source="yahoo", seconds=50 * LONG, reason="blocked")
    database.rows("series.close_quota", source="yahoo", seconds=5 * LONG, reason="429")
    assert slot(reserve(database)) == 50


def test_a_closure_that_is_over_closes_nothing(database: Database) -> None:
    database.rows("series.close_quota", source="yahoo", seconds=-1, reason="429")
    assert slot(reserve(database)) == 0
    assert database.rows("series.circuits") == []


@pytest.mark.parametrize("count", [1, 100])
def test_without_a_quota_everybody_starts_at_once(database: Database, count: int) -> None:
    assert [slot(reserve(database, count, gap=0.0)) for _ in range(3)] == [0, 0, 0]


def test_who_would_have_to_wait_too_long_takes_no_slot(database: Database) -> None:
    assert [slot(reserve(database)) for _ in range(3)] == [0, 1, 2]
    assert ask(database, patience=2 * LONG) is None
    assert ask(database, patience=2 * LONG) is None
    assert slot(database.rows("series.next_slot", source="yahoo")[0]["wait"]) == 3
    assert slot(ask(database, patience=4 * LONG) or 0) == 3


def test_a_closed_vendor_gives_no_slot_to_the_impatient(database: Database) -> None:
    database.rows("series.close_quota", source="yahoo", seconds=50 * LONG, reason="429")
    assert ask(database, patience=LONG) is None
    assert slot(database.rows("series.next_slot", source="yahoo")[0]["wait"]) == 50
