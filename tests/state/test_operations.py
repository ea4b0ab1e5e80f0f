"""The SQL of docs/operations.md runs against the real schema, with a state in which something has happened."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from quantx.core.model import Finding, Series, Window
from quantx.state.database import Database
from quantx.state.postgres import PostgresState
from quantx.state.tasks.port import NewTask
from quantx.state.values import NewRun, Universe

from .contract import raw_object, reply_to

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def eventful(database: Database) -> Database:
    """A run with a landed, a failed and a waiting task, a closed vendor, a message and two findings."""
    state, week = PostgresState(database), Window(date(2024, 1, 2), date(2024, 1, 5))
    members = [("A", "us", None, None, None), ("B", "us", None, None, None)]
    state.universes.put(
        Universe(
            "u",
            phase="p",
            market="us",
            source_type="static",
            refreshed_at=datetime(2024, 1, 1, tzinfo=UTC),
            members=members,
        )
    )
    wanted = [NewTask(Series("yahoo", "bars", "1d", symbol), week) for symbol in "ABC"]
    plan = state.tasks.plan(NewRun("R1", "daily", "yahoo", {"universe": "u"}), wanted)
    first, second = state.tasks.claim(plan.task_ids[:2], "w", 60, 2).held
    state.tasks.land(raw_object("raw/x.parquet"), [reply_to(first, size=100)], [first])
    state.tasks.fail(second, "UnknownSymbol", "no such symbol", final=True, most=4, delay=0)
    state.quotas.close("yahoo", 600, "429")
    state.findings.note([Finding("no_run_by_deadline", "error", "us", "late", first_day=week.start)])
    database.rows("queue.send", queue="tasks", bodies=["e30="], delay=0)
    return database


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: " ".join(query.split())[:50])
def test_a_query_of_the_page_finds_what_has_happened(eventful: Database, query: str) -> None:
    with eventful.transaction() as connection:
        connection.execute("set search_path = public")  # as a person's connection has it
        assert connection.execute(query.encode()).fetchall(), query


def test_the_page_has_the_queries_that_a_person_needs() -> None:
    assert len(QUERIES) >= 9


def test_the_cost_of_a_run_counts_each_reply_once(eventful: Database) -> None:
    (query,) = [q for q in QUERIES if "bytes_landed" in q]
    with eventful.transaction() as connection:
        (row,) = connection.execute(query.encode()).fetchall()
    assert (row["tasks"], row["requests"], row["raw_objects"], row["bytes_landed"]) == (3, 2, 1, 100)
