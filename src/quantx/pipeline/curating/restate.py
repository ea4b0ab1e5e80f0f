"""Restate a table as a whole: members of a universe, securities and their symbols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from quantx.core.merge import Merge, merge
from quantx.core.table import INSTANT, Table
from quantx.lake.protocol import CommitContext, Committer, CuratedTable, Tables


@dataclass(frozen=True)
class StoredRows:
    """Rows of a table, and its version before they were read."""

    rows: pl.DataFrame
    version: int | None


def read_stored(table: CuratedTable, where: pl.Expr | None = None) -> StoredRows:
    """Read the rows of a table that a restatement replaces."""
    version = table.version()
    return StoredRows(table.read(where), version)


def restate(
    tables: Tables,
    table: Table,
    stored: StoredRows,
    rows: pl.DataFrame,
    now: datetime,
    by: Committer,
    run_ids: Sequence[str] = (),
) -> bool:
    """Replace the rows `stored` of a table by `rows`, with revisions; return whether a row has changed.

    `run_ids` are the runs that the commits serve, for the log.

    Raises CommitConflict if the table has changed since `stored` was read.
    """
    merged, gone = _changes(table, stored, rows)
    superseded = pl.concat([merged.superseded, gone.with_columns(pl.lit(now).cast(INSTANT).alias("known_to"))])
    context, revisions = CommitContext(run_ids=run_ids, by=by), tables[table.revisions.name]
    if superseded.height:
        # After a crash between the two commits the replaced rows are there already.
        known = read_stored(revisions, pl.col("known_from").is_in(superseded["known_from"].unique().implode()))
        superseded = superseded.join(known.rows, on=list(table.schema), how="anti", nulls_equal=True)
        revisions.commit(context, superseded, read_at=known.version)
    return tables[table.name].commit(context, merged.new, merged.changed, gone, read_at=stored.version)


def is_restated(table: Table, stored: StoredRows, rows: pl.DataFrame) -> bool:
    """Return whether the rows `stored` of a table are `rows` already: then `restate` changes nothing."""
    merged, gone = _changes(table, stored, rows)
    return merged.new.is_empty() and merged.changed.is_empty() and gone.is_empty()


def _changes(table: Table, stored: StoredRows, rows: pl.DataFrame) -> tuple[Merge, pl.DataFrame]:
    """Return the changes of a restatement, and the rows that it removes."""
    gone = stored.rows.join(rows, on=list(table.key), how="anti", nulls_equal=True)
    return merge(stored.rows, rows, table), gone
