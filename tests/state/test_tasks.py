"""Tasks: planned once, held by one worker at a time, landed only by who still holds them, and never lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from quantx.state.database import Database, Row

START, END = date(2024, 1, 2), date(2024, 1, 5)
REPLY = 10  # bytes of each reply here


def add_run(database: Database, run_id: str) -> None:
    database.rows("runs.add_run", id=run_id, kind="daily", source="yahoo", request="{}", skipped=0)


def add_tasks(database: Database, run_id: str, symbols: Sequence[str], kind: str = "daily") -> list[Row]:
    return database.rows(
        "tasks.add_tasks",
        run_id=run_id,
        kind=kind,
        source="yahoo",
        dataset="bars",
        timeframe="1d",
        symbols=list(symbols),
        starts=[START] * len(symbols),
        ends=[END] * len(symbols),
    )


def one_task(database: Database) -> int:
    add_run(database, "R1")
    return int(add_tasks(database, "R1", ["AAPL"])[0]["id"])


def claim(database: Database, *ids: int, owner: str = "me", lease: float = 3600) -> list[Row]:
    return database.rows("tasks.claim_tasks", ids=list(ids), owner=owner, lease=lease)


def land(database: Database, task: Row, path: str = "raw/a.parquet", row: int = 0) -> list[int]:
    raw = database.rows("curation.add_raw_object", path=path, source="yahoo", dataset="bars", payloads=1, bytes=REPLY)
    landed = database.rows(
        "curation.land",
        raw_id=raw[0]["id"],
        ids=[task["id"]],
        fences=[task["fence"]],
        rows=[row],
        times=[datetime(2024, 1, 8, tzinfo=UTC)],
        sizes=[REPLY],
    )
    return [r["task_id"] for r in landed]


def fail(database: Database, task: Row, *, terminal: bool = False, most: int = 3) -> list[str]:
    failed = database.rows(
        "tasks.fail_attempt",
        id=task["id"],
        fence=task["fence"],
        terminal=terminal,
        most=most,
        error_class="TransientProviderError",
        error="503",
        delay=0.0,
    )
    return [r["state"] for r in failed]


def state(database: Database, task_id: int) -> dict[str, Any]:
    with database.transaction() as connection:
        row = connection.execute("select * from tasks where id = %s", [task_id]).fetchone()
    assert row is not None
    return row


def expire(database: Database, task_id: int) -> None:
    """Let the lease of a task run out."""
    with database.transaction() as connection:
        connection.execute("update tasks set lease_until = now() - interval '1 second' where id = %s", [task_id])


# ------------------------------------------------------------------------------------------------------------ planning


def test_two_triggers_that_plan_the_same_work_share_its_tasks(database: Database) -> None:
    add_run(database, "R1")
    add_run(database, "R2")
    first = add_tasks(database, "R1", ["AAPL", "MSFT"])
    second = add_tasks(database, "R2", ["MSFT", "IBM"])
    assert [row["created"] for row in first] == [True, True]
    assert sorted(row["created"] for row in second) == [False, True]
    assert len({row["id"] for row in first + second}) == 3


def test_a_shared_task_belongs_to_the_run_that_came_last(database: Database) -> None:
    task = one_task(database)
    add_run(database, "R2")
    add_tasks(database, "R2", ["AAPL"])
    assert state(database, task)["run_id"] == "R2"


def test_another_kind_of_run_has_its_own_tasks(database: Database) -> None:
    add_run(database, "R1")
    (daily,), (backfill,) = add_tasks(database, "R1", ["AAPL"]), add_tasks(database, "R1", ["AAPL"], kind="backfill")
    assert daily["id"] != backfill["id"]


def test_work_that_is_done_can_be_planned_again(database: Database) -> None:
    task = one_task(database)
    (held,) = claim(database, task)
    assert fail(database, held, terminal=True) == ["failed"]
    (again,) = add_tasks(database, "R1", ["AAPL"])
    assert (again["created"], again["id"] != task) == (True, True)


def test_triggers_that_name_the_same_symbols_in_another_order_do_not_block_each_other(database: Database) -> None:
    symbols = [f"S{n}" for n in range(300)]
    for run in ("A", "B"):
        add_run(database, run)
    failures: list[BaseException] = []

    def plan(run: str, order: list[str]) -> None:
        try:
            for _ in range(8):
                add_tasks(database, run, order)
        except BaseException as error:  # noqa: BLE001 — told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=plan, args=a) for a in (("A", symbols), ("B", symbols[::-1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert database.rows("tasks.count_by_state", ids=None) == [{"state": "pending", "tasks": 300}]


def test_a_message_stays_in_the_outbox_until_it_was_sent(database: Database) -> None:
    task = one_task(database)
    database.rows("tasks.add_to_outbox", ids=[task])
    database.rows("tasks.add_to_outbox", ids=[task])  # once more is the same
    taken = database.rows("tasks.take_outbox", most=10)
    assert [(r["task_id"], r["symbol"], r["window_start"], r["window_end"]) for r in taken] == [
        (task, "AAPL", START, END)
    ]
    assert len(database.rows("tasks.take_outbox", most=10)) == 1
    database.rows("tasks.clear_outbox", ids=[task])
    assert database.rows("tasks.take_outbox", most=10) == []


def test_two_senders_do_not_send_the_same_message(database: Database) -> None:
    task = one_task(database)
    database.rows("tasks.add_to_outbox", ids=[task])
    with database.transaction() as connection:
        connection.execute("select * from outbox for update")
        assert database.rows("tasks.take_outbox", most=10) == []
    assert len(database.rows("tasks.take_outbox", most=10)) == 1


# -------------------------------------------------------------------------------------------------------------- leases


def test_a_task_is_held_by_one_worker(database: Database) -> None:
    task = one_task(database)
    (held,) = claim(database, task, owner="one")
    assert (held["fence"], held["attempts"], held["has_history"]) == (1, 0, False)
    assert claim(database, task, owner="two") == []
    assert state(database, task)["lease_owner"] == "one"


def test_a_lease_that_ran_out_passes_on_with_a_higher_fence(database: Database) -> None:
    task = one_task(database)
    (one,) = claim(database, task, owner="one")
    expire(database, task)
    (two,) = claim(database, task, owner="two")
    assert two["fence"] > one["fence"]


def test_who_lost_the_lease_can_do_nothing_any_more(database: Database) -> None:
    task = one_task(database)
    (one,) = claim(database, task, owner="one")
    expire(database, task)
    (two,) = claim(database, task, owner="two")
    assert land(database, one, "raw/one.parquet") == []
    assert fail(database, one) == []
    assert database.rows("tasks.extend_leases", ids=[task], fences=[one["fence"]], lease=3600.0) == []
    database.rows("tasks.release_tasks", ids=[task], fences=[one["fence"]], delay=0.0, error=None, requests=0)
    assert (state(database, task)["state"], state(database, task)["lease_owner"]) == ("leased", "two")
    assert land(database, two, "raw/two.parquet") == [task]


def test_a_lease_that_ran_out_but_was_not_taken_still_lands(database: Database) -> None:
    task = one_task(database)
    (held,) = claim(database, task)
    expire(database, task)
    assert land(database, held) == [task]


def test_a_lease_can_be_extended_by_its_holder(database: Database) -> None:
    task = one_task(database)
    (held,) = claim(database, task)
    expire(database, task)
    assert len(database.rows("tasks.extend_leases", ids=[task], fences=[held["fence"]], lease=3600.0)) == 1
    assert claim(database, task, owner="two") == []


def test_of_many_workers_one_gets_each_task(database: Database) -> None:
    add_run(database, "R1")
    ids = [row["id"] for row in add_tasks(database, "R1", [f"S{n}" for n in range(100)])]
    got: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: got.extend(r["id"] for r in claim(database, *ids[n::2], owner=str(n))))
        for n in (0, 1, 0, 1, 0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(ids)


# ------------------------------------------------------------------------------------------------- landing and failing


def test_landing_twice_lands_once(database: Database) -> None:
    task = one_task(database)
    (held,) = claim(database, task)
    assert land(database, held, "raw/1.parquet") == [task]
    assert land(database, held, "raw/2.parquet") == []
    assert state(database, task)["state"] == "landed"
    assert database.rows("curation.open_landings")[0]["landings"] == 1


def test_a_landed_task_is_not_claimed_again(database: Database) -> None:
    task = one_task(database)
    (held,) = claim(database, task)
    land(database, held)
    assert claim(database, task) == []
    assert database.rows("tasks.settled_tasks", ids=[task]) == [{"id": task}]


def test_failures_count_until_the_task_is_given_up(database: Database) -> None:
    task = one_task(database)
    outcomes = [fail(database, claim(database, task)[0], most=3) for _ in range(3)]
    assert outcomes == [["pending"], ["pending"], ["failed"]]
    assert (state(database, task)["attempts"], state(database, task)["last_error"]) == (3, "503")
    assert claim(database, task) == []


def test_a_terminal_failure_is_given_up_at_once(database: Database) -> None:
    task = one_task(database)
    assert fail(database, claim(database, task)[0], terminal=True) == ["failed"]


def test_giving_a_task_back_counts_no_failure(database: Database) -> None:
    task = one_task(database)
    (held,) = claim(database, task)
    database.rows("tasks.release_tasks", ids=[task], fences=[held["fence"]], delay=60.0, error="429", requests=1)
    found = state(database, task)
    assert (found["state"], found["attempts"], found["requests"], found["last_error"]) == ("pending", 0, 1, "429")
    assert claim(database, task)[0]["fence"] == held["fence"] + 1


def test_a_task_that_nobody_works_on_is_found_again(database: Database) -> None:
    add_run(database, "R1")
    waiting, dead, alive = (row["id"] for row in add_tasks(database, "R1", ["A", "B", "C"]))
    claim(database, dead, alive)
    with database.transaction() as connection:
        connection.execute(
            "update tasks set not_before = now() - interval '1 hour', updated_at = now() - interval '1 hour',"
            " lease_until = case when id = %s then now() - interval '1 hour' else lease_until end",
            [dead],
        )
    assert [r["id"] for r in database.rows("tasks.lost_tasks", patience=60.0)] == [waiting, dead]
    database.rows("tasks.touch_tasks", ids=[waiting])
    assert [r["id"] for r in database.rows("tasks.lost_tasks", patience=60.0)] == [dead]


def test_a_run_is_reported_when_its_last_task_has_ended(database: Database) -> None:
    add_run(database, "R1")
    first, second = (row["id"] for row in add_tasks(database, "R1", ["A", "B"]))
    assert database.rows("runs.runs_to_report") == []
    fail(database, claim(database, first)[0], terminal=True)
    assert database.rows("runs.runs_to_report") == []
    fail(database, claim(database, second)[0], terminal=True)
    assert [row["id"] for row in database.rows("runs.runs_to_report")] == ["R1"]
    database.rows("runs.finish_run", run_id="R1", report="reports/R1.json")
    assert database.rows("runs.runs_to_report") == []
    assert database.rows("runs.run_totals", run_id="R1")[0]["failed"] == 2


# ------------------------------------------------------------------------------------------------------ curation rounds


def landed(database: Database, *symbols: str) -> None:
    add_run(database, "R1")
    for n, row in enumerate(add_tasks(database, "R1", symbols)):
        (held,) = claim(database, row["id"])
        assert land(database, held, f"raw/{n}.parquet") == [row["id"]]


def start_round(database: Database, above: int = 0, replies: int = 100) -> int:
    round_id: int = database.rows("curation.start_round", dataset="bars", above=above)[0]["id"]
    database.rows("curation.fill_round", round_id=round_id, dataset="bars", most=replies, bytes=replies * REPLY)
    return round_id


def test_a_round_keeps_its_replies_until_it_is_finished(database: Database) -> None:
    landed(database, "A", "B")
    round_id = start_round(database)
    assert database.rows("curation.unfinished_round", dataset="bars") == [{"id": round_id}]
    assert [r["symbol"] for r in database.rows("curation.round_landings", round_id=round_id)] == ["A", "B"]
    assert database.rows("curation.open_landings")[0]["landings"] == 2
    database.rows("curation.finish_round", round_id=round_id)
    assert database.rows("curation.unfinished_round", dataset="bars") == []
    assert database.rows("curation.open_landings")[0]["landings"] == 0


def test_rounds_count_upwards_from_the_last_one_that_the_lake_has_seen(database: Database) -> None:
    assert start_round(database, above=41) == 42
    assert start_round(database) == 43


def test_a_series_gets_one_reply_per_round_in_the_order_of_fetching(database: Database) -> None:
    add_run(database, "R1")
    tasks = [add_tasks(database, "R1", ["A"], kind=kind)[0]["id"] for kind in ("daily", "backfill")]
    for n, task in enumerate(tasks):
        land(database, claim(database, task)[0], f"raw/{n}.parquet")
    with database.transaction() as connection:
        connection.execute(
            "update landings set fetched_at = fetched_at - interval '1 day' where task_id = %s", [tasks[1]]
        )
    rounds = [start_round(database), start_round(database)]
    found = [[r["task_id"] for r in database.rows("curation.round_landings", round_id=n)] for n in rounds]
    assert found == [[tasks[1]], [tasks[0]]]


@pytest.mark.parametrize("replies", [1, 2])
def test_a_round_is_no_larger_than_asked(database: Database, replies: int) -> None:
    landed(database, "A", "B", "C")
    round_id = start_round(database, replies=replies)
    assert len(database.rows("curation.round_landings", round_id=round_id)) == replies
