"""The SQL of the how-to runs, and gives rows where it should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quantx.reader import Lake

PAGE = (Path(__file__).parents[3] / "docs/how-to/query-with-sql.md").read_text("utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("query", QUERIES)
def test_examples_run(lake: Lake, query: str) -> None:
    rows = lake.sql(query)
    assert rows.height > 0
    if "bars_asof" in query:
        assert ("AAA", 98.0, 102.0) in rows.select("symbol", "was", "is_now").rows()


def test_there_are_examples() -> None:
    assert len(QUERIES) >= 5
