"""One version of a Delta table: its files, with the statistics by which a query chooses among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
from deltalake import DeltaTable

from quantx.core.table import Table


@dataclass(frozen=True, slots=True, eq=False)
class LiveFile:
    """A data file of a version; its bytes never change. A bound is None where the log has none."""

    path: str  # below the table
    size: int  # bytes
    rows: int
    partition: Mapping[str, Any]
    first_symbol: str | None
    last_symbol: str | None
    first_day: date | None
    last_day: date | None


@dataclass(frozen=True, slots=True)
class TableVersion:
    """The files of a table at one version."""

    number: int
    files: tuple[LiveFile, ...]
    properties: Mapping[str, str] = field(default_factory=dict)


def version_of(delta: DeltaTable, table: Table) -> TableVersion:
    """Return the version of a handle, which another thread may move to a newer one meanwhile."""
    number = -1
    while number != delta.version():
        number = delta.version()
        adds = pl.DataFrame(delta.get_add_actions(flatten=True))
        properties = delta.metadata().configuration if table.zone == "features" else {}
    if adds.is_empty():
        return TableVersion(number, (), properties)
    day = day_of(table)
    partitions = [adds[f"partition.{p}"].cast(table.schema[p]).to_list() for p in table.partitions]
    constants = zip(*partitions, strict=True) if partitions else [()] * adds.height
    bounds = ("min.symbol", "max.symbol", f"min.{day}", f"max.{day}")
    values = [adds[c].to_list() if c in adds.columns else [None] * adds.height for c in bounds]
    columns = (adds["path"].to_list(), adds["size_bytes"].to_list(), adds["num_records"].to_list(), constants, *values)
    files = [
        LiveFile(path, size, rows or 0, dict(zip(table.partitions, of, strict=True)), *limits)
        for path, size, rows, of, *limits in zip(*columns, strict=True)
    ]
    return TableVersion(number, tuple(files), properties)


def day_of(table: Table) -> str:
    """Return the column with the day of a table's rows."""
    return table.day or "date"
