"""Two roles: the owner changes the schema; who only works with it can do all of its work, and change no table."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import psycopg
import pytest
from psycopg import sql

from quantx.core.model import Series, Window
from quantx.errors import ConfigError, RefusedStatement
from quantx.queues.postgres import PostgresQueue
from quantx.state.database import Database
from quantx.state.postgres import PostgresState
from quantx.state.rounds.port import TaskResult
from quantx.state.schema.migrations import SCHEMA_VERSION
from quantx.state.series.port import SeriesFacts
from quantx.state.tasks.port import NewTask
from quantx.state.values import NewRun, Universe

from .contract import raw_object, reply_to

WEEK = Window(date(2024, 1, 2), date(2024, 1, 5))


@dataclass(frozen=True)
class Roles:
    owner: str  # addresses
    worker: str
    name: str  # of the worker's role
    server: str  # of the administrator


@pytest.fixture
def roles(database_url: str) -> Iterator[Roles]:
    """A database of its own, and two roles that are no administrators."""
    with new_roles(database_url) as made:
        yield made


@contextlib.contextmanager
def new_roles(database_url: str) -> Iterator[Roles]:
    mark = uuid.uuid4().hex[:12]
    owner, worker, name = (f"{kind}_{mark}" for kind in ("owner", "worker", "test"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        for role in (owner, worker):
            connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        connection.execute(f"create database {name} owner {owner}")
        at = database_url.replace("/postgres?", f"/{name}?")
        yield Roles(
            at.replace("postgres:@", f"{owner}:@"), at.replace("postgres:@", f"{worker}:@"), worker, database_url
        )
        connection.execute(f"drop database {name} with (force)")
        connection.execute(f"drop role {owner}")
        connection.execute(f"drop role {worker}")


@pytest.fixture
def granted(roles: Roles) -> Iterator[PostgresState]:
    """The state as the granted role opens it."""
    with opened_by_the_granted(roles) as state:
        yield state


@pytest.fixture(scope="module")
def unchanged(database_url: str) -> Iterator[PostgresState]:
    """The same, shared by tests that change nothing."""
    with new_roles(database_url) as roles, opened_by_the_granted(roles) as state:
        yield state


@contextlib.contextmanager
def opened_by_the_granted(roles: Roles) -> Iterator[PostgresState]:
    with contextlib.closing(Database(roles.owner)) as owner:
        owner.grant(roles.name)
    with contextlib.closing(PostgresState(Database(roles.worker))) as state:
        yield state


def test_who_may_not_make_the_schema_is_told_who_does(roles: Roles) -> None:
    with pytest.raises(ConfigError, match=r"not up to date.*its owner runs `quantx migrate`"):
        Database(roles.worker)


def test_who_may_not_use_the_schema_is_told_how(roles: Roles) -> None:
    Database(roles.owner).close()
    with pytest.raises(ConfigError, match=r"may not use the schema.*quantx migrate --grant ROLE"):
        Database(roles.worker)


def test_the_granted_role_plans_works_and_reports(granted: PostgresState) -> None:
    state, queue = granted, PostgresQueue(granted.database)
    series = Series("yahoo", "bars", "1d", "AAPL")
    members = [("AAPL", "us", None, None, None)]
    state.universes.put(
        Universe("mine", phase="phase_1", market="us", source_type="static", refreshed_at=state.now(), members=members)
    )
    bound = state.bind_lake("lake", "state")
    assert (bound.lake_id, bound.state_id) == ("lake", "state")
    wanted = [NewTask(Series("yahoo", "bars", "1d", symbol), WEEK) for symbol in ("AAPL", "MSFT")]
    plan = state.tasks.plan(NewRun("R1", "daily", "yahoo", {}), wanted)
    tickets = state.tasks.to_send(10, 30)
    queue.send([str(ticket.task_id) for ticket in tickets])
    state.tasks.sent([ticket.task_id for ticket in tickets])
    queue.delete(queue.receive(32, 60))
    apple, microsoft = state.tasks.claim(plan.task_ids, "me", 60, 10).held
    assert state.quotas.reserve("yahoo", None, 1, 60) is not None
    state.quotas.close("yahoo", 1, "blocked")
    raw = raw_object("raw/1")
    assert state.tasks.land(raw, [reply_to(apple, path=raw.path, fetched_at=state.now())], [apple]) == {apple.id}
    assert state.tasks.fail(microsoft, "UnknownSymbol", "no", final=True, most=4, delay=0) is True
    with state.exclusive("curator") as mine:
        assert mine is not None
        number = state.rounds.start(0, 1_000, 10)
        facts = [
            SeriesFacts(
                series,
                covered=WEEK,
                nothing=(),
                first_session=WEEK.start,
                watermark=WEEK.end,
                asked_through=WEEK.end,
                asked_at=state.now(),
            )
        ]
        state.rounds.finish(number, [TaskResult(apple.id, "done", new=4)], facts, "[]")
    (ended,) = state.runs.ended()
    state.runs.finish(ended.id, "reports/1.json")
    assert state.runs.report_of("R1") == "reports/1.json"
    assert state.tasks.retry(NewRun("R2", "manual", "yahoo", {}), None).task_ids


@pytest.mark.parametrize(
    "statement",
    [
        "create table quantx.mine (id integer)",
        "create table public.mine (id integer)",
        "create schema mine",
        "drop table quantx.outbox",
        "alter table quantx.tasks add column mine integer",
        "truncate quantx.outbox",
        "create index mine on quantx.tasks (symbol)",
        "create or replace function quantx.server_start() returns timestamptz language sql as 'select now()'",
        "insert into quantx.schema_version (version) values (99)",
        "drop schema quantx cascade",
    ],
)
def test_the_granted_role_changes_no_table(unchanged: PostgresState, statement: str) -> None:
    refused = pytest.raises(RefusedStatement, match=r"permission denied|must be owner")
    with refused, unchanged.database.transaction() as c:
        c.execute(statement)  # type: ignore[arg-type]


def test_what_a_later_version_brings_is_granted_with_it(roles: Roles, granted: PostgresState) -> None:
    with contextlib.closing(Database(roles.owner)) as owner, owner.transaction() as connection:
        connection.execute("create table later (id bigint generated always as identity, name text)")
    with granted.database.transaction() as connection:
        connection.execute("insert into later (name) values ('a')")
        connection.execute("update later set name = 'b'")
        assert connection.execute("delete from later returning name").fetchall() == [{"name": "b"}]


def test_to_open_what_is_up_to_date_needs_no_right_to_change_it(roles: Roles) -> None:
    with contextlib.closing(Database(roles.owner)) as first:
        assert (first.migrated_from, first.schema_version()) == (0, SCHEMA_VERSION)
    with contextlib.closing(Database(roles.owner)) as again:
        assert again.migrated_from == SCHEMA_VERSION


def test_a_role_that_is_not_there_is_the_owners_to_make(roles: Roles) -> None:
    with contextlib.closing(Database(roles.owner)) as owner, pytest.raises(ConfigError, match="no role 'nobody'"):
        owner.grant("nobody")


def test_azure_makes_the_role_of_an_identity(roles: Roles) -> None:
    name = f"functions-{uuid.uuid4().hex[:8]}"
    with psycopg.connect(roles.server, autocommit=True) as administrator:
        administrator.execute(
            "create function pgaadauth_create_principal(name text, admin boolean, mfa boolean) returns text"
            " language plpgsql security definer as $$ begin execute format('create role %I login', name);"
            " return 'Created role for ' || name; end $$"
        )
        try:
            with contextlib.closing(Database(roles.owner)) as owner:
                owner.grant(name)
                owner.grant(name)  # again: nothing happens
            worker = roles.owner.replace(roles.owner.split("/")[2].split(":")[0], name)
            with contextlib.closing(Database(worker)) as opened:
                assert opened.rows("runs.recent", most=1, before=None, kind=None) == []
        finally:
            administrator.execute("drop function pgaadauth_create_principal")
            with psycopg.connect(
                roles.server.replace("/postgres?", f"/{roles.owner.split('/')[3].split('?')[0]}?")
            ) as c:
                c.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
            administrator.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
