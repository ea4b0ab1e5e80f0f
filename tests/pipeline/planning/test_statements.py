"""Planning runs as many statements for many symbols as for a few."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import Any

import psycopg
import pytest

from quantx.core.model import Window
from quantx.pipeline.planning.plan import plan_backfill, plan_daily
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.runtime.context import Context, open_context
from quantx.settings import load_settings

MOST = 10  # with the opening of the state, the lake's binding, the clock and the first messages


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the statements that this process runs from now on, without the checks of connections."""
    seen = list[str]()
    execute = psycopg.Connection.execute

    def record(connection: Any, query: Any, *values: Any, **options: Any) -> Any:
        if query:
            seen.append(str(query))
        return execute(connection, query, *values, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", record)
    return seen


def daily(context: Context, scope: Scope) -> int:
    return len(plan_daily(context, scope, lookback=5).task_ids)


def backfill(context: Context, scope: Scope) -> int:
    return len(plan_backfill(context, scope, Window(date(2010, 1, 4), date(2024, 12, 31))).task_ids)


@pytest.mark.parametrize("plan", [daily, backfill])
def test_a_thousand_symbols_cost_the_statements_of_ten(
    plan: Any, migrated_database_url: str, tmp_path: Any, statements: list[str]
) -> None:
    settings = load_settings(
        lake_url=str(tmp_path / "lake"),
        state_url=migrated_database_url,
        queue_url="postgresql",
        universe_path="none.yaml",
    )
    with open_context(settings):  # the first use binds the lake to the state
        pass
    counts = []
    for first, count in ((0, 10), (10, 1000)):
        symbols = tuple(f"Q{i:04d}" for i in range(first, first + count))
        statements.clear()
        with open_context(settings) as context, closing(context.location):
            assert plan(context, Scope(symbols)) == count
        counts.append(len([text for text in statements if "queue_messages" not in text]))
    assert counts[0] == counts[1] <= MOST
