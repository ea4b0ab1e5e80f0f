"""The form of a decoded copy: every table's rows come back, and what is not a whole copy is refused."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quantx.core.table import INSTANT, Table
from quantx.core.tables import BARS_1D, TABLES
from quantx.lake.table_version import LiveFile
from quantx.reader.cache.assemble import ChosenFile, assemble
from quantx.reader.cache.blocks import DamagedCopy, WholeColumns
from quantx.reader.cache.copies import encode, open_copy
from quantx.reader.selection import Selection

DAYS = [date(2020, 1, 1) + timedelta(days=number) for number in range(300)]
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_copy_has_the_rows_of_its_file(table: Table) -> None:
    chance, rows = random.Random(table.name), 300
    frame = pl.DataFrame({c: _values(chance, c, t, rows) for c, t in table.schema.items()}, schema=dict(table.schema))
    part = frame.with_columns(pl.col(p).first() for p in table.partitions)
    live = LiveFile("p", 1, rows, {p: part[p][0] for p in table.partitions}, None, None, None, None)
    body = encode(part.drop(table.partitions), table, live)
    chosen = ChosenFile(live, open_copy(body, table, live, WholeColumns(10**6)))
    got = assemble(table, [chosen], Selection(), list(table.schema))
    assert_frame_equal(got, part.sort(table.sort, maintain_order=True), check_row_order=False)
    if "symbol" in table.schema:
        some = Selection.of(["B", "Z"])
        assert_frame_equal(
            assemble(table, [chosen], some, list(table.schema)),
            part.filter(pl.col("symbol").is_in(["B", "Z"])),
            check_row_order=False,
        )


def _values(chance: random.Random, name: str, dtype: Any, count: int) -> list[Any]:
    nulls = 0.0 if name in ("symbol", "date", "time") else 0.1
    return [None if chance.random() < nulls else _value(chance, dtype) for _ in range(count)]


def _value(chance: random.Random, dtype: Any) -> Any:
    if dtype == pl.String:
        return chance.choice("ABCDE")
    if dtype == pl.Date:
        return DAYS[chance.randrange(len(DAYS))]
    if dtype == pl.Boolean:
        return chance.random() < 0.5
    if dtype == INSTANT:
        return BEGIN + timedelta(microseconds=chance.randrange(10**9))
    return chance.choice([-1, 0, 2**31 - 1]) if dtype == pl.Int32 else chance.randrange(10**6)


def test_a_body_that_is_no_copy_is_refused() -> None:
    live = LiveFile("p", 1, 0, {}, None, None, None, None)
    whole = encode(BARS_1D.empty().drop(BARS_1D.partitions), BARS_1D, live)
    for body in (b"", b"QX", bytes(1000), whole[:-1], b"X" + whole[1:]):
        with pytest.raises(DamagedCopy):
            open_copy(body, BARS_1D, live, WholeColumns(10**6))
