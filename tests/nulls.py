"""Whether the rows of a lake keep what the data dictionary promises about nulls."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from quantx.core.dictionary import fields_of
from quantx.lake.protocol import CuratedTable


def broken_promises(tables: Mapping[str, CuratedTable]) -> tuple[list[str], set[str]]:
    """Return the columns that have a null and are never to have one, and the tables that have rows."""
    broken, filled = [], set()
    for name, table in tables.items():
        rows: pl.DataFrame = table.read()
        if rows.height:
            filled.add(name)
        broken += [f"{name}.{f.name}" for f in fields_of(table.table) if not f.nullable and rows[f.name].null_count()]
    return broken, filled
