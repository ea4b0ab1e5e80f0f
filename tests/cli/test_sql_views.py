"""The file of views for other tools is refreshed after the work of a command."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from .conftest import Ran

Quantx = Callable[..., Ran]


def test_each_run_refreshes_the_file_of_views(quantx: Quantx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_SQL_VIEWS", "shared/views.duckdb")
    assert quantx("curate").code == 0
    with duckdb.connect("shared/views.duckdb", read_only=True) as connection:
        found = connection.execute(
            "select count(*) > 200, max(close) from bars_adjusted where symbol = 'AAA'"
        ).fetchone()
    ours = quantx("sql", "select count(*) > 200, max(close) from bars_adjusted where symbol = 'AAA'", "--format", "csv")
    assert found is not None
    assert ours.out.splitlines()[1] == f"true,{found[1]}"
    monkeypatch.setenv("QUANTX_SQL_VIEWS", "/proc/none/views.duckdb")
    ran = quantx("curate")
    assert ran.code == 0
    assert "the views of /proc/none/views.duckdb were not refreshed: cannot write" in ran.err
