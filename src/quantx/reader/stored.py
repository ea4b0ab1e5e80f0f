"""The tables of a lake for queries: rows by selection, as they are now or as they were known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import polars as pl

from quantx.core.tables import TABLES, Table
from quantx.lake.store import LakeLocation
from quantx.lake.table_reader import TableReader
from quantx.reader.selection import Selection


class LakeTables(Mapping[str, TableReader]):
    """The tables of one lake by name; each is read at its newest version."""

    def __init__(self, location: LakeLocation) -> None:
        self._tables = {name: TableReader(location, table) for name, table in TABLES.items()}

    def __getitem__(self, name: str) -> TableReader:
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def rows(self, table: Table, selection: Selection | None = None) -> pl.DataFrame:
        """Return the current rows of a selection, with all columns of the table."""
        chosen = Selection() if selection is None else selection
        return self._tables[table.name].read(chosen.condition(table))

    def known_at(self, table: Table, selection: Selection, as_of: datetime | None) -> pl.DataFrame:
        """Return the rows of a selection as known at `as_of`; None: the current ones."""
        if as_of is None:
            return self.rows(table, selection)
        known = selection.filtered(pl.col("known_from") <= as_of)
        replaced = self.rows(table.revisions, known.filtered(pl.col("known_to") > as_of))
        current = self.rows(table, known)
        # Between the two commits of a round a row is current and a revision at once.
        replaced = replaced.join(current, on=list(table.revisions.key), how="anti", nulls_equal=True)
        return pl.concat([current, replaced.select(list(table.schema))])
