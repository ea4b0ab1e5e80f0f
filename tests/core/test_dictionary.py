"""The data dictionary is whole: who adds a column is told what to say about it."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from quantx.core.column_meanings import MEANINGS
from quantx.core.dictionary import COLUMNS, NULLABLE, fields_of
from quantx.core.features.tables import FEATURE_TABLES, feature_of
from quantx.core.table import Table
from quantx.core.tables import BARS_1D, QUARANTINE, TABLES


def test_every_column_of_every_table_is_told() -> None:
    told = {f.name for table in TABLES.values() for f in fields_of(table) if feature_of(table, f.name) is None}
    assert told == set(COLUMNS) == set(MEANINGS)
    of_sets = {table.name for table in FEATURE_TABLES}
    assert set(NULLABLE) == {name.removesuffix("_revisions") for name in TABLES} - of_sets


def test_a_field_says_unit_zone_origin_and_whether_it_may_be_null() -> None:
    of_bars = {field.name: field for field in fields_of(BARS_1D)}
    close, day, instant = of_bars["close"], of_bars["date"], of_bars["known_from"]
    assert (close.unit, close.zone, close.origin, close.nullable) == ("`currency` per share", "", "vendor", False)
    assert (day.unit, day.zone, day.nullable) == ("", "the exchange's", False)
    assert (instant.zone, instant.origin) == ("UTC", "quantx")
    assert {field.name for field in fields_of(QUARANTINE) if field.nullable} >= {"date", "payload_sha256"}
    revised = {field.name: field.nullable for field in fields_of(BARS_1D.revisions)}
    assert (revised["currency"], revised["known_to"]) == (True, False)


def with_column(name: str, dtype: type[pl.DataType], table: str = "bars_1d") -> Table:
    return replace(BARS_1D, name=table, schema={**BARS_1D.schema, name: dtype})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            with_column("turnover", pl.Float64),
            "the column turnover of bars_1d has no entry in MEANINGS in core/column_meanings.py",
        ),
        (with_column("dataset", pl.Float64), "the column dataset of bars_1d is a number; .* needs a unit"),
        (replace(BARS_1D, name="ticks"), "the table ticks has no entry in NULLABLE; add one to core/dictionary.py"),
        (replace(BARS_1D, name="actions"), "NULLABLE of actions .* has reference_close, which is not a column"),
    ],
)
def test_what_is_missing_is_named_with_the_place_to_add_it(table: Table, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fields_of(table)
