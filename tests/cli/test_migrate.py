"""`quantx migrate`: the schema's owner brings it up to date, and lets others work with it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from quantx.cli import main
from quantx.state.schema.migrations import SCHEMA_VERSION


@pytest.fixture
def role(database_url: str, empty_database_url: str) -> Iterator[str]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute('create role "quantx-functions" login')
        yield "quantx-functions"
        with psycopg.connect(empty_database_url) as there:
            there.execute('drop owned by "quantx-functions"')
        connection.execute('drop role "quantx-functions"')


def test_it_can_be_repeated(
    empty_database_url: str, role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUANTX_STATE_URL", empty_database_url)
    monkeypatch.setenv("QUANTX_LAKE_URL", "az://there-is-none")  # the lake is not opened
    for was in (0, SCHEMA_VERSION):
        assert main(["migrate", "--grant", role, "--json"]) == 0
        granted = {"granted": [role], "granted_read": [], "granted_progress": []}
        assert json.loads(capsys.readouterr().out) == {"version": SCHEMA_VERSION, "was": was, **granted}
    assert main(["migrate"]) == 0
    assert f"has version {SCHEMA_VERSION}" in " ".join(capsys.readouterr().out.split())
    with psycopg.connect(empty_database_url.replace("postgres:@", f"{role}:@")) as connection:
        assert connection.execute("select count(*) from quantx.runs").fetchone() == (0,)


def test_a_reader_reads_rows_and_changes_none(
    empty_database_url: str, role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUANTX_STATE_URL", empty_database_url)
    assert main(["migrate", "--grant-read", role]) == 0
    assert f"{role} may read" in " ".join(capsys.readouterr().out.split())
    with psycopg.connect(empty_database_url, autocommit=True) as owner:
        owner.execute("create table quantx.later (a int)")  # as a later version brings it
        tables = [name for (name,) in owner.execute("select tablename from pg_tables where schemaname = 'quantx'")]
    with psycopg.connect(empty_database_url.replace("postgres:@", f"{role}:@"), autocommit=True) as reader:
        assert len(tables) > 10
        for table in tables:
            reader.execute(f"select * from quantx.{table} limit 1")
            for change in (f"delete from quantx.{table}", f"truncate quantx.{table}", f"drop table quantx.{table}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(change)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("create table quantx.mine (a int)")


def test_a_role_that_is_not_there_is_a_mistake(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUANTX_STATE_URL", empty_database_url)
    assert main(["migrate", "--grant", "nobody"]) == 2
    assert "no role 'nobody'" in " ".join(capsys.readouterr().err.split())


def test_a_role_may_see_whether_tasks_are_in_progress_and_no_more(
    empty_database_url: str, role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUANTX_STATE_URL", empty_database_url)
    assert main(["migrate", "--grant-progress", role]) == 0
    assert f"{role} may see whether tasks are in progress" in " ".join(capsys.readouterr().out.split())
    with psycopg.connect(empty_database_url.replace("postgres:@", f"{role}:@"), autocommit=True) as connection:
        assert connection.execute("select state, lease_until, updated_at from quantx.tasks").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select symbol from quantx.tasks")
