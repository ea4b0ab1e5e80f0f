"""Two identities, as in Azure: pages read with one that may change nothing, actions run with another."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from quantx.dashboard.actions import Action, Form, run_action
from quantx.dashboard.context import Dashboard
from quantx.dashboard.pages.overview import read_facts
from quantx.errors import RefusedStatement
from quantx.settings import Settings
from quantx.state.database import Database

FORM = Form(request_id="0" * 26, reason="a try", actor="ann")
NOTHING = Action(name="nothing.do", label="Do", run=lambda platform, form: "done")


@pytest.fixture
def in_azure(settings: Settings) -> Iterator[Settings]:
    """The settings of a dashboard with an identity that reads and one that acts."""
    mark, owner = uuid.uuid4().hex[:12], settings.state_url
    names = {kind: f"{kind}_{mark}" for kind in ("reader", "operator")}
    with psycopg.connect(owner, autocommit=True) as connection:
        for name in names.values():
            connection.execute(sql.SQL("create role {} login password 'secret'").format(sql.Identifier(name)))
        with closing(Database(owner)) as database:
            database.grant(names["reader"], "read")
            database.grant(names["operator"], "work")
        urls = {kind: _as(owner, name) for kind, name in names.items()}
        yield settings.model_copy(
            update={"state_url": urls["reader"], "dashboard_operator_state_url": urls["operator"]}
        )
        for name in names.values():
            connection.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(name)))


def _as(url: str, name: str) -> str:
    values = psycopg.conninfo.conninfo_to_dict(url)
    host = values.get("host", "")
    return f"postgresql://{name}:secret@/{values['dbname']}?host={host}&port={values.get('port', 5432)}"


def test_pages_read_with_an_identity_that_changes_nothing(in_azure: Settings) -> None:
    with closing(Dashboard(in_azure)) as dashboard:
        facts = read_facts(dashboard)
        assert (facts.database_problem, facts.queue is None, facts.alerts) == ("", False, [])
        with dashboard.platform() as platform:
            assert platform is not None
            assert platform.state.audit.listed(1) == []
            with pytest.raises(RefusedStatement):
                run_action(NOTHING, FORM, platform)


def test_actions_run_with_the_other_one(in_azure: Settings) -> None:
    with closing(Dashboard(in_azure)) as dashboard:
        with dashboard.operator() as platform:
            assert platform is not None
            run_action(NOTHING, FORM, platform)
        (row,) = dashboard.from_state(lambda platform: platform.state.audit.listed(10)) or ()
        assert (row["actor"], row["outcome"], row["message"]) == ("ann", "done", "done")
